"""Holds fine-tuned models against scikit-learn: heads on frozen codes against its
logistic and ridge regression, whose optimum is unique, and our metrics against its.

usage: finetune.py GPUDAE_BINARY

Weight decay λ of a mean loss is the penalty λ/2·‖W‖², which scikit-learn has as
C = 1/(λ·n) for sums of losses, and as alpha = λ·n for squared errors; ours is half of
those, in units of the target's deviation. The bias is in neither.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score

DECAY = 1e-2
TOLERANCE = 2e-3  # of probabilities, and of numbers in units of their deviation


def write(path, x, y):
    with open(path, "w", newline="") as f:
        table = csv.writer(f)
        table.writerow([f"x{j}" for j in range(x.shape[1])] + ["y"])
        table.writerows([*map(repr, map(float, row)), label] for row, label in zip(x, y))


def head_of(gpudae, folder, data, layer, device):
    """The predictions of a head on frozen codes, and the codes."""
    run = folder / f"{layer}-{device}"
    codes = folder / f"{layer}.npy"
    gpudae("encode", folder / "dae", data, "--layer", layer, "-o", codes)
    gpudae("finetune", folder / "dae", data, "--label", "y", "--freeze", "--layer", layer, "--val", 0, "--batch", 1 << 20, "--clip", 0,
           "--epochs", 2500, "--lr", 0.05, "--weight-decay", DECAY, "--device", device, "-o", run)
    said = json.loads(gpudae("predict", run, data, "-o", run / "predictions.npy", "--device", device, "--json"))
    return np.load(run / "predictions.npy").astype(float), np.load(codes).astype(float), said["metrics"]


def compare(what, ours, theirs, tolerance):
    difference = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    print(f"{what}: largest difference {difference:.2g}")
    if not difference <= tolerance:
        sys.exit(f"{what}: {ours} and {theirs}, more than {tolerance} apart")


def main(binary):
    sets = {
        "wine": (load_wine().data, [["red", "white, dry", "rosé"][k] for k in load_wine().target]),
        "breast cancer": (load_breast_cancer().data, [["malignant", "benign"][k] for k in load_breast_cancer().target]),
        "diabetes": (load_diabetes().data, load_diabetes().target),
    }
    for name, (x, y) in sets.items():
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)

            def gpudae(*arguments):
                done = subprocess.run([binary, *map(str, arguments), "-q"], check=True, capture_output=True, text=True)
                return done.stdout

            data = folder / "table.csv"
            write(data, x, y)
            gpudae("train", data, "--label", "y", "--hidden", "12,6", "--activation", "tanh", "--corruption", "gaussian:0.3", "--epochs", 20,
                   "--no-events", "--no-report", "-o", folder / "dae")
            for layer, device in [("code", "cpu"), ("all", "cpu"), ("all", "reference")]:
                ours, h, said = head_of(gpudae, folder, data, layer, device)
                n = len(y)
                if name == "diabetes":
                    deviation = y.std()
                    theirs = Ridge(alpha=DECAY * n).fit(h, (y - y.mean()) / deviation).predict(h) * deviation + y.mean()
                    ours = ours[:, 0]
                    compare(f"{name}, {layer} on {device}", ours / deviation, theirs / deviation, TOLERANCE)
                    compare("metrics", [said["r2"], said["rmse"], said["mae"]],
                            [r2_score(y, ours), np.sqrt(np.mean((y - ours) ** 2)), mean_absolute_error(y, ours)], 1e-4)
                    continue
                theirs = LogisticRegression(C=1 / (DECAY * n), max_iter=20000, tol=1e-9).fit(h, y)
                want = theirs.predict_proba(h)
                if len(theirs.classes_) == 2:
                    compare(f"{name}, {layer} on {device}", ours, want, TOLERANCE)
                    area = roc_auc_score(y, ours[:, 1])
                else:  # a softmax with a penalty is unique, however its constant is chosen
                    compare(f"{name}, {layer} on {device}", ours, want, TOLERANCE)
                    area = roc_auc_score(y, ours / ours.sum(axis=1, keepdims=True), multi_class="ovr", average="macro")
                predicted = theirs.classes_[ours.argmax(axis=1)]
                compare("metrics", [said["accuracy"], said["auroc"], said["log_loss"]],
                        [accuracy_score(y, predicted), area, log_loss(y, ours)], 1e-6)
                lines = list(csv.DictReader(open_predictions(gpudae, folder, layer, device, data)))
                if [line["class"] for line in lines] != list(predicted):
                    sys.exit(f"{name}: the classes of the CSV file are others")


def open_predictions(gpudae, folder, layer, device, data):
    path = folder / "predictions.csv"
    gpudae("predict", folder / f"{layer}-{device}", data, "-o", path)
    return open(path, newline="")


if __name__ == "__main__":
    main(sys.argv[1])
