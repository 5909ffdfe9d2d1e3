package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/device"
	"gpudae/device/reference"
)

// scoreConfig is a small score model.
func scoreConfig(s Score) Config {
	return Config{Features: 4, Hidden: []int{6, 5}, Activation: "tanh", Objective: ObjectiveDSM, Score: s}
}

var someLevels = Score{Noise: "geometric:min=0.1,max=3,levels=7", SigmaData: 0.8}

// scoreCases are score models over all parameterisations, weightings,
// embeddings and schedules.
func scoreCases() map[string]Config {
	cases := map[string]Config{}
	add := func(name string, change func(*Config)) {
		c := scoreConfig(someLevels)
		change(&c)
		cases[name] = c
	}
	for _, p := range Parameterizations() {
		for _, w := range Weightings() {
			add(p.Name+"/"+w.Name, func(c *Config) { c.Score.Parameterization, c.Score.Weighting = p.Name, w.Name })
		}
	}
	for _, embedding := range []string{"none", "fourier:width=6,scale=2", "positional:width=4"} {
		for _, noise := range []string{"single:0.4", "geometric:max=2,levels=5", "ddpm-linear:levels=20", "ddpm-cosine:levels=20", "edm:levels=9"} {
			add(embedding+"/"+noise, func(c *Config) { c.Score.Embedding, c.Score.Noise = embedding, noise })
		}
	}
	for _, norm := range []string{"none", "layer", "batch"} {
		add("gelu, dropout, replicates/"+norm, func(c *Config) {
			c.Activation, c.Norm, c.Dropout, c.Replicates, c.Code = "gelu", norm, 0.3, 3, 3
		})
	}
	add("tied", func(c *Config) { c.Tied, c.Score.Embedding = true, "none" })
	return cases
}

func TestScoreMatchingGradientAgreesWithFiniteDifferences(t *testing.T) {
	for name, c := range scoreCases() {
		t.Run(name, func(t *testing.T) { checkGradient(t, c) })
	}
}

func TestPullBackOfAScoreModelAgreesWithFiniteDifferences(t *testing.T) {
	for name, c := range scoreCases() {
		if c.Norm == "batch" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			net := perturbed(t, reference.New(), c, 3)
			sigma := net.DAE().NoiseLevels()[0]
			if len(net.DAE().NoiseLevels()) > 1 {
				sigma = 0.37 // between levels
			}
			checkPullBack(t, net, 3, sigma)
		})
	}
}

// judged are the rows of an evaluation with the noise level of each.
type judged struct {
	Batch
	sigma, f, loss []float64
}

