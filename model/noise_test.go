package model

import (
	"errors"
	"math"
	"testing"
)

func TestNoiseLevelsOfTheSchedules(t *testing.T) {
	levels := func(spec string) []float64 {
		z, err := ParseNoise(spec)
		if err != nil {
			t.Fatal(err)
		}
		return z.Levels()
	}
	near := func(name string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got/want-1) <= tolerance) {
			t.Errorf("%s: %.8g, want %.8g", name, got, want)
		}
	}
	if got := levels("single:0.3"); len(got) != 1 || got[0] != 0.3 {
		t.Errorf("single: %v", got)
	}
	g := levels("geometric:min=0.01,max=10,levels=4")
	for l, want := range []float64{0.01, 0.1, 1, 10} {
		near("geometric", g[l], want, 1e-12)
	}
	// Ho et al. 2020: ᾱ_1 = 1 - 10⁻⁴, and ᾱ_1000 = 4.036·10⁻⁵ as their code computes it.
	d := levels("ddpm-linear")
	near("ddpm-linear", d[0], math.Sqrt(1e-4/(1-1e-4)), 1e-9)
	near("ddpm-linear", 1/(1+d[999]*d[999]), 4.0358e-5, 1e-4)
	// Nichol and Dhariwal 2021: ᾱ_t is f(t)/f(0) until β is bounded.
	k := levels("ddpm-cosine")
	f := func(t float64) float64 { return math.Pow(math.Cos((t+0.008)/1.008*math.Pi/2), 2) }
	near("ddpm-cosine", 1/(1+k[499]*k[499]), f(0.5)/f(0), 1e-9)
	near("ddpm-cosine", 1/(1+k[999]*k[999]), f(0.999)/f(0)*(1-mostBeta), 1e-6)
	// Karras et al. 2022: the quantiles have the mean and the deviation of ln σ.
	e := levels("edm:mean=-1,spread=1.5,levels=1000")
	var mean, square float64
	for _, sigma := range e {
		mean += math.Log(sigma) / 1000
		square += math.Log(sigma) * math.Log(sigma) / 1000
	}
	near("edm", mean, -1, 1e-9)
	near("edm", math.Sqrt(square-mean*mean), 1.5, 5e-3)
	near("edm", e[841], math.Exp(-1+1.5), 1e-2) // Φ(1) = 0.8413
	for _, spec := range []string{"geometric:max=5", "ddpm-linear:levels=50", "ddpm-cosine:levels=50", "edm"} {
		rising := levels(spec)
		for l := 1; l < len(rising); l++ {
			if !(rising[l] > rising[l-1] && rising[l-1] > 0) {
				t.Errorf("%s: level %d is %g after %g", spec, l, rising[l], rising[l-1])
			}
		}
	}
}

func TestNoiseSpecifications(t *testing.T) {
	for spec, want := range map[string]string{
		"single:0.3": "single:sigma=0.3", "geometric:max=10": "geometric:max=10", "geometric:0.1,10,5": "geometric:min=0.1,max=10,levels=5",
		"geometric": "geometric", "ddpm-linear": "ddpm-linear", "ddpm-linear:levels=10": "ddpm-linear:levels=10", "edm:spread=1": "edm:spread=1",
	} {
		z, err := ParseNoise(spec)
		if err != nil || z.String() != want {
			t.Errorf("%s: %s, %v, want %s", spec, z, err, want)
		}
		again, err := ParseNoise(z.String())
		if err != nil || again.String() != want {
			t.Errorf("%s: read again it is %s, %v", spec, again, err)
		}
	}
	z, err := ParseNoise("geometric:min=0.1,levels=9")
	if err != nil || !z.Open() {
		t.Fatalf("%v, %v", z, err)
	}
	if got := z.Close(4).String(); got != "geometric:min=0.1,max=4,levels=9" {
		t.Errorf("closed it is %s", got)
	}
	if got := z.Close(0); got.Open() || got.Levels()[8] <= got.Levels()[0] {
		t.Errorf("closed at 0 it is %s", got)
	}
}

