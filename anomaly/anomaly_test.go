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
