"""The arithmetic of a comparison, and its tables in Markdown.

A result is the line of JSON that a program printed, with the names of the program
and of its family (PyTorch, say, of which only the best variant counts), the round
and the program's rank in the tables added."""
import dataclasses
import statistics

OURS = "gpudae"
FLOAT32, BF16 = "float32", "bf16"  # precisions of the factors of products


class Mismatch(Exception):
    """A program measured something else than the workload."""


def check(result, workload):
    """Holds a result to the workload's minibatch and matrix products."""
    flops = result["gflops"] * 1e9 / result["samples_per_s"]
    batch = result["samples_per_s"] / result["steps_per_s"]
    if result["workload"] != workload.name:
        raise Mismatch(f"asked for {workload.name}, got {result['workload']}")
    for field in ("layers", "activation", "corruption", "likelihood"):
        said, wanted = result.get(field), getattr(workload, field)
        if said is not None and said != (list(wanted) if field == "layers" else wanted):
            raise Mismatch(f"{workload.name}: {field} {said}, the table has {wanted}")
    if abs(flops / workload.flops - 1) > 1e-3:
        raise Mismatch(f"{workload.name}: {flops:.0f} operations an example, the table's layers need {workload.flops}")
    if abs(batch / workload.batch - 1) > 1e-3:
        raise Mismatch(f"{workload.name}: minibatches of {batch:.0f}, the table has {workload.batch}")


@dataclasses.dataclass(frozen=True)
class Figure:
    """The median of the rounds, and their range as a fraction of it, which one round
    does not have."""

    median: float
    spread: float | None

    @classmethod
    def of(cls, values):
        median = statistics.median(values)
        return cls(median, (max(values) - min(values)) / median if len(values) > 1 else None)


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Ours over theirs. A gap below the wider of the two spreads is a tie; without
    a spread nothing can be said."""

    value: float
    tie: bool

    @classmethod
    def of(cls, ours, theirs):
        value = ours.median / theirs.median
        spreads = [f.spread for f in (ours, theirs) if f.spread is not None]
        return cls(value, bool(spreads) and abs(value - 1) < max(spreads))

    def __str__(self):
        return f"tie ({self.value:.2f}×)" if self.tie else f"**{self.value:.2f}×**"


def figures(results, field):
    """A Figure for each program among the results."""
    programs = {r["program"] for r in results}
    return {p: Figure.of([r[field] for r in results if r["program"] == p]) for p in programs}


def best(results, family, field, pick=max):
    """The family's best program and its Figure; None and None if it has no result."""
    found = figures([r for r in results if r["family"] == family], field)
    if not found:
        return None, None
    program = pick(found, key=lambda p: found[p].median)
    return program, found[program]


def families(results):
    """The families in the order of the tables, ours first."""
    ordered = sorted(results, key=lambda r: r["rank"])
    return list(dict.fromkeys(r["family"] for r in ordered))


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cell(figure, program=""):
    if figure is None:
        return "-"
    spread = "" if figure.spread is None else f"±{50 * figure.spread:.0f} %"
    return " ".join(filter(None, [number(figure.median), spread, program]))


def verdict(ratios, goals):
    """What was aimed at for each family, and whether it was reached."""
    said = []
    for family, goal in goals.items():
        if family in ratios:
            said.append(f"{goal}× {family}: {'met' if ratios[family].value >= goal else 'not met'}")
    return "; ".join(said)


def against(results, field, goals, others):
    """A row's cells: ours, the ratio to each other family, and the verdict."""
    _, ours = best(results, OURS, field)
    cells, ratios = [cell(ours)], {}
    for family in others:
        program, theirs = best(results, family, field)
        if ours is None or theirs is None:
            cells.append(cell(theirs, program))
            continue
        ratios[family] = Ratio.of(ours, theirs)
        variant = "" if program == family else program.removeprefix(family + " ")
        cells.append(f"{ratios[family]} of {cell(theirs, variant)}")
    return [*cells, verdict(ratios, goals)]


def speed(results, workloads):
    """Training speed: a row for a workload and a number of threads."""
    others = [f for f in families(results) if f != OURS]
    rows = []
    for w, threads, group in grouped(results, workloads):
        rows.append([w.name, threads, *against(group, "samples_per_s", w.goals, others)])
    return table(["examples/s", "threads", OURS, *others, "goal"], rows)


def grouped(results, workloads):
    """The results of each workload at each number of threads."""
    for w in workloads:
        for threads in sorted({r["threads"] for r in results}):
            group = [r for r in results if r["workload"] == w.name and r["threads"] == threads]
            if group:
                yield w, threads, group


