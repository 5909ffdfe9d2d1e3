package anomaly

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

var nan = float32(math.NaN())

func TestFitByHand(t *testing.T) {
	c, err := Fit([]string{"a", "b", "c"}, []float32{
		1, 5, nan,
		2, nan, nan,
		3, 5, nan,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Column{{"a", 2, 1, 3}, {"b", 5, leastDeviation, 2}, {"c", 0, leastDeviation, 0}}
	if !reflect.DeepEqual(c.Columns, want) {
		t.Errorf("columns %+v, want %+v", c.Columns, want)
	}
	z := make([]float64, 3)
	c.Z(z, []float32{4, 5, 100})
	if z[0] != 2 || z[1] != 0 || !math.IsNaN(z[2]) {
		t.Errorf("z-scores %v", z)
	}
	if s := Score(MaxAbsZ, z); s != 2 {
		t.Errorf("greatest %v", s)
	}
	if s := Score(MeanAbsZ, z); s != 1 {
		t.Errorf("mean %v", s)
	}
	if s := Score(MeanAbsZ, []float64{math.NaN()}); s != 0 {
		t.Errorf("the score of a row without values is %v", s)
	}
}

func TestFitNeedsRows(t *testing.T) {
	if _, err := Fit([]string{"a"}, nil); err == nil {
		t.Error("calibrated on nothing")
	}
}

// TestFalsePositives draws calibrations and fresh rows of the same distribution:
// the share of fresh rows above the threshold is at most the rate, and close to
// it, on average over calibrations.
func TestFalsePositives(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	draw := func(rows int) []float32 {
		losses := make([]float32, 2*rows)
		for i := range losses {
			losses[i] = float32(random.ExpFloat64())
		}
		return losses
	}
	const calibrations, rows, fresh = 300, 199, 200
	for _, rate := range []float64{0.005, 0.05, 0.3} {
		flagged, few := 0, 0
		for range calibrations {
			c, err := Fit([]string{"a", "b"}, draw(rows))
			if err != nil {
				t.Fatal(err)
			}
			threshold := c.Threshold(MeanAbsZ, rate)
			z := make([]float64, 2)
			for x := range slices.Chunk(draw(fresh), 2) {
				c.Z(z, x)
				score := Score(MeanAbsZ, z)
				if score > threshold {
					flagged++
				}
				if c.P(MeanAbsZ, score) <= rate+1e-12 {
					few++
				}
			}
		}
		const n = calibrations * fresh
		// The calibrations differ more than the rows: a beta distribution of rows·rate.
		tolerance := 5 * math.Sqrt(rate*(1-rate)*(1./n+1./(calibrations*rows)))
		if got := float64(flagged) / n; math.Abs(got-rate) > tolerance {
			t.Errorf("rate %v: %v of ordinary rows are flagged", rate, got)
		}
		if flagged != few {
			t.Errorf("rate %v: %d rows above the threshold, but %d with so small a P", rate, flagged, few)
		}
	}
}

// TestFalsePositivesOfFewRows: a row that helped to make the means and deviations is no
// measure of one that did not. There are many columns and few rows, and the loss of a
// cell may be a hundred deviations from the mean, or most cells have none.
func TestFalsePositivesOfFewRows(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for name, loss := range map[string]func() float64{
		"heavy tails": func() float64 { return math.Exp(2 * random.NormFloat64()) },
		"few cells": func() float64 {
			if random.Float64() > 0.02 {
				return math.NaN()
			}
			return random.NormFloat64()
		},
	} {
		for kind, got := range flaggedOfFewRows(t, loss) {
			if got > 1.3*fewRowsRate || got < 0.5*fewRowsRate {
				t.Errorf("%s: %s: %v of ordinary rows have a P of at most %v", name, kind, got, fewRowsRate)
			}
		}
	}
}

const fewRowsRate = 0.05

// flaggedOfFewRows is the share of ordinary rows that have a P of at most fewRowsRate.
func flaggedOfFewRows(t *testing.T, loss func() float64) map[Kind]float64 {
	const calibrations, rows, fresh, width = 200, 99, 100, 30
	draw := func(rows int) []float32 {
		losses := make([]float32, width*rows)
		for i := range losses {
			losses[i] = float32(loss())
		}
		return losses
	}
	flagged, z := map[Kind]float64{}, make([]float64, width)
	for range calibrations {
		c, err := Fit(make([]string, width), draw(rows))
		if err != nil {
			t.Fatal(err)
		}
		for x := range slices.Chunk(draw(fresh), width) {
			c.Z(z, x)
			for _, kind := range Kinds() {
				if c.P(kind, Score(kind, z)) <= fewRowsRate+1e-12 {
					flagged[kind] += 1. / (calibrations * fresh)
				}
			}
		}
	}
	return flagged
}

// TestLossesWithoutTheOthers: the z-scores of a calibration's own rows are those by the
// mean and the deviation of its other rows.
func TestLossesWithoutTheOthers(t *testing.T) {
	for _, losses := range [][]float32{{1, 4, nan, 2, 9, 3}, {1, 4, nan, 2}, {1, nan, 4}, {1, nan, nan}, {float32(math.Inf(1)), 2, 1}} {
		c, err := Fit([]string{"a"}, losses)
		if err != nil {
			t.Fatal(err)
		}
		for i, loss := range losses {
			rest, err := Fit([]string{"a"}, slices.Delete(slices.Clone(losses), i, i+1))
			if err != nil {
				t.Fatal(err)
			}
			z := make([]float64, 1)
			rest.Z(z, []float32{loss})
			if got := c.Columns[0].without(float64(loss)); got != z[0] && !(math.Abs(got-z[0]) < 1e-9) && !(math.IsNaN(got) && math.IsNaN(z[0])) {
				t.Errorf("%v of %v: %v, want %v", loss, losses, got, z[0])
			}
		}
	}
}

// TestInfiniteLosses of a calibration say nothing of its other rows.
func TestInfiniteLosses(t *testing.T) {
	c, err := Fit([]string{"a"}, []float32{1, 2, 3, float32(math.Inf(1))})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Columns[0]; got.Mean != 2 || got.Deviation != 1 || got.N != 3 {
		t.Errorf("%+v", got)
	}
	if last := c.Scores[MaxAbsZ][3]; !math.IsInf(last, 1) {
		t.Errorf("the infinite loss scores %v", last)
	}
}

func TestThresholdOfARateTooSmall(t *testing.T) {
	c, err := Fit([]string{"a"}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Threshold(MaxAbsZ, 0.09); !math.IsInf(got, 1) {
		t.Errorf("nine rows tell a rate of 0.09: %v", got)
	}
	if got, greatest := c.Threshold(MaxAbsZ, c.LeastRate()), c.Scores[MaxAbsZ][8]; got != greatest {
		t.Errorf("threshold %v, want the greatest score %v", got, greatest)
	}
	if got := c.Threshold(MaxAbsZ, 1); got != c.Scores[MaxAbsZ][0] {
		t.Errorf("threshold %v at a rate of 1", got)
	}
}

func TestTop(t *testing.T) {
	if got := Top([]float64{1, math.NaN(), -3, 3, 0}, 3); !slices.Equal(got, []int{2, 3, 0}) {
		t.Errorf("top %v", got)
	}
}

func TestJSON(t *testing.T) {
	c, err := Fit([]string{"a", "b"}, []float32{1, 2, 3, nan, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Calibration
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, c) {
		t.Errorf("%+v, want %+v", back, c)
	}
	for _, bad := range []string{`{}`, `{"columns":[{"name":"a","deviation":0,"n":1}],"scores":{}}`,
		`{"columns":[{"name":"a","deviation":1,"n":1}],"scores":{"max_abs_z":[2,1],"mean_abs_z":[1,2]}}`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s is taken for a calibration", bad)
		}
	}
}
