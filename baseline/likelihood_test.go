package baseline

import (
	"math"
	"math/rand/v2"
	"testing"
)

// column makes rows of one feature.
func column(values ...float32) Rows { return Rows{Values: values, Features: 1} }

func (l Likelihood) mustNLL(t *testing.T, noise Noise, x, mean Rows) float64 {
	t.Helper()
	nll, err := l.NLL(t.Context(), noise, x, mean)
	if err != nil {
		t.Fatal(err)
	}
	return nll
}

func (l Likelihood) mustFit(t *testing.T, x, mean Rows) Noise {
	t.Helper()
	noise, err := l.Fit(t.Context(), x, mean)
	if err != nil {
		t.Fatal(err)
	}
	return noise
}

// True nats: exp(-NLL) is a density or a mass function, of total 1 and of the
// mean that was asked for.
func TestLikelihoodsAreNormalized(t *testing.T) {
	type grid struct{ from, step, weight float64 }
	for name, c := range map[string]struct {
		l     Likelihood
		noise Noise
		mean  float32
		grid  grid
		count int
	}{
		"bernoulli":        {Likelihood{Name: "bernoulli"}, Noise{Clip: 1e-3}, 0.3, grid{0, 1, 1}, 2},
		"poisson":          {Likelihood{Name: "poisson"}, Noise{Clip: 1e-3}, 2.5, grid{0, 1, 1}, 60},
		"gaussian":         {Likelihood{Name: "gaussian", Sigma: 0.5}, Noise{Variances: []float64{0.25}}, 0.75, grid{-5, 1. / 64, 1. / 64}, 640},
		"gaussian-learned": {Likelihood{Name: "gaussian-learned"}, Noise{Variances: []float64{0.01}}, 0.75, grid{-1, 1. / 256, 1. / 256}, 900},
	} {
		var mass, mean float64
		for i := range c.count {
			x := c.grid.from + float64(i)*c.grid.step
			p := math.Exp(-c.l.mustNLL(t, c.noise, column(float32(x)), column(c.mean))) * c.grid.weight
			mass += p
			mean += x * p
		}
		near(t, name+": total probability", mass, 1, 1e-9)
		near(t, name+": mean", mean, float64(c.mean), 1e-7)
	}
}

func TestCategoricalIsNormalizedByField(t *testing.T) {
	l := Likelihood{Name: "categorical", Fields: []int{2, 3}}
	noise := Noise{Clip: 0.05}
	mean := Rows{Values: []float32{0.5, 0.25, -0.2, 0.6, 0.55}, Features: 5} // neither summing to 1 nor positive
	var mass float64
	for a := range 2 {
		for b := range 3 {
			x := Rows{Values: make([]float32, 5), Features: 5}
			x.Values[a], x.Values[2+b] = 1, 1
			mass += math.Exp(-l.mustNLL(t, noise, x, mean))
		}
	}
	near(t, "total probability", mass, 1, 1e-9)
	x := Rows{Values: []float32{1, 0, 1, 0, 0}, Features: 5}
	near(t, "NLL", l.mustNLL(t, noise, x, mean), -math.Log(0.5/0.75)-math.Log(0.05/1.2), 1e-6)
	single := Likelihood{Name: "categorical"}
	near(t, "a single field", single.mustNLL(t, Noise{Clip: 0.1}, column(1), column(7)), 0, 1e-12)
}

func TestNLLIsAMeanOverExamplesAndASumOverFeatures(t *testing.T) {
	l := Likelihood{Name: "gaussian", Sigma: 2}
	x, mean := randomRows(1, block+3, 3, 0), randomRows(2, block+3, 3, 0)
	mse, err := MSE(t.Context(), x, mean)
	if err != nil {
		t.Fatal(err)
	}
	noise := l.mustFit(t, x, mean)
	near(t, "NLL", l.mustNLL(t, noise, x, mean), 3*(mse/8+0.5*math.Log(8*math.Pi)), 1e-9)
}

func TestBernoulliClips(t *testing.T) {
	l := Likelihood{Name: "bernoulli"}
	near(t, "sure and wrong", l.mustNLL(t, Noise{Clip: 0.01}, column(1), column(-3)), -math.Log(0.01), 1e-12)
	near(t, "sure and right", l.mustNLL(t, Noise{Clip: 0.01}, column(1), column(3)), -math.Log(0.99), 1e-12)
}

// The residuals of the columns are ±0.5, and none: the floor takes over.
func TestFitOfVariances(t *testing.T) {
	x := Rows{Values: []float32{1, 2, 0, 2}, Features: 2}
	mean := Rows{Values: []float32{0.5, 2, 0.5, 2}, Features: 2}
	nearVector(t, "variances", Likelihood{Name: "gaussian-learned"}.mustFit(t, x, mean).Variances, []float64{0.25, 1e-12}, 1e-15)
	nearVector(t, "variances with a floor", Likelihood{Name: "gaussian-learned", Sigma: 0.1}.mustFit(t, x, mean).Variances, []float64{0.25, 0.01}, 1e-15)
	nearVector(t, "fixed variances", Likelihood{Name: "gaussian", Sigma: 3}.mustFit(t, x, mean).Variances, []float64{9, 9}, 1e-15)
}

// A reconstruction that is a sure 0 or 1 and wrong at a rate of 2 % is best read
// as probabilities of 2 % and 98 %.
func TestFitOfClip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	x, mean := Rows{Features: 4}, Rows{Features: 4}
	for range 4 * 1000 {
		v := float32(random.IntN(2))
		x.Values = append(x.Values, v)
		if random.Float64() < 0.02 {
			v = 1 - v
		}
		mean.Values = append(mean.Values, v)
	}
	l := Likelihood{Name: "bernoulli"}
	near(t, "clip", l.mustFit(t, x, mean).Clip, 0.02, 1e-12)
	near(t, "clip without errors", l.mustFit(t, x, x).Clip, 1e-6, 1e-12)
	zeros := Rows{Values: make([]float32, len(x.Values)), Features: 4}
	near(t, "clip of a poisson rate", Likelihood{Name: "poisson"}.mustFit(t, x, zeros).Clip, 0.5*meanOf(x), 1e-9)
	if clip := (Likelihood{Name: "poisson"}).mustFit(t, zeros, zeros).Clip; !(clip > 0) {
		t.Errorf("clip %g of empty counts", clip)
	}
}

func meanOf(x Rows) float64 {
	var sum float64
	for _, v := range x.Values {
		sum += float64(v)
	}
	return sum / float64(len(x.Values))
}

func TestLikelihoodsThatCannotScoreAreErrors(t *testing.T) {
	x := randomRows(1, 3, 3, 0)
	for _, l := range []Likelihood{
		{Name: "laplace"},
		{Name: "gaussian"},
		{Name: "gaussian", Sigma: math.NaN()},
		{Name: "categorical", Fields: []int{2}},
	} {
		if _, err := l.Fit(t.Context(), x, x); err == nil {
			t.Errorf("fit of %+v", l)
		}
		if _, err := l.NLL(t.Context(), Noise{}, x, x); err == nil {
			t.Errorf("NLL of %+v", l)
		}
	}
	l := Likelihood{Name: "bernoulli"}
	if _, err := l.Fit(t.Context(), x, randomRows(1, 2, 3, 0)); err == nil {
		t.Error("fit of rows that are no pairs")
	}
	if _, err := l.NLL(t.Context(), Noise{}, x, Rows{}); err == nil {
		t.Error("NLL of rows that are no pairs")
	}
}