// judgeRows evaluates a score model on one minibatch.
func judgeRows(t *testing.T, n *Net, src Source, rows int) (judged, Evaluation) {
	t.Helper()
	var out judged
	level := make([]uint32, n.rows)
	e, err := n.EvaluateEach(context.Background(), src, func(b Batch) error {
		if out.loss != nil {
			return nil // the first corruption is enough
		}
		out.Batch = b // whose memory is used again
		out.Clean, out.Corrupted, out.Reconstructed = slices.Clone(b.Clean), slices.Clone(b.Corrupted), slices.Clone(b.Reconstructed)
		out.loss = append(out.loss, reference.Float64s(n.losses)[:rows]...)
		out.f = append(out.f, reference.Float64s(n.params(&minibatch{rows: rows}))...)
		return n.dev.DownloadWords(level, n.noise.trained.level)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		out.sigma = append(out.sigma, n.dae.resolved.sigmas[level[i]])
	}
	return out, e
}

// TestFewExamplesAreJudgedAtManyLevels: with so few the evaluation draws several
// levels for each, the same ones at any size of minibatches.
func TestFewExamplesAreJudgedAtManyLevels(t *testing.T) {
	const rows = 40
	values := uniform(1, rows*4)
	var first Evaluation
	for _, batch := range []int{rows, 7} {
		net := perturbed(t, reference.New(), scoreConfig(someLevels), batch)
		src := sourceOf(t, net.dev, values, 4, device.Clock{})
		e, err := net.Evaluate(context.Background(), src)
		if err != nil {
			t.Fatal(err)
		}
		if batch == rows {
			first = e
			one, _ := judgeRows(t, net, src, rows)
			mean := 0.0
			for _, l := range one.loss {
				mean += l / rows
			}
			if e.N != rows || !math.IsNaN(e.NLL) || !math.IsNaN(e.PerFeature) || math.Abs(e.Loss/mean-1) < 1e-3 || math.Abs(e.Loss/mean-1) > 0.2 {
				t.Errorf("%+v: want no likelihood, and a loss near %.4g but not that of one draw", e, mean)
			}
		} else if e.Loss != first.Loss || e.MSE != first.MSE {
			t.Errorf("in minibatches of %d: %+v, not %+v", batch, e, first)
		}
	}
	single := scoreConfig(Score{Noise: "single:0.3"})
	if passes := mustNew(t, single).Passes(rows); passes != 1 {
		t.Errorf("%d draws of one level", passes)
	}
}

// TestWeightingsAreLossesOfTheNetwork: with the unit weighting the loss is
// ½‖F - target‖², the target being what the table says of F; with that of the
// score it is ½σ²‖s - (x-x̃)/σ²‖², whatever F estimates.
func TestWeightingsAreLossesOfTheNetwork(t *testing.T) {
	const rows, data = 40, 0.8
	targets := map[string]func(x, noisy, s float64) float64{
		"epsilon": func(x, noisy, s float64) float64 { return (noisy - x) / s },
		"score":   func(x, noisy, s float64) float64 { return (x - noisy) / (s * s) },
		"x0":      func(x, _, _ float64) float64 { return x },
	}
	// α = σ_data/√(σ²+σ_data²) and β = σ/√(σ²+σ_data²): v = α·z - β·x/σ_data.
	targets["v"] = func(x, noisy, s float64) float64 {
		root := math.Hypot(s, data)
		return data/root*(noisy-x)/s - s/root*x/data
	}
	targets["edm"] = func(x, noisy, s float64) float64 { return -targets["v"](x, noisy, s) }
	for _, p := range Parameterizations() {
		for _, weighting := range []string{"unit", "score", "x0", "edm", "min-snr:2"} {
			c := scoreConfig(Score{Noise: "geometric:min=0.1,max=3,levels=7", SigmaData: data, Parameterization: p.Name, Weighting: weighting})
			dev := reference.New()
			net := perturbed(t, dev, c, rows)
			src := sourceOf(t, dev, uniform(1, rows*c.Features), c.Features, device.Clock{})
			e, _ := judgeRows(t, net, src, rows)
			for i := range rows {
				s, want := e.sigma[i], 0.0
				for j := range c.Features {
					k := i*c.Features + j
					x, noisy, d := float64(e.Clean[k]), float64(e.Corrupted[k]), float64(e.Reconstructed[k])
					unit, clean := math.Pow(e.f[k]-targets[p.Name](x, noisy, s), 2)/2, math.Pow(d-x, 2)/2
					switch weighting {
					case "unit":
						want += unit
					case "score":
						want += s * s * math.Pow((d-noisy)/(s*s)-(x-noisy)/(s*s), 2) / 2
					case "x0":
						want += clean
					case "edm":
						want += clean * (s*s + data*data) / (s * s * data * data)
					case "min-snr:2":
						want += clean * min(1/(s*s), 2/(data*data))
					}
				}
				if math.Abs(e.loss[i]-want) > 1e-4*want+1e-7 {
					t.Errorf("%s, %s: row %d at σ = %.3f has the loss %.8g, want %.8g", p.Name, weighting, i, s, e.loss[i], want)
				}
			}
		}
	}
}

// TestOneLevelIsTheGaussianDenoiser: at one σ score matching of x0 is the DAE
// under gaussian:s times s², in noise, loss and gradient; σ² + σ_data² = 1 makes
// c_in 1.
func TestOneLevelIsTheGaussianDenoiser(t *testing.T) {
	const examples, s = 6, 0.5
	score := scoreConfig(Score{Noise: "single:0.6", SigmaData: 0.8, Parameterization: "x0", Weighting: "x0"})
	likely := score
	likely.Objective, likely.Score, likely.Corruption, likely.Likelihood = "", Score{}, "gaussian:0.6", "gaussian:0.5"
	for name, dev := range devices(t) {
		var grads [2][]float32
		var noisy [2][]float32
		for i, c := range []Config{score, likely} {
			net := bound(t, dev, c, examples)
			src := sourceOf(t, dev, uniform(1, 10*c.Features), c.Features, device.Clock{Step: 5})
			net.Gradient(src, examples)
			grads[i], noisy[i] = download(t, dev, net.Grads), download(t, dev, net.corrupted)
		}
		if !equal32(noisy[0], noisy[1]) {
			t.Errorf("%s: the noise differs", name)
		}
		for i := range grads[1] {
			grads[1][i] *= s * s
		}
		if !close32(grads[0], grads[1], 2e-6) {
			t.Errorf("%s: gradients %v and %v", name, grads[0][:8], grads[1][:8])
		}
	}
}

// TestTrainedScoreOfAGaussian: a linear network's score tends to
// -(Σ+σ²I)⁻¹(x-μ), whatever it estimates.
func TestTrainedScoreOfAGaussian(t *testing.T) {
	const rows, sigma = 100, 0.5
	values := correlated(rows, oracleFeatures)
	optimum := wiener(values, oracleFeatures, sigma)
	for _, p := range Parameterizations() {
		dev := newCPU(t)
		c := Config{Features: oracleFeatures, Hidden: []int{oracleFeatures}, Activation: "identity", Objective: ObjectiveDSM, Replicates: 3,
			Score: Score{Noise: "single:0.5", Parameterization: p.Name}}
		n := bound(t, dev, c, rows)
		trainAdam(t, n, sourceOf(t, dev, values, oracleFeatures, device.Clock{}), rows, 1200)
		x := uniform(2, 10*oracleFeatures)
		got := make([]float32, len(x))
		if err := n.DenoiseAt(context.Background(), got, x, sigma); err != nil {
			t.Fatal(err)
		}
		var wrong, all float64
		for k := range x {
			i, j := k/oracleFeatures, k%oracleFeatures
			want := optimum.b.AtVec(j)
			for l := range oracleFeatures {
				want += optimum.w.At(j, l) * float64(x[i*oracleFeatures+l])
			}
			score := (want - float64(x[k])) / (sigma * sigma)
			wrong += math.Pow((float64(got[k])-float64(x[k]))/(sigma*sigma)-score, 2)
			all += score * score
		}
		if relative := math.Sqrt(wrong / all); !(relative < 0.03) {
			t.Errorf("%s: the score is wrong by %.4f of its size", p.Name, relative)
		} else {
			t.Logf("%s: relative error %.4f", p.Name, relative)
		}
	}
}

func TestStartOfAScoreModelIsTheBestConstant(t *testing.T) {
	for _, p := range Parameterizations() {
		c := scoreConfig(Score{Noise: "geometric:min=0.1,max=3,levels=40", Parameterization: p.Name})
		c.Features, c.Replicates = 1, 4096
		dev := newCPU(t)
		net := bound(t, dev, c, 2)
		params := net.DAE().InitialParameters(1)
		net.DAE().StartAtMeans(params, Moments{Rows: 2, Mean: []float64{3}, Variance: []float64{1}})
		if err := net.SetParameters(params, nil); err != nil {
			t.Fatal(err)
		}
		net.Gradient(sourceOf(t, dev, []float32{2, 4}, 1, device.Clock{}), 2)
		slope := float64(download(t, dev, parameter(t, net, net.Grads, "decoder.1.bias"))[0])
		params[len(params)-1]++ // one off
		if err := net.SetParameters(params, nil); err != nil {
			t.Fatal(err)
		}
		net.Gradient(sourceOf(t, dev, []float32{2, 4}, 1, device.Clock{}), 2)
		curvature := float64(download(t, dev, parameter(t, net, net.Grads, "decoder.1.bias"))[0]) - slope
		if off := slope / curvature; !(math.Abs(off) < 0.1) {
			t.Errorf("%s: the start is off by %.3f", p.Name, off)
		}
	}
}

func TestScoreModelLearnsNothingFromTheLevelOfOthers(t *testing.T) {
	c := scoreConfig(someLevels)
	dev := reference.New()
	net := perturbed(t, dev, c, 3)
	x := uniform(3, 7*c.Features)
	whole, single := make([]float32, len(x)), make([]float32, len(x))
	for _, sigma := range []float64{0.05, 0.3, 7} {
		if err := net.DenoiseAt(context.Background(), whole, x, sigma); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(x); i += c.Features {
			other := 2 * sigma // which must not last
			if err := net.WithParameters(net.Params).DenoiseAt(context.Background(), single[i:i+c.Features], x[i:i+c.Features], other); err != nil {
				t.Fatal(err)
			}
			if err := net.DenoiseAt(context.Background(), single[i:i+c.Features], x[i:i+c.Features], sigma); err != nil {
				t.Fatal(err)
			}
		}
		if !equal32(whole, single) {
			t.Errorf("σ = %v: rows depend on those beside them", sigma)
		}
	}
}

func TestDenoiseOfAScoreModelIsAtItsLeastLevel(t *testing.T) {
	c := scoreConfig(someLevels)
	net := perturbed(t, reference.New(), c, 3)
	x := uniform(3, 2*c.Features)
	want := make([]float32, len(x))
	if err := net.DenoiseAt(context.Background(), want, x, 2); err != nil {
		t.Fatal(err)
	}
	if err := net.DenoiseAt(context.Background(), want, x, 0.1); err != nil {
		t.Fatal(err)
	}
	got, err := net.Denoise(context.Background(), tensor.New(tensor.WithShape(2, c.Features), tensor.WithBacking(x)))
	if err != nil || !equal32(got.Data().([]float32), want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestScoreModelAllocatesNothing(t *testing.T) {
	c := scoreConfig(someLevels)
	x := uniform(1, 20*c.Features)
	dst := make([]float32, len(x))
	dev := devices(t)["cpu"]
	net := bound(t, dev, c, 8)
	src := sourceOf(t, dev, x, c.Features, device.Clock{})
	sigma := 0.5
	if n := testing.AllocsPerRun(10, func() {
		sigma *= 1.1
		net.Gradient(src, 8)
		if err := net.DenoiseAt(context.Background(), dst, x, sigma); err != nil {
			t.Fatal(err)
		}
		if err := net.PullBackAt(context.Background(), dst, x, x, sigma); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestScoreModelTakesTheMemoryItSays(t *testing.T) {
	for name, c := range scoreCases() {
		dev := &countingDevice{Device: reference.New()}
		d, b := mustNew(t, c), Binding{Examples: 4, Training: true}
		if _, err := Bind(dev, d, b); err != nil {
			t.Fatal(err)
		}
		if got := d.Bytes(b); got != 4*dev.elements {
			t.Errorf("%s: Bytes says %d, Bind took %d", name, got, 4*dev.elements)
		}
	}
}

func TestChainOfAScoreModelIsRefused(t *testing.T) {
	c := scoreConfig(someLevels)
	net := bound(t, reference.New(), c, 1)
	x := make([]float32, c.Features)
	if err := net.Link(x, x, Source{}, 0, 0); err == nil || !strings.Contains(err.Error(), "score model") {
		t.Errorf("%v", err)
	}
}

// TestDenoisingScoreMatchingExceedsExplicitByAConstant: on a mixture of
// Gaussians, at every level and for any network, the denoising loss exceeds
// ½E‖s - ∇log p_σ‖² by ½(D/σ² - E‖∇log p_σ‖²) (Vincent 2011, appendix).
func TestDenoisingScoreMatchingExceedsExplicitByAConstant(t *testing.T) {
	const rows, d = 20000, 2
	centres := [][d]float64{{-1, 0.5}, {1.2, 0}, {0, -1}}
	const spread = 0.4
	random := rand.New(rand.NewPCG(4, 0))
	var values []float32
	for range rows {
		c := centres[random.IntN(len(centres))]
		for j := range d {
			values = append(values, float32(c[j]+spread*random.NormFloat64()))
		}
	}
	score := func(x [d]float64, sigma float64) (s [d]float64) {
		total, v := 0.0, spread*spread+sigma*sigma
		for _, c := range centres {
			w := math.Exp(-(math.Pow(x[0]-c[0], 2) + math.Pow(x[1]-c[1], 2)) / (2 * v))
			total += w
			for j := range d {
				s[j] += w * (c[j] - x[j]) / v
			}
		}
		return [d]float64{s[0] / total, s[1] / total}
	}
	for _, sigma := range []float64{0.3, 1} {
		for seed := range uint64(2) {
			c := Config{Features: d, Hidden: []int{8}, Activation: "tanh", Objective: ObjectiveDSM, Score: Score{Noise: fmt.Sprintf("single:%g", sigma), Weighting: "score"}}
			dev := newCPU(t)
			net := bound(t, dev, c, 1000)
			params := net.DAE().InitialParameters(seed)
			if err := net.SetParameters(params, nil); err != nil {
				t.Fatal(err)
			}
			var sum, squares, explicit float64
			e, err := net.EvaluateEach(context.Background(), sourceOf(t, dev, values, d, device.Clock{}), func(b Batch) error {
				for i := 0; i < len(b.Clean); i += d {
					truth := score([d]float64{float64(b.Corrupted[i]), float64(b.Corrupted[i+1])}, sigma)
					excess := -d / (sigma * sigma) / 2 // less the constant
					for j := range d {
						s := float64(b.Reconstructed[i+j]-b.Corrupted[i+j]) / (sigma * sigma)
						target := float64(b.Clean[i+j]-b.Corrupted[i+j]) / (sigma * sigma)
						excess += (s-target)*(s-target)/2 - (s-truth[j])*(s-truth[j])/2 + truth[j]*truth[j]/2
						explicit += (s - truth[j]) * (s - truth[j]) / 2 / rows
					}
					sum += excess
					squares += excess * excess
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			mean := sum / rows
			within := 4.5 * math.Sqrt((squares/rows-mean*mean)/rows)
			if math.Abs(mean) > within || within > 0.2*explicit {
				t.Errorf("σ = %g, seed %d: the losses differ by %.4f more than the constant, allowed are %.4f; the explicit one is %.4f", sigma, seed, mean, within, explicit)
			}
			if math.Abs(e.Loss/(sigma*sigma)-explicit) < 1e-3 {
				t.Errorf("σ = %g: the losses do not differ", sigma)
			}
		}
	}
}
