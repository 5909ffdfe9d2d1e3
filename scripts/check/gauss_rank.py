"""Compares the scalings of a schema with NumPy, pandas and SciPy: the statistics of
columns, and gauss-rank scores with ndtri of mid-ranks.

usage: gauss_rank.py GPUDAE_BINARY
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import entropy, rankdata


def table(random, rows):
    """Columns with ties, gaps, a heavy tail and one value in half of the rows."""
    return pd.DataFrame({
        "few": random.integers(0, 40, rows) * 0.25,
        "tail": np.round(np.exp(random.standard_normal(rows) * 2), 4),
        "gaps": np.where(random.random(rows) < 0.3, np.nan, np.round(random.standard_normal(rows), 3)),
        "zeros": np.where(random.random(rows) < 0.5, 0, random.integers(1, 10**6, rows)),
        "word": random.choice(["a", "b", "c", None], rows, p=[0.6, 0.2, 0.1, 0.1]),
    })


def schema(binary, path, *flags):
    out = subprocess.run([binary, "data", "schema", str(path), "--json", *flags], check=True, capture_output=True, text=True).stdout
    return {c["name"]: c["fit"] for c in json.loads(out)["columns"]}


def check_statistics(fits, frame):
    for name in ("few", "tail", "gaps", "zeros"):
        x = frame[name].dropna()
        fit = fits[name]
        p = x.value_counts(normalize=True).to_numpy()
        assert (fit["present"], fit["absent"], fit["distinct"]) == (len(x), frame[name].isna().sum(), x.nunique()), (name, fit)
        got = [fit[k] for k in ("mean", "deviation", "low", "high", "entropy", "collision")]
        np.testing.assert_allclose(got, [x.mean(), x.std(ddof=0), x.min(), x.max(), entropy(p), (p**2).sum()], rtol=1e-10, err_msg=name)
    words = frame["word"].value_counts()
    assert dict(zip(fits["word"]["categories"], fits["word"]["counts"])) == words.to_dict()


def check_gauss_rank(fits, frame, tolerance):
    """tolerance is that of the probability Φ(z): 0 where every value is a knot."""
    for name in ("few", "tail", "gaps", "zeros"):
        x = frame[name].dropna().to_numpy()
        quantiles = fits[name]["quantiles"]
        want = ndtri((rankdata(x) - 0.5) / len(x))
        got = np.interp(x, quantiles["values"], quantiles["scores"])
        if tolerance == 0:
            np.testing.assert_allclose(got, want, atol=1e-9, err_msg=name)
            np.testing.assert_allclose([quantiles["mean"], quantiles["deviation"]], [want.mean(), want.std()], atol=1e-9, err_msg=name)
        else:
            density = np.exp(-(want**2) / 2) / np.sqrt(2 * np.pi)
            worst = (np.abs(got - want) * density).max()
            assert worst < tolerance, (name, worst)
        again = np.interp(got, quantiles["scores"], quantiles["values"])
        np.testing.assert_allclose(again, x, rtol=1e-6, atol=1e-6, err_msg=name)


def main(binary):
    random = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        for rows, tolerance in ((700, 0), (200_000, 0.003)):
            frame = table(random, rows)
            for suffix in (".csv",):
                path = Path(folder) / f"table{suffix}"
                frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path, index=False)
                fits = schema(binary, path, "--scale", "gauss-rank")
                if tolerance == 0:
                    check_statistics(fits, frame)
                check_gauss_rank(fits, frame, tolerance)
    print("the statistics are those of pandas, the gauss-rank scores those of SciPy")


if __name__ == "__main__":
    main(sys.argv[1])
