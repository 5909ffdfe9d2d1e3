package sample

import (
	"math"
	"slices"
	"testing"

	"gpudae/device/reference"
	"gpudae/model"
)

// TestPriorOfALinearModel: with h ~ N(0, I) and x ~ N(Wh + b, σ²I) the samples
// have the mean b and the covariance WWᵀ + σ²I, and their means E[x|h] WWᵀ.
func TestPriorOfALinearModel(t *testing.T) {
	const number, sigma = 40000, 0.5
	w, b := []float32{1, 0.5, -0.8, 0.3, 0, 1.2}, []float32{1, -2, 0.5} // [3, 2]
	d := newDAE(t, model.Config{Features: 3, Code: 2, Likelihood: "gaussian:0.5", CodeDistribution: "gaussian"})
	net := handMade(t, newCPU(t, 2), d, layers{make([]float32, 12), make([]float32, 4), w, b}, 300)
	for _, mean := range []bool{false, true} {
		x, err := Prior(t.Context(), PriorDraws{Net: net, Number: number, Seed: 3, Mean: mean})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			for j := range i + 1 {
				var first, second, product float64
				for row := range slices.Chunk(x, 3) {
					first, second = first+float64(row[i])/number, second+float64(row[j])/number
					product += float64(row[i]) * float64(row[j]) / number
				}
				want := float64(w[2*i]*w[2*j] + w[2*i+1]*w[2*j+1])
				if i == j && !mean {
					want += sigma * sigma
				}
				if math.Abs(first-float64(b[i])) > 0.03 || math.Abs(product-first*second-want) > 0.05 {
					t.Errorf("mean %t: features %d and %d have mean %.3f and covariance %.3f, want %.3f and %.3f", mean, i, j, first, product-first*second, b[i], want)
				}
			}
		}
	}
}

// TestPriorOfBits: with h a fair bit, p(x = 1) is the mean of its two odds.
func TestPriorOfBits(t *testing.T) {
	const number = 20000
	for _, distribution := range []string{"bernoulli", "concrete"} {
		d := newDAE(t, model.Config{Features: 1, Code: 1, Likelihood: "bernoulli", CodeDistribution: distribution})
		net := handMade(t, newCPU(t, 1), d, layers{[]float32{0}, []float32{0}, []float32{3}, []float32{-1}}, 64)
		x, err := Prior(t.Context(), PriorDraws{Net: net, Number: number, Seed: 4})
		if err != nil {
			t.Fatal(err)
		}
		ones := 0
		for _, v := range x {
			ones += int(v)
		}
		p := (1/(1+math.Exp(1)) + 1/(1+math.Exp(-2))) / 2
		checkOdds(t, []int{number - ones, ones}, []float64{1 - p, p})
	}
}

// TestPriorRepeats on any number of threads and at any size of minibatches, with
// every likelihood.
func TestPriorRepeats(t *testing.T) {
	for _, c := range noisyModels() {
		c.CodeDistribution = "gaussian"
		var want []float32
		for _, at := range [][2]int{{1, 7}, {2, 3}, {2, 100}} {
			x, err := Prior(t.Context(), PriorDraws{Net: netOf(t, newCPU(t, at[0]), c, at[1]), Number: 11, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = x
			}
			if !slices.Equal(x, want) {
				t.Errorf("%s, %d threads, minibatches of %d: another sample", c.Likelihood, at[0], at[1])
			}
		}
	}
	if _, err := Prior(t.Context(), PriorDraws{Net: netOf(t, reference.New(), noisyModels()[0], 3), Number: 2}); err == nil {
		t.Error("a deterministic code has a prior")
	}
}

// TestPriorInBlocks: samples from a later one on are those of a draw of all.
func TestPriorInBlocks(t *testing.T) {
	d := newDAE(t, model.Config{Features: 1, Code: 1, Likelihood: "bernoulli", CodeDistribution: "gaussian"})
	net := handMade(t, newCPU(t, 1), d, layers{[]float32{0, 0}, []float32{0, 0}, []float32{3}, []float32{-1}}, 4)
	draws := PriorDraws{Net: net, Number: 50, Seed: 4}
	all, err := Prior(t.Context(), draws)
	if err != nil {
		t.Fatal(err)
	}
	draws.First, draws.Number = 13, 37
	part, err := Prior(t.Context(), draws)
	if err != nil || !slices.Equal(part, all[13:]) {
		t.Errorf("samples from the 13th on are not those of all 50: %v", err)
	}
}
