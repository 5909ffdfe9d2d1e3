#!/usr/bin/env python3
"""Imputation on real tables: gpudae beside the mean and mode, k nearest
neighbours and iterated regressions (scikit-learn), in one run.

Cells are removed at random (MCAR); every method sees the same incomplete table
and fills it in; the removed cells are compared with what was there. Numbers are
judged by their root mean square error in units of the column's standard
deviation, categories by accuracy. All of that is done for each seed, which removes
other cells; what is shown are means over the seeds. --out is written after each.

--choose is for the choice of settings: with other seeds than 1, it does not judge
cells that seed 1 removes too.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import pandas as pd

import tables

RATES = [0.1, 0.3, 0.5]
LEVEL = 0.01  # closer than this, in standard deviations or in accuracy, or than the standard error over the seeds, is a tie
PRESET = "impute"
REPORTED = 1  # seed of the cells that no choice of settings may look at
SHOWN = 0.3  # rate at which single columns are shown,
FEW = 20  # of tables with at most so many


def remove(frame, rate, seed):
    """The frame with a fraction of its cells removed, and which."""
    random = np.random.default_rng(seed)
    gone = (random.random(frame.shape) < rate) & frame.notna().to_numpy()
    gone[gone.all(axis=1), 0] = False  # a row keeps one cell
    return frame.mask(gone), gone


def mean_mode(frame):
    filled = frame.copy()
    for column in tables.numbers_of(frame):
        filled[column] = frame[column].fillna(frame[column].mean())
    for column in tables.classes_of(frame):
        filled[column] = frame[column].where(frame[column].notna(), frame[column].mode()[0])
    return filled


def one_hot(frame):
    """Numbers standardised, categories as indicators, all NaN where missing."""
    parts, decode = [], []
    for column in frame.columns:
        if column in tables.numbers_of(frame):
            mean, spread = frame[column].mean(), frame[column].std(ddof=0) or 1.0
            parts.append(((frame[column] - mean) / spread).to_numpy()[:, None])
            decode.append((column, 1, (mean, spread)))
        else:
            # The first category has no indicator of its own: with all of them a regression
            # would fill each in from the others, which are missing where it is.
            names = sorted(frame[column].dropna().unique())
            x = np.array([[float(v == n) for n in names[1:]] for v in frame[column]]).reshape(len(frame), -1)
            x[frame[column].isna().to_numpy()] = np.nan
            parts.append(x)
            decode.append((column, len(names) - 1, names))
    return np.hstack(parts), decode


def from_one_hot(frame, x, decode):
    filled, at = frame.copy(), 0
    for column, width, how in decode:
        part = x[:, at:at + width]
        at += width
        missing = frame[column].isna().to_numpy()
        if isinstance(how, tuple):
            filled.loc[missing, column] = part[missing, 0] * how[1] + how[0]
        else:
            all_of_them = np.hstack([1 - part.sum(axis=1, keepdims=True), part])
            filled.loc[missing, column] = np.array(how, dtype=object)[all_of_them[missing].argmax(axis=1)]
    return filled


def by(imputer):
    def fill(frame):
        x, decode = one_hot(frame)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return from_one_hot(frame, imputer().fit_transform(x), decode)
    return fill


def knn():
    from sklearn.impute import KNNImputer

    return KNNImputer(n_neighbors=5)


def iterative():
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(random_state=0, max_iter=10)


def gpudae(program, arguments):
    def fill(frame):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            frame.to_csv(folder / "in.csv", index=False)
            run = [program, "train", str(folder / "in.csv"), "--preset", PRESET, "-o", str(folder / "run"), "-q", "--no-report", "--no-events", *arguments]
            subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
            subprocess.run([program, "impute", str(folder / "run"), str(folder / "in.csv"), "-o", str(folder / "out.csv"), "-q"],
                           check=True, stdout=subprocess.DEVNULL)
            filled = pd.read_csv(folder / "out.csv", keep_default_na=False, na_values=[""])
        for column in tables.classes_of(frame):
            filled[column] = filled[column].astype(str)
        return filled
    return fill


def judge(frame, filled, gone):
    """The error of each column: (kind, value)."""
    errors = {}
    for j, column in enumerate(frame.columns):
        cells = gone[:, j]
        if not cells.any():
            continue
        truth, guess = frame[column][cells], filled[column][cells]
        if column in tables.numbers_of(frame):
            spread = frame[column].std(ddof=0)
            errors[column] = ("number", float(np.sqrt(np.mean((truth.to_numpy() - guess.to_numpy(dtype=float)) ** 2)) / spread))
        else:
            errors[column] = ("class", float(np.mean(truth.to_numpy() == guess.to_numpy())))
    return errors


def compare(ours, theirs):
    """Columns in which ours is better, level, worse; both are lists, by seed."""
    better = level = worse = 0
    for column, (kind, _) in ours[0].items():
        gains = [(t[column][1] - o[column][1]) * (1 if kind == "number" else -1) for o, t in zip(ours, theirs)]
        spread = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0
        gain = np.mean(gains)
        if abs(gain) <= max(LEVEL, spread):
            level += 1
        elif gain > 0:
            better += 1
        else:
            worse += 1
    return better, level, worse


def mean_of(errors, kind):
    """The mean over columns and seeds."""
    values = [v for by_seed in errors for k, v in by_seed.values() if k == kind]
    return float(np.mean(values)) if values else float("nan")


def column_mean(errors, column):
    return float(np.mean([by_seed[column][1] for by_seed in errors]))


def measure(row, frame, seed, methods, choose):
    """Adds to a row what the methods make of one removal."""
    incomplete, gone = remove(frame, row["rate"], seed)
    if choose:
        gone &= ~remove(frame, row["rate"], REPORTED)[1]
    for method, fill in methods.items():
        start = time.time()
        row["errors"][method].append(judge(frame, fill(incomplete), gone))
        seconds = time.time() - start
        row["seconds"][method] += seconds
        last = row["errors"][method][-1:]
        print(f"{row['table']} {row['rate']:.0%} seed {seed} {method}: NRMSE {mean_of(last, 'number'):.4f}, "
              f"accuracy {mean_of(last, 'class'):.4f}, {seconds:.1f} s", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpudae", required=True, help="the program")
    parser.add_argument("--data", help="folder with adult.data.gz and titanic_openml40945.arff.gz")
    parser.add_argument("--tables", nargs="*", default=["breast_cancer", "titanic", "adult"])
    parser.add_argument("--rates", nargs="*", type=float, default=RATES)
    parser.add_argument("--methods", nargs="*", default=["mean", "knn", "iterative", "gpudae"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1])
    parser.add_argument("--choose", action="store_true", help="leave cells that seed 1 removes unjudged, for the choice of settings")
    parser.add_argument("--out", help="Markdown file to write")
    parser.add_argument("--check", action="store_true", help="fail if the mean or k nearest neighbours are better on average, and unless gpudae is at least level with iterated regressions in most columns")
    arguments, ours = parser.parse_known_args()
    if arguments.choose and REPORTED in arguments.seeds:
        parser.error(f"--choose is for other seeds than {REPORTED}")

    methods = {"mean": mean_mode, "knn": by(knn), "iterative": by(iterative), "gpudae": gpudae(arguments.gpudae, ours)}
    methods = {name: methods[name] for name in arguments.methods}
    frames = {name: getattr(tables, name)(arguments.data) for name in arguments.tables}
    for name in [n for n, frame in frames.items() if frame is None]:
        print(f"{name}: its file is not here, left out", file=sys.stderr)
        del frames[name]
    results = [{"table": name, "rows": len(frame), "columns": frame.shape[1], "rate": rate, "errors": {m: [] for m in methods}, "seconds": dict.fromkeys(methods, 0)}
               for name, frame in frames.items() for rate in arguments.rates]
    for seed in arguments.seeds:
        for row in results:
            measure(row, frames[row["table"]], seed, methods, arguments.choose)
        text = page(results, list(methods))
        if arguments.out:
            pathlib.Path(arguments.out).write_text(text)
    print(text)
    if arguments.check:
        check(results)


def check(results):
    bad = []
    for row in results:
        for other in ("mean", "knn"):
            for kind, sign in (("number", 1), ("class", -1)):
                ours, theirs = mean_of(row["errors"]["gpudae"], kind), mean_of(row["errors"][other], kind)
                if sign * (ours - theirs) > LEVEL:
                    bad.append(f"{row['table']} at {row['rate']:.0%}: {kind} {ours:.4f}, {other} {theirs:.4f}")
        better, level, worse = compare(row["errors"]["gpudae"], row["errors"]["iterative"])
        if better + level <= worse:
            bad.append(f"{row['table']} at {row['rate']:.0%}: {worse} columns worse than by iterated regressions, {better + level} not")
    if bad:
        sys.exit("not as good as it should be: " + "; ".join(bad))


def by_column(row, methods):
    lines = ["", f"Columns of {row['table']}, {row['rate']:.0%} missing: the error of numbers in standard deviations, the accuracy of categories:", "",
             "| column | " + " | ".join(methods) + " |", "| --- |" + " --- |" * len(methods)]
    for column, (kind, _) in row["errors"][methods[0]][0].items():
        values = [column_mean(row["errors"][m], column) for m in methods]
        best = (min if kind == "number" else max)(values)
        cells = [f"**{v:.3f}**" if v == best else f"{v:.3f}" for v in values]
        lines.append(f"| {column} ({'error' if kind == 'number' else 'accuracy'}) | " + " | ".join(cells) + " |")
    return lines


def page(results, methods):
    lines = ["| table | missing | " + " | ".join(f"{m}: NRMSE" for m in methods) + " | " + " | ".join(f"{m}: accuracy" for m in methods) + " |",
             "| --- | --- |" + " --- |" * (2 * len(methods))]
    for row in results:
        cells = [f"{row['table']} ({row['rows']} x {row['columns']})", f"{row['rate']:.0%}"]
        for kind, best in (("number", min), ("class", max)):
            values = [mean_of(row["errors"][m], kind) for m in methods]
            top = best(values)
            cells += ["-" if np.isnan(v) else (f"**{v:.3f}**" if v == top else f"{v:.3f}") for v in values]
        lines.append("| " + " | ".join(cells) + " |")
    if "gpudae" in methods:
        lines += ["", "Columns in which gpudae is better / level / worse (closer than 0.01, or than the standard error over the seeds, is level):", "",
                  "| table | missing | " + " | ".join(m for m in methods if m != "gpudae") + " |", "| --- | --- |" + " --- |" * (len(methods) - 1)]
        for row in results:
            cells = [row["table"], f"{row['rate']:.0%}"]
            for m in methods:
                if m != "gpudae":
                    cells.append(" / ".join(map(str, compare(row["errors"]["gpudae"], row["errors"][m]))))
            lines.append("| " + " | ".join(cells) + " |")
    for row in results:
        if row["rate"] == SHOWN and row["columns"] <= FEW:
            lines += by_column(row, methods)
    seconds = {m: sum(row["seconds"][m] for row in results) for m in methods}
    lines += ["", "Seconds in all: " + ", ".join(f"{m} {s:.0f}" for m, s in seconds.items()) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
