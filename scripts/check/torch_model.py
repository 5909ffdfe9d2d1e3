"""Trains small models of every kind with gpudae, rebuilds each in PyTorch from
model.safetensors alone, and compares reconstructions and codes with ours.

usage: torch_model.py GPUDAE_BINARY
"""

import csv
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

ACTIVATIONS = {
    "identity": torch.nn.Identity, "relu": torch.nn.ReLU, "leaky-relu": torch.nn.LeakyReLU, "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU, "silu": torch.nn.SiLU, "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh,
    "softplus": torch.nn.Softplus,
}
TOLERANCE = 1e-5


class DAE(torch.nn.Module):
    """The network that a gpudae model file describes."""

    def __init__(self, config, tensors):
        super().__init__()
        self.config, self.tensors = config, tensors
        depth = len(config["hidden"]) + (1 if config["code"] else 0)
        self.sides = {"encoder": depth, "decoder": depth}

    def layer(self, side, i, x):
        name, last = f"{side}.{i}", self.sides[side] - 1
        weight = self.tensors.get(f"{name}.weight")
        if weight is None:  # tied: the encoder's, transposed
            weight = self.tensors[f"encoder.{self.sides['encoder'] - 1 - i}.weight"].T
        x = torch.nn.functional.linear(x, weight, self.tensors[f"{name}.bias"])
        if f"{name}.norm.running_mean" in self.tensors:
            t = self.tensors
            x = torch.nn.functional.batch_norm(x, t[f"{name}.norm.running_mean"], t[f"{name}.norm.running_var"],
                                               t[f"{name}.norm.weight"], t[f"{name}.norm.bias"])
        elif f"{name}.norm.weight" in self.tensors:
            x = torch.nn.functional.layer_norm(x, x.shape[1:], self.tensors[f"{name}.norm.weight"],
                                               self.tensors[f"{name}.norm.bias"])
        if side == "decoder" and i == last:
            return x
        kind = self.config["code_activation"] if side == "encoder" and i == last else self.config["activation"]
        return ACTIVATIONS[kind]()(x)

    def encode(self, x):
        for i in range(self.sides["encoder"]):
            x = self.layer("encoder", i, x)
        distribution = self.config.get("code_distribution", "none").split(":")[0]
        if distribution == "gaussian":  # the means, then the logarithms of the variances
            return x[:, : x.shape[1] // 2]
        return torch.sigmoid(x) if distribution in ("bernoulli", "concrete") else x

    def forward(self, x):
        h = self.encode(x)
        for i in range(self.sides["decoder"]):
            h = self.layer("decoder", i, h)
        kind = self.config["likelihood"].split(":")[0]
        if kind == "bernoulli":
            return torch.sigmoid(h)
        if kind == "poisson":
            return torch.exp(h)
        return h[:, : self.config["features"]]


def load(path):
    with safe_open(path, framework="pt") as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}
        return DAE(json.loads(f.metadata()["model"]), tensors).eval(), tensors


def documented(path):
    """The model as the snippet of docs/pytorch.md loads it."""
    page = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text()
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)  # another snippet, of mixed columns
    code = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    assert "runs/digits/model.safetensors" in code
    scope = {}
    exec(code.replace("runs/digits/model.safetensors", str(path)), scope)
    return scope["net"], scope["config"]


def check_documented(path, x, ours):
    net, config = documented(path)
    hidden, code = ACTIVATIONS[config["activation"]](), ACTIVATIONS[config["code_activation"]]()
    activations = [hidden] * (len(net["encoder"]) - 1) + [code] + [hidden] * (len(net["decoder"]) - 1)
    with torch.no_grad():
        h = torch.from_numpy(x)
        for layer, activation in zip([*net["encoder"], *net["decoder"][:-1]], activations):
            h = activation(layer(h))
        y = torch.sigmoid(net["decoder"][-1](h)).numpy()
    assert np.abs(y - ours).max() <= TOLERANCE, np.abs(y - ours).max()
    print("ok  the snippet of docs/pytorch.md")


