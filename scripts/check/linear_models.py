"""Fits the linear relatives with gpudae and with scikit-learn, and compares
their log likelihoods, and what our files say with what the programs print.

usage: linear_models.py GPUDAE_BINARY

scikit-learn's PCA takes its variances with the divisor n-1 where the maximum of
the likelihood has n, so they are put right before it is asked for a likelihood.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA, FactorAnalysis

TOLERANCE = 1e-6  # nats an example


def ppca(x, q):
    model = PCA(q, svd_solver="full").fit(x)
    shrink = (len(x) - 1) / len(x)
    model.explained_variance_ *= shrink
    model.noise_variance_ *= shrink
    return model


def fa(x, q):
    """At the maximum: scikit-learn ends once an iteration gains less than tol in
    all, and starts from variances of one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns where it has not converged
        return FactorAnalysis(q, svd_method="lapack", tol=1e-9, max_iter=100000).fit(x)


def parameters(path):
    """μ, W and the diagonal of Ψ of a file of ours."""
    latent = json.loads(Path(path).read_text())["latent"]
    mean, noise = np.array(latent["mean"]), np.array(latent["noise"])
    return mean, np.array(latent["loadings"]).reshape(len(mean), -1), noise


def log_density(x, mean, covariance):
    r = x - mean
    return -0.5 * (len(mean) * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1]
                   + np.einsum("ij,ij->i", r, np.linalg.solve(covariance, r.T).T))


def main(gpudae):
    digits = (load_digits().data / 16).astype(np.float32)
    tables = {
        "digits": digits,
        # Factor analysis has no maximum where a column is constant or is noise-free
        # given the others; these columns vary, and few factors leave noise to all.
        "digits' pixels that vary": digits[:, digits.std(axis=0) > 0.1],
        "breast cancer, standardised": standardized(load_breast_cancer().data),
        "breast cancer, as it is": load_breast_cancer().data.astype(np.float32),
    }
    cases = [
        ("ppca", "digits", 16),
        ("ppca", "digits' pixels that vary", 30),
        ("ppca", "breast cancer, standardised", 5),
        ("ppca", "breast cancer, as it is", 3),
        ("fa", "digits' pixels that vary", 4),
        ("fa", "breast cancer, standardised", 2),
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)

        def run(*args):
            return subprocess.run([gpudae, "baseline", *map(str, args)], check=True, capture_output=True, text=True).stdout

        for kind, name, q in cases:
            x = tables[name]
            train, held = x[: len(x) * 2 // 3], x[len(x) * 2 // 3:]
            np.save(folder / "train.npy", train)
            np.save(folder / "held.npy", held)
            flags = ["--tolerance", "1e-13", "--iterations", 200000] if kind == "fa" else []
            printed = json.loads(run(kind, folder / "train.npy", "-q", q, "--val", 0, "--scale", "none", "--corruption", "gaussian:0.1",
                                     "-o", folder / "model.json", "--json", *flags))
            ours_held = json.loads(run("likelihood", folder / "model.json", folder / "held.npy", "--json"))["log_likelihood"]
            theirs = {"ppca": ppca, "fa": fa}[kind](train.astype(np.float64), q)
            ours = printed["log_likelihood"]["train"], ours_held
            mean, w, noise = parameters(folder / "model.json")
            best = theirs.score(train.astype(np.float64))
            if kind == "fa":
                # Where a likelihood is flat to 1e-12 its parameters are known to 1e-6
                # only; so on other rows it is asked under ours.
                theirs.mean_, theirs.components_, theirs.noise_variance_ = mean, w.T, noise
            want = best, theirs.score(held.astype(np.float64))
            # What the file says, by a dense covariance matrix.
            covariance = w @ w.T + np.diag(noise)
            dense = log_density(held.astype(np.float64), mean, covariance)
            run("score", folder / "model.json", folder / "held.npy", "-o", folder / "score.npy")
            score = -np.linalg.solve(covariance, (held.astype(np.float64) - mean).T).T
            off = [abs(ours[0] - want[0]), abs(ours[1] - want[1]), abs(dense.mean() - ours_held) / max(1, abs(ours_held)),
                   np.abs(np.load(folder / "score.npy") - score).max() / np.abs(score).max()]
            ok = max(off) <= TOLERANCE
            failed += not ok
            print(f"{'ok ' if ok else 'BAD'} {kind}-{q} of {name}: {want[0]:.6f} and held out {want[1]:.6f} nats an example; "
                  f"off by {off[0]:.1e} and {off[1]:.1e}; dense {off[2]:.1e}, score {off[3]:.1e}; {printed.get('iterations', 'no')} iterations")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return failed


def standardized(x):
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) != 0)
