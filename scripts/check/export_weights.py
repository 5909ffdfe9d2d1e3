"""Loads exported weights as docs/deploy.md says, with its own code, in PyTorch
and in NumPy, and compares the networks with gpudae's output.

usage: export_weights.py GPUDAE_BINARY
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

TOLERANCE = 1e-5
CASES = {
    "plain": ["--activation", "gelu"],
    "tied": ["--tied", "--hidden", "48,24", "--activation", "sigmoid"],
    "code": ["--hidden", "48", "--code", "5", "--activation", "tanh", "--code-activation", "identity"],
    "batch norm, tied": ["--norm", "batch", "--hidden", "32,16", "--activation", "elu", "--tied"],
    "layer norm": ["--norm", "layer", "--hidden", "32,16", "--activation", "silu"],
    "dropout": ["--dropout", "0.2", "--hidden", "40", "--activation", "leaky-relu"],
    "identity": ["--hidden", "40", "--activation", "identity"],
    "relu": ["--hidden", "40", "--activation", "relu"],
    "softplus": ["--hidden", "40", "--activation", "softplus"],
}


def snippet(title):
    """The code of a section of docs/deploy.md."""
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert code, title
    return code


def load(title, path):
    scope = {}
    exec(snippet(title).replace("digits" + path.suffix, str(path)), scope)
    return scope


def main(gpudae):
    rng = np.random.default_rng(0)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x = rng.random((50, 64), dtype=np.float32)
        np.save(folder / "x.npy", x)

        def run(*args):
            subprocess.run([gpudae, *map(str, args)], check=True, capture_output=True, text=True)

        for number, (case, flags) in enumerate(CASES.items()):
            model = folder / f"run{number}"
            run("train", "digits", "-o", model, "--epochs", 2, *flags)
            run("denoise", model, folder / "x.npy", "-o", folder / "y.npy")
            run("encode", model, folder / "x.npy", "-o", folder / "h.npy")
            run("export", model, "-o", folder / "digits.safetensors")
            run("export", model, "-o", folder / "digits.npz")
            net = load("PyTorch", folder / "digits.safetensors")["net"]
            with torch.no_grad():
                h = net["encoder"](torch.from_numpy(x))
                y = torch.sigmoid(net["decoder"](h)).numpy()
            arrays = load("NumPy", folder / "digits.npz")
            assert arrays["weight"].shape[0] == len(arrays["bias"]) and arrays["scaler"]["kind"] == "none"
            assert json.loads(bytes(arrays["arrays"]["metadata"]))["producer"] == "gpudae"
            ours_y, ours_h = np.load(folder / "y.npy"), np.load(folder / "h.npy")
            dy = float(np.abs(y - ours_y).max())
            dh = float(np.abs(h.numpy() - ours_h).max()) / max(1, float(np.abs(ours_h).max()))
            ok = dy <= TOLERANCE and dh <= TOLERANCE and y.std() > 1e-3
            failed += not ok
            print(f"{'ok ' if ok else 'BAD'} {case}: reconstruction within {dy:.1e}, code within {dh:.1e} of ours")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) != 0)
