"""The tables that the comparisons run on, as data frames: numbers as float64,
categories as text, missing cells as NaN or None.

Files are those of scikit-learn's package (breast cancer, wine, and the titanic
of its tests) and, where --data names a folder with adult.data, of the UCI
repository's census income (Becker and Kohavi 1996, CC BY 4.0).
"""
import csv
import gzip
import io
import pathlib

import numpy as np
import pandas as pd

ADULT = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship",
         "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
ADULT_NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
# Columns of the titanic that tell of single persons are left out, as in most studies.
TITANIC = ["pclass", "survived", "sex", "age", "sibsp", "parch", "fare", "embarked"]
TITANIC_NUMBERS = ["age", "sibsp", "parch", "fare"]


def breast_cancer(_folder=None):
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.copy()
    frame.columns = [c.replace(" ", "_") for c in frame.columns]
    frame["diagnosis"] = np.where(bunch.target == 0, "malignant", "benign")
    return frame


def wine(_folder=None):
    from sklearn.datasets import load_wine

    bunch = load_wine(as_frame=True)
    frame = bunch.data.copy()
    frame.columns = [c.replace("/", "_") for c in frame.columns]
    frame["cultivar"] = [f"class_{t}" for t in bunch.target]
    return frame


def titanic(folder=None):
    text = None
    for path in candidates(folder, "titanic_openml40945.arff.gz"):
        text = gzip.open(path, "rt").read()
        break
    if text is None:
        return None
    names, rows, in_data = [], [], False
    for line in io.StringIO(text):
        if in_data and line.strip():
            rows.append(next(csv.reader([line.strip()])))
        elif line.lower().startswith("@attribute"):
            names.append(line.split()[1].strip("'"))
        elif line.lower().startswith("@data"):
            in_data = True
    frame = pd.DataFrame(rows, columns=names).replace("?", None)[TITANIC]
    return typed(frame, TITANIC_NUMBERS)


def adult(folder=None, rows=2_000, seed=1):
    for path in candidates(folder, "adult.data.gz", "adult.data"):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt") as file:
            frame = pd.read_csv(file, names=ADULT, skipinitialspace=True, na_values="?", keep_default_na=False)
        frame = frame.sample(rows, random_state=seed).reset_index(drop=True)
        return typed(frame, ADULT_NUMBERS)
    return None


def candidates(folder, *names):
    if folder is not None:
        yield from (p for p in (pathlib.Path(folder) / n for n in names) if p.exists())
    import sklearn

    inside = pathlib.Path(sklearn.__file__).parent / "datasets/tests/data/openml/id_40945"
    if any("titanic" in n for n in names):
        yield from inside.glob("data-v1-dl-*.arff.gz")


def typed(frame, numbers):
    frame = frame.copy()
    for column in frame.columns:
        if column in numbers:
            frame[column] = pd.to_numeric(frame[column]).astype(float)
        else:
            text = frame[column].astype(object)
            frame[column] = text.where(text.isna(), text.astype(str))
    return frame


def numbers_of(frame):
    return [c for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]


def classes_of(frame):
    return [c for c in frame.columns if c not in numbers_of(frame)]
