// Command asmgen writes the vector kernels of package cpu: Go assembly for
// amd64 with AVX2 and FMA, and with AVX-512 (F, BW, DQ, VL), and the Go
// declarations of the same functions. The two instruction sets share their
// generators: a kernel is written once against the type vector. Products of
// bfloat16 are written for AVX512-BF16 and for AMX-BF16 besides.
//
// It has a module of its own, so that the program does not depend on avo. In
// the folder of package cpu,
//
//	go generate
//
// runs it; the files it writes are committed, and running it again must not
// change them.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	for _, v := range []vector{{"AVX2", 8}, {"AVX512", 16}} {
		v.products()
		if v.wide() {
			v.pairs()
		}
		v.sparseProduct()
		v.scannedProduct()
		v.compress()
		v.nonzeros()
		v.transposition()
		v.activations()
		v.exponential()
		v.sums()
		v.reductions()
		v.columnSums()
		v.widen()
		v.prefetch()
		v.prefetchRows()
		v.likelihoods()
		v.updates()
		v.words()
		v.corruptions()
		v.normals()
		v.normalizations()
	}
	tileProducts()
	Generate()
}
