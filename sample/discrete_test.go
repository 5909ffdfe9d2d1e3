package sample

import (
	"context"
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/model"
)

// transition is the matrix P[i][j] of a chain's odds to go from state i to j.
type transition [][]float64

// limit is the stationary distribution, by repetition.
func (p transition) limit() []float64 {
	at := make([]float64, len(p))
	at[0] = 1
	for range 500 {
		next := make([]float64, len(p))
		for i, row := range p {
			for j, odds := range row {
				next[j] += at[i] * odds
			}
		}
		at = next
	}
	return at
}

// checkOdds requires the counts of independent draws to follow the odds: each
// within 4.5 standard errors.
func checkOdds(t *testing.T, counts []int, odds []float64) {
	t.Helper()
	n := 0
	for _, c := range counts {
		n += c
	}
	for i, p := range odds {
		got, within := float64(counts[i])/float64(n), 4.5*math.Sqrt(p*(1-p)/float64(n))
		if math.Abs(got-p) > within {
			t.Errorf("state %d in %.4f of %d chains, want %.4f ± %.4f", i, got, n, p, within)
		}
	}
}

func softmax(a []float64) []float64 {
	total := 0.0
	for _, v := range a {
		total += math.Exp(v)
	}
	p := make([]float64, len(a))
	for i, v := range a {
		p[i] = math.Exp(v) / total
	}
	return p
}

// A decoder of three categories, logits Wx̃ + b. From state i the logits are
// W's column i and b.
var (
	categoryWeights = []float64{2, -1, 0.5, 0, 1.5, -0.5, -1, 0.3, 1}
	categoryBias    = []float64{0.2, -0.4, 0.7}
)

func categoryLogits(state int) []float64 {
	logits := make([]float64, 3)
	for j := range logits {
		logits[j] = categoryBias[j]
		if state >= 0 {
			logits[j] += categoryWeights[3*j+state]
		}
	}
	return logits
}

func categoricalNet(t *testing.T, dev device.Device, corruption string) *model.Net {
	d := newDAE(t, model.Config{Features: 3, Fields: []int{3}, Hidden: []int{3}, Activation: "identity", Corruption: corruption, Likelihood: "categorical"})
	return handMade(t, dev, d, layers{[]float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, make([]float32, 3), narrow(categoryWeights), narrow(categoryBias)}, 5000)
}

func countCategories(states []float32) []int {
	counts := make([]int, 3)
	for i, v := range states {
		if v == 1 {
			counts[i%3]++
		}
	}
	return counts
}

// categoryStart puts chains in category 0.
func categoryStart(chains int) []float32 {
	start := make([]float32, 3*chains)
	for i := range chains {
		start[3*i] = 1
	}
	return start
}

// TestWalkbackOfACategory under masking: x̃ is x or nothing, so
// P = (1-p)·softmax(We_i + b) + p·softmax(b).
func TestWalkbackOfACategory(t *testing.T) {
	const rate, chains = 0.3, 8000
	p := make(transition, 3)
	erased := softmax(categoryLogits(-1))
	for i := range p {
		for j, odds := range softmax(categoryLogits(i)) {
			p[i] = append(p[i], (1-rate)*odds+rate*erased[j])
		}
	}
	net := categoricalNet(t, newCPU(t, 2), "masking:0.3")
	states := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 4}, Start: categoryStart(chains), Steps: 25})
	checkOdds(t, countCategories(states), p.limit())
	// one step from a known state
	states = mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 5}, Start: categoryStart(chains), Steps: 1})
	checkOdds(t, countCategories(states), p[0])
}

// TestWalkbackOfASwappedCategory: a field is swapped for that of a row of the
// data, so P = (1-p)·softmax(We_i + b) + p·Σ_k q_k·softmax(We_k + b), q being the
// data's shares.
func TestWalkbackOfASwappedCategory(t *testing.T) {
	const rate, chains = 0.5, 8000
	shares := []float64{0.1, 0.2, 0.7}
	table := device.Table{Rows: 5000, Columns: 3, Float32: make([]float32, 15000)}
	for i := range table.Rows {
		category := 2
		if i < 500 {
			category = 0
		} else if i < 1500 {
			category = 1
		}
		table.Float32[3*i+category] = 1
	}
	dev := newCPU(t, 2)
	loaded, err := dev.Load(context.Background(), table)
	if err != nil {
		t.Fatal(err)
	}
	swapped := make([]float64, 3)
	for k, q := range shares {
		for j, odds := range softmax(categoryLogits(k)) {
			swapped[j] += q * odds
		}
	}
	p := make(transition, 3)
	for i := range p {
		for j, odds := range softmax(categoryLogits(i)) {
			p[i] = append(p[i], (1-rate)*odds+rate*swapped[j])
		}
	}
	net := categoricalNet(t, dev, "swap:0.5")
	src := model.Source{Seed: 6, Data: loaded, Part: device.Rows{Hi: table.Rows}}
	states := mustRun(t, Walkback, Chains{Net: net, Source: src, Start: categoryStart(chains), Steps: 25})
	checkOdds(t, countCategories(states), p.limit())
	if _, err := Walkback(context.Background(), Chains{Net: net, Start: categoryStart(1), Steps: 1}); err == nil {
		t.Error("a swap without data")
	}
}

