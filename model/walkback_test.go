package model

import (
	"math"
	"testing"

	"gpudae/device"
)

// TestFirstLinkIsThatOfPlainTraining: bit for bit, with the examples as the
// targets of all links, and later links under noise of their own.
func TestFirstLinkIsThatOfPlainTraining(t *testing.T) {
	const examples, features, links = 6, 5, 3
	for name, dev := range devices(t) {
		for _, distribution := range []string{"", "gaussian", "bernoulli"} {
			config := codeConfig(distribution)
			config.Likelihood = "bernoulli"
			config.Replicates = 2
			src := sourceOf(t, dev, uniform(1, 9*features), features, device.Clock{Step: 4, Cursor: 2})
			src.Shuffle = true
			plain := bound(t, dev, config, examples)
			plain.Gradient(src, examples)
			config.Walkback = links
			chain := bound(t, dev, config, examples+3) // a partial minibatch
			chain.Gradient(src, examples)
			const rows = 2 * examples
			for what, views := range map[string][2]device.View{
				"corrupted": {plain.corrupted, chain.corrupted}, "losses": {plain.losses, chain.losses},
				"parameters of p(x|h)": {plain.blocks[1].active, chain.blocks[1].active},
			} {
				if !equal32(download(t, dev, views[0].Top(rows)), download(t, dev, views[1].Top(rows))) {
					t.Errorf("%s, code %q: the first link has other %s", name, distribution, what)
				}
			}
			clean, corrupted := download(t, dev, chain.clean), download(t, dev, chain.corrupted)
			block := func(values []float32, link int) []float32 { return values[link*rows*features : (link+1)*rows*features] }
			for link := 1; link < links; link++ {
				if !equal32(block(clean, 0), block(clean, link)) {
					t.Errorf("%s: link %d has another target", name, link+1)
				}
				if equal32(block(corrupted, link-1), block(corrupted, link)) {
					t.Errorf("%s: links %d and %d see one x̃", name, link, link+1)
				}
			}
		}
	}
}

// TestChainOfOneLinkIsPlainTraining: bit for bit.
func TestChainOfOneLinkIsPlainTraining(t *testing.T) {
	for name, dev := range devices(t) {
		config := Config{Features: 5, Hidden: []int{6}, Norm: "batch", Dropout: 0.2, Likelihood: "bernoulli", Corruption: "masking:0.4", Emphasis: Emphasis{2, 1}}
		src := sourceOf(t, dev, uniform(1, 45), 5, device.Clock{Step: 4, Cursor: 2})
		plain := bound(t, dev, config, 7)
		plain.Gradient(src, 7)
		config.Walkback = 1
		chain := bound(t, dev, config, 7)
		chain.Gradient(src, 7)
		if !equal32(download(t, dev, plain.Grads), download(t, dev, chain.Grads)) || !equal32(download(t, dev, plain.Values), download(t, dev, chain.Values)) {
			t.Errorf("%s: a chain of one link has another gradient", name)
		}
	}
}

// TestLinksDrawTheirOwnNoise: of the state and of the code.
func TestLinksDrawTheirOwnNoise(t *testing.T) {
	const examples, features, units, links, sigma = 6, 5, 3, 4, 0.7
	for name, dev := range devices(t) {
		config := codeConfig("gaussian")
		config.Corruption, config.Walkback = "none", links
		n := bound(t, dev, config, examples)
		n.Gradient(sourceOf(t, dev, uniform(1, examples*features), features, device.Clock{Step: 4}), examples)
		corrupted, noise := download(t, dev, n.corrupted), download(t, dev, n.code.noise)
		// The means are computed again, since their gradient has taken their place.
		whole := &minibatch{rows: examples * links, replicates: 1}
		n.decode(whole)
		means := download(t, dev, n.params(whole))
		var drawn [links - 1][]float32 // (x' - μ)/σ
		for link := range drawn {
			for i := range examples * features {
				drawn[link] = append(drawn[link], (corrupted[(link+1)*examples*features+i]-means[link*examples*features+i])/sigma)
			}
		}
		for a := range links {
			for b := range a {
				if close32(noise[a*examples*units:(a+1)*examples*units], noise[b*examples*units:(b+1)*examples*units], 1e-3) {
					t.Errorf("%s: links %d and %d draw codes by the same noise", name, b+1, a+1)
				}
				if a < len(drawn) && close32(drawn[a], drawn[b], 1e-3) {
					t.Errorf("%s: links %d and %d draw states by the same noise", name, b+1, a+1)
				}
			}
		}
	}
}

