package cpu

// kernel is a micro-kernel of a product: the largest tile it computes.
type kernel struct {
	rows, columns int
}

// kernel returns the micro-kernel for a product of n columns.
func (d *Device) kernel(n int) kernel { return kernel{genericRows, genericColumns} }

// run computes a tile of at most k.rows rows: see multiplyGeneric.
func (k kernel) run(rows, kc int, s []float32, outer, inner int, v, c []float32, ld int, add bool) {
	multiplyGeneric(rows, kc, s, outer, inner, v, c, ld, add)
}

// storeFlipped stores a part of a tile transposed: see storeFlippedGeneric.
func (k kernel) storeFlipped(c []float32, ld int, tile []float32, rows, columns int, add bool) {
	storeFlippedGeneric(c, ld, tile, k.columns, rows, columns, add)
}

// packColumns packs a panel: see packColumnsGeneric.
func (k kernel) packColumns(to, from []float32, stride, kc, columns int) {
	packColumnsGeneric(to, k.columns, from, stride, kc, columns)
}
