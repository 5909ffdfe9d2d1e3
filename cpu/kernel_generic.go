package cpu

// The portable micro-kernel's tile: what fits the registers of a scalar
// floating-point unit.
const (
	genericRows    = 4
	genericColumns = 4
)

// multiplyGeneric is the portable micro-kernel: with s[i,k] = s[i·outer +
// k·inner] and a packed panel v[k,j], it stores the tile Σ_k s[i,k]·v[k,j], or
// adds it, to c[i,j] = c[i·ld + j].
func multiplyGeneric(rows, kc int, s []float32, outer, inner int, v, c []float32, ld int, add bool) {
	if rows == genericRows {
		multiplyGeneric4(kc, s, outer, inner, v, c, ld, add)
		return
	}
	for i := range rows {
		var sum [genericColumns]float32
		at := i * outer
		for k := range kc {
			a, b := s[at], v[k*genericColumns:k*genericColumns+genericColumns]
			sum[0] += a * b[0]
			sum[1] += a * b[1]
			sum[2] += a * b[2]
			sum[3] += a * b[3]
			at += inner
		}
		storeGeneric(c[i*ld:], sum, add)
	}
}

func multiplyGeneric4(kc int, s []float32, outer, inner int, v, c []float32, ld int, add bool) {
	var s0, s1, s2, s3 [genericColumns]float32
	at0, at1, at2, at3 := 0, outer, 2*outer, 3*outer
	for k := range kc {
		b := v[k*genericColumns : k*genericColumns+genericColumns]
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

// storeFlippedGeneric stores or adds element (i, j) of a tile to c[j·ld + i].
func storeFlippedGeneric(c []float32, ld int, tile []float32, width, rows, columns int, add bool) {
	for j := range columns {
		to := c[j*ld : j*ld+rows]
		for i := range to {
			v := tile[i*width+j]
			if add {
				v += to[i]
			}
			to[i] = v
		}
	}
}

// packColumnsGeneric packs a panel of that width whose column j starts at
// from[j·stride], with zeros beyond its last column.
func packColumnsGeneric(to []float32, width int, from []float32, stride, kc, columns int) {
	if columns < width {
		clear(to[:kc*width])
	}
	for j := range columns {
		for k, v := range from[j*stride : j*stride+kc] {
			to[k*width+j] = v
		}
	}
}
