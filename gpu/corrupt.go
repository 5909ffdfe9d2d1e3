//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Corrupt draws one stage of x̃ ~ C(x̃|x).
func (d *Device) Corrupt(a device.CorruptArgs) {
	a.Check()
	if note(d, a, (*Device).Corrupt) {
		return
	}
	words := append(make([]uint64, 0, 32),
		integer(a.From.Rows), integer(a.From.Columns), address(a.From), address(a.To), address(a.Mask), flag(a.Accumulate),
		a.Seed, uint64(a.Stream), uint64(a.Stage), integer(a.Replicates), wordAddress(a.Index), wordAddress(a.Clock), flag(a.Absent))
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
		return kernels.CorruptGaussian, append(words, wordAddress(a.Continuous), float(a.Amount))
	case device.CorruptMasking:
		return kernels.CorruptMasking, append(words, a.Rate, wordAddress(a.Rates), wordAddress(a.Fields.OfColumn))
	case device.CorruptSaltAndPepper:
		return kernels.CorruptSaltAndPepper, append(words, wordAddress(a.Continuous), a.Rate, address(a.Low), address(a.High))
	case device.CorruptSwap, device.CorruptSwapRows:
		return swap(a, words)
	case device.CorruptSpeckle:
		return kernels.CorruptSpeckle, append(words, wordAddress(a.Continuous), float(a.Amount))
	case device.CorruptUniform:
		return kernels.CorruptUniform, append(words, wordAddress(a.Continuous), float(a.Amount))
	case device.CorruptPoisson:
		return kernels.CorruptPoisson, append(words, wordAddress(a.Continuous), float(a.Amount))
	case device.CorruptSpan:
		return kernels.CorruptSpan, append(words, a.Rate, integer(a.Length), wordAddress(a.Fields.OfColumn))
	}
	panic("gpu: no kernel for corruption " + a.Kind.String())
}

// swap also needs the data set and the part from which donors come.
func swap(a *device.CorruptArgs, words []uint64) (kernels.ID, []uint64) {
	data := a.Data.(*dataset)
	words = append(words, a.Rate, wordAddress(a.Rates), wordAddress(a.Fields.OfColumn), flag(a.Kind == device.CorruptSwapRows))
	words = append(data.words(words), integer(a.Part.Lo), integer(a.Part.Len()), flag(a.Part.Split), a.Part.Seed)
	return data.swaps, words
}
