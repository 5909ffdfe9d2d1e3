package cpu

// The portable micro-kernel's tile: what fits the registers of a scalar
// floating-point unit.
const (
	genericRows    = 4
	genericColumns = 4
)

// genericTiles returns the portable micro-kernels by their number of rows.
func genericTiles() []tilesFunc {
	tiles := make([]tilesFunc, genericRows)
	for i := range genericRows - 1 {
		tiles[i] = func(tiles, kc int, s []float32, outer, inner int, panel []float32, across, down int, c []float32, ld int, add bool, _ int, _ []float32, _, _ int) {
			for t := range tiles {
				multiplyRowsGeneric(i+1, kc, s, outer, inner, panel[t*across:], down, c[t*genericColumns:], ld, add)
			}
		}
	}
	tiles[genericRows-1] = func(tiles, kc int, s []float32, outer, inner int, panel []float32, across, down int, c []float32, ld int, add bool, _ int, _ []float32, _, _ int) {
		for t := range tiles {
			multiplyGeneric(kc, s, outer, inner, panel[t*across:], down, c[t*genericColumns:], ld, add)
		}
	}
	return tiles
}

// multiplyRowsGeneric computes a tile of any number of rows.
func multiplyRowsGeneric(rows, kc int, s []float32, outer, inner int, panel []float32, down int, c []float32, ld int, add bool) {
	for i := range rows {
		var sum [genericColumns]float32
		at := i * outer
		for k := range kc {
			a, b := s[at], panel[k*down:k*down+genericColumns]
			sum[0] += a * b[0]
			sum[1] += a * b[1]
			sum[2] += a * b[2]
			sum[3] += a * b[3]
			at += inner
		}
		storeGeneric(c[i*ld:], sum, add)
	}
}

// multiplyGeneric computes the largest tile.
func multiplyGeneric(kc int, s []float32, outer, inner int, panel []float32, down int, c []float32, ld int, add bool) {
	var s0, s1, s2, s3 [genericColumns]float32
	at0, at1, at2, at3 := 0, outer, 2*outer, 3*outer
	for k := range kc {
		b := panel[k*down : k*down+genericColumns]
		a := s[at0]
		s0[0] += a * b[0]
		s0[1] += a * b[1]
		s0[2] += a * b[2]
		s0[3] += a * b[3]
		a = s[at1]
		s1[0] += a * b[0]
		s1[1] += a * b[1]
		s1[2] += a * b[2]
		s1[3] += a * b[3]
		a = s[at2]
		s2[0] += a * b[0]
		s2[1] += a * b[1]
		s2[2] += a * b[2]
		s2[3] += a * b[3]
		a = s[at3]
		s3[0] += a * b[0]
		s3[1] += a * b[1]
		s3[2] += a * b[2]
		s3[3] += a * b[3]
		at0, at1, at2, at3 = at0+inner, at1+inner, at2+inner, at3+inner
	}
	storeGeneric(c, s0, add)
	storeGeneric(c[ld:], s1, add)
	storeGeneric(c[2*ld:], s2, add)
	storeGeneric(c[3*ld:], s3, add)
}

func storeGeneric(c []float32, sum [genericColumns]float32, add bool) {
	for j, v := range sum {
		if add {
			v += c[j]
		}
		c[j] = v
	}
}

// transposeGeneric is the portable transposeFunc.
func transposeGeneric(dst []float32, dstStride int, src []float32, srcStride, rows, columns, keep int, add bool) {
	for j := range columns {
		to := dst[j*dstStride : j*dstStride+min(rows, keep)]
		for i := range to {
			v := src[i*srcStride+j]
			if add {
				v += to[i]
			}
			to[i] = v
		}
	}
}

// packRowsGeneric returns the portable packing of panels of so many columns.
func packRowsGeneric(columns int) packRowsFunc {
	return func(count int, panels []float32, across int, from []float32, stride, kc int) {
		for k := range kc {
			for p := range count {
				copy(panels[p*across+k*columns:][:columns], from[k*stride+p*columns:])
			}
		}
	}
}