// bits is the state of two binary features.
func bits(x []float32) int { return int(x[0]) + 2*int(x[1]) }

// TestChainOfWalkback: on two bits, the states x̃₁, x̃₂ and x̃₃ of chains from one
// example have the distributions of the Markov chain of C(x̃|x) and p(x|x̃) =
// Σ_h q(h|x̃)·p(x|h), computed from its matrices.
func TestChainOfWalkback(t *testing.T) {
	const chains, links, start, rate = 4000, 3, 1, 0.5
	for _, distribution := range []string{"", "bernoulli"} {
		dev := newCPU(t)
		config := Config{Features: 2, Hidden: []int{4}, Code: 2, Activation: "tanh", Likelihood: "bernoulli", Corruption: "salt-and-pepper:0.5",
			CodeDistribution: distribution, Walkback: links}
		n := bound(t, dev, config, chains)
		params := n.dae.InitialParameters(3)
		for i := range params {
			params[i] *= 3 // probabilities away from ½
		}
		if err := n.SetParameters(params, nil); err != nil {
			t.Fatal(err)
		}
		src := sourceOf(t, dev, repeated([]float32{1, 0}, chains), 2, device.Clock{Step: 9})
		extremes, err := NewRange(dev, []float32{0, 0}, []float32{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		src.Range = extremes
		n.Gradient(src, chains)
		corrupted := download(t, dev, n.corrupted)

		state := [4]float64{start: 1}
		for link := range links {
			state = step(state, func(i, j int) float64 { // C(x̃|x): a bit flips with probability rate/2
				p := 1.0
				for b := range 2 {
					if i>>b&1 != j>>b&1 {
						p *= rate / 2
					} else {
						p *= 1 - rate/2
					}
				}
				return p
			})
			var count [4]float64
			for i := range chains {
				count[bits(corrupted[(link*chains+i)*2:])]++
			}
			for j, p := range state {
				if deviation := math.Sqrt(p * (1 - p) / chains); math.Abs(count[j]/chains-p) > 4.5*deviation {
					t.Errorf("code %q, link %d: x̃ is %02b in %.4f of the chains, theory has %.4f ± %.4f", distribution, link+1, j, count[j]/chains, p, deviation)
				}
			}
			state = step(state, func(i, j int) float64 { return n.transition(t, i, j) })
		}
	}
}

func repeated(row []float32, times int) (values []float32) {
	for range times {
		values = append(values, row...)
	}
	return values
}

func step(from [4]float64, probability func(i, j int) float64) (to [4]float64) {
	for i, p := range from {
		for j := range to {
			to[j] += p * probability(i, j)
		}
	}
	return to
}

// transition is p(x = j | x̃ = i) of two bits, by summing over the codes.
func (n *Net) transition(t *testing.T, i, j int) float64 {
	t.Helper()
	code, err := n.Encode(t.Context(), matrix([]float32{float32(i & 1), float32(i >> 1)}, 2))
	if err != nil {
		t.Fatal(err)
	}
	q := code.Data().([]float32)
	if !n.stochastic() {
		return n.emission(t, q, j)
	}
	total := 0.0
	for state := range 4 {
		h, p := []float32{float32(state & 1), float32(state >> 1)}, 1.0
		for b := range 2 {
			p *= float64(h[b]*q[b] + (1-h[b])*(1-q[b]))
		}
		total += p * n.emission(t, h, j)
	}
	return total
}

// emission is p(x = j | h).
func (n *Net) emission(t *testing.T, h []float32, j int) float64 {
	t.Helper()
	mean, err := n.Decode(t.Context(), matrix(h, 2))
	if err != nil {
		t.Fatal(err)
	}
	p := 1.0
	for b, m := range mean.Data().([]float32) {
		if j>>b&1 == 1 {
			p *= float64(m)
		} else {
			p *= 1 - float64(m)
		}
	}
	return p
}
