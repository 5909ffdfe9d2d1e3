"""What the machine is, which of its processors to use, and what else runs on it."""
import os
import pathlib
import re
import time

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = pathlib.Path("/sys/devices/system/cpu")


def processor():
    """The fields of the first processor in /proc/cpuinfo."""
    first = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def name():
    """A file name for the machine's results."""
    cpu = processor()
    words = [cpu.get("model name", os.uname().machine)]
    words += [f"{key} {cpu[field]}" for key, field in (("family", "cpu family"), ("model", "model")) if field in cpu]
    words.append(f"{len(os.sched_getaffinity(0))} cpus")
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def description():
    """Lines that say what the machine is."""
    cpu = processor()
    vectors = [f for f in cpu.get("flags", "").split() if f == "avx2" or f == "fma" or f.startswith(("avx512", "amx"))]
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    identity = ", ".join(f"{f} {cpu[f]}" for f in ("cpu family", "model", "stepping") if f in cpu)
    return [
        f"Processor: {cpu.get('model name', os.uname().machine)} ({identity}), {len(os.sched_getaffinity(0))} of them; {caches()}",
        f"Vector units: {' '.join(vectors) or 'none that are listed'}",
        f"Memory: {int(memory[1]) / 2**20:.0f} GiB; Linux {os.uname().release}" + ("; a virtual machine" if "hypervisor" in cpu.get("flags", "") else ""),
    ]


def caches():
    found = []
    for index in sorted((CPUS / "cpu0/cache").glob("index*")):
        level, kind, size = ((index / field).read_text().strip() for field in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "caches unknown"


def choose(count):
    """Processors for so many threads, one of each core while there are cores left."""
    allowed = sorted(os.sched_getaffinity(0))
    if count > len(allowed):
        raise SystemExit(f"{count} threads asked for, {len(allowed)} processors to run on")
    ordered = sorted(allowed, key=lambda cpu: (rank_in_core(cpu), cpu))
    return set(ordered[:count])


def rank_in_core(cpu):
    """0 for the first hardware thread of a core, 1 for the next, and so on."""
    siblings = CPUS / f"cpu{cpu}/topology/thread_siblings_list"
    if not siblings.exists():
        return 0
    members = []
    for part in siblings.read_text().strip().split(","):
        low, _, high = part.partition("-")
        members += range(int(low), int(high or low) + 1)
    return members.index(cpu)


class Load:
    """Processor time that others take, those outside a virtual machine included."""

    def __init__(self):
        self.busy, self.own, self.began = busy(), own(), time.monotonic()

    def foreign(self):
        """Processors' worth of others' work since the start."""
        others = (busy() - self.busy) - (own() - self.own)
        return max(0.0, others / (time.monotonic() - self.began))


def busy():
    """Seconds that all processors have worked or been taken away."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def own():
    """Seconds that this process and the children it has waited for have worked."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system
