package baseline

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Held-out rows that lie in the plane of the components, plus noise: the
// identity pays σ² a feature, PCA only in the plane's directions.
func TestCompareOnAKnownSpectrum(t *testing.T) {
	const sigma, d, q = 0.5, 8, 2
	train, directions := withSpectrum(d, 0.25, []float64{6, 3}, 1)
	random := rand.New(rand.NewPCG(1, 0))
	clean, corrupted := Rows{Features: d}, Rows{Features: d}
	var variance float64
	const n = 4000
	for range n {
		a, b := random.NormFloat64(), random.NormFloat64()
		for j := range d {
			x := float32(0.25 + a*directions.At(j, 0) + b*directions.At(j, 1))
			clean.Values = append(clean.Values, x)
			corrupted.Values = append(corrupted.Values, x+float32(sigma*random.NormFloat64()))
			variance += (float64(x) - 0.25) * (float64(x) - 0.25) / (n * d)
		}
	}
	table, err := Compare(t.Context(), Problem{
		Train: train, Clean: clean, Corrupted: corrupted,
		Likelihood: Likelihood{Name: "gaussian-learned"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Standard errors: σ²√(2/nD), and σ²√(2q/n)/D.
	near(t, "MSE of the identity", table.Identity.MSE, sigma*sigma, 5*sigma*sigma*math.Sqrt(2./(n*d)))
	near(t, "MSE of the mean", table.Mean.MSE, variance, 1e-5)
	near(t, "MSE of PCA", table.PCA.MSE, sigma*sigma*q/d, 5*sigma*sigma*math.Sqrt(2.*q/n)/d)
	near(t, "components", float64(table.PCA.Components), q, 0)
	near(t, "NLL of the identity", table.Identity.NLL, d*0.5*(1+math.Log(2*math.Pi*sigma*sigma)), 0.05)
	near(t, "NLL a feature", table.Identity.PerFeature, table.Identity.NLL/d, 1e-12)
	if !(table.PCA.NLL < table.Identity.NLL && table.PCA.NLL < table.Mean.NLL) {
		t.Errorf("PCA is not the most likely: %+v", table)
	}
}

// The Gaussians with a code remove the noise that is named, else their own.
func TestCompareScoresTheGaussians(t *testing.T) {
	const sigma, q = 0.8, 2
	train, clean := randomRows(1, 300, 5, 0.3), randomRows(1, 200, 5, 0.3)
	random := rand.New(rand.NewPCG(2, 0))
	corrupted := Rows{Features: 5}
	for _, v := range clean.Values {
		corrupted.Values = append(corrupted.Values, v+float32(sigma*random.NormFloat64()))
	}
	p := Problem{Train: train, Clean: clean, Corrupted: corrupted, Likelihood: Likelihood{Name: "gaussian", Sigma: 1}, Components: q, Sigma: sigma}
	named, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	p.Sigma = 0
	own, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ppca, err := FitPPCA(t.Context(), train, q)
	if err != nil {
		t.Fatal(err)
	}
	fa, _, err := FitFA(t.Context(), train, q, factorLimits())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		g          LatentGaussian
		named, own *Score
	}{"ppca": {ppca, named.PPCA, own.PPCA}, "fa": {fa, named.FA, own.FA}} {
		r, err := c.g.Denoise(t.Context(), corrupted, sigma)
		if err != nil {
			t.Fatal(err)
		}
		mse, err := MSE(t.Context(), clean, r)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "MSE of "+name, c.named.MSE, mse, 0)
		near(t, "components of "+name, float64(c.named.Components), q, 0)
		if c.own.MSE == c.named.MSE {
			t.Errorf("%s removes the same noise whatever it is", name)
		}
		if !(mse < named.Identity.MSE && mse < named.PCA.MSE) {
			t.Errorf("%s errs by %g, the identity by %g, PCA by %g", name, mse, named.Identity.MSE, named.PCA.MSE)
		}
	}
	if len(named.Skipped) != 0 {
		t.Errorf("skipped %v", named.Skipped)
	}
}

func TestCompareSaysWhatItSkips(t *testing.T) {
	one := column(0, 1, 2, 4)
	const levels = "the noise is of many levels, and it removes that of one"
	many, _ := withSpectrum(FactorFeatures+1, 0, []float64{3, 2, 1}, 2)
	for name, c := range map[string]struct {
		rows Rows
		want []Skip
	}{
		"a column":      {one, []Skip{{"ppca", "2 components: a single feature leaves no room for components"}, {"fa", "2 components: a single feature leaves no room for components"}}},
		"many levels":   {randomRows(1, 30, 4, 0), []Skip{{"ppca", levels}, {"fa", levels}}},
		"many features": {many, []Skip{{"fa", "257 features, more than 256"}}},
	} {
		table, err := Compare(t.Context(), Problem{Train: c.rows, Clean: c.rows, Corrupted: c.rows, Likelihood: Likelihood{Name: "gaussian", Sigma: 1}, Components: 2,
			ManyLevels: name == "many levels"})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(table.Skipped, c.want) {
			t.Errorf("%s: skipped %v, want %v", name, table.Skipped, c.want)
		}
		if (table.PPCA == nil) != (name != "many features") || table.FA != nil {
			t.Errorf("%s: %+v", name, table)
		}
	}
}

func TestCompareFitsNoiseOnThePairsForIt(t *testing.T) {
	clean := randomRows(1, 50, 3, 0)
	noisy := func(sigma float32) Rows {
		out := Rows{Features: 3}
		for i, v := range clean.Values {
			out.Values = append(out.Values, v+sigma*float32(1-2*(i%2)))
		}
		return out
	}
	p := Problem{Train: clean, Clean: clean, Corrupted: noisy(1), Likelihood: Likelihood{Name: "gaussian-learned"}}
	own, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	p.NoiseClean, p.NoiseCorrupted = clean, noisy(2)
	other, err := Compare(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	// ½(r²/v + ln 2πv) a feature with r² = 1 and v = 1 or 4.
	near(t, "NLL, variance from the held-out pairs", own.Identity.PerFeature, 0.5*(1+math.Log(2*math.Pi)), 1e-5)
	near(t, "NLL, variance from the pairs for it", other.Identity.PerFeature, 0.5*(0.25+math.Log(8*math.Pi)), 1e-5)
}

func TestCompareThinsTheTrainingRows(t *testing.T) {
	train := column(0, 1, 0, 1, 0, 1)
	table, err := Compare(t.Context(), Problem{
		Train: train, Clean: column(1), Corrupted: column(1), Likelihood: Likelihood{Name: "gaussian", Sigma: 1}, MaxRows: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "MSE of the mean of the zeros", table.Mean.MSE, 1, 0)
}

func TestTableInJSON(t *testing.T) {
	text, err := json.Marshal(Table{PCA: Score{MSE: 1, NLL: 2, PerFeature: 0.5, Components: 4}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"identity":{"mse":0,"nll":0,"nll_per_feature":0},"mean":{"mse":0,"nll":0,"nll_per_feature":0},` +
		`"pca":{"mse":1,"nll":2,"nll_per_feature":0.5,"components":4}}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

func TestCompareNamesWhatFailed(t *testing.T) {
	rows := randomRows(1, 4, 2, 0)
	good := Problem{Train: rows, Clean: rows, Corrupted: rows, Likelihood: Likelihood{Name: "bernoulli"}}
	for name, spoil := range map[string]func(*Problem){
		"no training rows":      func(p *Problem) { p.Train = Rows{Features: 2} },
		"other width":           func(p *Problem) { p.Clean = column(1, 2); p.Corrupted = p.Clean },
		"unpaired":              func(p *Problem) { p.Corrupted = randomRows(1, 3, 2, 0) },
		"unpaired noise":        func(p *Problem) { p.NoiseClean = rows },
		"unknown likelihood":    func(p *Problem) { p.Likelihood.Name = "cauchy" },
		"likelihood of no name": func(p *Problem) { p.Likelihood = Likelihood{} },
	} {
		p := good
		spoil(&p)
		if _, err := Compare(t.Context(), p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Compare(t.Context(), good); err != nil {
		t.Error(err)
	}
}
