package model

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
)

func measure(t *testing.T, values []float32, columns int, config Config) CorruptionMeasure {
	t.Helper()
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	config.Features = columns
	d := mustNew(t, config)
	n, err := Bind(dev, d, Binding{Examples: 300})
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.MeasureCorruption(t.Context(), sourceOf(t, dev, values, columns, device.Clock{}), len(values)/columns)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRealisedCorruptionAgreesWithTheory compares, for every corruption, the
// realised rate, effective rate and root mean square with their expectations
// over data of two halves, x = 0 and x = 1, in each column. The bounds are
// five standard errors.
func TestRealisedCorruptionAgreesWithTheory(t *testing.T) {
	const rows, columns = 1000, 50
	const n = rows * columns
	binary := make([]float32, n)
	for i := range binary {
		binary[i] = float32(i / columns % 2)
	}
	swapAlters := 0.5 * rows / (rows - 1) // the donor is another row
	for _, c := range []struct {
		corruption         string
		destroyed, changed float64
		square             float64 // E (x̃ - x)²
		fourth             float64 // E (x̃ - x)⁴, for the standard error of the square
	}{
		{"none", 0, 0, 0, 0},
		{"masking:0.25", 0.25, 0.125, 0.125, 0.125},
		{"masking:1", 1, 0.5, 0.5, 0.5},
		{"salt-and-pepper:0.3", 0.3, 0.15, 0.15, 0.15},
		{"swap:0.4", 0.4, 0.4 * swapAlters, 0.4 * swapAlters, 0.4 * swapAlters},
		{"gaussian:0.5", 1, 1, 0.25, 3 * 0.0625},
		{"speckle:0.5", 1, 0.5, 0.125, 1.5 * 0.0625},
		{"uniform:0.6", 1, 1, 0.12, 0.6 * 0.6 * 0.6 * 0.6 / 5},
		// N ~ Poisson(4): P(N = 4) = 0.19537; central moments λ and 3λ² + λ, over the powers of 4.
		{"poisson:4", 1, 0.5 * (1 - 0.195367), 0.5 * 0.25, 0.5 * 52.0 / 256},
		{"masking:0.5+masking:0.5", 0.75, 0.375, 0.375, 0.375},
	} {
		t.Run(c.corruption, func(t *testing.T) {
			m := measure(t, binary, columns, Config{Hidden: []int{1}, Likelihood: "gaussian", Corruption: c.corruption})
			checkProportion(t, "destroyed", m.Destroyed, c.destroyed, n)
			checkProportion(t, "changed", m.Changed, c.changed, n)
			if bound := 5 * math.Sqrt((c.fourth-c.square*c.square)/n); math.Abs(m.RMS*m.RMS-c.square) > bound+1e-6 {
				t.Errorf("mean square change %v, want %v ± %v", m.RMS*m.RMS, c.square, bound)
			}
			if math.Abs(m.Nominal-c.destroyed) > 1e-12 || m.Rows != rows || len(m.Columns) != columns {
				t.Errorf("nominal rate %v of %d rows and %d columns", m.Nominal, m.Rows, len(m.Columns))
			}
			for j, column := range m.Columns {
				checkProportion(t, "destroyed", column.Destroyed, c.destroyed, rows)
				checkProportion(t, "changed", column.Changed, c.changed, rows)
				if t.Failed() {
					t.Fatalf("in column %d", j)
				}
			}
		})
	}
}

func checkProportion(t *testing.T, what string, got, want, n float64) {
	t.Helper()
	if bound := 5 * math.Sqrt(want*(1-want)/n); math.Abs(got-want) > bound+1e-12 {
		t.Errorf("%s: %v, want %v ± %v", what, got, want, bound)
	}
}

// TestSwapSaysThatItChangesLessThanItsRate: of a column with shares p the
// fraction rate·(1 - Σp²) changes, of a constant column nothing.
func TestSwapSaysThatItChangesLessThanItsRate(t *testing.T) {
	const rows, rate = 4000, 0.3
	random := rand.New(rand.NewPCG(1, 0))
	shares := []float64{1, 0.9, 0.5, 0.01}
	var values []float32
	for range rows {
		for _, p := range shares {
			v := float32(0)
			if random.Float64() < p {
				v = 1
			}
			values = append(values, v)
		}
	}
	m := measure(t, values, len(shares), Config{Hidden: []int{1}, Likelihood: "gaussian", Corruption: "swap:0.3"})
	for j, p := range shares {
		checkProportion(t, "destroyed", m.Columns[j].Destroyed, rate, rows)
		// The realised share differs from p by a standard error, hence the slack.
		checkProportion(t, "changed", m.Columns[j].Changed, rate*2*p*(1-p), rows/4)
	}
	if m.Columns[0].Changed != 0 {
		t.Error("a constant column changed")
	}
}

// TestRateIsTheFractionDestroyed, never the fraction kept, and survivors are
// not rescaled.
func TestRateIsTheFractionDestroyed(t *testing.T) {
	dev := devices(t)["reference"]
	const rows, features = 200, 50
	for _, corruption := range []string{"masking:0.1", "salt-and-pepper:0.1", "swap:0.1"} {
		n := bound(t, dev, linearConfig(features, corruption), rows)
		values := uniform(3, rows*features)
		corrupted, mask := corruptedAt(t, n, sourceOf(t, dev, values, features, device.Clock{}), rows, device.Clock{Step: 1})
		destroyed := 0.0
		for i, m := range mask {
			destroyed += float64(m)
			if m == 0 && corrupted[i] != values[i] {
				t.Fatalf("%s changed a survivor from %v to %v", corruption, values[i], corrupted[i])
			}
		}
		checkProportion(t, corruption, destroyed/(rows*features), 0.1, rows*features)
	}
}

func TestColumnExtremes(t *testing.T) {
	for name, c := range map[string]struct {
		table     device.Table
		low, high []float32
		span      [2]float64
	}{
		"floats":   {device.Table{Rows: 3, Columns: 3, Float32: []float32{-3, 5, 0, -1, 7, 0, -2, 6, 0}}, []float32{-3, 5, 0}, []float32{-1, 7, 0}, [2]float64{-3, 7}},
		"integers": {device.Table{Rows: 2, Columns: 2, Uint8: []uint8{255, 51, 102, 51}, Scale: 1.0 / 255}, []float32{0.4, 0.2}, []float32{1, 0.2}, [2]float64{float64(float32(0.2)), 1}},
	} {
		low, high := ColumnExtremes(c.table)
		if !close32(low, c.low, 1e-7) || !close32(high, c.high, 1e-7) {
			t.Errorf("%s: %v to %v, want %v to %v", name, low, high, c.low, c.high)
		}
		r, err := NewRange(devices(t)["cpu"], low, high)
		if err != nil || math.Abs(r.Min-c.span[0]) > 1e-7 || math.Abs(r.Max-c.span[1]) > 1e-7 || math.Abs(r.Peak()-(c.span[1]-c.span[0])) > 1e-7 {
			t.Errorf("%s: range %v to %v, %v", name, r.Min, r.Max, err)
		}
	}
}

// TestExtremesAreTheSaltAndThePepper: what is destroyed takes the column's
// least or greatest value, either as often.
func TestExtremesAreTheSaltAndThePepper(t *testing.T) {
	dev := devices(t)["cpu"]
	const rows, features = 100, 20
	values := uniform(4, rows*features)
	src := sourceOf(t, dev, values, features, device.Clock{})
	low, high := download(t, dev, src.Range.Low), download(t, dev, src.Range.High)
	corrupted, mask := corruptedAt(t, bound(t, dev, linearConfig(features, "salt-and-pepper:0.5"), rows), src, rows, device.Clock{})
	lows, destroyed := 0.0, 0.0
	for i, m := range mask {
		column := i % features
		if m == 0 {
			continue
		}
		destroyed++
		switch corrupted[i] {
		case low[column]:
			lows++
		case high[column]:
		default:
			t.Fatalf("a destroyed feature is %v, neither %v nor %v", corrupted[i], low[column], high[column])
		}
	}
	checkProportion(t, "pepper", lows/destroyed, 0.5, destroyed)
}

func TestPoissonNoiseNeedsDataFromZeroOn(t *testing.T) {
	for _, c := range []struct {
		corruption string
		low        float64
		ok         bool
	}{{"poisson:10", 0, true}, {"poisson:10", -0.1, false}, {"masking:0.1+poisson:10", -2, false}, {"gaussian:1", -2, true}} {
		corruption, err := ParseCorruption(c.corruption)
		if err != nil {
			t.Fatal(err)
		}
		var config *ConfigError
		if err := corruption.CheckSupport(c.low); (err == nil) != c.ok || err != nil && (!errors.As(err, &config) || config.Key != "corruption") {
			t.Errorf("%s of data from %v on: %v", c.corruption, c.low, err)
		}
	}
}
