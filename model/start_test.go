package model

import (
	"context"
	"errors"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// countsTable holds small counts whose columns have different means, the last
// of them always 0.
func countsTable() device.Table {
	return device.Table{Rows: 4, Columns: 3, Float32: []float32{
		1, 0, 0,
		3, 1, 0,
		2, 0, 0,
		6, 1, 0,
	}}
}

func TestMomentsAreThoseOfThePart(t *testing.T) {
	table := countsTable()
	m, err := ColumnMoments(context.Background(), table, device.Rows{Lo: 1, Hi: 4})
	if err != nil {
		t.Fatal(err)
	}
	for j, want := range [][2]float64{{11.0 / 3, 26.0 / 9}, {2.0 / 3, 2.0 / 9}, {0, 0}} {
		if math.Abs(m.Mean[j]-want[0]) > 1e-12 || math.Abs(m.Variance[j]-want[1]) > 1e-12 {
			t.Errorf("column %d: mean %v and variance %v, want %v", j, m.Mean[j], m.Variance[j], want)
		}
	}
	part := device.Rows{Lo: 1, Hi: 4, Split: true, Seed: 5}
	split, err := ColumnMoments(context.Background(), table, part)
	if err != nil {
		t.Fatal(err)
	}
	permutation, sum := part.Permutation(table.Rows), 0.0
	for i := 1; i < 4; i++ {
		sum += float64(table.Float32[int(permutation.At(uint32(i)))*3])
	}
	if math.Abs(split.Mean[0]-sum/3) > 1e-12 {
		t.Errorf("the mean of the split's part is %v, want %v", split.Mean[0], sum/3)
	}
}

func TestMomentsOfAColumnFarFromZero(t *testing.T) {
	table := device.Table{Rows: 1000, Columns: 1}
	for i := range table.Rows {
		table.Float32 = append(table.Float32, 1e6+float32(i%2))
	}
	m, err := ColumnMoments(context.Background(), table, device.Rows{Hi: table.Rows})
	if err != nil || m.Mean[0] != 1e6+0.5 || m.Variance[0] != 0.25 {
		t.Errorf("mean %v, variance %v, error %v; want 1000000.5 and 0.25", m.Mean, m.Variance, err)
	}
}

func TestMomentsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ColumnMoments(ctx, countsTable(), device.Rows{Hi: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// TestARunStartsAtTheLossOfTheMean evaluates the start on the rows that it was
// taken from; the entropies are those of the columns' best constants.
func TestARunStartsAtTheLossOfTheMean(t *testing.T) {
	entropy := func(p ...float64) (h float64) {
		for _, q := range p {
			h -= q * math.Log(q)
		}
		return h
	}
	gaussian := func(variance float64) float64 { return (math.Log(2*math.Pi*variance) + 1) / 2 }
	var binary, hot, numbers, counts []float32
	const rows = 4000 // so many that half a pseudo-count does not show
	poisson := 0.0
	for i := range rows {
		bit := float32(i % 4 / 3) // one in four
		binary = append(binary, bit, 1-bit)
		hot = append(hot, bit, 1-bit, 0)
		x := float32(i%2)*4 - 1 // -1 and 3: mean 1, variance 4
		numbers = append(numbers, x, 1000+x)
		n := float64(200 * (1 + i%2))
		log, _ := math.Lgamma(n + 1)
		poisson += (300 - n*math.Log(300) + log) / rows
		counts = append(counts, float32(n), 0)
	}
	for _, c := range []struct {
		config Config
		values []float32
		want   float64
	}{
		{Config{Features: 2, Likelihood: "bernoulli"}, binary, 2 * entropy(0.25, 0.75)},
		{Config{Features: 3, Likelihood: "categorical", Fields: []int{3}}, hot, entropy(0.25, 0.75)},
		{Config{Features: 2, Likelihood: "gaussian:2"}, numbers, 2 * gaussian(4)},
		{Config{Features: 2, Likelihood: "gaussian-learned:0.01"}, numbers, 2 * gaussian(4)},
		{Config{Features: 2, Likelihood: "poisson"}, counts, poisson},
	} {
		c.config.Hidden, c.config.Corruption = []int{5}, "none"
		t.Run(c.config.Likelihood, func(t *testing.T) {
			table := device.Table{Rows: rows, Columns: c.config.Features, Float32: c.values}
			part := device.Rows{Hi: rows}
			m, err := ColumnMoments(context.Background(), table, part)
			if err != nil {
				t.Fatal(err)
			}
			dev := reference.New()
			n, err := Bind(dev, mustNew(t, c.config), Binding{Examples: rows})
			if err != nil {
				t.Fatal(err)
			}
			params := n.dae.InitialParameters(1)
			n.dae.StartAtMeans(params, m)
			if err := n.SetParameters(params, n.dae.InitialBuffers()); err != nil {
				t.Fatal(err)
			}
			data, err := dev.Load(context.Background(), table)
			if err != nil {
				t.Fatal(err)
			}
			e, err := n.Evaluate(context.Background(), Source{Data: data, Part: part})
			if err != nil || math.Abs(e.NLL-c.want) > 1e-3 {
				t.Errorf("the run starts at %v nats an example (error %v), the best constants have %v", e.NLL, err, c.want)
			}
		})
	}
}

func TestTheStartOfAConstantColumnIsFinite(t *testing.T) {
	m := Moments{Rows: 10, Mean: []float64{0, 1}, Variance: []float64{0, 0}}
	for _, likelihood := range []string{"bernoulli", "gaussian", "gaussian-learned", "poisson"} {
		d := mustNew(t, Config{Features: 2, Hidden: []int{3}, Likelihood: likelihood})
		params := d.InitialParameters(1)
		d.StartAtMeans(params, m)
		for i, v := range params {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Errorf("%s: parameter %d is %v", likelihood, i, v)
			}
		}
	}
}

func TestTheStartLeavesWeightsThatASettingDecides(t *testing.T) {
	m := Moments{Rows: 10, Mean: []float64{0.2, 0.7}, Variance: []float64{1, 1}}
	for _, c := range []Config{
		{Features: 2, Hidden: []int{3}, Likelihood: "gaussian", Init: "he-normal"},
		{Features: 2, Hidden: []int{3}, Likelihood: "gaussian", Tied: true},
	} {
		d := mustNew(t, c)
		before, after := d.InitialParameters(1), d.InitialParameters(1)
		d.StartAtMeans(after, m)
		if !equal32(before[:d.DecayedCount()], after[:d.DecayedCount()]) {
			t.Errorf("%+v: the weights change", c)
		}
		if bias := after[len(after)-2:]; bias[0] != 0.2 || bias[1] != 0.7 {
			t.Errorf("%+v: the output bias is %v", c, bias)
		}
	}
}
