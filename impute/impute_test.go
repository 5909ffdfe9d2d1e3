package impute

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestPoolAgreesWithRubinsRules works an example by hand: m = 3 estimates 1, 2
// and 3 with variance 0.5 each.
func TestPoolAgreesWithRubinsRules(t *testing.T) {
	p := Pool([]Estimate{{1, 0.5}, {2, 0.5}, {3, 0.5}}, math.Inf(1), 0.95)
	near(t, "value", p.Value, 2, 0)
	near(t, "within", p.Within, 0.5, 1e-15)
	near(t, "between", p.Between, 1, 1e-15)
	near(t, "variance", p.Variance, 0.5+4./3, 1e-15)
	// ν = (m-1)(1 + W/((1+1/m)B))² = 2·(1 + 0.5·¾)² = 3.78125
	near(t, "degrees of freedom", p.DF, 3.78125, 1e-12)
	// r = (4/3)/0.5 = 8/3; lost = (r + 2/(ν+3))/(r+1)
	near(t, "missing information", p.Missing, (8./3+2/(3.78125+3))/(8./3+1), 1e-12)
	// Student's 97.5 % quantile at 3.78125 degrees of freedom, between that at 3
	// (3.1824) and at 4 (2.7764).
	q := (p.High - p.Value) / math.Sqrt(p.Variance)
	if q < 2.7764 || q > 3.1824 {
		t.Errorf("quantile %v", q)
	}
}

// TestPoolOfSmallSamples: Barnard and Rubin's degrees of freedom never exceed
// those of the complete data, and are theirs where nothing is missing.
func TestPoolOfSmallSamples(t *testing.T) {
	same := []Estimate{{2, 0.1}, {2, 0.1}, {2, 0.1}}
	p := Pool(same, 9, 0.95)
	near(t, "degrees of freedom without missing values", p.DF, 9, 0)
	near(t, "missing information", p.Missing, 0, 0)
	near(t, "half width", (p.High-p.Low)/2, math.Sqrt(0.1)*2.2621571628, 1e-8)
	varied := Pool([]Estimate{{1.9, 0.1}, {2, 0.1}, {2.1, 0.1}}, 9, 0.95)
	if varied.DF >= 9 || varied.DF <= 0 {
		t.Errorf("%v degrees of freedom", varied.DF)
	}
	large := Pool([]Estimate{{1.9, 0.1}, {2, 0.1}, {2.1, 0.1}}, 1e12, 0.95)
	endless := Pool([]Estimate{{1.9, 0.1}, {2, 0.1}, {2.1, 0.1}}, math.Inf(1), 0.95)
	near(t, "degrees of freedom of a large sample", large.DF, endless.DF, 1e-3)
}

// TestPooledIntervalsHoldTheMean imputes, properly, half of small normal
// samples: the 90 % intervals hold the true mean nine times in ten.
func TestPooledIntervalsHoldTheMean(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const runs, n, observed, m = 4000, 40, 20, 10
	held := 0
	for range runs {
		x := make([]float64, n)
		var mean, square float64
		for i := range observed {
			x[i] = random.NormFloat64()
			mean += x[i] / observed
		}
		for i := range observed {
			square += (x[i] - mean) * (x[i] - mean)
		}
		estimates := make([]Estimate, m)
		for k := range estimates {
			// A draw from the posterior of mean and variance under the usual
			// uninformative prior (Rubin 1987, example 5.1).
			var chi float64
			for range observed - 1 {
				z := random.NormFloat64()
				chi += z * z
			}
			sigma := math.Sqrt(square / chi)
			mu := mean + sigma/math.Sqrt(observed)*random.NormFloat64()
			for i := observed; i < n; i++ {
				x[i] = mu + sigma*random.NormFloat64()
			}
			estimates[k] = ofMean(x)
		}
		if p := Pool(estimates, n-1, 0.9); p.Low <= 0 && 0 <= p.High {
			held++
		}
	}
	// Four standard errors of a fraction of 0.9 over the runs.
	near(t, "coverage", float64(held)/runs, 0.9, 4*math.Sqrt(0.9*0.1/runs))
}

// ofMean is the mean with the square of its standard error.
func ofMean(x []float64) Estimate {
	var mean, square float64
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return Estimate{mean, square / (n - 1) / n}
}

func TestJudgeNumbers(t *testing.T) {
	truth := []float64{1, 2, 3, 6}
	j := JudgeNumbers(truth, []float64{1, 3, 3, 4}, nil, 2, 0.9)
	near(t, "RMSE", j.RMSE, math.Sqrt(5./4), 1e-15)
	near(t, "MAE", j.MAE, 0.75, 1e-15)
	near(t, "of the mean", j.Mean, math.Sqrt((1+0+1+16)/4.), 1e-15)
	near(t, "NRMSE", j.NRMSE, math.Sqrt(5./4)/math.Sqrt(3.5), 1e-15)
	if !math.IsNaN(j.Coverage) {
		t.Errorf("a coverage of %v without draws", j.Coverage)
	}
	if same := JudgeNumbers([]float64{2, 2}, []float64{2, 3}, nil, 2, 0.9); !math.IsNaN(same.NRMSE) {
		t.Errorf("values that are all the same have an NRMSE of %v", same.NRMSE)
	}
}

// TestIntervalsHoldAFurtherDraw: the interval of m draws holds one more of the
// same distribution with probability level, whatever the distribution.
func TestIntervalsHoldAFurtherDraw(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const runs, m, level = 20_000, 19, 0.8
	truth, draws := make([]float64, runs), make([][]float64, runs)
	for i := range truth {
		truth[i] = random.ExpFloat64()
		draws[i] = make([]float64, m)
		for k := range draws[i] {
			draws[i][k] = random.ExpFloat64()
		}
	}
	j := JudgeNumbers(truth, truth, draws, 1, level)
	near(t, "coverage", j.Coverage, level, 4*math.Sqrt(level*(1-level)/runs))
}

func TestJudgeClasses(t *testing.T) {
	j := JudgeClasses([]int{0, 1, 2, 0}, []int{0, 1, 1, 0}, [][]int{{0, 0}, {1, 0}, {1, 1}, {2, 0}}, 0)
	near(t, "accuracy", j.Accuracy, 0.75, 0)
	near(t, "accuracy of the mode", j.Mode, 0.5, 0)
	near(t, "probability of a right draw", j.Held, (1+0.5+0+0.5)/4, 1e-15)
}
