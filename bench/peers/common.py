"""What every peer shares: the workloads, the data, the initial weights, the order
of the examples and the clock.

A peer is a program `peer_X.py [WORKLOAD...]` that trains each workload of
../workloads.json and prints a line of JSON for it, with the fields that
`gpudae bench --json` prints. A step takes a shuffled minibatch, corrupts it afresh,
and goes forward, back from the loss against the clean examples, and through Adam.
Arithmetic is float32. The loss that is minimised is the negative log-likelihood
of an example in nats, averaged over the minibatch, up to its additive constant.
"""
import argparse
import dataclasses
import gzip
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

TABLE = pathlib.Path(__file__).resolve().parent.parent / "workloads.json"
WINDOWS = 10
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclasses.dataclass(frozen=True)
class Workload:
    """A row of workloads.json. `layers` are the widths from the input to the output."""

    name: str
    layers: tuple
    activation: str  # of all layers but the last: sigmoid or relu
    batch: int
    corruption: str  # masking:RATE, gaussian:SIGMA, or none for a score net
    likelihood: str  # bernoulli of the logits, or gaussian:1
    optimizer: str  # adam
    rate: float
    data: str  # images: 8 bits a feature; normal: standard normal deviates
    rows: int
    warmup: int  # steps before the clock runs
    loss_after: int  # steps before the losses of programs are compared
    goals: dict
    bf16: bool = False  # whether bfloat16 is measured too
    precision: str = "float32"  # of the factors of products, of the workloads for a GPU
    levels: tuple = ()  # least and greatest noise of a score net, and how many levels, a geometric series

    @property
    def noise(self):
        return self.corruption.partition(":")[0]

    @property
    def amount(self):
        return float(self.corruption.partition(":")[2])

    @property
    def features(self):
        return self.layers[0]

    @property
    def flops(self):
        """Operations of the matrix products for an example: forward and the weights'
        gradient in every layer, the input's gradient in all but the first."""
        products = [2 * i * o for i, o in zip(self.layers, self.layers[1:])]
        return 3 * sum(products) - products[0]

    def per_feature(self, nll):
        """The loss as it is reported: cross-entropy or squared error a feature, or of a score net what is minimised."""
        return nll / self.features * (1 if self.levels or self.likelihood == "bernoulli" else 2)


def workloads(gpu=False):
    """The table, by name, and with gpu the workloads that are for a GPU alone."""
    table = json.loads(TABLE.read_text())
    rows = table["workloads"] + table["gpu_workloads"] * gpu
    return {r["name"]: Workload(**{**r, "layers": tuple(r["layers"])}) for r in rows}


def arguments(framework, modes=(), flags=(), gpu=False):
    """The parsed command line. Sets the numbers of threads, so call it before any
    numerical library is imported. Runs itself once for each of several workloads,
    since memory and time to the first step are those of a fresh process."""
    table = workloads(gpu)
    p = argparse.ArgumentParser(description=f"Training speed of a denoising auto-encoder in {framework}")
    p.add_argument("workload", nargs="*", help=f"of {', '.join(table)}; all of them by default")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--seconds", type=float, default=3, help="measured time, after warm-up")
    p.add_argument("--warmup", type=int, help="steps before measuring; the workload's own by default")
    p.add_argument("--data", help="8-bit images as IDX, plain or .gz, for the workloads that want images")
    if modes:
        p.add_argument("--mode", choices=modes, default=modes[0])
    for flag in flags:
        p.add_argument(f"--{flag}", action="store_true")
    a = p.parse_args()
    names = a.workload or list(table)
    for name in names:
        if name not in table:
            p.error(f"unknown workload {name}; choose from {', '.join(table)}")
    if len(names) > 1:
        rest = [v for v in sys.argv[1:] if v not in a.workload]
        sys.exit(max(subprocess.run([sys.executable, sys.argv[0], name, *rest]).returncode for name in names))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(a.threads)
    a.workload = table[names[0]]
    a.framework = f"{framework}-{a.mode}" if modes else framework
    if a.warmup is None:
        a.warmup = a.workload.warmup
    return a


