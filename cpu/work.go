package cpu

// What an element of an operation costs, in cheap elements (those of an
// addition). It decides how many threads an operation is worth and nothing else.
const (
	gatherCost     = 4
	activateCost   = 4
	corruptCost    = 8
	likelihoodCost = 8
	normalizeCost  = 16
	updateCost     = 4
	codeCost       = 16
	embedCost      = 4
)

// perLane is the least number of items worth handing to another thread if each
// costs as much as that many cheap elements.
func (d *Device) perLane(cost int) int { return d.kernels.elementsPerLane/max(1, cost) + 1 }
