#!/usr/bin/env python3
"""Anomalies in real tables: gpudae beside an isolation forest (scikit-learn) and,
where PyOD and PyTorch are installed, PyOD's auto-encoder, in one run.

Each detector learns from ordinary rows alone and scores other ordinary rows and
odd ones: malignant among benign tumours, another cultivar of wine, and census
rows in which three cells were swapped with those of other rows. Judged by the
area under the ROC curve, over several divisions of the rows.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd

import impute
import tables


def one_class(name, label, ordinary):
    def split(folder, seed):
        frame = getattr(tables, name)(folder)
        normal, odd = frame[frame[label] == ordinary].drop(columns=label), frame[frame[label] != ordinary].drop(columns=label)
        return halves(normal, odd, seed)
    return split


def swapped(name, rows, cells=3, odd_rows=500):
    def split(folder, seed):
        frame = getattr(tables, name)(folder, rows)
        if frame is None:
            return None
        random = np.random.default_rng(seed)
        chosen = random.permutation(len(frame))[:odd_rows]
        odd = frame.iloc[chosen].copy().reset_index(drop=True)
        for i in range(len(odd)):
            for j in random.choice(frame.shape[1], cells, replace=False):
                odd.iat[i, j] = frame.iat[random.integers(len(frame)), j]
        return halves(frame.drop(index=frame.index[chosen]), odd, seed)
    return split


def halves(normal, odd, seed):
    order = np.random.default_rng(seed).permutation(len(normal))
    half = len(normal) * 2 // 3
    train, fresh = normal.iloc[order[:half]], normal.iloc[order[half:]]
    test = pd.concat([fresh, odd], ignore_index=True)
    return train.reset_index(drop=True), test, np.r_[np.zeros(len(fresh)), np.ones(len(odd))]


SETS = {
    "breast cancer: malignant": one_class("breast_cancer", "diagnosis", "benign"),
    "wine: cultivar 2": one_class("wine", "cultivar", "class_1"),
    "adult: three cells swapped": swapped("adult", 5_000),
}


def matrix(train, test):
    """Numbers for detectors that know nothing else: one-hot, standardised, means where missing."""
    both, _ = impute.one_hot(impute.mean_mode(pd.concat([train, test], ignore_index=True)))
    return both[:len(train)], both[len(train):]


def forest(train, test):
    from sklearn.ensemble import IsolationForest

    a, b = matrix(train, test)
    return -IsolationForest(random_state=0, n_estimators=200).fit(a).score_samples(b)


def pyod_autoencoder(train, test):
    from pyod.models.auto_encoder import AutoEncoder

    a, b = matrix(train, test)
    return AutoEncoder(verbose=0, random_state=0).fit(a).decision_function(b)


def gpudae(program, arguments, by):
    def score(train, test):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            train.to_csv(folder / "train.csv", index=False)
            test.to_csv(folder / "test.csv", index=False)
            subprocess.run([program, "train", str(folder / "train.csv"), "--preset", "anomaly", "-o", str(folder / "run"), "-q", "--no-report", "--no-events", *arguments],
                           check=True, stdout=subprocess.DEVNULL)
            subprocess.run([program, "anomaly", str(folder / "run"), str(folder / "test.csv"), "-o", str(folder / "out.csv"), "--brief", "-q"],
                           check=True, stdout=subprocess.DEVNULL)
            return pd.read_csv(folder / "out.csv")[by].to_numpy()
    return score


def main():
    from sklearn.metrics import roc_auc_score

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpudae", required=True, help="the program")
    parser.add_argument("--data", help="folder with adult.data.gz")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", help="Markdown file to write")
    arguments, ours = parser.parse_known_args()

    detectors = {"isolation forest": forest}
    try:
        import pyod.models.auto_encoder  # noqa: F401
        detectors["PyOD auto-encoder"] = pyod_autoencoder
    except ImportError as error:
        print(f"PyOD's auto-encoder is left out: {error}", file=sys.stderr)
    detectors["gpudae"] = gpudae(arguments.gpudae, ours, "mean_abs_z")
    lines = ["| odd rows | " + " | ".join(detectors) + " |", "| --- |" + " --- |" * len(detectors)]
    for name in arguments.sets:
        areas = {d: [] for d in detectors}
        for seed in range(arguments.seeds):
            parts = SETS[name](arguments.data, seed)
            if parts is None:
                break
            train, test, odd = parts
            for d, score in detectors.items():
                areas[d].append(roc_auc_score(odd, score(train, test)))
                print(f"{name}, seed {seed}, {d}: {areas[d][-1]:.4f}", file=sys.stderr)
        if parts is None:
            print(f"{name}: its file is not here, left out", file=sys.stderr)
            continue
        best = max(np.mean(a) for a in areas.values())
        cells = [f"{np.mean(a):.3f} ± {np.std(a):.3f}" for a in areas.values()]
        cells = [f"**{c}**" if np.mean(a) == best else c for c, a in zip(cells, areas.values())]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
