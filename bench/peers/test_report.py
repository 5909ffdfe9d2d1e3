"""Tests of the tables' arithmetic and of the workloads. Run: python3 -m unittest"""
import unittest

import report
from common import workloads
from sidebyside import benchmark


def result(program, value, family=None, rank=1, **more):
    line = {"program": program, "family": family or program, "rank": rank, "workload": "tabular-b32", "threads": 1}
    return {**line, "samples_per_s": value, **more}


class Arithmetic(unittest.TestCase):
    def test_figure_is_median_and_relative_range(self):
        self.assertEqual(report.Figure.of([90, 100, 120]), report.Figure(100, 0.3))

    def test_one_round_has_no_spread(self):
        one = report.Figure.of([100])
        self.assertEqual(report.cell(one), "100")
        self.assertFalse(report.Ratio.of(one, one).tie)

    def test_gap_below_the_wider_spread_is_a_tie(self):
        steady, wide = report.Figure(100, 0.01), report.Figure(110, 0.2)
        self.assertTrue(report.Ratio.of(steady, wide).tie)
        self.assertTrue(report.Ratio.of(wide, steady).tie)
        self.assertFalse(report.Ratio.of(report.Figure(125, 0.2), steady).tie)

    def test_best_program_of_a_family_counts(self):
        runs = [result("A one", 10, "A"), result("A two", 30, "A"), result("A one", 12, "A"), result("B", 99)]
        self.assertEqual(report.best(runs, "A", "samples_per_s"), ("A two", report.Figure(30, None)))
        self.assertEqual(report.best(runs, "A", "samples_per_s", min)[0], "A one")
        self.assertEqual(report.best(runs, "C", "samples_per_s"), (None, None))

    def test_row_has_ratio_variant_and_verdict(self):
        w = workloads()["tabular-b32"]
        runs = [result("gpudae", 400, rank=0), result("PyTorch eager", 20, "PyTorch"), result("JAX scan", 200, "JAX", 2)]
        text = report.speed(runs, [w])
        self.assertIn("| tabular-b32 | 1 | 400 | **20.00×** of 20 eager | **2.00×** of 200 scan |", text)
        self.assertIn("10× PyTorch: met; 3× JAX: not met", text)

    def test_missing_peer_is_a_dash(self):
        w = workloads()["tabular-b32"]
        runs = [result("gpudae", 400, rank=0), result("NumPy", 100), result("NumPy", 100, workload="deep-b256")]
        text = report.speed(runs + [result("gpudae", 5, rank=0, workload="mnist-mask-b128")], list(workloads().values()))
        self.assertIn("| mnist-mask-b128 | 1 | 5 | - |", text)
        self.assertIn("| deep-b256 | 1 | - | 100 NumPy |", text)
        self.assertIn(f"| {w.name} | 1 | 400 | **4.00×** of 100", text)

    def test_losses_far_apart_are_named(self):
        near, far = [result("a", 1, warmup_loss=v) for v in (1.0, 1.1)], [result("a", 1, warmup_loss=v) for v in (1.0, 1.2)]
        self.assertEqual(report.disagreements(near, 0.15), [])
        self.assertEqual(len(report.disagreements(far, 0.15)), 1)


class Workloads(unittest.TestCase):
    def test_operations_are_forward_and_both_gradients(self):
        # Forward and the weights' gradient in both layers, the input's in the second.
        self.assertEqual(workloads()["mnist-mask-b128"].flops, 2 * 784 * 1000 * 5)

    def test_result_of_another_shape_is_refused(self):
        w = workloads()["tabular-b32"]
        good = {"workload": w.name, "samples_per_s": 3200.0, "steps_per_s": 100.0, "gflops": 3200 * w.flops / 1e9}
        report.check(good, w)
        report.check({**good, "layers": list(w.layers), "corruption": w.corruption}, w)
        for wrong in ({"workload": "deep-b256"}, {"steps_per_s": 50.0}, {"gflops": good["gflops"] * 1.1}, {"layers": [64, 64]}, {"corruption": "none"}):
            with self.assertRaises(report.Mismatch):
                report.check({**good, **wrong}, w)

    def test_go_benchmark_line(self):
        line = "BenchmarkDense/128x784x1000/weight_grad/threads=1-2 \t 100\t 123 ns/op\t  150.3 GFLOP/s"
        self.assertEqual(benchmark(line), {"product": "128x784x1000/weight grad", "gflops": 150.3})
        self.assertIsNone(benchmark("goos: linux"))


if __name__ == "__main__":
    unittest.main()
