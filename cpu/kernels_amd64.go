package cpu

import (
	"slices"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/cpu"
)

//go:generate go run -C internal/asmgen . -out ../../vector_amd64.s -stubs ../../vector_amd64.go -pkg cpu

// avx512Products are the products of bfloat16 by AVX512-BF16.
var avx512Products = pairProducts{
	name:    "AVX512-BF16",
	granted: func() bool { return true },
	tiles: []tile{
		{columns: 16, packed: true, packRows: packRows16AVX512, multiply: []tilesFunc{
			multiplyPairs1x16AVX512, multiplyPairs2x16AVX512, multiplyPairs3x16AVX512, multiplyPairs4x16AVX512, multiplyPairs5x16AVX512,
			multiplyPairs6x16AVX512, multiplyPairs7x16AVX512, multiplyPairs8x16AVX512, multiplyPairs9x16AVX512, multiplyPairs10x16AVX512,
			multiplyPairs11x16AVX512, multiplyPairs12x16AVX512, multiplyPairs13x16AVX512, multiplyPairs14x16AVX512,
		}},
		{columns: 32, packed: true, packRows: packRows32AVX512, multiply: []tilesFunc{
			multiplyPairs1x32AVX512, multiplyPairs2x32AVX512, multiplyPairs3x32AVX512, multiplyPairs4x32AVX512, multiplyPairs5x32AVX512,
			multiplyPairs6x32AVX512, multiplyPairs7x32AVX512, multiplyPairs8x32AVX512, multiplyPairs9x32AVX512, multiplyPairs10x32AVX512,
			multiplyPairs11x32AVX512, multiplyPairs12x32AVX512, multiplyPairs13x32AVX512, multiplyPairs14x32AVX512,
		}},
	},
	terms: 1,
	most:  longestK,
	thin:  14, sparse: 0.3,
}

// supportedKernels returns the kernels that this machine can run, best first.
// The operating system's support for the registers is part of the test.
func supportedKernels() []*kernels {
	var all []*kernels
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasBMI1 && x.HasBMI2 {
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
			best := avx512Kernels
			if x.HasAVX512BF16 {
				best.products = append(best.products, &avx512Products)
				best.pairsInRow, best.pairsOfRows = pairsInRowAVX512, pairsOfRowsAVX512
			}
			if x.HasAVX512BF16 && x.HasAMXTile && x.HasAMXBF16 {
				best.products = slices.Insert(best.products, 0, &amxProducts)
			}
			best.suitCaches()
			all = append(all, &best)
		}
		next := avx2Kernels
		next.suitCaches()
		all = append(all, &next)
	}
	return append(all, &genericKernels)
}

// suitCaches adapts the kernels to the caches of Intel's processors. The last level is
// slow beside the arithmetic, so that panels stay in the second one, with what is
// multiplied and asked for meanwhile. Pages that the first level of their table does not
// hold, each of a row of S, take as long as half a term.
func (k *kernels) suitCaches() {
	if cpuid.CPU.VendorID != cpuid.Intel || cpuid.CPU.Cache.L2 <= 0 {
		return
	}
	k.packedBytes, k.takenBytes = cpuid.CPU.Cache.L2/4, cpuid.CPU.Cache.L2/2
	k.scattered = 32
	k.sparse, k.sparseTerms = 1./3, longestK
}

var avx2Kernels = kernels{
	name: "AVX2",
	tiles: []tile{
		{columns: 8, multiply: []tilesFunc{multiply1x8AVX2, multiply2x8AVX2, multiply3x8AVX2, multiply4x8AVX2, multiply5x8AVX2, multiply6x8AVX2}, packRows: packRows8AVX2},
		{columns: 16, multiply: []tilesFunc{multiply1x16AVX2, multiply2x16AVX2, multiply3x16AVX2, multiply4x16AVX2, multiply5x16AVX2, multiply6x16AVX2}, packRows: packRows16AVX2},
	},
	transpose: transposeAVX2,
	square:    8,
	scattered: 64, packedBytes: ofLastLevel, takenBytes: 2 * ofLastLevel,

	sparseTile: tile{columns: 64, packRows: packRows64AVX2}, sparse: 0.6, sparseTerms: ofFirstLevel / 256, multiplySparse: multiplySparseAVX2, multiplyScanned: multiplyScannedAVX2, compress: compressAVX2, nonzeros: nonzerosAVX2,

	flopsPerLane: 1 << 21, elementsPerLane: 1 << 17,

	activate: []func(y, x []float32){
		copyGeneric, reluAVX2, leakyReLUAVX2, eluAVX2, geluAVX2,
		siluAVX2, sigmoidAVX2, tanhAVX2, softplusAVX2,
	},
	activateBackward: []func(dx, dy, from []float32){
		copyBackwardGeneric, reluBackwardAVX2, leakyReLUBackwardAVX2, eluBackwardAVX2, geluBackwardAVX2,
		siluBackwardAVX2, sigmoidBackwardAVX2, tanhBackwardAVX2, softplusBackwardAVX2,
	},
	exp: expAVX2, add: addAVX2, addRows: addRowsAVX2, scale: scaleAVX2, combine: combineAVX2,
	columnSums: columnSumsAVX2, sum: sumAVX2, sumSquares: sumSquaresAVX2, sumSquaredDifferences: sumSquaredDifferencesAVX2,
	bernoulli: bernoulliAVX2, poisson: poissonAVX2, gaussian: gaussianAVX2, gaussianLearned: gaussianLearnedAVX2,
	deviations: deviationsAVX2, columnMoments: columnMomentsAVX2, normalizeRow: normalizeRowAVX2, normalizeColumns: normalizeColumnsAVX2, normalSumsOfRows: normalSumsOfRowsAVX2,
	normalSumsOfColumns: normalSumsOfColumnsAVX2, normalRowSums: normalRowSumsAVX2, normalRowGradient: normalRowGradientAVX2, normalColumnGradient: normalColumnGradientAVX2,
	sgd: sgdAVX2, nesterov: nesterovAVX2, adam: adamAVX2, rmsprop: rmspropAVX2,
	words: wordsAVX2, maskWords: maskWordsAVX2, dropWords: dropWordsAVX2, normals: normalsAVX2, addNoise: addNoiseAVX2, addSpeckle: addSpeckleAVX2, addUniform: addUniformAVX2,
	saltAndPepper: saltAndPepperAVX2, widen: widenAVX2, prefetch: prefetchAVX2, prefetchRows: prefetchRowsAVX2,
}