TABLE_ROWS = 60


def write_table(path, rng):
    """Mixed columns with absent cells, of which the town says much about the income."""
    towns = ["Bern", "São Paulo", "Århus"]
    with open(path, "w") as f:
        f.write("age,town,member,income\n")
        for i in range(TABLE_ROWS):
            town = int(rng.integers(3))
            cells = [f"{rng.uniform(18, 80):.2f}", towns[town], "yes" if rng.random() < 0.3 + 0.2 * town else "no", f"{20 * town + rng.normal():.3f}"]
            if i % 7 == 0:
                cells[i // 7 % 4] = ""
            f.write(",".join(cells) + "\n")


def encoded(path, schema):
    """The rows as the schema in a model file says, standard scaling."""
    with open(path) as f:
        rows = list(csv.DictReader(f))
    x = np.full((len(rows), 4), np.nan, dtype=np.float32)
    for j, c in enumerate(c for c in schema["columns"] if c["kind"] != "drop"):
        fit = c["fit"]
        for i, row in enumerate(rows):
            cell = row[c["name"]]
            if cell == "":
                continue
            if c["kind"] == "numeric":
                x[i, j] = (float(cell) - fit["mean"]) / fit["deviation"]
            elif c["kind"] == "binary":
                x[i, j] = fit["categories"].index(cell)
            else:
                x[i, j] = fit["categories"].index(cell) + 1 if cell in fit["categories"] else 0
    return x


def check_table(run, folder, rng):
    """A model of mixed columns by the snippet of docs/pytorch.md: codes, and what denoise writes."""
    page = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text()
    snippet = page.split("```python\n")[1].split("```")[0]
    write_table(folder / "people.csv", rng)
    model = folder / "table"
    run("train", folder / "people.csv", "-o", model, "--epochs", 20, "--hidden", "16,8", "--scale", "standard", "--indicators", "--mask-head", 0.3,
        "--activation", "tanh", "--likelihood", "mixed:learned")
    run("encode", model, folder / "people.csv", "-o", folder / "codes.npy")
    run("denoise", model, folder / "people.csv", "-o", folder / "clean.csv")
    with safe_open(model / "model.safetensors", framework="pt") as f:
        t = {k: f.get_tensor(k) for k in f.keys()}
        config, schema = json.loads(f.metadata()["model"]), json.loads(f.metadata()["columns"])
    scope = {"torch": torch, "t": t, "config": config}
    exec(snippet, scope)
    act, linear = torch.tanh, torch.nn.functional.linear
    with torch.no_grad():
        h = scope["embed"](torch.from_numpy(encoded(folder / "people.csv", schema)))
        for i in range(2):
            h = act(linear(h, t[f"encoder.{i}.weight"], t[f"encoder.{i}.bias"]))
        y = linear(act(linear(h, t["decoder.0.weight"], t["decoder.0.bias"])), t["decoder.1.weight"], t["decoder.1.bias"]).numpy()
    ours = np.load(folder / "codes.npy")
    dh = float(np.abs(h.numpy() - ours).max())
    with open(folder / "clean.csv") as f:
        clean = list(csv.DictReader(f))
    at = 0
    for c, kind in zip((c for c in schema["columns"] if c["kind"] != "drop"), config["columns"]):
        fit, cells = c["fit"], [row[c["name"]] for row in clean]
        if kind["family"] == "gaussian":
            want = np.clip(y[:, at] * fit["deviation"] + fit["mean"], fit["low"], fit["high"])
            assert np.abs(want - np.array(cells, dtype=float)).max() <= 0.006, c["name"]
            at += 2
        elif kind["family"] == "bernoulli":
            assert [fit["categories"][int(v >= 0)] for v in y[:, at]] == cells, c["name"]
            at += 1
        else:
            assert [(["unknown"] + fit["categories"])[k] for k in y[:, at : at + kind["categories"]].argmax(1)] == cells, c["name"]
            at += kind["categories"]
    assert at + len(config["columns"]) == y.shape[1]
    assert dh <= 1e-6, dh
    print(f"ok  table of mixed columns: code within {dh:.1e} of PyTorch's, and the cells that denoise writes")


def divergence(dae, x):
    """KL(q(h|x) || p(h)) of a Gaussian code by PyTorch's distributions, the mean over rows."""
    for i in range(dae.sides["encoder"]):
        x = dae.layer("encoder", i, x)
    mean, log_variance = x.chunk(2, dim=1)
    q, p = torch.distributions.Normal(mean, torch.exp(log_variance / 2)), torch.distributions.Normal(0, 1)
    return float(torch.distributions.kl_divergence(q, p).sum(1).mean())


CASES = {
    "plain": [],
    "tied": ["--tied", "--hidden", "48,24", "--activation", "sigmoid"],
    "code": ["--hidden", "48", "--code", "5", "--activation", "tanh"],
    "batch norm": ["--norm", "batch", "--hidden", "32,16", "--activation", "elu"],
    "layer norm": ["--norm", "layer", "--hidden", "32,16", "--activation", "gelu"],
    "dropout, average of weights": ["--dropout", "0.2", "--hidden", "40", "--activation", "leaky-relu", "--ema", "0.99"],
    "gaussian": ["--likelihood", "gaussian:0.5", "--activation", "silu", "--hidden", "40"],
    "gaussian-learned": ["--likelihood", "gaussian-learned", "--activation", "softplus", "--hidden", "40"],
    "gaussian code": ["--preset", "vae", "--hidden", "40", "--code", "5"],
    "concrete code, walkback": ["--hidden", "40", "--code", "5", "--code-distribution", "concrete:0.5", "--walkback", "2"],
    "bernoulli code, tied": ["--hidden", "40", "--code", "5", "--code-distribution", "bernoulli", "--tied"],
    "poisson": ["--likelihood", "poisson", "--hidden", "40", "--corruption", "poisson:20"],
}


def main(gpudae):
    rng = np.random.default_rng(0)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        x = rng.random((50, 64), dtype=np.float32)
        np.save(folder / "x.npy", x)

        def run(*args):
            return subprocess.run([gpudae, *map(str, args)], check=True, capture_output=True, text=True).stdout

        check_table(run, folder, rng)
        for number, (name, flags) in enumerate(CASES.items()):
            model = folder / f"run{number}"
            run("train", "digits", "-o", model, "--epochs", 2, *flags)
            run("denoise", model, folder / "x.npy", "-o", folder / "y.npy")
            run("encode", model, folder / "x.npy", "-o", folder / "h.npy")
            dae, tensors = load(model / "model.safetensors")
            with torch.no_grad():
                y, h = dae(torch.from_numpy(x)).numpy(), dae.encode(torch.from_numpy(x)).numpy()
            ours_y, ours_h = np.load(folder / "y.npy"), np.load(folder / "h.npy")
            assert ours_y.shape == y.shape and ours_h.shape == h.shape, (name, ours_y.shape, y.shape, ours_h.shape, h.shape)
            if name == "plain":
                check_documented(model / "model.safetensors", x, ours_y)
            if name == "gaussian code":
                kl = json.loads(run("eval", model, folder / "x.npy", "--json"))["kl"]
                with torch.no_grad():
                    theirs = divergence(dae, torch.from_numpy(x))
                assert kl > 0 and abs(kl - theirs) <= TOLERANCE * theirs, (kl, theirs)
            scale = max(1.0, float(np.abs(h).max()))
            dy, dh = float(np.abs(y - ours_y).max()), float(np.abs(h - ours_h).max()) / scale
            ok = dy <= TOLERANCE and dh <= TOLERANCE and y.std() > 1e-3
            failed += not ok
            print(f"{'ok ' if ok else 'BAD'} {name}: {len(tensors)} tensors, reconstruction within {dy:.1e}, code within {dh:.1e} of PyTorch's")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) != 0)
