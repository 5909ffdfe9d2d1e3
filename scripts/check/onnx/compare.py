"""Trains small models of every kind with gpudae, exports them, and compares what
onnxruntime computes with gpudae's own output on the same examples: arrays of
numbers, and tables of mixed columns as they stand in a CSV file.

usage: compare.py GPUDAE_BINARY
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-5
ACTIVATIONS = ["identity", "relu", "leaky-relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus"]

# name -> (data, flags of train)
CASES = {f"activation {a}": ("digits", ["--hidden", "24,12", "--activation", a]) for a in ACTIVATIONS}
CASES |= {
    "default": ("digits", ["--hidden", "512,512"]),
    "tied": ("digits", ["--hidden", "24,12", "--tied", "--activation", "sigmoid"]),
    "decoder of its own": ("digits", ["--hidden", "24,12", "--decoder-hidden", "10,20,30"]),
    "decoder of its output": ("digits", ["--hidden", "24,12", "--decoder-hidden", "none"]),
    "code": ("digits", ["--hidden", "24", "--code", "3", "--code-activation", "identity"]),
    "layer norm": ("digits", ["--hidden", "24,12", "--norm", "layer"]),
    "batch norm": ("digits", ["--hidden", "24,12", "--norm", "batch", "--dropout", "0.1"]),
    "tied, layer norm": ("digits", ["--hidden", "24,12", "--norm", "layer", "--tied"]),
    "tied, batch norm": ("digits", ["--hidden", "24,12", "--norm", "batch", "--tied"]),
    "average of weights": ("digits", ["--hidden", "24", "--ema", "0.9"]),
    "gaussian": ("digits", ["--hidden", "24", "--likelihood", "gaussian:0.5"]),
    "gaussian-learned": ("digits", ["--hidden", "24", "--likelihood", "gaussian-learned"]),
    "poisson": ("digits", ["--hidden", "24", "--likelihood", "poisson"]),
    "categorical": ("categories", ["--hidden", "8", "--fields", "2,2,3,4", "--likelihood", "categorical", "--corruption", "swap:0.2"]),
    "categorical, equal widths": ("equal", ["--hidden", "8", "--fields", "3,3,3", "--likelihood", "categorical", "--corruption", "swap:0.2"]),
    "fields, bernoulli": ("categories", ["--hidden", "8", "--fields", "2,2,3,4", "--likelihood", "bernoulli", "--corruption", "masking:0.2"]),
    "table, standard": ("table", ["--hidden", "16,8", "--scale", "standard", "--corruption", "swap:0.2"]),
    "table, unit": ("table", ["--hidden", "16", "--scale", "unit", "--corruption", "masking:0.2"]),
    "table, min-max": ("table", ["--hidden", "16", "--scale", "min-max", "--corruption", "masking:0.2"]),
    "plane": ("two-moons", ["--preset", "toy", "--hidden", "32,32"]),
    "score model": ("two-moons", ["--hidden", "32", "--objective", "dsm"]),
    "score model, table": ("table", ["--hidden", "16", "--norm", "layer", "--objective", "dsm", "--noise", "edm", "--parameterization", "v"]),
    "score model, levels by number": ("two-moons", ["--hidden", "16", "--objective", "dsm", "--noise", "ddpm-linear", "--embedding", "positional"]),
    "score model, one level": ("two-moons", ["--hidden", "16", "--objective", "dsm", "--noise", "single:0.2"]),
}

# name -> (table, flags of train)
TABLES = {
    "people": ("people", []),
    "people, indicators, layer norm": ("people", ["--indicators", "--norm", "layer", "--corruption", "masking:0.25"]),
    "people, preset impute": ("people", ["--preset", "impute"]),
    "people, preset impute-draws": ("people", ["--preset", "impute-draws"]),
    "people, preset anomaly": ("people", ["--preset", "anomaly"]),
    "people, mask head, batch norm": ("people", ["--likelihood", "mixed:learned", "--mask-head", "0.5", "--norm", "batch"]),
    "people, min-max": ("people", ["--scale", "min-max"]),
    "people, a stochastic code": ("people", ["--code", "3", "--code-distribution", "gaussian"]),
    "orders": ("orders", []),
    "orders, gauss-rank": ("orders", ["--scale", "gauss-rank", "--indicators"]),
}
# name -> (data, label)
PREDICTORS = {
    "two classes of people": ("people", "smoker"),
    "three classes of people": ("people", "city"),
    "a number of people": ("people", "income"),
    "digits": ("digits", None),
}


def one_hot(rng, widths):
    """Rows of fields, each with a one among zeros."""
    return np.concatenate([np.eye(w)[rng.integers(w, size=300)] for w in widths], axis=1)


def write_data(folder, rng):
    """Data sets, with the examples to compare on: in the range of the data and somewhat beyond."""
    # Columns of very different scales; the mean of the second is 10⁶ times its spread.
    table = rng.standard_normal((300, 4)) * [1.5, 0.5, 1e-4, 3e4] + [0.2, 5e5, -3e-3, 7]
    np.savetxt(folder / "table.csv", table, delimiter=",", header="a,b,c,d", comments="", fmt="%.9g")
    categories, equal = one_hot(rng, [2, 2, 3, 4]), one_hot(rng, [3, 3, 3])
    np.savetxt(folder / "categories.csv", categories, delimiter=",", fmt="%g")
    np.savetxt(folder / "equal.csv", equal, delimiter=",", fmt="%g")
    return {
        "digits": ("digits", rng.random((50, 8, 8))),
        "table": (folder / "table.csv", table[:50] + rng.standard_normal((50, 4)) * table.std(axis=0)),
        "categories": (folder / "categories.csv", np.where(rng.random((50, 11)) < 0.2, 0, categories[:50])),
        "equal": (folder / "equal.csv", np.where(rng.random((50, 9)) < 0.2, 0, equal[:50])),
        "two-moons": ("two-moons", rng.standard_normal((50, 2)) * 2),
    }


def difference(theirs, ours, scaler):
    """As export.Difference: in the scale of training, relative above 1, less what float32 cannot tell beside an offset."""
    offset = np.array(scaler.get("offset", 0.0)).reshape(1, -1)
    scale = np.array(scaler.get("scale", 1.0)).reshape(1, -1)
    theirs, ours = (a.reshape(len(a), -1).astype(np.float64) for a in (theirs, ours))
    d = np.abs(theirs - ours) - 4 * 2.0**-24 * np.abs(offset)
    return float((d / np.maximum(scale, np.abs(ours - offset))).max())


def main(gpudae):
    rng = np.random.default_rng(0)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = write_data(folder, rng)

        def run(*args):
            result = subprocess.run([gpudae, *map(str, args), "-q"], capture_output=True, text=True)
            assert result.returncode == 0, (args, result.stderr)
            return result.stdout

        for number, (case, (data, flags)) in enumerate(CASES.items()):
            source, x = inputs[data]
            x = x.astype(np.float32)
            model, graph = folder / f"run{number}", folder / f"{number}.onnx"
            run("train", source, "-o", model, "--epochs", 10, *flags)
            np.save(folder / "x.npy", x)
            run("encode", model, folder / "x.npy", "-o", folder / "h.npy")
            said = json.loads(run("export", model, "-o", graph, "--json"))
            check_file(graph)
            session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
            metadata = session.get_modelmeta().custom_metadata_map
            scaler, feed = json.loads(metadata["gpudae.scaler"]), {"x": x}
            strength = []
            if "sigma" in said["inputs"]:
                levels = json.loads(metadata["gpudae.noise_levels"])
                feed["sigma"] = np.full((len(x), 1), levels[0], np.float32)  # as encode
                strength = ["--sigma", float(np.float32(levels[len(levels) // 2]))]
            h = session.run(["code"], feed)[0]
            if strength:
                feed["sigma"][:] = strength[1]
            y = session.run(["reconstruction"], feed)[0]
            run("denoise", model, folder / "x.npy", "-o", folder / "y.npy", *strength)
            dy = difference(y, np.load(folder / "y.npy").reshape(y.shape), scaler)
            ours = np.load(folder / "h.npy")
            dh = float(np.abs(h - ours).max() / max(1, np.abs(ours).max()))
            for rows in (1, 7):  # the number of rows is free, and rows do not depend on each other
                part = session.run(["reconstruction"], {k: v[:rows] for k, v in feed.items()})[0]
                assert difference(part, y[:rows], scaler) <= TOLERANCE, case
            weights = check_weights(run, model, folder)
            if case == "default":
                check_documented(graph)
            ok = dy <= TOLERANCE and dh <= TOLERANCE and y.shape == x.shape and y.std() > 0 and h.std() > 0
            ok = ok and max(said["difference"].values()) <= TOLERANCE and onnx.load(graph).opset_import[0].version == said["opset"]
            failed += not ok
            print(f"{'ok ' if ok else 'BAD'} {case}: reconstruction within {max(dy, 0):.1e}, code within {dh:.1e} of ours; {weights} arrays")
        write_tables(folder, rng)
        failed += sum(not check_table(run, folder, *case) for case in TABLES.items())
        failed += sum(not check_predictor(run, folder, inputs, *case) for case in PREDICTORS.items())
        total, bad = check_random(folder)
    print(f"{len(CASES) + len(TABLES) + len(PREDICTORS) + total - failed - bad} passed, {failed + bad} failed")
    return failed + bad


def check_file(path):
    """A file is as ONNX's own checker wants it, without a constant that nothing uses."""
    onnx.checker.check_model(str(path), full_check=True)
    graph = onnx.load(path).graph
    assert {c.name for c in graph.initializer} <= {name for node in graph.node for name in node.input}, path