def products(results, rows):
    """Matrix products: a row for a product and a number of threads."""
    others = [f for f in families(results) if f != OURS]
    lines = []
    for row in rows:
        for kind in row["kinds"]:
            name = f"{row['batch']}x{row['in']}x{row['out']}/{kind}"
            for threads in sorted({r["threads"] for r in results}):
                group = [r for r in results if r["product"] == name and r["threads"] == threads]
                if group:
                    lines.append([name, threads, *against(group, "gflops", row["goals"], others)])
    return table(["GFLOP/s", "threads", OURS, *others, "goal"], lines)


def frugality(results, workloads, field, unit, goal):
    """Memory or time, where less is better: ours over the least of each family."""
    others = [f for f in families(results) if f != OURS]
    rows = []
    for w, threads, group in grouped(results, workloads):
        _, ours = best(group, OURS, field, min)
        cells, met = [cell(ours)], ""
        for family in others:
            program, theirs = best(group, family, field, min)
            if ours is None or theirs is None:
                cells.append(cell(theirs))
                continue
            share = ours.median / theirs.median
            cells.append(f"**{share:.2f}** of {number(theirs.median)}")
            if family == "PyTorch":
                met = f"{goal} of PyTorch: {'met' if share <= goal else 'not met'}"
        rows.append([w.name, threads, *cells, met])
    return table([unit, "threads", OURS, *others, "goal"], rows)


def losses(results, workloads):
    """The loss a feature after so many steps, by program, and the largest distance
    of a peer's from ours, as a fraction."""
    programs = [p for p, _ in sorted({(r["program"], r["rank"]) for r in results}, key=lambda pair: pair[1])]
    rows = []
    for w in workloads:
        found = {r["program"]: r for r in results if r["workload"] == w.name}
        if OURS not in found:
            continue
        ours = found[OURS]["warmup_loss"]
        distance = max(abs(r["warmup_loss"] / ours - 1) for r in found.values())
        shown = [f"{found[p]['warmup_loss']:.4f}" if p in found else "-" for p in programs]
        rows.append([w.name, found[OURS]["steps"], *shown, f"{100 * distance:.1f} %"])
    return table(["loss a feature", "after steps", *programs, "largest distance"], rows)


def disagreements(results, tolerance):
    """A line for each workload whose programs differ in the loss by more than a fraction."""
    lines = []
    for name in dict.fromkeys(r["workload"] for r in results):
        found = [r["warmup_loss"] for r in results if r["workload"] == name]
        if max(found) > (1 + tolerance) * min(found):
            lines.append(f"{name}: losses from {min(found):.4f} to {max(found):.4f} after as many steps")
    return lines


def page(bench, circumstances, product_rows, goals):
    """The page of a comparison."""
    chosen, steps = bench.plan.table, [r for r in bench.steps if r["precision"] == FLOAT32]
    rounded = [r for r in bench.steps if r["precision"] == BF16]
    parts = [
        "# gpudae beside its peers\n",
        "".join(f"- {line}\n" for line in circumstances),
        "Figures are medians of the rounds, ± half their range. Of a family's programs the best one counts.\n"
        "A gap below the wider of the two ranges is a tie. [How this is made](../README.md).\n",
        "## Training\n",
        speed(steps, chosen),
    ]
    if rounded:
        parts += [
            "## Training with bfloat16\n",
            "Products of factors that are rounded to bfloat16: `--precision bf16` here, autocast in PyTorch. Their\n"
            "losses stand beside those of float32 below.\n",
            "".join(f"- {text}\n" for text in dict.fromkeys(r["description"] for r in rounded if r["family"] == OURS)),
            speed(rounded, [dataclasses.replace(w, goals={"PyTorch": 1}) for w in chosen]),
        ]
    if bench.products:
        parts += [
            "## Matrix products\n",
            "Batch x in x out of a dense layer, the quickest of a run: y = x wᵀ, dx = dy w, dw = dyᵀ x.\n",
            products(bench.products, product_rows),
        ]
    parts += [
        "## Peak memory\n",
        "MB of the process, data included, 8 bits a pixel in all programs. The PyTorch that PyPI has for Linux\n"
        "is the CUDA build, whose libraries count.\n",
        frugality(steps, chosen, "peak_rss_mb", "MB", goals["peak_rss_mb"]),
        "## From the start of the process to the end of the first step\n",
        frugality(steps, chosen, "startup_s", "seconds", goals["startup_s"]),
        "## Loss\n",
        "Cross-entropy or squared error a feature of one minibatch, to see that all compute the same.\n"
        "The draws differ, so a few per cent between programs mean nothing, nor does a tenth in the deep\n"
        "net, where other initial weights alone make as much.\n",
        losses([r for r in bench.steps if r["last"]], chosen),
    ]
    if bench.failures:
        parts += ["## Without result\n", "".join(f"- {line}\n" for line in sorted(set(bench.failures)))]
    return "\n".join(parts)
