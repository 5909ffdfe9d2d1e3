//go:build cuda

package gpu

import (
	"gpudae/device"
	"gpudae/kernels"
)

// Update applies an optimiser to all parameters.
func (d *Device) Update(a device.UpdateArgs) {
	a.Check()
	if note(d, a, (*Device).Update) {
		return
	}
	first, second := moments(&a)
	n := a.Params.Len()
	d.launch(kernels.Update, 1, n,
		integer(n), uint64(a.Kind), flag(a.Nesterov), float(a.Beta1), float(a.Beta2), float(a.Epsilon), float(a.WeightDecay),
		integer(a.Decayed), float(a.Clip), float(a.Decay), address(a.Rates), wordAddress(a.Clock), address(a.GradSq), address(a.Loss), address(a.Spikes), float(a.SpikeLimit),
		address(a.Params), address(a.Grads), first, second, address(a.EMA))
}

// moments are where the moments lie that the rule keeps, 0 for the others.
func moments(a *device.UpdateArgs) (first, second uint64) {
	if a.Kind.UsesFirstMoment() {
		first = address(a.First)
	}
	if a.Kind.UsesSecondMoment() {
		second = address(a.Second)
	}
	return first, second
}
