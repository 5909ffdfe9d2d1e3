// Package roofline counts what a training step asks of a GPU, and predicts from
// it how long the step would take: without a GPU, and without CUDA. What it counts
// are the launches of package gpu, with the arithmetic and the least traffic of
// each; what it predicts rests on data sheets and on assumptions that Assumptions
// names, and is no measurement.
//
// The package must not know models, files or the command line, and nothing of a
// GPU but its row in the table.
package roofline

import (
	"fmt"

	"gpudae/kernels"
)

// GPU is a row of the table of GPUs: rates of the data sheet, without sparsity.
type GPU struct {
	Name, Description string
	Capability        string  // compute capability
	Multiprocessors   int     //
	Float32           float64 // FLOP/s of fused multiply-adds, 2 each
	TF32, BF16        float64 // FLOP/s of tensor cores that add in float32
	Memory            float64 // bytes/s of the device's memory
	Cache             int64   // bytes of the second-level cache
}

// architecture is that of its machine code, as in sm_90.
func (g GPU) architecture() int {
	major, minor := g.version()
	return 10*major + minor
}

// resources are those of the kernels on it, by name.
func (g GPU) resources() map[string]kernels.Resources { return kernels.ResourcesOn(g.architecture()) }

// version is the compute capability in its parts.
func (g GPU) version() (major, minor int) {
	if _, err := fmt.Sscanf(g.Capability, "%d.%d", &major, &minor); err != nil {
		panic("roofline: compute capability " + g.Capability)
	}
	return major, minor
}

// clock is that of the data sheet's rate, in Hz: a multiprocessor starts 128 multiply-adds a cycle.
func (g GPU) clock() float64 { return g.Float32 / (2 * 128 * float64(g.Multiprocessors)) }

// rate is the data sheet's for products of a class, in FLOP/s of the product itself.
func (g GPU) rate(c kernels.Class) float64 {
	switch c {
	case kernels.Float32:
		return g.TF32 / 3
	case kernels.TF32:
		return g.TF32
	case kernels.BFloat16:
		return g.BF16
	}
	return g.Float32
}

// GPUs returns the table (NVIDIA's data sheets and architecture white papers of
// H100 SXM, A100 SXM 80 GB, L4, GeForce RTX 4090 and B200; tensor rates are those
// without sparsity, of GeForce those with float32 accumulation).
func GPUs() []GPU {
	const tera, mebi = 1e12, 1 << 20
	return []GPU{
		{"h100", "H100 SXM 80 GB", "9.0", 132, 66.9 * tera, 494.7 * tera, 989.4 * tera, 3.35 * tera, 50 * mebi},
		{"a100", "A100 SXM 80 GB", "8.0", 108, 19.5 * tera, 156 * tera, 312 * tera, 2.039 * tera, 40 * mebi},
		{"l4", "L4 24 GB", "8.9", 58, 30.3 * tera, 60 * tera, 121 * tera, 0.3 * tera, 48 * mebi},
		{"rtx4090", "GeForce RTX 4090", "8.9", 128, 82.6 * tera, 82.6 * tera, 165.2 * tera, 1.008 * tera, 72 * mebi},
		{"b200", "B200 SXM", "10.0", 148, 75 * tera, 1100 * tera, 2250 * tera, 8 * tera, 126 * mebi},
	}
}
