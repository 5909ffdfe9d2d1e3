package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestAUROCCountsPairs compares ranks with the definition.
func TestAUROCCountsPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		n := 2 + random.IntN(30)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(random.IntN(8)), random.IntN(3) == 0
		}
		won, pairs := 0.0, 0.0
		for i := range n {
			for j := range n {
				if !positive[i] || positive[j] {
					continue
				}
				pairs++
				switch {
				case scores[i] > scores[j]:
					won++
				case scores[i] == scores[j]:
					won += 0.5
				}
			}
		}
		got := AUROC(scores, positive)
		if pairs == 0 {
			if !math.IsNaN(got) {
				t.Errorf("without pairs: %v", got)
			}
			continue
		}
		if math.Abs(got-won/pairs) > 1e-12 {
			t.Errorf("%v of %v: %v, want %v", scores, positive, got, won/pairs)
		}
	}
}

// TestOfClasses has values worked out by hand.
func TestOfClasses(t *testing.T) {
	m := OfClasses([]float64{0.5, 0.3, 0.2, 0.1, 0.1, 0.8, 0.4, 0.4, 0.2, 0.2, 0.3, 0.5}, 3, []int{0, 2, 1, 1})
	if m.Accuracy != 0.5 || m.Confusion[1][0] != 1 || m.Confusion[1][2] != 1 || m.Confusion[0][0] != 1 {
		t.Errorf("%+v", m)
	}
	if want := -(math.Log(0.5) + math.Log(0.8) + math.Log(0.4) + math.Log(0.3)) / 4; math.Abs(m.LogLoss-want) > 1e-12 {
		t.Errorf("log-loss %v, want %v", m.LogLoss, want)
	}
	// Class 0: 1 of 1 row above 3 others; class 1: {.4,.3} against {.3,.1}: 3.5 of 4; class 2: .8 above 3 others.
	if want := (1 + 3.5/4 + 1) / 3; math.Abs(m.AUROC-want) > 1e-12 {
		t.Errorf("AUROC %v, want %v", m.AUROC, want)
	}
	if m := OfClasses([]float64{1, 0}, 2, []int{1}); !math.IsNaN(m.AUROC) || math.Abs(m.LogLoss-52*math.Ln2) > 1e-12 {
		t.Errorf("one row that was thought impossible: %+v", m)
	}
}

// TestOfNumbers has values worked out by hand.
func TestOfNumbers(t *testing.T) {
	m := OfNumbers([]float64{1, 2, 4}, []float64{1, 3, 5})
	if math.Abs(m.R2-0.75) > 1e-12 || math.Abs(m.RMSE-math.Sqrt(2.0/3)) > 1e-12 || math.Abs(m.MAE-2.0/3) > 1e-12 {
		t.Errorf("%+v", m)
	}
	if m := OfNumbers([]float64{1}, []float64{1}); !math.IsNaN(m.R2) || m.RMSE != 0 {
		t.Errorf("of one row: %+v", m)
	}
}

// TestR2OfEquals: values that do not vary have no R², whatever their mean is rounded to.
func TestR2OfEquals(t *testing.T) {
	y, p := make([]float64, 10), make([]float64, 10)
	for i := range y {
		y[i], p[i] = 0.1, float64(i)
	}
	if m := OfNumbers(p, y); !math.IsNaN(m.R2) {
		t.Errorf("R² of ten times 0.1 is %v", m.R2)
	}
}