// TestWalkbackOfBits: two features under salt-and-pepper noise, which flips
// each with odds rate/2, and a Bernoulli decoder of logits Wx̃ + b.
func TestWalkbackOfBits(t *testing.T) {
	const rate, chains = 0.4, 8000
	w, b := []float64{2, -1.5, 1, 1.5}, []float64{-0.5, -1}
	p := make(transition, 4)
	for i := range p {
		p[i] = make([]float64, 4)
		for corrupted := range 4 {
			odds, x := 1.0, [2]float64{}
			for f := range 2 {
				x[f] = float64(corrupted >> f & 1)
				if (i^corrupted)>>f&1 == 1 {
					odds *= rate / 2
				} else {
					odds *= 1 - rate/2
				}
			}
			for j := range 4 {
				to := odds
				for f := range 2 {
					on := 1 / (1 + math.Exp(-(w[2*f]*x[0] + w[2*f+1]*x[1] + b[f])))
					if j>>f&1 == 0 {
						on = 1 - on
					}
					to *= on
				}
				p[i][j] += to
			}
		}
	}
	dev := newCPU(t, 2)
	span, err := model.NewRange(dev, []float32{0, 0}, []float32{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	net := affine(t, dev, "salt-and-pepper:0.4", "bernoulli", w, b, 5000)
	states := mustRun(t, Walkback, Chains{Net: net, Source: model.Source{Seed: 7, Range: span}, Start: make([]float32, 2*chains), Steps: 25})
	counts := make([]int, 4)
	for i := 0; i < len(states); i += 2 {
		counts[int(states[i])+2*int(states[i+1])]++
	}
	checkOdds(t, counts, p.limit())
	checkSame(t, "a chain of bits and its stationary distribution", states[:2*compared], bitDraws(compared, p.limit()), 2)
	if _, err := Walkback(context.Background(), Chains{Net: net, Start: []float32{0, 0}, Steps: 1}); err == nil {
		t.Error("salt-and-pepper without the columns' extremes")
	}
}

// bitDraws are n draws of two bits; state i = first + 2·second has the odds odds[i].
func bitDraws(n int, odds []float64) []float32 {
	draws := make([]float32, 2*n)
	for i := range n {
		random := words{at: philox.Coordinates{Stream: philox.StreamData, Row: uint32(i)}, key: philox.KeyOf(78)}
		state, rest := 0, float64(philox.Uniform(random.word(0)))
		for rest -= odds[state]; rest >= 0 && state < len(odds)-1; rest -= odds[state] {
			state++
		}
		draws[2*i], draws[2*i+1] = float32(state&1), float32(state>>1)
	}
	return draws
}

// TestPoissonDraws have the rate exp(a) for mean and variance, and those of
// different columns, chains and steps are not correlated.
func TestPoissonDraws(t *testing.T) {
	f := &family{likelihood: model.Likelihood{Kind: device.Poisson}, features: 2, key: philox.KeyOf(8)}
	params := []float32{float32(math.Log(3)), float32(math.Log(20))}
	const n = 20000
	var mean, square [2]float64
	var product float64
	x := make([]float32, 2)
	for i := range n {
		f.draw(x, params, uint32(i/2), uint32(i%2))
		for j, v := range x {
			mean[j] += float64(v) / n
			square[j] += float64(v) * float64(v) / n
		}
		product += float64(x[0]) * float64(x[1]) / n
	}
	for j, rate := range []float64{3, 20} {
		if within := 4.5 * math.Sqrt(rate/n); math.Abs(mean[j]-rate) > within {
			t.Errorf("mean %.3f of rate %g", mean[j], rate)
		}
		variance := square[j] - mean[j]*mean[j]
		if within := 4.5 * math.Sqrt((rate+2*rate*rate)/n); math.Abs(variance-rate) > within {
			t.Errorf("variance %.3f of rate %g", variance, rate)
		}
	}
	if covariance := product - mean[0]*mean[1]; math.Abs(covariance) > 4.5*math.Sqrt(3*20.0/n) {
		t.Errorf("covariance %.3f of two columns", covariance)
	}
}
