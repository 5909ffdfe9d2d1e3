"""Trains small models of every kind with gpudae, exports them, and compares what
onnxruntime computes with gpudae's own output on the same examples.

usage: compare.py GPUDAE_BINARY
"""

import json
import os
import subprocess
import sys
import tempfile
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
    "categorical, equal widths": ("categories", ["--hidden", "8", "--fields", "2,2,7", "--likelihood", "categorical", "--corruption", "swap:0.2"]),
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


def write_data(folder, rng):
    """Data sets, with the examples to compare on: in the range of the data and somewhat beyond."""
    # Columns of very different scales; the mean of the second is 10⁶ times its spread.
    table = rng.standard_normal((300, 4)) * [1.5, 0.5, 1e-4, 3e4] + [0.2, 5e5, -3e-3, 7]
    np.savetxt(folder / "table.csv", table, delimiter=",", header="a,b,c,d", comments="", fmt="%.9g")
    widths = [2, 2, 3, 4]
    categories = np.concatenate([np.eye(w)[rng.integers(w, size=300)] for w in widths], axis=1)
    np.savetxt(folder / "categories.csv", categories, delimiter=",", fmt="%g")
    return {
        "digits": ("digits", rng.random((50, 8, 8))),
        "table": (folder / "table.csv", table[:50] + rng.standard_normal((50, 4)) * table.std(axis=0)),
        "categories": (folder / "categories.csv", np.where(rng.random((50, 11)) < 0.2, 0, categories[:50])),
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
            onnx.checker.check_model(str(graph), full_check=True)
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
        total, bad = check_random(folder)
    print(f"{len(CASES) + total - failed - bad} passed, {failed + bad} failed")
    return failed + bad


def check_random(folder):
    """Models of every configuration, score models too, with random weights, beside their values in float64."""
    subprocess.run(["go", "test", "-count=1", "-run", "TestExchange", "./export"], check=True, env=os.environ | {"GPUDAE_EXCHANGE": str(folder)})
    total = bad = 0
    for graph in sorted(folder.glob("*-none.onnx")) + sorted(folder.glob("*-standard.onnx")):
        onnx.checker.check_model(str(graph), full_check=True)
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
    section = page.split("\n## ONNX\n")[1].split("\n## ")[0]
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
