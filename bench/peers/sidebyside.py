"""Runs programs one after the other, each in a process of its own, and keeps what
they printed and how busy the machine was beside them."""
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import environments
import machine
import report
from common import TABLE

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = environments.CACHE
TIMEOUT = 300  # seconds for a program
DISTURBED = 0.05  # processors' worth of others' work that makes a run count as disturbed
TOLERATED = 0.1  # fraction of disturbed runs in a quiet measurement
SHORT = 1e8  # operations in a step below which going back to Python counts
# Older releases of some libraries need these on some machines; they slow the current ones.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclasses.dataclass(frozen=True)
class Program:
    """What is measured; of a family's programs the best one counts."""

    name: str
    family: str
    environment: str = ""  # of environments.py; none for ours
    script: tuple = ()
    short_only: bool = False  # of use for short steps alone
    precision: str = report.FLOAT32  # of the factors of products; each is compared with its like

    def suits(self, workload):
        if self.precision == report.BF16 and not (workload.bf16 and "avx512_bf16" in machine.processor().get("flags", "").split()):
            return False
        return not self.short_only or workload.flops * workload.batch < SHORT


OURS = Program(report.OURS, report.OURS)
NUMPY = Program("NumPy", "NumPy", "numpy", ("peer_numpy.py",))
PEERS = (
    Program("PyTorch eager", "PyTorch", "torch", ("peer_torch.py", "--mode", "eager")),
    Program("PyTorch compiled", "PyTorch", "torch", ("peer_torch.py", "--mode", "compiled")),
    Program("JAX step", "JAX", "jax", ("peer_jax.py", "--mode", "step")),
    Program("JAX scan", "JAX", "jax", ("peer_jax.py", "--mode", "scan"), short_only=True),
    NUMPY,
    Program("gpudae bf16", report.OURS, precision=report.BF16),
    Program("PyTorch bf16", "PyTorch", "torch", ("peer_torch.py", "--mode", "bf16"), precision=report.BF16),
)
LIBRARIES = (
    Program("PyTorch", "PyTorch", "torch", ("gemm.py", "torch")),
    Program("NumPy", "NumPy", "numpy", ("gemm.py", "numpy")),
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to compare, and for how long."""

    table: list  # of workloads
    peers: list  # of programs
    rounds: int
    threads: list
    seconds: float  # measured time of a run
    data: str = ""  # images; synthetic ones if empty


class Bench:
    """A comparison: the plan, and what came of it. tests is the test binary of package cpu, for products and hand-overs."""

    def __init__(self, plan, python_of, tests=None):
        self.plan, self.tests = plan, tests
        self.pythons = {name: python_of(name) for name in {p.environment for p in plan.peers if p.environment}}
        self.gpudae = build("gpudae", ["go", "build", "-trimpath"], "./cmd/gpudae")
        self.images = plan.data or synthetic_images(self.pythons)
        self.steps, self.products, self.loads, self.failures = [], [], [], []
        self.hand_overs = []  # nanoseconds

    def command(self, program):
        if program.family == report.OURS:
            return [self.gpudae, "bench", "--json", "--quiet", "--precision", program.precision]
        return [self.pythons[program.environment], HERE / program.script[0], *program.script[1:]]

    def run(self, name, threads, command):
        """The lines that a command prints, of the quieter of two runs if the first was disturbed."""
        lines, load = self.run_once(name, threads, command)
        if lines and load > DISTURBED:
            again = self.run_once(name, threads, command)
            if again[0] and again[1] < load:
                lines, load = again
        self.loads.append(load)
        return lines

    def run_once(self, name, threads, command):
        """The lines that a command prints, and the load beside it."""
        cpus, load = machine.choose(threads), machine.Load()
        try:
            done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, timeout=TIMEOUT,
                                  cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        except subprocess.TimeoutExpired:
            self.failures.append(f"{name}, {threads} threads: not done after {TIMEOUT} s")
            return [], 0
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            self.failures.append(f"{name}, {threads} threads: {last}")
            return [], 0
        foreign = load.foreign()
        if self.tests and threads > 1:
            self.hand_over(cpus)
        return done.stdout.splitlines(), foreign

    def hand_over(self, cpus):
        """Times how long an operation takes from one processor to another: those of a virtual machine move apart
        and together again, and runs on several of them slow down and speed up with that."""
        command = [self.tests, "-test.run=^$", "-test.bench=^BenchmarkHandOver$", "-test.benchtime=20ms"]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.hand_overs += [float(ns) for ns in re.findall(r"([\d.]+) ns/op", done.stdout)]

    def train(self, round_):
        """A round of training steps."""
        programs = [OURS, *self.plan.peers]
        turn = round_ % len(programs)
        for w in self.plan.table:
            for threads in self.plan.threads:
                for program in programs[turn:] + programs[:turn]:
                    if program.suits(w):
                        self.train_one(w, threads, program, round_)

    def train_one(self, w, threads, program, round_):
        """Measures a program. The last run at most threads warms up for so long that
        the losses after it can be compared."""
        last = round_ + 1 == self.plan.rounds and threads == max(self.plan.threads)
        warmup = w.loss_after if last else w.warmup
        command = [*self.command(program), w.name, *self.flags(threads), "--warmup", str(warmup)]
        if w.data == "images":
            command += ["--data", self.images]
        for line in self.run(f"{program.name} on {w.name}", threads, command)[-1:]:
            result = json.loads(line)
            report.check(result, w)
            result.update(program=program.name, family=program.family, precision=program.precision, round=round_, steps=warmup, last=last,
                          threads=threads, rank=[OURS, *self.plan.peers].index(program))
            self.steps.append(result)
            say(f"round {round_ + 1}  {w.name:18} {threads} threads  {program.name:18} {result['samples_per_s']:>10,.0f} examples/s")

    def flags(self, threads):
        return ["--threads", str(threads), "--seconds", str(self.plan.seconds)]

    def multiply(self):
        """A round of matrix products."""
        libraries = [p for p in LIBRARIES if p.environment in self.pythons]
        for threads in self.plan.threads:
            for row in products():
                shape = f"^{row['batch']}x{row['in']}x{row['out']}$"
                command = [self.tests, "-test.run=^$", f"-test.benchtime={self.plan.seconds}s",
                           f"-test.bench=^BenchmarkDense$/{shape}/./^threads={threads}$"]
                for line in self.run("BenchmarkDense", threads, command):
                    self.product(benchmark(line), OURS, threads, 0)
            for rank, library in enumerate(libraries, 1):
                for line in self.run(f"products in {library.name}", threads, [*self.command(library), *self.flags(threads)]):
                    self.product(json.loads(line), library, threads, rank)

    def product(self, result, program, threads, rank):
        if result:
            self.products.append({**result, "program": program.name, "family": program.family, "threads": threads, "rank": rank})

    def disturbed(self):
        return sum(load > DISTURBED for load in self.loads)

    def quiet(self):
        return self.disturbed() <= TOLERATED * len(self.loads)


def products():
    """The matrix products to compare, rows of workloads.json."""
    return json.loads(TABLE.read_text())["products"]


def environment(threads):
    """The environment variables of a run."""
    kept = {k: v for k, v in os.environ.items() if k not in UNSET}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    # Compiled code is kept, and compiled in the process, so that no helper of its outlives it.
    inductor = {"TORCHINDUCTOR_CACHE_DIR": str(CACHE / "inductor"), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return {**kept, **limits, **inductor}


def benchmark(line):
    """A line of `go test -bench`, or None if it is none of a product."""
    found = re.match(r"BenchmarkDense/(\S+)/threads=\d+\S*\s.*?([\d.]+) GFLOP/s", line)
    return found and {"product": found[1].replace("_", " "), "gflops": float(found[2])}


def build(name, command, package):
    """A binary of our own, so that a build in between cannot change what is measured."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / name
    subprocess.run([*command, "-o", path, package], check=True, cwd=ROOT, env={**os.environ, "CGO_ENABLED": "0"})
    return path


def synthetic_images(pythons):
    path = CACHE / "images.idx"
    if not path.exists():
        subprocess.run([pythons.get("numpy") or environments.any_numpy(), HERE / "images.py", path], check=True)
    return path


def say(text):
    print(text, file=sys.stderr, flush=True)
