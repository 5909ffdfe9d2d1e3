//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Corrupt draws one stage of x̃ ~ C(x̃|x).
func (d *Device) Corrupt(a device.CorruptArgs) {
	a.Check()
	words := append(make([]uint64, 0, 24),
		integer(a.From.Rows), integer(a.From.Columns), address(a.From), address(a.To), address(a.Mask), flag(a.Accumulate),
		a.Seed, uint64(a.Stream), uint64(a.Stage), integer(a.Replicates), wordAddress(a.Index), wordAddress(a.Clock))
	id, words := corruption(&a, words)
	d.launch(id, a.From.Rows, a.From.Columns, words...)
}

// corruption returns the kernel of a kind, and appends the words that it takes
// besides those of every kind.
func corruption(a *device.CorruptArgs, words []uint64) (kernels.ID, []uint64) {
	switch a.Kind {
	case device.CorruptNone:
		return kernels.CorruptNone, words
	case device.CorruptGaussian:
		return kernels.CorruptGaussian, append(words, float(a.Amount))
	case device.CorruptMasking:
		return kernels.CorruptMasking, append(words, a.Rate, wordAddress(a.Fields.OfColumn))
	case device.CorruptSaltAndPepper:
		return kernels.CorruptSaltAndPepper, append(words, a.Rate, address(a.Low), address(a.High))
	case device.CorruptSwap:
		return swap(a, words)
	case device.CorruptSpeckle:
		return kernels.CorruptSpeckle, append(words, float(a.Amount))
	case device.CorruptUniform:
		return kernels.CorruptUniform, append(words, float(a.Amount))
	case device.CorruptPoisson:
		return kernels.CorruptPoisson, append(words, float(a.Amount))
	}
	panic("gpu: no kernel for corruption " + a.Kind.String())
}

// swap also needs the data set and the part from which donors come.
func swap(a *device.CorruptArgs, words []uint64) (kernels.ID, []uint64) {
	data := a.Data.(*dataset)
	id := kernels.CorruptSwapF32
	if data.bytes {
		id = kernels.CorruptSwapU8
	}
	return id, append(words, a.Rate, wordAddress(a.Fields.OfColumn), uint64(data.at), float(data.scale), integer(data.rows),
		integer(a.Part.Lo), integer(a.Part.Len()), flag(a.Part.Split), a.Part.Seed)
}
