"""The matrix products of the workloads' layers on a GPU, by PyTorch, which leaves them to
cuBLAS: y = x wᵀ, dx = dy w and dw = dyᵀ x, with x [batch, in] and w [out, in]. A CUDA
graph makes one many times, as `gpudae bench --products` does; a line of JSON each, with
the quickest run. With bf16 operands and results are bfloat16 already, so nothing is rounded
on the way."""
import argparse
import json
import time

import torch
from common import workloads

REPEATED = 64

table = workloads(gpu=True)
p = argparse.ArgumentParser(description=__doc__)
p.add_argument("workload", nargs="*", choices=[[], *table], help=f"of {', '.join(table)}; those of steps in float32 by default")
p.add_argument("--precision", choices=("float32", "tf32", "bf16"), default="float32")
p.add_argument("--seconds", type=float, default=0.05, help="for each product")
a = p.parse_args()
torch.backends.cuda.matmul.allow_tf32 = a.precision == "tf32"
torch.manual_seed(1)


def recorded(multiply):
    """A graph of many of them."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        multiply()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(REPEATED):
            multiply()
    return graph


def fastest(left, right, result):
    """Seconds of a product, of the quickest run of the graph."""
    graph = recorded(lambda: torch.mm(left, right, out=result))
    best, end = float("inf"), time.perf_counter() + a.seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        graph.replay()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best / REPEATED


chosen = [table[name] for name in a.workload or workloads()]
shapes = dict.fromkeys((w.batch, i, o) for w in chosen for i, o in zip(w.layers, w.layers[1:]))
for batch, i, o in shapes:
    kind = torch.bfloat16 if a.precision == "bf16" else torch.float32
    x, weight, y = (torch.rand(shape).to("cuda").to(kind) for shape in ((batch, i), (o, i), (batch, o)))
    for name, factors in (("forward", (x, weight.T, y)), ("input grad", (y, weight, x)), ("weight grad", (y.T, x, weight))):
        seconds = fastest(*factors)
        print(
            json.dumps(
                {"product": f"{batch}x{i}x{o}/{name}", "framework": "torch", "precision": a.precision, "us": 1e6 * seconds, "gflops": 2 * batch * i * o / seconds / 1e9}
            ),
            flush=True,
        )