def write_tables(folder, rng):
    """people.csv is that of the command's own test; orders.csv has more values than a scaling has knots, and common ones."""
    script = (Path(__file__).parents[3] / "cmd" / "gpudae" / "testdata" / "script" / "table.txtar").read_text()
    people = list(csv.DictReader(script.split("\n-- people.csv --\n")[1].split("\n-- ")[0].splitlines()))
    write_csv(folder / "people.csv", people)
    for r, (column, cell) in enumerate([("city", "Oslo"), ("city", "bern"), ("city", "n/a"), ("smoker", "TRUE"), ("smoker", "f"), ("smoker", "never"),
                                        ("age", "null"), ("age", "150"), ("income", "-20.5"), ("joined", "?"), ("joined", "1970-01-01"), ("city", "NONE")]):
        people[r][column] = cell
    write_csv(folder / "people-new.csv", people)
    for column in ("smoker", "city", "income"):
        write_csv(folder / f"people-{column}.csv", [row for row in people[12:] if row[column] not in ("", "NA")])
    orders = [{"price": f"{p:.2f}", "weight": f"{w:.6g}", "items": str(n), "code": c, "at": a} for p, w, n, c, a in zip(
        np.where(rng.random(3000) < 0.3, 0, rng.exponential(50, 3000)), rng.lognormal(0, 1, 3000) * 1e-6, rng.poisson(3, 3000),
        rng.choice(["1", "2.5", "x y"], 3000), (f"2010-03-{1 + k % 28:02d} {k % 24:02d}:{k % 60:02d}+02:00" for k in rng.integers(0, 30000, 3000)))]
    for row in orders:
        for column in row:
            if rng.random() < 0.05:
                row[column] = ""
    write_csv(folder / "orders.csv", orders)
    for r in range(40):
        orders[r]["price"], orders[r]["code"] = ("0.01", "", "-3", "1e4")[r % 4], ("2.5", "?", "y")[r % 3]
    write_csv(folder / "orders-new.csv", orders[:500])