def dataset(a):
    """The examples [rows, features]: uint8 images, to be divided by 255, or float32
    standard normal deviates."""
    import numpy as np

    w, random = a.workload, np.random.default_rng(1)
    if w.data == "normal":
        return random.standard_normal((w.rows, w.features), dtype=np.float32)
    if not a.data:
        return random.integers(0, 256, (w.rows, w.features), dtype=np.uint8)
    if a.data.endswith(".gz"):
        with gzip.open(a.data) as f:
            raw = np.frombuffer(bytearray(f.read()), np.uint8)
    else:
        raw = np.fromfile(a.data, np.uint8)
    rank = int(raw[3])
    sizes = raw[4 : 4 + 4 * rank].view(">u4").tolist()
    if raw[:3].tobytes() != b"\0\0\x08" or math.prod(sizes[1:]) != w.features:
        raise SystemExit(f"{a.data}: not an IDX file of bytes with {w.features} features")
    return raw[4 + 4 * rank :].reshape(sizes[0], w.features)


def initial(w):
    """The layers' weights [out, in] before training; biases start at 0. Uniform with
    the variance of He for relu, of Glorot for the last layer and for sigmoid, there
    with a gain of 4 for the slope of 1/4."""
    import numpy as np

    random, weights = np.random.default_rng(2), []
    for n, (i, o) in enumerate(zip(w.layers, w.layers[1:])):
        last = n + 2 == len(w.layers)
        if w.activation == "relu" and not last:
            bound = (6 / i) ** 0.5
        else:
            bound = (6 / (i + o)) ** 0.5 * (1 if last else 4)
        weights.append(random.uniform(-bound, bound, (o, i)).astype(np.float32))
    return weights


def minibatches(w, rows):
    """Endless row numbers [batch], an epoch's being a permutation."""
    import numpy as np

    random = np.random.default_rng(3)
    while True:
        order = random.permutation(rows)
        yield from order[: rows // w.batch * w.batch].reshape(-1, w.batch)


def process_age():
    """Seconds since this process started, the interpreter's start included."""
    with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
        started = int(stat.read().rpartition(")")[2].split()[19])
        return float(uptime.read().split()[0]) - started / os.sysconf("SC_CLK_TCK")


def peak_memory():
    """The process's largest resident size so far, in bytes."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def measure(a, steps, loss_of):
    """Warms up, times windows of steps, and prints the line of JSON.

    steps(n) issues n steps and returns what loss_of(it) waits for and turns into
    the last minibatch's loss, in nats an example."""
    w = a.workload
    last = loss_of(steps(1))
    startup = process_age()
    if a.warmup > 1:
        last = loss_of(steps(a.warmup - 1))
    loss_of(steps(1))  # from here on, nothing is new
    count = 0
    began = time.perf_counter()
    while time.perf_counter() - began < a.seconds / WINDOWS:
        loss_of(steps(1))
        count += 1
    loss_of(steps(count))
    rates = []
    for _ in range(WINDOWS):
        began = time.perf_counter()
        loss_of(steps(count))
        rates.append(count * w.batch / (time.perf_counter() - began))
    rate = statistics.median(rates)
    print(
        json.dumps(
            {
                "workload": w.name,
                "framework": a.framework,
                "threads": a.threads,
                "samples_per_s": rate,
                "best_samples_per_s": max(rates),
                "steps_per_s": rate / w.batch,
                "gflops": rate * w.flops / 1e9,
                "peak_rss_mb": peak_memory() / 1e6,
                "startup_s": startup,
                "warmup_loss": w.per_feature(last),
            }
        ),
        flush=True,
    )


def repeat(step):
    """steps(n) of a step that is issued one at a time."""

    def steps(n):
        for _ in range(n):
            out = step()
        return out

    return steps
