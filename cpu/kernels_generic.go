package cpu

// genericKernels are the portable kernels: plain Go, correct everywhere.
var genericKernels = kernels{
	name:      "generic",
	tiles:     []tile{{columns: genericColumns, multiply: genericTiles(), packRows: packRowsGeneric}},
	transpose: transposeGeneric,
	square:    genericColumns,
}