def write_csv(path, rows):
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def columns_of(path, session, metadata):
    """What a graph takes, from a CSV file."""
    rows = list(csv.DictReader(open(path, newline="")))
    kinds = {c["name"]: c["kind"] for c in json.loads(metadata["gpudae.schema"])["columns"]}
    feed = {}
    for i in session.get_inputs():
        cells = [row[i.name.removeprefix("x.")] for row in rows]
        kind = kinds[i.name.removeprefix("x.")]
        values = [[cell if i.type == "tensor(string)" else number(cell, kind)] for cell in cells]
        feed[i.name] = np.array(values, object if i.type == "tensor(string)" else np.float64)
    return feed


def number(cell, kind):
    if cell.lower() in ("", "nan", "na", "n/a", "null", "?", "none"):
        return float("nan")
    if kind != "time":
        return float(cell)
    moment = datetime.fromisoformat(cell)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def unit(column):
    """What is 1 in the scale of training, about, for a ranked column."""
    fit = column["fit"]
    if column["scaling"] == "gauss-rank":
        knots = fit["quantiles"]
        return (knots["values"][-1] - knots["values"][0]) / (knots["scores"][-1] - knots["scores"][0])
    return {"standard": fit["deviation"], "min-max": fit["high"] - fit["low"], "none": 1}[column["scaling"]]


