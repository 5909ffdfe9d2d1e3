package cpu

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// BenchmarkUpdatePasses times what follows the gradient of a step, for the
// parameters of tabular-b32, mnist-mask-b128 and wide512: the norm of the gradient, Adam, and
// both with a gradient that is in the first-level cache already. The difference
// is what an update of the weights while their gradient is in the cache could
// save, the writing of the gradient apart. Times are those of the fastest pass.
func BenchmarkUpdatePasses(b *testing.B) {
	k := supportedKernels()[0]
	scalars := ruleScalars{scalarClip: 1, scalarShrink: 1, scalarBeta1: 0.9, scalarGain1: 0.1, scalarBeta2: 0.999, scalarGain2: 0.001,
		scalarRate: 1e-3, scalarUnbias2: 1, scalarEpsilon: 1e-8}
	for _, n := range []int{20_832, 1_569_784, 16_783_360} {
		theta, g, first, second := alignedFloats(n), alignedFloats(n), alignedFloats(n), alignedFloats(n)
		fill(g, 0.01)
		fill(second, 1)
		for _, pass := range []struct {
			name string
			run  func(lo, hi, from int)
		}{
			{"norm", func(lo, hi, from int) { k.sumSquares(g[from : from+hi-lo]) }},
			{"adam", func(lo, hi, from int) {
				k.adam(theta[lo:hi], g[from:from+hi-lo], first[lo:hi], second[lo:hi], &scalars)
			}},
		} {
			for _, cached := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/n=%d/cached=%t", pass.name, n, cached), func(b *testing.B) {
					over := func() {
						for lo := 0; lo < n; lo += updateBlock {
							from := lo
							if cached {
								from = 0
							}
							pass.run(lo, min(lo+updateBlock, n), from)
						}
					}
					over() // its memory is new
					best := time.Duration(math.MaxInt64)
					for b.Loop() {
						start := time.Now()
						over()
						best = min(best, time.Since(start))
					}
					b.ReportMetric(float64(best.Nanoseconds())/1e3, "µs")
				})
			}
		}
	}
}
