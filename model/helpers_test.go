package model

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
)

// devices are those that a test runs on.
func devices(t *testing.T) map[string]device.Device {
	t.Helper()
	fast, err := cpu.New(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fast.Close() })
	return map[string]device.Device{"reference": reference.New(), "cpu": fast}
}

func mustNew(t testing.TB, c Config) *DAE {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	return d
}

// bound is a net for training with initial parameters.
func bound(t testing.TB, dev device.Device, c Config, examples int) *Net {
	t.Helper()
	d := mustNew(t, c)
	n, err := Bind(dev, d, Binding{Examples: examples, Training: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.SetParameters(d.InitialParameters(7), d.InitialBuffers()); err != nil {
		t.Fatal(err)
	}
	return n
}

// sourceOf makes values resident, with a clock at the given step.
func sourceOf(t testing.TB, dev device.Device, values []float32, columns int, clock device.Clock) Source {
	t.Helper()
	rows := len(values) / columns
	table := device.Table{Rows: rows, Columns: columns, Float32: values}
	data, err := dev.Load(context.Background(), table)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := dev.Alloc(device.Word, device.ClockWords)
	if err != nil {
		t.Fatal(err)
	}
	low, high := ColumnExtremes(table)
	extremes, err := NewRange(dev, low, high)
	if err != nil {
		t.Fatal(err)
	}
	src := Source{Data: data, Part: device.Rows{Hi: rows}, Seed: 11, Range: extremes, Clock: device.WordsOf(memory, 0, device.ClockWords)}
	setClock(t, dev, src, clock)
	return src
}

func setClock(t testing.TB, dev device.Device, src Source, clock device.Clock) {
	t.Helper()
	if err := dev.UploadWords(src.Clock, clock.Words()); err != nil {
		t.Fatal(err)
	}
}

// download reads a view.
func download(t testing.TB, dev device.Device, v device.View) []float32 {
	t.Helper()
	values := make([]float32, v.Len())
	if err := dev.Download(values, v); err != nil {
		t.Fatal(err)
	}
	return values
}

func uniform(seed uint64, n int) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	values := make([]float32, n)
	for i := range values {
		values[i] = random.Float32()
	}
	return values
}

// oneHot draws rows of one-hot fields.
func oneHot(seed uint64, rows int, fields []int) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	var values []float32
	for range rows {
		for _, width := range fields {
			field := make([]float32, width)
			field[random.IntN(width)] = 1
			values = append(values, field...)
		}
	}
	return values
}

// linearConfig is an auto-encoder with as many linear units as features.
func linearConfig(features int, corruption string) Config {
	return Config{Features: features, Hidden: []int{features}, Activation: "identity", Likelihood: "gaussian:1", Corruption: corruption}
}

func close32(a, b []float32, tolerance float64) bool {
	for i := range a {
		if !(math.Abs(float64(a[i])-float64(b[i])) <= tolerance) {
			return false
		}
	}
	return len(a) == len(b)
}

func equal32(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// countingDevice counts the elements that are allocated and fails at limit, if it is set.
type countingDevice struct {
	*reference.Device
	elements, limit uint64
}

func (d *countingDevice) Alloc(t device.Type, n int) (device.Memory, error) {
	d.elements += uint64(n)
	if d.limit > 0 && d.elements > d.limit {
		return nil, &device.OutOfMemoryError{Device: "counting", Wanted: 4 * d.elements, Free: 4 * d.limit}
	}
	return d.Device.Alloc(t, n)
}