func TestScoreConfigurationErrors(t *testing.T) {
	for _, c := range []struct {
		name, key string
		change    func(*Config)
	}{
		{"objective", "objective", func(c *Config) { c.Objective = "dms" }},
		{"levels of nll", "noise", func(c *Config) { c.Objective = "nll" }},
		{"no noise", "noise", func(c *Config) { c.Score.Noise = "" }},
		{"unknown noise", "noise", func(c *Config) { c.Score.Noise = "cosine" }},
		{"open noise", "noise", func(c *Config) { c.Score.Noise = "geometric" }},
		{"falling noise", "noise", func(c *Config) { c.Score.Noise = "geometric:min=2,max=1" }},
		{"half a level", "noise", func(c *Config) { c.Score.Noise = "ddpm-linear:levels=2.5" }},
		{"parameterization", "parameterization", func(c *Config) { c.Score.Parameterization = "y" }},
		{"weighting", "weighting", func(c *Config) { c.Score.Weighting = "snr" }},
		{"embedding", "embedding", func(c *Config) { c.Score.Embedding = "learned" }},
		{"odd embedding", "embedding", func(c *Config) { c.Score.Embedding = "fourier:width=7" }},
		{"sigma_data", "sigma_data", func(c *Config) { c.Score.SigmaData = -1 }},
		{"corruption", "corruption", func(c *Config) { c.Corruption = "masking:0.2" }},
		{"likelihood", "likelihood", func(c *Config) { c.Likelihood = "bernoulli" }},
		{"variance", "likelihood", func(c *Config) { c.Likelihood = "gaussian:0.5" }},
		{"emphasis", "emphasis", func(c *Config) { c.Emphasis = Emphasis{1, 0.5} }},
		{"fields", "fields", func(c *Config) { c.Fields = []int{2, 2} }},
		{"tied", "tied", func(c *Config) { c.Tied = true }},
	} {
		config := scoreConfig(someLevels)
		c.change(&config)
		_, err := New(config)
		var bad *ConfigError
		if !errors.As(err, &bad) || bad.Key != c.key || bad.Remedy == "" {
			t.Errorf("%s: %v, want an error of %s", c.name, err, c.key)
		}
	}
}

// TestEmbeddingsTellLevelsApart: neighbouring levels have different embeddings,
// those of the positional embedding at a level are Vaswani's of its number, and
// those of fourier have the frequencies of the table.
func TestEmbeddingsTellLevelsApart(t *testing.T) {
	quantiles := []float64{0.1573107, 0.4887764, 0.8871466, 1.5341205} // of |N(0, 1)| at 1/8, 3/8, 5/8 and 7/8
	for _, embedding := range []string{"fourier", "positional"} {
		s := Score{Noise: "geometric:max=8,levels=50", Embedding: embedding + ":width=8"}
		l, err := s.resolve()
		if err != nil {
			t.Fatal(err)
		}
		before := make([]float32, 8)
		for number, sigma := range l.sigmas {
			now := make([]float32, 8)
			l.embed(now, sigma)
			distance := 0.0
			for k := range now {
				distance += math.Pow(float64(now[k]-before[k]), 2)
				if want := math.Cos(float64(number) / math.Pow(10000, float64(k)/4)); embedding == "positional" && k < 4 && math.Abs(float64(now[k])-want) > 1e-6 {
					t.Errorf("level %d, number %d of the embedding is %g, want %g", number, k, now[k], want)
				}
				if want := math.Cos(2 * math.Pi * quantiles[k%4] * math.Log(sigma) / 4); embedding == "fourier" && k < 4 && math.Abs(float64(now[k])-want) > 1e-5 {
					t.Errorf("level %d, number %d of the embedding is %g, want %g", number, k, now[k], want)
				}
			}
			if number > 0 && distance < 1e-4 {
				t.Errorf("%s: levels %d and %d look alike", embedding, number-1, number)
			}
			before = now
		}
	}
}
