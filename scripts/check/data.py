"""Exchange files with NumPy, pandas and safetensors, in both directions.

Python writes files, the Go tests called TestExchange read them and write what
they read in every format, and Python compares. Needs NumPy, pandas and
safetensors; runs at the root of the repository (see scripts/check/python).
"""

import gzip
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file

IDX_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
CASES = []  # (what Go opens, the array that it must find, names of the columns)


def case(name, array, columns=None):
    CASES.append((name, array, columns))


def write_idx(path, array):
    code = array.dtype.str[1:]
    header = struct.pack(">HBB", 0, IDX_TYPES[code], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(">" + code).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def read_idx(path):
    content = path.read_bytes()
    _, code, dimensions = struct.unpack_from(">HBB", content)
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    types = {number: name for name, number in IDX_TYPES.items()}
    return np.frombuffer(content, ">" + types[code], offset=4 + 4 * dimensions).reshape(shape)


def write_inputs(folder, random):
    """Writes one file of each kind that the program reads."""
    images = random.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    matrix = (random.standard_normal((11, 4)) * 10.0 ** random.integers(-30, 30, (11, 4))).astype(np.float32)

    for code in ("b1", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        for order in "<>":
            for fortran in (False, True):
                array = np.asarray(images % 2 if code == "b1" else images % 128, dtype=order + code)
                name = f"{'be' if order == '>' else 'le'}-{code}-{'F' if fortran else 'C'}.npy"
                np.save(folder / name, np.asfortranarray(array) if fortran else array)
                case(name, array)
    np.save(folder / "flat.npy", matrix[:, 0])
    case("flat.npy", matrix[:, :1])
    np.save(folder / "matrix.npy", matrix)
    case("matrix.npy", matrix)
    with gzip.open(folder / "matrix.npy.gz", "wb") as file:
        np.save(file, matrix)
    case("matrix.npy.gz", matrix)
    with open(folder / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, images, version=(2, 0))
    case("version2.npy", images)

    np.savez(folder / "stored.npz", images=images, matrix=matrix)
    np.savez_compressed(folder / "deflated.npz", images=images, matrix=matrix)
    for archive in ("stored.npz", "deflated.npz"):
        case(archive + ":images", images)
        case(archive + ":matrix", matrix)
    np.savez(folder / "single.npz", matrix)
    case("single.npz", matrix)

    names = ["a", "b, with comma", 'c "quoted"', "d"]
    table = pd.DataFrame(matrix, columns=names)
    for name in ("named.csv", "named.csv.gz"):
        table.to_csv(folder / name, index=False)
        case(name, matrix, names)
    table.to_csv(folder / "tabs.tsv", index=False, sep="\t")
    case("tabs.tsv", matrix, names)
    pd.DataFrame(matrix).to_csv(folder / "numbered.csv", index=False)
    case("numbered.csv", matrix, ["0", "1", "2", "3"])
    table.to_csv(folder / "bare.csv", index=False, header=False)
    case("bare.csv", matrix)
    np.savetxt(folder / "savetxt.csv", matrix, delimiter=",")
    case("savetxt.csv", matrix)

    for code in IDX_TYPES:
        name = f"images-{code}.idx"
        write_idx(folder / name, (images % 128).astype(code))
        case(name, (images % 128).astype(code))
    write_idx(folder / "train-images-idx3-ubyte.gz", images)
    case("train-images-idx3-ubyte.gz", images)


def write_safetensors(folder, random):
    f32 = {name: random.standard_normal(shape).astype(np.float32) for name, shape in (("b.weight", (3, 2)), ("a.bias", (3,)), ("scalar", ()), ("empty", (0, 2)))}
    mixed = {code: random.integers(0, 100, (3,)).astype(code) for code in ("uint8", "int32", "uint32", "float32", "int64", "uint64", "float64")}
    save_file(f32, folder / "python-f32.safetensors")
    save_file(mixed, folder / "python-mixed.safetensors", metadata={"one": "1", "é": '"<&>"\n'})
    return {"f32": f32, "mixed": mixed}


def outputs(number):
    return [f"out-{number}.{suffix}" for suffix in ("npy", "csv", "idx")]


def check_outputs(folder):
    """Compares what Go wrote with what it was given to read."""
    for number, (name, array, columns) in enumerate(CASES):
        npy, csv, idx = (folder / output for output in outputs(number))
        kept = array.dtype in (np.uint8, np.bool_)
        want = array.astype(np.uint8 if kept else np.float32)
        for got in (np.load(npy), read_idx(idx)):
            assert got.shape == want.shape, (name, got.shape, want.shape)
            assert got.dtype.newbyteorder("=") == want.dtype, (name, got.dtype)
            assert np.array_equal(got, want), name
        table = pd.read_csv(csv, header=0 if columns else None, dtype=np.float32, float_precision="round_trip")
        assert columns is None or list(table.columns) == columns, (name, list(table.columns))
        assert np.array_equal(table.to_numpy(), want.reshape(len(want), -1).astype(np.float32)), name


def check_safetensors(folder, written):
    for name, arrays in written.items():
        path = folder / f"go-python-{name}.safetensors"
        got = load_file(path)
        assert got.keys() == arrays.keys(), name
        for key, want in arrays.items():
            assert got[key].dtype == want.dtype and np.array_equal(got[key], want), (name, key)
        with safe_open(path, "np") as file, safe_open(folder / f"python-{name}.safetensors", "np") as original:
            assert (file.metadata() or {}) == (original.metadata() or {}), name
    assert (folder / "go-python-f32.safetensors").read_bytes() == save(written["f32"]), "not the bytes of the reference implementation"
    sample = load_file(folder / "go.safetensors")
    assert sample["encoder.0.weight"].shape == (2, 3) and sample["long"][0] == 2**64 - 1 and sample["empty"].shape == (0, 5)


def main():
    random = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_inputs(folder, random)
        written = write_safetensors(folder, random)
        lines = ("\t".join([source, *outputs(number)]) for number, (source, _, _) in enumerate(CASES))
        (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["go", "test", "-count=1", "-run", "^TestExchange$", "./data", "./internal/safetensors"]
        subprocess.run(command, check=True, env={**os.environ, "GPUDAE_EXCHANGE": name}, stdout=sys.stderr)
        check_outputs(folder)
        check_safetensors(folder, written)
    print(f"data: {len(CASES)} files of NumPy and pandas and {len(written)} of safetensors agree in both directions")


if __name__ == "__main__":
    main()
