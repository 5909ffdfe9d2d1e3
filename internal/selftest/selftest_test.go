package selftest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
)

func open(t *testing.T) device.Device {
	t.Helper()
	dev, err := cpu.New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func TestCPUAgrees(t *testing.T) {
	r, err := Run(t.Context(), open(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.OK() || r.Arrays < 50 || r.Worst == 0 || !strings.Contains(r.String(), "agree") {
		t.Errorf("report %+v", r)
	}
}

// TestEveryKindIsRunAndCaught: the self-test runs each operation in each kind, and
// if any of them is off by a hundredth, says so.
func TestEveryKindIsRunAndCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the self-test once for each operation")
	}
	dev := open(t)
	all := &faulty{Device: dev, ran: map[string]bool{}}
	if _, err := Run(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat([]string{"Gather", "Dropout", "Combine", "Tick", "Diffuse", "Condition", "Blend", "ScoreMatch", "Importance", "ScaleRows", "Embed", "EmbedBackward"},
		named("SampleCode", device.Codes()), named("SampleCodeBackward", device.Codes()), named("Draw", device.Likelihoods()),
		named("Corrupt", device.Corruptions()), named("Dense", device.Activations()), named("DenseBackward", device.Activations()),
		named("Activate", device.Activations()), named("ActivateBackward", device.Activations()),
		named("Normalize", device.Normalizations()), named("Inference", device.Normalizations()),
		named("NormalizeBackward", device.Normalizations()), named("Likelihood", device.Likelihoods()), named("Mean", device.Likelihoods()),
		named("Reduce", device.Reductions()), named("Update", device.Optimizers())) {
		if !all.ran[name] {
			t.Errorf("the self-test does not run %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all.ran)) {
		if !caught(t, dev, name) {
			t.Errorf("a fault of %s is not caught", name)
		}
	}
}

// caught reports whether a device of which one operation is off disagrees. The large
// products, which take most of the time, have a test of their own.
func caught(t *testing.T, dev device.Device, operation string) bool {
	t.Helper()
	spoiled := &faulty{Device: dev, ran: map[string]bool{}, fault: operation}
	for _, c := range slices.Concat(trainings(), drawings(), tables()) {
		r := &Report{Allowed: Tolerance}
		if err := r.run(t.Context(), spoiled, c); err != nil {
			t.Fatal(err)
		}
		if !r.OK() {
			return true
		}
	}
	return false
}

// TestDrawsKeepAwayFromTheEdge: parameters that are off by more than rounding can
// put them give the same bits, columns and counts, so that no sound device
// disagrees.
func TestDrawsKeepAwayFromTheEdge(t *testing.T) {
	for _, off := range []float32{1 - 1e-5, 1 + 1e-5} {
		for _, k := range []device.Likelihood{device.Bernoulli, device.Categorical, device.Poisson} {
			expectSame(t, k.String(), off, func(dev device.Device) ([]array, error) { return draw(dev, k) })
		}
		expectSame(t, "mixed", off, func(dev device.Device) ([]array, error) {
			all, err := mixedTable(t.Context(), dev)
			return discrete(all), err
		})
		expectSame(t, "code", off, func(dev device.Device) ([]array, error) {
			all, err := code(dev, device.CodeBernoulli, false)
			return all[:2], err // noise and codes
		})
	}
}

// discrete are the codes and bits among the draws of a table.
func discrete(all []array) []array {
	codes := array{name: "drawn codes and bits"}
	for _, a := range all {
		for i, x := range a.values {
			if c := tableColumns()[i%len(tableColumns())]; a.name == "draws" && (c.Family == device.FamilyCategorical || c.Family == device.FamilyBernoulli) {
				codes.values = append(codes.values, x)
			}
		}
	}
	return []array{codes}
}

func expectSame(t *testing.T, what string, off float32, body func(device.Device) ([]array, error)) {
	t.Helper()
	got, err := body(perturbed{open(t), off})
	if err != nil {
		t.Fatal(err)
	}
	want, err := body(open(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if relative(got[i].values, want[i].values) != 0 {
			t.Errorf("%s: %s change with parameters times %g", what, want[i].name, off)
		}
	}
}

// perturbed multiplies the parameters of draws.
type perturbed struct {
	device.Device
	off float32
}

func (p perturbed) Draw(a device.DrawArgs) {
	p.Combine(device.CombineArgs{Alpha: p.off, A: a.Params, Dst: a.Params})
	p.Device.Draw(a)
}

func (p perturbed) SampleCode(a device.SampleCodeArgs) {
	p.Combine(device.CombineArgs{Alpha: p.off, A: a.Params, Dst: a.Params})
	p.Device.SampleCode(a)
}

func TestFaultyProductIsNamed(t *testing.T) {
	r := &Report{Allowed: Tolerance}
	s := thin()[0]
	if err := r.run(t.Context(), &faulty{Device: open(t), ran: map[string]bool{}, fault: "DenseBackward tanh"}, check{s.String(), s.multiply}); err != nil {
		t.Fatal(err)
	}
	if want := "products of 20×24 with 5 terms: gradients of the input differ by 1.0e-02"; !strings.Contains(r.String(), want) || r.OK() {
		t.Errorf("the report %q does not say %q", r, want)
	}
}

func TestReportNamesAFew(t *testing.T) {
	r := &Report{Allowed: Tolerance}
	for i := range 5 {
		r.compare(fmt.Sprintf("model %d", i), []array{{"parameters", []float32{1}}}, []array{{"parameters", []float32{2}}})
	}
	if text := r.String(); !strings.Contains(text, "model 2: parameters differ by 5.0e-01, and 2 more") || strings.Contains(text, "model 3") {
		t.Error(text)
	}
}

func TestRelative(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		got, want []float32
		is        float64
	}{
		{[]float32{1, 2}, []float32{1, 4}, 0.5},
		{[]float32{0, 0}, []float32{0, 0}, 0},
		{[]float32{1}, []float32{0}, math.Inf(1)},
		{[]float32{nan, 2}, []float32{1, 2}, math.Inf(1)},
		{[]float32{1}, []float32{nan}, math.Inf(1)},
	} {
		if got := relative(c.got, c.want); got != c.is {
			t.Errorf("%v and %v differ by %g, want %g", c.got, c.want, got, c.is)
		}
	}
}

func named[K fmt.Stringer](operation string, kinds []K) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, operation+" "+k.String())
	}
	return names
}

// faulty passes every operation on, notes it, and puts one of them off by a
// hundredth.
type faulty struct {
	device.Device
	ran   map[string]bool
	fault string
}

// after notes an operation that has been issued, and spoils its result if it is
// the one.
func (f *faulty) after(operation string, result device.View) {
	f.ran[operation] = true
	if operation == f.fault {
		f.Device.Combine(device.CombineArgs{Alpha: 1.01, A: result, Dst: result})
	}
}

func (f *faulty) Gather(a device.GatherArgs) {
	f.Device.Gather(a)
	f.after("Gather", a.X)
}

func (f *faulty) Corrupt(a device.CorruptArgs) {
	f.Device.Corrupt(a)
	f.after("Corrupt "+a.Kind.String(), a.To)
}

func (f *faulty) Embed(a device.EmbedArgs) {
	f.Device.Embed(a)
	f.after("Embed", a.Y)
}

func (f *faulty) EmbedBackward(a device.EmbedBackwardArgs) {
	f.Device.EmbedBackward(a)
	f.after("EmbedBackward", a.Grads)
}

func (f *faulty) Dense(a device.DenseArgs) {
	f.Device.Dense(a)
	f.after("Dense "+a.Act.String(), a.Y)
}

func (f *faulty) DenseBackward(a device.DenseBackwardArgs) {
	f.Device.DenseBackward(a)
	result := a.DX
	if result.IsZero() {
		result = a.DW
	}
	f.after("DenseBackward "+a.InAct.String(), result)
}

func (f *faulty) Activate(a device.ActivateArgs) {
	f.Device.Activate(a)
	f.after("Activate "+a.Act.String(), a.Y)
}

func (f *faulty) ActivateBackward(a device.ActivateBackwardArgs) {
	f.Device.ActivateBackward(a)
	f.after("ActivateBackward "+a.Act.String(), a.DX)
}

func (f *faulty) Normalize(a device.NormalizeArgs) {
	f.Device.Normalize(a)
	operation := "Inference "
	if a.Training {
		operation = "Normalize "
	}
	f.after(operation+a.Kind.String(), a.Y)
}

func (f *faulty) NormalizeBackward(a device.NormalizeBackwardArgs) {
	f.Device.NormalizeBackward(a)
	f.after("NormalizeBackward "+a.Kind.String(), a.DX)
}

func (f *faulty) Dropout(a device.DropoutArgs) {
	f.Device.Dropout(a)
	f.after("Dropout", a.Y)
}

func (f *faulty) Likelihood(a device.LikelihoodArgs) {
	f.Device.Likelihood(a)
	f.after("Likelihood "+a.Kind.String(), a.Losses)
}

func (f *faulty) Mean(a device.MeanArgs) {
	f.Device.Mean(a)
	f.after("Mean "+a.Kind.String(), a.Out)
}

func (f *faulty) Reduce(a device.ReduceArgs) {
	f.Device.Reduce(a)
	f.after("Reduce "+a.Kind.String(), a.Out)
}

func (f *faulty) Combine(a device.CombineArgs) {
	f.Device.Combine(a)
	f.after("Combine", a.Dst)
}

func (f *faulty) Update(a device.UpdateArgs) {
	f.Device.Update(a)
	f.after("Update "+a.Kind.String(), a.Params)
}

func (f *faulty) Tick(a device.TickArgs) {
	f.Device.Tick(a)
	f.after("Tick", a.Log)
}

func (f *faulty) Diffuse(a device.DiffuseArgs) {
	f.Device.Diffuse(a)
	f.after("Diffuse", a.To)
}

func (f *faulty) Condition(a device.ConditionArgs) {
	f.Device.Condition(a)
	f.after("Condition", a.Out)
}

func (f *faulty) Blend(a device.BlendArgs) {
	f.Device.Blend(a)
	f.after("Blend", a.Out)
}

func (f *faulty) ScoreMatch(a device.ScoreMatchArgs) {
	f.Device.ScoreMatch(a)
	f.after("ScoreMatch", a.Losses)
}

func (f *faulty) SampleCode(a device.SampleCodeArgs) {
	f.Device.SampleCode(a)
	f.after("SampleCode "+a.Kind.String(), a.Code)
}

func (f *faulty) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	f.Device.SampleCodeBackward(a)
	f.after("SampleCodeBackward "+a.Kind.String(), a.DParams)
}

func (f *faulty) Importance(a device.ImportanceArgs) {
	f.Device.Importance(a)
	f.after("Importance", a.Bounds)
}

func (f *faulty) ScaleRows(a device.ScaleRowsArgs) {
	f.Device.ScaleRows(a)
	f.after("ScaleRows", a.Y)
}

func (f *faulty) Draw(a device.DrawArgs) {
	f.Device.Draw(a)
	f.after("Draw "+a.Kind.String(), a.Out)
}
