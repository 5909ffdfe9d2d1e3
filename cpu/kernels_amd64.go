package cpu

import "golang.org/x/sys/cpu"

//go:generate go run -C internal/asmgen . -out ../../vector_amd64.s -stubs ../../vector_amd64.go -pkg cpu

// supportedKernels returns the kernels that this machine can run, best first.
// The operating system's support for the registers is part of the test.
func supportedKernels() []*kernels {
	var all []*kernels
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasBMI2 {
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
			all = append(all, &avx512Kernels)
		}
		all = append(all, &avx2Kernels)
	}
	return append(all, &genericKernels)
}

var avx2Kernels = kernels{
	name: "AVX2",
	tiles: []tile{
		{8, []tileFunc{multiply1x8AVX2, multiply2x8AVX2, multiply3x8AVX2, multiply4x8AVX2, multiply5x8AVX2, multiply6x8AVX2}, packRows8AVX2},
		{16, []tileFunc{multiply1x16AVX2, multiply2x16AVX2, multiply3x16AVX2, multiply4x16AVX2, multiply5x16AVX2, multiply6x16AVX2}, packRows16AVX2},
	},
	transpose: transposeAVX2,
	square:    8,
}

var avx512Kernels = kernels{
	name: "AVX-512",
	tiles: []tile{
		{16, []tileFunc{
			multiply1x16AVX512, multiply2x16AVX512, multiply3x16AVX512, multiply4x16AVX512, multiply5x16AVX512,
			multiply6x16AVX512, multiply7x16AVX512, multiply8x16AVX512, multiply9x16AVX512, multiply10x16AVX512,
			multiply11x16AVX512, multiply12x16AVX512, multiply13x16AVX512, multiply14x16AVX512,
		}, packRows16AVX512},
		{32, []tileFunc{
			multiply1x32AVX512, multiply2x32AVX512, multiply3x32AVX512, multiply4x32AVX512, multiply5x32AVX512,
			multiply6x32AVX512, multiply7x32AVX512, multiply8x32AVX512, multiply9x32AVX512, multiply10x32AVX512,
			multiply11x32AVX512, multiply12x32AVX512, multiply13x32AVX512, multiply14x32AVX512,
		}, packRows32AVX512},
	},
	transpose: transposeAVX512,
	square:    16,
}
