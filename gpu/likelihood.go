//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Likelihood computes -log p(x|h) and its gradient.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	rows, columns := a.Target.Rows, a.Target.Columns
	words := [12]uint64{
		integer(rows), integer(columns), address(a.Params), address(a.Target), address(a.Mask), float(a.Destroyed), float(a.Untouched),
		address(a.Losses), address(a.DParams), float(a.Scale),
	}
	if a.Kind == device.Categorical {
		words[10], words[11] = fields(a.Fields, columns)
		d.launch(kernels.LikelihoodCategorical, rows, columns, words[:12]...)
		return
	}
	words[10] = float(a.Sigma)
	d.launch(likelihood(a.Kind), rows, columns, words[:11]...)
}

// likelihood is the kernel of a family whose features are independent.
func likelihood(kind device.Likelihood) kernels.ID {
	switch kind {
	case device.Bernoulli:
		return kernels.LikelihoodBernoulli
	case device.Gaussian:
		return kernels.LikelihoodGaussian
	case device.GaussianLearned:
		return kernels.LikelihoodGaussianLearned
	case device.Poisson:
		return kernels.LikelihoodPoisson
	}
	panic("gpu: no kernel for likelihood " + kind.String())
}

// fields returns the number of fields of so many columns and where their offsets
// are, 0 where every column is its own field.
func fields(f device.Fields, columns int) (count, offsets uint64) {
	if f.IsZero() {
		return integer(columns), 0
	}
	return integer(f.Count), wordAddress(f.Offsets)
}

// Mean computes the reconstruction E[x|h].
func (d *Device) Mean(a device.MeanArgs) {
	a.Check()
	rows, columns := a.Out.Rows, a.Out.Columns
	if a.Kind == device.Categorical {
		count, offsets := fields(a.Fields, columns)
		d.launch(kernels.MeanCategorical, rows, columns, integer(rows), integer(columns), address(a.Params), address(a.Out), count, offsets)
		return
	}
	d.launch(kernels.Mean, rows, columns, integer(rows), integer(columns), uint64(a.Kind), address(a.Params), address(a.Out))
}