var avx512Kernels = kernels{
	name: "AVX-512",
	tiles: []tile{
		{columns: 16, packRows: packRows16AVX512, multiply: []tilesFunc{
			multiply1x16AVX512, multiply2x16AVX512, multiply3x16AVX512, multiply4x16AVX512, multiply5x16AVX512,
			multiply6x16AVX512, multiply7x16AVX512, multiply8x16AVX512, multiply9x16AVX512, multiply10x16AVX512,
			multiply11x16AVX512, multiply12x16AVX512, multiply13x16AVX512, multiply14x16AVX512,
		}},
		{columns: 32, packRows: packRows32AVX512, multiply: []tilesFunc{
			multiply1x32AVX512, multiply2x32AVX512, multiply3x32AVX512, multiply4x32AVX512, multiply5x32AVX512,
			multiply6x32AVX512, multiply7x32AVX512, multiply8x32AVX512, multiply9x32AVX512, multiply10x32AVX512,
			multiply11x32AVX512, multiply12x32AVX512, multiply13x32AVX512, multiply14x32AVX512,
		}},
	},
	transpose: transposeAVX512,
	square:    16,
	scattered: 256, packedBytes: ofLastLevel, takenBytes: 2 * ofLastLevel,
	thin: 14,

	sparseTile: tile{columns: 64, packRows: packRows64AVX512}, sparse: 0.6, sparseTerms: ofFirstLevel / 256, multiplySparse: multiplySparseAVX512, multiplyScanned: multiplyScannedAVX512, compress: compressAVX512, nonzeros: nonzerosAVX512,

	flopsPerLane: 1 << 21, elementsPerLane: 1 << 17,

	activate: []func(y, x []float32){
		copyGeneric, reluAVX512, leakyReLUAVX512, eluAVX512, geluAVX512,
		siluAVX512, sigmoidAVX512, tanhAVX512, softplusAVX512,
	},
	activateBackward: []func(dx, dy, from []float32){
		copyBackwardGeneric, reluBackwardAVX512, leakyReLUBackwardAVX512, eluBackwardAVX512, geluBackwardAVX512,
		siluBackwardAVX512, sigmoidBackwardAVX512, tanhBackwardAVX512, softplusBackwardAVX512,
	},
	exp: expAVX512, add: addAVX512, addRows: addRowsAVX512, scale: scaleAVX512, combine: combineAVX512,
	columnSums: columnSumsAVX512, sum: sumAVX512, sumSquares: sumSquaresAVX512, sumSquaredDifferences: sumSquaredDifferencesAVX512,
	bernoulli: bernoulliAVX512, poisson: poissonAVX512, gaussian: gaussianAVX512, gaussianLearned: gaussianLearnedAVX512,
	deviations: deviationsAVX512, columnMoments: columnMomentsAVX512, normalizeRow: normalizeRowAVX512, normalizeColumns: normalizeColumnsAVX512, normalSumsOfRows: normalSumsOfRowsAVX512,
	normalSumsOfColumns: normalSumsOfColumnsAVX512, normalRowSums: normalRowSumsAVX512, normalRowGradient: normalRowGradientAVX512, normalColumnGradient: normalColumnGradientAVX512,
	sgd: sgdAVX512, nesterov: nesterovAVX512, adam: adamAVX512, rmsprop: rmspropAVX512,
	words: wordsAVX512, maskWords: maskWordsAVX512, dropWords: dropWordsAVX512, normals: normalsAVX512, addNoise: addNoiseAVX512, addSpeckle: addSpeckleAVX512, addUniform: addUniformAVX512,
	saltAndPepper: saltAndPepperAVX512, widen: widenAVX512, prefetch: prefetchAVX512, prefetchRows: prefetchRowsAVX512,
}
