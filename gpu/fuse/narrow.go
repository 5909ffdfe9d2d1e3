package fuse

import (
	"slices"

	"gpudae/device"
)

// Factors are the operands of an operation's matrix products, if isBig says of one of its products,
// m×n with sums of k terms, that it takes copies of them.
func Factors(operation any, isBig func(m, n, k int) bool) []device.View {
	switch a := operation.(type) {
	case device.DenseArgs:
		if isBig(a.Y.Rows, a.Y.Columns, a.X.Columns) {
			return []device.View{a.X, a.W}
		}
	case device.DenseBackwardArgs:
		if !isBig(a.DA.Rows, a.X.Columns, a.DA.Columns) {
			return nil
		}
		var factors []device.View
		if !a.DX.IsZero() {
			factors = append(factors, a.DA, a.W)
		}
		if !a.DW.IsZero() {
			factors = append(factors, a.DA, a.X)
		}
		return factors
	}
	return nil
}

// copies are matrices of which a copy was made and is current.
type copies []device.View

// before returns those of so many operands that have to be copied for an operation, each once, and counts them as copied.
func (c *copies) before(operands []device.View) []device.View {
	var missing []device.View
	for _, v := range operands {
		if !slices.Contains(*c, v) {
			missing = append(missing, v)
			*c = append(*c, v)
		}
	}
	return missing
}

// after forgets the copies of what an operation may have written.
func (c *copies) after(operation any) {
	*c = slices.DeleteFunc(*c, func(v device.View) bool { return writes(operation, v) })
}

// writes reports whether an operation may write elements of a view.
func writes(operation any, v device.View) bool {
	switch a := operation.(type) {
	case device.DenseArgs:
		return overlap(a.Pre, v) || overlap(a.Y, v)
	case device.DenseBackwardArgs:
		return overlap(a.DX, v) || overlap(a.DW, v) || overlap(a.DBias, v)
	}
	return touches(operation, v)
}
