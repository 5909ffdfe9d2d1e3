package devicetest

import (
	"fmt"
	"slices"

	"gpudae/device"
)

// coverage counts the operations that a suite ran, by kind.
type coverage struct{ ran map[string]int }

func newCoverage() *coverage { return &coverage{ran: map[string]int{}} }

func (c *coverage) add(operation string, kind fmt.Stringer) {
	if kind != nil {
		operation += " " + kind.String()
	}
	c.ran[operation]++
}

// missing lists what the suite must run and did not.
func (c *coverage) missing() []string {
	var names []string
	for _, name := range wanted() {
		if c.ran[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// wanted lists every operation with each of its kinds.
func wanted() []string {
	return slices.Concat(
		[]string{"Gather", "Dropout", "Combine", "Tick", "Record", "Diffuse", "Condition", "Blend", "ScoreMatch", "Importance", "ScaleRows", "Embed", "EmbedBackward"},
		named("Corrupt", device.Corruptions()),
		named("Dense", device.Activations()),
		named("DenseBackward", device.Activations()),
		named("Activate", device.Activations()),
		named("ActivateBackward", device.Activations()),
		named("Normalize", device.Normalizations()),
		named("NormalizeBackward", device.Normalizations()),
		named("Likelihood", device.Likelihoods()),
		named("Mean", device.Likelihoods()),
		named("Reduce", device.Reductions()),
		named("Update", device.Optimizers()),
		named("SampleCode", device.Codes()),
		named("SampleCodeBackward", device.Codes()),
		named("Draw", device.Likelihoods()),
	)
}

func named[K fmt.Stringer](operation string, kinds []K) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, operation+" "+k.String())
	}
	return names
}

// counted passes every call on to a device and counts the operations.
type counted struct {
	device.Device
	coverage *coverage
}

func (c *counted) Record(body func()) (device.Program, error) {
	c.coverage.add("Record", nil)
	return c.Device.Record(body)
}

func (c *counted) Gather(a device.GatherArgs) {
	c.coverage.add("Gather", nil)
	c.Device.Gather(a)
}

func (c *counted) Corrupt(a device.CorruptArgs) {
	c.coverage.add("Corrupt", a.Kind)
	c.Device.Corrupt(a)
}

func (c *counted) Embed(a device.EmbedArgs) {
	c.coverage.add("Embed", nil)
	c.Device.Embed(a)
}

func (c *counted) EmbedBackward(a device.EmbedBackwardArgs) {
	c.coverage.add("EmbedBackward", nil)
	c.Device.EmbedBackward(a)
}

func (c *counted) Dense(a device.DenseArgs) {
	c.coverage.add("Dense", a.Act)
	c.Device.Dense(a)
}

func (c *counted) DenseBackward(a device.DenseBackwardArgs) {
	c.coverage.add("DenseBackward", a.InAct)
	c.Device.DenseBackward(a)
}

func (c *counted) Activate(a device.ActivateArgs) {
	c.coverage.add("Activate", a.Act)
	c.Device.Activate(a)
}

func (c *counted) ActivateBackward(a device.ActivateBackwardArgs) {
	c.coverage.add("ActivateBackward", a.Act)
	c.Device.ActivateBackward(a)
}

func (c *counted) Normalize(a device.NormalizeArgs) {
	c.coverage.add("Normalize", a.Kind)
	c.Device.Normalize(a)
}

func (c *counted) NormalizeBackward(a device.NormalizeBackwardArgs) {
	c.coverage.add("NormalizeBackward", a.Kind)
	c.Device.NormalizeBackward(a)
}

func (c *counted) Dropout(a device.DropoutArgs) {
	c.coverage.add("Dropout", nil)
	c.Device.Dropout(a)
}

func (c *counted) Likelihood(a device.LikelihoodArgs) {
	c.coverage.add("Likelihood", a.Kind)
	c.Device.Likelihood(a)
}

func (c *counted) Mean(a device.MeanArgs) {
	c.coverage.add("Mean", a.Kind)
	c.Device.Mean(a)
}

func (c *counted) Reduce(a device.ReduceArgs) {
	c.coverage.add("Reduce", a.Kind)
	c.Device.Reduce(a)
}

func (c *counted) Combine(a device.CombineArgs) {
	c.coverage.add("Combine", nil)
	c.Device.Combine(a)
}

func (c *counted) Update(a device.UpdateArgs) {
	c.coverage.add("Update", a.Kind)
	c.Device.Update(a)
}

func (c *counted) Tick(a device.TickArgs) {
	c.coverage.add("Tick", nil)
	c.Device.Tick(a)
}

func (c *counted) Diffuse(a device.DiffuseArgs) {
	c.coverage.add("Diffuse", nil)
	c.Device.Diffuse(a)
}

func (c *counted) Condition(a device.ConditionArgs) {
	c.coverage.add("Condition", nil)
	c.Device.Condition(a)
}

func (c *counted) Blend(a device.BlendArgs) {
	c.coverage.add("Blend", nil)
	c.Device.Blend(a)
}

func (c *counted) ScoreMatch(a device.ScoreMatchArgs) {
	c.coverage.add("ScoreMatch", nil)
	c.Device.ScoreMatch(a)
}

func (c *counted) Importance(a device.ImportanceArgs) {
	c.coverage.add("Importance", nil)
	c.Device.Importance(a)
}

func (c *counted) ScaleRows(a device.ScaleRowsArgs) {
	c.coverage.add("ScaleRows", nil)
	c.Device.ScaleRows(a)
}

func (c *counted) SampleCode(a device.SampleCodeArgs) {
	c.coverage.add("SampleCode", a.Kind)
	c.Device.SampleCode(a)
}

func (c *counted) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	c.coverage.add("SampleCodeBackward", a.Kind)
	c.Device.SampleCodeBackward(a)
}

func (c *counted) Draw(a device.DrawArgs) {
	c.coverage.add("Draw", a.Kind)
	c.Device.Draw(a)
}