def check_table(run, folder, case, how):
    """Cells of a CSV file go through the graph and come out as denoise writes them."""
    data, flags = how
    model, graph, new = folder / f"table-{case}", folder / f"{case}.onnx", folder / f"{data}-new.csv"
    run("train", folder / f"{data}.csv", "-o", model, "--hidden", "24,12", "--epochs", 15, "--batch", 16, *flags)
    said = json.loads(run("export", model, "-o", graph, "--json"))
    check_file(graph)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    feed = columns_of(new, session, metadata)
    names = [o.name for o in session.get_outputs()]
    got = dict(zip(names, session.run(names, feed)))
    run("denoise", model, new, "-o", folder / "y.csv")
    run("encode", model, new, "-o", folder / "h.npy")
    ours = np.load(folder / "h.npy")
    dh = float(np.abs(got["code"] - ours).max() / max(1, np.abs(ours).max()))
    rows = list(csv.DictReader(open(folder / "y.csv", newline="")))
    dy, words, cells, turned = 0.0, 0, 0, 0
    for column in json.loads(metadata["gpudae.schema"])["columns"]:
        if column["kind"] == "drop":
            continue
        y, want = got["reconstruction." + column["name"]][:, 0], [row[column["name"]] for row in rows]
        cells += len(rows)
        if column["kind"] in ("binary", "categorical"):
            words += sum(a != b for a, b in zip(y, want))
            assert np.allclose(np.exp(got["log_p." + column["name"]]).sum(axis=1), 1, atol=1e-5), case
            continue
        want = np.array([number(cell, column["kind"]) for cell in want])
        step = {"integer": 1, "time": 86400 if column.get("format", "").endswith("DD") else 60}.get(column["kind"]) or 10.0 ** -len(column["format"].partition(".")[2])
        d = np.abs(y - want)
        steps = (d > 0.9 * step) & (d < 1.1 * step) & (column.get("format") != "e")  # what float32 leaves beside half a step may be rounded either way
        turned += steps.sum()
        dy = max(dy, float(np.where(steps, 0, d / np.maximum(unit(column), np.abs(want - column["fit"]["mean"]))).max()))
    assert any(np.isnan(x).any() for x in feed.values() if x.dtype != object), case
    part = session.run(names, {k: v[:3] for k, v in feed.items()})
    assert all((a == got[name][:3]).all() if a.dtype == object else np.allclose(a, got[name][:3], rtol=1e-5, atol=1e-5) for name, a in zip(names, part)), case
    if case == "people":
        check_documented_table(graph, folder, columns_of(folder / "people.csv", session, metadata), session)
    ok = dy <= TOLERANCE and dh <= TOLERANCE and words == 0 and turned <= cells / 200 and max(said["difference"].values()) <= TOLERANCE
    print(f"{'ok ' if ok else 'BAD'} {case}: numbers within {dy:.1e}, {turned} of {cells} cells rounded the other way, {words} other words; code within {dh:.1e} of ours")
    return ok


def check_documented_table(graph, folder, feed, session):
    """So does that of its section on tables, from the same file to the same cells."""
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()
    code = page.split("\n### Tables of mixed columns\n")[1].split("```python\n")[1].split("```")[0]
    scope = {}
    exec(code.replace("survey.onnx", str(graph)).replace("survey.csv", str(folder / "people.csv")), scope)
    for name, values in scope["feed"].items():
        assert values.dtype == object or np.array_equal(values, feed[name], equal_nan=True), name
    assert (scope["out"]["reconstruction.city"] == session.run(["reconstruction.city"], feed)[0]).all()


