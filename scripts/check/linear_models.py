"""Fits the linear relatives with gpudae and with scikit-learn, and compares
their log likelihoods, what our files say with what the programs print, and the
subspaces of exact and randomised principal components.

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
        for method, name, q, tolerance in SUBSPACES:
            off = subspace(run, folder, tables[name], method, q)
            ok = off <= tolerance
            failed += not ok
            print(f"{'ok ' if ok else 'BAD'} pca-{q} of {name}, {method}: the largest angle between the subspaces has the sine {off:.1e}")
        off = missing(run, folder, tables["breast cancer, standardised"], 3)
        ok = off <= TOLERANCE
        failed += not ok
        print(f"{'ok ' if ok else 'BAD'} ppca-3 with missing values: the density of what is there, off by {off:.1e}")
    print(f"{len(cases) + len(SUBSPACES) + 1 - failed} passed, {failed} failed")
    return failed


# Method, table, components, and the sine of the largest principal angle that is
# allowed: rounding in float32 for the exact way, and for the randomised one what
# (λ_{q+11}/λ_q)⁴ leaves.
SUBSPACES = [
    ("exact", "digits", 8, 1e-5),
    ("randomized", "digits", 8, 3e-2),
    ("randomized", "breast cancer, standardised", 5, 1e-3),
]


def subspace(run, folder, x, method, q):
    """The sine of the largest angle between our components and scikit-learn's."""
    np.save(folder / "x.npy", x)
    run("pca", folder / "x.npy", "-q", q, "--method", method, "--val", 0, "--scale", "none", "--corruption", "gaussian:0.1", "-o", folder / "pca.json")
    ours = json.loads((folder / "pca.json").read_text())["pca"]
    ours = np.array(ours["components"]).reshape(x.shape[1], q)
    theirs = PCA(q, svd_solver="full").fit(x.astype(np.float64)).components_.T
    return np.linalg.norm(ours - theirs @ (theirs.T @ ours), 2)


def missing(run, folder, x, q):
    """How far the likelihood of what is there is off the marginal of a dense
    covariance matrix, with a fifth of the values missing."""
    x = x[:200].copy()
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    np.save(folder / "holes.npy", x)
    printed = json.loads(run("ppca", folder / "holes.npy", "-q", q, "--missing", "--val", 0, "--scale", "none", "-o", folder / "holes.json", "--json"))
    mean, w, noise = parameters(folder / "holes.json")
    covariance = w @ w.T + np.diag(noise)
    there = ~np.isnan(x)
    want = np.mean([log_density(row[None, k].astype(np.float64), mean[k], covariance[np.ix_(k, k)])[0] for row, k in zip(x, there)])
    return abs(want - printed["log_likelihood"]["train"])


def standardized(x):
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) != 0)
