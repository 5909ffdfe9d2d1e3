//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Likelihood computes -log p(x|h) and its gradient.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	if note(d, a, (*Device).Likelihood) {
		return
	}
	rows, columns := a.Target.Rows, a.Target.Columns
	words := append(make([]uint64, 0, 18),
		integer(rows), integer(columns), address(a.Params), address(a.Target), address(a.Mask), float(a.Destroyed), float(a.Untouched),
		address(a.Weights), address(a.Losses), address(a.ByColumn), address(a.DParams), float(a.Scale))
	switch a.Kind {
	case device.Categorical:
		count, offsets := fields(a.Fields, columns)
		d.launch(kernels.LikelihoodCategorical, rows, columns, append(words, count, offsets)...)
	case device.Mixed:
		d.launch(kernels.LikelihoodMixed, rows, a.Params.Columns, append(words, float(a.Sigma), float(a.Floor), wordAddress(a.Table.Words),
			integer(a.Table.ParamWidth), integer(a.Params.Columns), float(a.MaskHead))...)
	default:
		d.launch(likelihood(a.Kind), rows, columns, append(words, float(a.Sigma))...)
	}
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
	if note(d, a, (*Device).Mean) {
		return
	}
	rows, columns := a.Out.Rows, a.Out.Columns
	switch a.Kind {
	case device.Categorical:
		count, offsets := fields(a.Fields, columns)
		d.launch(kernels.MeanCategorical, rows, columns, integer(rows), integer(columns), address(a.Params), address(a.Out), count, offsets)
	case device.Mixed:
		d.launch(kernels.MeanMixed, rows, a.Params.Columns, integer(rows), integer(columns), address(a.Params), address(a.Out),
			wordAddress(a.Table.Words), integer(a.Params.Columns))
	default:
		d.launch(kernels.Mean, rows, columns, integer(rows), integer(columns), uint64(a.Kind), address(a.Params), address(a.Out))
	}
}
