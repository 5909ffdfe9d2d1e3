"""The matrix products of a dense layer, y = x wᵀ, dx = dy w and dw = dyᵀ x, with
x [batch, in] and w [out, in]: GFLOP/s of the quickest of many, a line of JSON each."""
import argparse
import json
import os
import time

from common import TABLE

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("library", choices=("numpy", "torch"))
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--seconds", type=float, default=1, help="for each product")
a = p.parse_args()
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(a.threads)
import numpy as np

if a.library == "torch":
    import torch

    torch.set_num_threads(a.threads)
    multiply, array = torch.mm, torch.from_numpy
else:
    multiply, array = np.matmul, np.asarray


def operands(row, kind):
    """The two factors and a place for the result."""
    random = np.random.default_rng(1)
    x = random.random((row["batch"], row["in"]), dtype=np.float32)
    weight = random.random((row["out"], row["in"]), dtype=np.float32)
    y = random.random((row["batch"], row["out"]), dtype=np.float32)
    if kind == "forward":
        return array(x), array(weight).T, array(y)
    if kind == "input grad":
        return array(y), array(weight), array(x)
    return array(y).T, array(x), array(weight)


def fastest(left, right, result):
    """Seconds of the quickest product."""
    best, end = float("inf"), time.perf_counter() + a.seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        multiply(left, right, out=result)
        best = min(best, time.perf_counter() - began)
    return best


for row in json.loads(TABLE.read_text())["products"]:
    for kind in row["kinds"]:
        flops = 2 * row["batch"] * row["in"] * row["out"]
        line = {"product": f"{row['batch']}x{row['in']}x{row['out']}/{kind}", "framework": a.library, "threads": a.threads}
        print(json.dumps({**line, "gflops": flops / fastest(*operands(row, kind)) / 1e9}), flush=True)
