package cpu

import "math"

// sparseGenericColumns is the width of the portable panels of sparse products.
const sparseGenericColumns = 64

// multiplySparseGeneric is the portable sparseFunc.
func multiplySparseGeneric(counts, offsets []uint32, values, panel, c []float32, ld int, goOn bool) {
	at := 0
	for i, count := range counts {
		row := (*[sparseGenericColumns]float32)(c[i*ld:])
		if !goOn {
			clear(row[:])
		}
		for e := at; e < at+int(count); e++ {
			a, v := values[e], (*[sparseGenericColumns]float32)(panel[offsets[e]:])
			for j := range row {
				row[j] += a * v[j]
			}
		}
		at += int(count)
	}
}

// multiplyScannedGeneric is the portable scannedFunc.
func multiplyScannedGeneric(rows, n int, x []float32, stride int, panel, c []float32, ld int) {
	for i := range rows {
		row := (*[sparseGenericColumns]float32)(c[i*ld:])
		clear(row[:])
		for k, a := range x[i*stride : i*stride+n] {
			if !notZero(a) {
				continue
			}
			v := (*[sparseGenericColumns]float32)(panel[k*sparseGenericColumns:])
			for j := range row {
				row[j] += a * v[j]
			}
		}
	}
}

// compressGeneric is the portable compressFunc, without branches.
func compressGeneric(counts, offsets []uint32, values, x []float32, stride, n, step int) {
	at := 0
	for r := range counts {
		begun := at
		for i, v := range x[r*stride : r*stride+n] {
			offsets[at], values[at] = uint32(i*step), v
			if notZero(v) {
				at++
			}
		}
		counts[r] = uint32(at - begun)
	}
}

// nonzerosGeneric counts the elements that are not zero.
func nonzerosGeneric(x []float32) int {
	n := 0
	for _, v := range x {
		if notZero(v) {
			n++
		}
	}
	return n
}

// notZero reports whether v is neither zero nor minus zero.
func notZero(v float32) bool { return math.Float32bits(v)<<1 != 0 }
