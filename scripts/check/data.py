"""Exchange files with NumPy, pandas, pyarrow, PIL and safetensors, in both directions.

Python writes files, the Go tests called TestExchange read them and write what
they read in every format, and Python compares. Needs NumPy, pandas, pyarrow,
PIL, zstandard and safetensors; runs at the root of the repository (see scripts/check/python).
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
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather
import zstandard
from PIL import Image
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

    for name, content in (("matrix.npy.zst", (folder / "matrix.npy").read_bytes()), ("tabs.tsv.zst", (folder / "tabs.tsv").read_bytes())):
        (folder / name).write_bytes(zstandard.compress(content))
        case(name, matrix, names if "tabs" in name else None)
    with open(folder / "dos.csv", "w", encoding="utf-8", newline="") as file:
        table.rename(columns={"a": "größe ☃"}).to_csv(file, index=False, lineterminator="\r\n")
    case("dos.csv", matrix, ["größe ☃", *names[1:]])
    save_file({"images": images, "matrix": matrix}, folder / "two.safetensors")
    case("two.safetensors:images", images)
    case("two.safetensors:matrix", matrix)
    write_parquets(folder, random, table)
    write_images(folder, random)

    for code in IDX_TYPES:
        name = f"images-{code}.idx"
        write_idx(folder / name, (images % 128).astype(code))
        case(name, (images % 128).astype(code))
    write_idx(folder / "train-images-idx3-ubyte.gz", images)
    case("train-images-idx3-ubyte.gz", images)


def write_parquets(folder, random, table):
    """Every numeric type, encoding and compression that pyarrow and pandas write."""
    matrix = table.to_numpy()
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for version in ("1.0", "2.0"):
            name = f"{codec}-{version}.parquet"
            pq.write_table(pa.table(table), folder / name, compression=codec, data_page_version=version, row_group_size=4)
            case(name, matrix, list(table.columns))
    for encoding in ("PLAIN", "BYTE_STREAM_SPLIT"):
        name = f"{encoding}.parquet"
        pq.write_table(pa.table(table), folder / name, use_dictionary=False, column_encoding=encoding)
        case(name, matrix, list(table.columns))
    table.to_parquet(folder / "pandas.parquet")
    case("pandas.parquet", matrix, list(table.columns))

    rows = 3000  # several pages, some of them with a dictionary
    types = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool")
    columns = {code: random.integers(0, 2 if code == "bool" else 100, rows).astype(code) for code in types}
    columns["uint32"] += np.uint32(2**32 - 200)
    columns["uint64"] += np.uint64(2**64 - 2**20)
    mixed = pa.table({**columns, "decimal": pa.array(columns["int16"]).cast(pa.decimal128(9, 2))})
    want = np.stack([v.astype(np.float32) for v in [*columns.values(), columns["int16"]]], axis=1)
    for name, options in {"types.parquet": {}, "index.parquet": {"write_page_index": True, "data_page_size": 512}}.items():
        pq.write_table(mixed, folder / name, store_decimal_as_integer=True, **options)
        case(name, want, mixed.column_names)
    for code in ("int32", "int64"):
        name = f"delta-{code}.parquet"
        pq.write_table(mixed.select([code]), folder / name, use_dictionary=False, column_encoding="DELTA_BINARY_PACKED")
        case(name, columns[code].astype(np.float32)[:, None], [code])


def write_images(folder, random):
    """Folders of images, as PIL writes them."""
    for name, shape in (("grey", (5, 4, 6)), ("rgb", (5, 4, 6, 3))):
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        (folder / name).mkdir()
        for number, image in enumerate(pixels):
            Image.fromarray(image).save(folder / name / f"{number}.png")
        case(name, pixels)


def write_safetensors(folder, random):
    f32 = {name: random.standard_normal(shape).astype(np.float32) for name, shape in (("b.weight", (3, 2)), ("a.bias", (3,)), ("scalar", ()), ("empty", (0, 2)))}
    mixed = {code: random.integers(0, 100, (3,)).astype(code) for code in ("uint8", "int32", "uint32", "float32", "int64", "uint64", "float64")}
    save_file(f32, folder / "python-f32.safetensors")
    save_file(mixed, folder / "python-mixed.safetensors", metadata={"one": "1", "é": '"<&>"\n'})
    return {"f32": f32, "mixed": mixed}


def outputs(number):
    return [f"out-{number}.{suffix}" for suffix in ("npy", "csv", "idx", "npz", "parquet", "safetensors", "csv.zst")]


def check_outputs(folder):
    """Compares what Go wrote with what it was given to read."""
    for number, (name, array, columns) in enumerate(CASES):
        npy, csv, idx, npz, parquet, tensors, packed = (folder / output for output in outputs(number))
        kept = array.dtype in (np.uint8, np.bool_)
        want = array.astype(np.uint8 if kept else np.float32)
        for got in (np.load(npy), read_idx(idx), np.load(npz)["arr_0"], load_file(tensors)["data"]):
            assert got.shape == want.shape, (name, got.shape, want.shape)
            assert got.dtype.newbyteorder("=") == want.dtype, (name, got.dtype)
            assert np.array_equal(got, want), name
        assert zstandard.ZstdDecompressor().stream_reader(packed.open("rb")).read() == csv.read_bytes(), name
        rows = pd.read_parquet(parquet)
        assert list(rows.columns) == (columns or [str(c) for c in range(rows.shape[1])]), (name, list(rows.columns))
        assert np.array_equal(rows.to_numpy(), want.reshape(len(want), -1)), name
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


def mixed_table():
    """Columns of every type that both sides know, with missing values."""
    return pa.table({
        "text, é": pa.array(["a,b", None, 'say "hi"', "two\nlines ☃"]),
        "word": pa.array(["red", "blue", None, "red"]).dictionary_encode(),
        "large": pa.array(["x", "yy", "", None], pa.large_string()),
        "number": pa.array([0.1, None, -1e300, 3.0]),
        "single": pa.array([0.5, 1.5, None, -2.0], pa.float32()),
        "integer": pa.array([2**53 + 1, -7, None, 0]),
        "small": pa.array([1, None, 255, 0], pa.uint8()),
        "flag": pa.array([True, None, False, True]),
        "time": pa.array([1714978029123456789, None, 0, -1], pa.timestamp("ns", "UTC")),
        "milli": pa.array([1714978029123, None, 0, -1], pa.timestamp("ms")),
        "date": pa.array([19849, None, 0, -1], pa.date32()),
        "decimal": pa.array([1234, None, -1, 0]).cast(pa.decimal128(20, 0)),
        "nothing": pa.nulls(4),
    })


def write_mixed(folder):
    table = mixed_table()
    names = ["mixed.parquet", "mixed.feather", "mixed-lz4.arrow", "mixed.arrows"]
    pq.write_table(table, folder / names[0], row_group_size=3)
    feather.write_feather(table, folder / names[1], compression="uncompressed")
    feather.write_feather(table, folder / names[2], compression="lz4")
    with pa.ipc.new_stream(folder / names[3], table.schema) as stream:
        stream.write_table(table, max_chunksize=3)
    return names


def check_mixed(program, folder):
    """Tables of cells of any type: theirs to ours, ours to theirs, and by way of text."""
    table = mixed_table()

    def convert(source, target):
        subprocess.run([program, "data", "convert", folder / source, folder / target], check=True)

    names = write_mixed(folder)
    for name in names:
        convert(name, f"{name}.out.parquet")
        convert(f"{name}.out.parquet", f"{name}.out.arrow")
        convert(name, f"{name}.out.csv")
        for got in (pq.read_table(folder / f"{name}.out.parquet"), feather.read_table(folder / f"{name}.out.arrow")):
            assert got.column_names == table.column_names, (name, got.column_names)
            for column in table.column_names:
                want = table[column].combine_chunks()
                if pa.types.is_dictionary(want.type):
                    want = want.dictionary_decode()
                have = got[column] if pa.types.is_null(want.type) else got[column].cast(want.type)
                assert have.to_pylist() == want.to_pylist(), (name, column, have, want)
        text = pd.read_csv(folder / f"{name}.out.csv")
        assert list(text["text, é"])[2:] == ['say "hi"', "two\nlines ☃"] and pd.isna(text["text, é"][1]), name
        assert text["integer"][0] == 2**53 + 1 or text["integer"].dtype == float, name
        assert list(text["date"].dropna()) == ["2024-05-06", "1970-01-01", "1969-12-31"], name
        assert pd.to_datetime(text["time"][:1], utc=True)[0].value == 1714978029123456789, name

    frame = pd.DataFrame({"name": ["Ünal", 'say "hi"', None, "x,y"], "n": [1, 2, 3, 4], "x": [0.5, None, 1e-10, -1.0], "flag": [True, False, True, True]})
    frame.to_csv(folder / "frame.csv", index=False, lineterminator="\r\n")
    convert("frame.csv", "frame.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "frame.parquet"), frame)
    frame.to_parquet(folder / "theirs.parquet")
    convert("theirs.parquet", "frame.tsv.gz")
    pd.testing.assert_frame_equal(pd.read_csv(folder / "frame.tsv.gz", sep="\t"), frame)

    nested = pa.table({"a": [1, 2], "list": [[1], [2, 3]], "b": ["x", "y"]})
    pq.write_table(nested, folder / "nested.parquet")
    feather.write_feather(nested, folder / "nested.arrow")
    for name in ("nested.parquet", "nested.arrow"):
        refused = subprocess.run([program, "data", "convert", folder / name, folder / "refused.csv"], capture_output=True, text=True)
        assert refused.returncode == 3 and "column 2 (list): holds lists or records, not one value for each row" in refused.stderr, refused.stderr
        assert not (folder / "refused.csv").exists()

    pixels = np.random.default_rng(1).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    np.save(folder / "pixels.npy", pixels)
    subprocess.run([program, "data", "convert", folder / "pixels.npy", f"{folder}/pictures/"], check=True)
    assert np.array_equal(np.stack([np.asarray(Image.open(p)) for p in sorted((folder / "pictures").iterdir())]), pixels)
    return len(names) + 4


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
        mixed = check_mixed(sys.argv[1], folder)
    print(f"data: {len(CASES)} files of NumPy, pandas, pyarrow and PIL and {len(written)} of safetensors agree in both directions, and {mixed} tables of mixed columns")


if __name__ == "__main__":
    main()