def check_predictor(run, folder, inputs, case, how):
    """Classes with their probabilities, or values, are those of predict."""
    data, label = how
    encoder, model, graph = folder / f"encoder-{case}", folder / f"predictor-{case}", folder / f"{case}.onnx"
    source = folder / f"people-{label}.csv" if label else data
    flags = ["--label", label] if label else []
    run("train", source, "-o", encoder, "--hidden", "24,12", "--epochs", 5, *flags)
    run("finetune", encoder, source, "-o", model, "--epochs", 20, "--val", 0.2, "--layer", "all", *flags)
    run("export", model, "-o", graph)
    check_file(graph)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    if label:
        new, feed = source, columns_of(source, session, session.get_modelmeta().custom_metadata_map)
    else:
        new, feed = folder / "x.npy", {"x": inputs[data][1].astype(np.float32)}
        np.save(new, feed["x"])
    run("predict", model, new, "-o", folder / "p.csv")
    rows = list(csv.reader(open(folder / "p.csv", newline="")))
    names = [o.name for o in session.get_outputs()]
    got = dict(zip(names, session.run(names, feed)))
    if "value" in got:
        want, words = np.array(rows[1:], float), 0
        d = float((np.abs(got["value"] - want) / np.maximum(1, np.abs(want))).max())
    else:
        want, words = np.array([row[1:] for row in rows[1:]], float), sum(a != row[0] for a, row in zip(got["class"][:, 0], rows[1:]))
        d = float(np.abs(got["probabilities"] - want).max())
    ok = d <= TOLERANCE and words == 0 and want.std() > 0
    print(f"{'ok ' if ok else 'BAD'} {case}: {'value' if 'value' in got else 'probabilities'} within {d:.1e} of ours, {words} other classes")
    return ok


def check_random(folder):
    """Models of every configuration, score models too, with random weights, beside their values in float64."""
    subprocess.run(["go", "test", "-count=1", "-run", "TestExchange", "./export"], check=True, env=os.environ | {"GPUDAE_EXCHANGE": str(folder)})
    total = bad = 0
    for graph in sorted(folder.glob("*-none.onnx")) + sorted(folder.glob("*-standard.onnx")):
        check_file(graph)
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        levels = json.loads(metadata["gpudae.noise_levels"])
        arrays = dict(np.load(graph.with_suffix(".npz")))
        feed = {i.name: arrays[i.name] for i in session.get_inputs()}
        assert ("sigma" in feed) == (len(levels) > 1), graph
        y = session.run(["reconstruction"], feed)[0]
        if "sigma" in feed:  # codes are those of the least noise
            feed["sigma"] = np.full_like(feed["sigma"], levels[0])
        h = session.run(["code"], feed)[0]
        dy = difference(y, arrays["reconstruction"], json.loads(metadata["gpudae.scaler"]))
        dh = float(np.abs(h - arrays["code"]).max() / max(1, np.abs(arrays["code"]).max()))
        ok = dy <= TOLERANCE and dh <= TOLERANCE
        total, bad = total + 1, bad + (not ok)
        print(f"{'ok ' if ok else 'BAD'} random {graph.stem}: reconstruction within {max(dy, 0):.1e}, code within {dh:.1e} of float64")
    assert total > 40, total
    return total, bad


def check_documented(graph):
    """The code of docs/deploy.md runs."""
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()
    section = page.split("\n## ONNX\n")[1].split("\n##")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    scope = {}
    exec(code.replace("digits.onnx", str(graph)), scope)
    assert scope["y"].shape == (5, 8, 8) and scope["h"].shape == (5, 512)


def check_weights(run, model, folder):
    """The NPZ and the safetensors of a model hold the same, which fits the layers that they describe."""
    run("export", model, "-o", folder / "w.npz")
    run("export", model, "-o", folder / "w.safetensors")
    arrays, tensors = dict(np.load(folder / "w.npz")), load_file(folder / "w.safetensors")
    metadata = json.loads(bytes(arrays.pop("metadata")))
    assert arrays.keys() == tensors.keys()
    for name, values in arrays.items():
        assert values.dtype == np.float32 and np.array_equal(values, tensors[name]), name
    for layer in metadata["layers"]:
        assert arrays[layer["name"] + ".weight"].shape == (layer["out"], layer["in"]), layer
    return len(arrays)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) != 0)
