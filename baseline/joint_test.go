package baseline

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// outcome is a corrupted row with its probability given the clean row.
type outcome struct {
	probability float64
	row         []float64
}

// process lists everything that a corruption can make of row i of a table, given
// what the stage before made of it.
type process func(table [][]float64, i int, y []float64) []outcome

// perUnit makes the process that treats the units (runs of columns of the given
// widths) independently: choices lists what may happen to the columns from..to.
func perUnit(widths []int, choices func(table [][]float64, i int, y []float64, from, to int) []outcome) process {
	return func(table [][]float64, i int, y []float64) []outcome {
		all := []outcome{{probability: 1}}
		from := 0
		for _, width := range widths {
			var longer []outcome
			for _, start := range all {
				for _, c := range choices(table, i, y, from, from+width) {
					row := append(append([]float64(nil), start.row...), c.row...)
					longer = append(longer, outcome{start.probability * c.probability, row})
				}
			}
			all, from = longer, from+width
		}
		return all
	}
}

func masking(p float64, widths []int) process {
	return perUnit(widths, func(_ [][]float64, _ int, y []float64, from, to int) []outcome {
		return []outcome{{1 - p, y[from:to]}, {p, make([]float64, to-from)}}
	})
}

func swapping(p float64, widths []int) process {
	return perUnit(widths, func(table [][]float64, i int, y []float64, from, to int) []outcome {
		all := []outcome{{1 - p, y[from:to]}}
		for donor := range table {
			if donor != i {
				all = append(all, outcome{p / float64(len(table)-1), table[donor][from:to]})
			}
		}
		return all
	})
}

func saltAndPepper(p float64, low, high []float64) process {
	return perUnit(ones(len(low)), func(_ [][]float64, _ int, y []float64, c, _ int) []outcome {
		return []outcome{{1 - p, y[c : c+1]}, {p / 2, low[c : c+1]}, {p / 2, high[c : c+1]}}
	})
}

// additive adds ±deviation(y), each with probability ½: the first two moments
// are those of any noise of that deviation.
func additive(d int, deviation func(y float64) float64) process {
	return perUnit(ones(d), func(_ [][]float64, _ int, y []float64, c, _ int) []outcome {
		s := deviation(y[c])
		return []outcome{{0.5, []float64{y[c] + s}}, {0.5, []float64{y[c] - s}}}
	})
}

func poissonCounts(d int, peak float64) process {
	return perUnit(ones(d), func(_ [][]float64, _ int, y []float64, c, _ int) []outcome {
		var all []outcome
		probability := math.Exp(-peak * y[c])
		for n := range 40 {
			all = append(all, outcome{probability, []float64{float64(n) / peak}})
			probability *= peak * y[c] / float64(n+1)
		}
		return all
	})
}

func ones(d int) []int {
	widths := make([]int, d)
	for j := range widths {
		widths[j] = 1
	}
	return widths
}

// enumerate computes the joint moments of (x, x̃) exactly, by going through all
// outcomes of the stages for every row of the table.
func enumerate(table [][]float64, stages ...process) (mean []float64, cross *mat.Dense, noisy *mat.SymDense) {
	n, d := len(table), len(table[0])
	cleanMean := make([]float64, d)
	mean, cross, noisy = make([]float64, d), mat.NewDense(d, d, nil), mat.NewSymDense(d, nil)
	for i, x := range table {
		outcomes := []outcome{{1 / float64(n), x}}
		for _, stage := range stages {
			var next []outcome
			for _, o := range outcomes {
				for _, c := range stage(table, i, o.row) {
					next = append(next, outcome{o.probability * c.probability, c.row})
				}
			}
			outcomes = next
		}
		for _, o := range outcomes {
			for a := range d {
				mean[a] += o.probability * o.row[a]
				cleanMean[a] += o.probability * x[a]
				for b := range d {
					cross.Set(a, b, cross.At(a, b)+o.probability*x[a]*o.row[b])
					if a <= b {
						noisy.SetSym(a, b, noisy.At(a, b)+o.probability*o.row[a]*o.row[b])
					}
				}
			}
		}
	}
	for a := range d {
		for b := range d {
			cross.Set(a, b, cross.At(a, b)-cleanMean[a]*mean[b])
			if a <= b {
				noisy.SetSym(a, b, noisy.At(a, b)-mean[a]*mean[b])
			}
		}
	}
	return mean, cross, noisy
}

// smallTable has values that float32 holds exactly.
func smallTable() ([][]float64, Rows) {
	table := [][]float64{{0.5, 1, 0}, {0.25, 0, 1}, {1, 0.75, 0.5}, {0, 0.25, 0.125}}
	rows := Rows{Features: 3}
	for _, row := range table {
		for _, v := range row {
			rows.Values = append(rows.Values, float32(v))
		}
	}
	return table, rows
}

func TestStagesAgreeWithEnumeration(t *testing.T) {
	table, rows := smallTable()
	m := estimate(t, rows)
	low, high := []float64{0, -1, 0.25}, []float64{1, 1, 0.5}
	pair := []int{1, 2}
	sigma := func(float64) float64 { return 0.3 }
	own := Uncorrupted(m, nil)
	for name, c := range map[string]struct {
		got    Joint
		stages []process
	}{
		"none":                 {own, nil},
		"gaussian":             {own.Gaussian(0.3), []process{additive(3, sigma)}},
		"uniform":              {own.Uniform(0.6), []process{additive(3, func(float64) float64 { return 0.6 / math.Sqrt(3) })}},
		"speckle":              {own.Speckle(0.3), []process{additive(3, func(y float64) float64 { return 0.3 * y })}},
		"poisson":              {own.Poisson(5), []process{poissonCounts(3, 5)}},
		"masking":              {own.Masking(0.2), []process{masking(0.2, ones(3))}},
		"masking by field":     {Uncorrupted(m, pair).Masking(0.2), []process{masking(0.2, pair)}},
		"salt and pepper":      {own.SaltAndPepper(0.4, low, high), []process{saltAndPepper(0.4, low, high)}},
		"swap":                 {own.Swap(0.3), []process{swapping(0.3, ones(3))}},
		"swap by field":        {Uncorrupted(m, pair).Swap(0.3), []process{swapping(0.3, pair)}},
		"masking and gaussian": {own.Masking(0.2).Gaussian(0.3), []process{masking(0.2, ones(3)), additive(3, sigma)}},
		"gaussian and masking": {own.Gaussian(0.3).Masking(0.2), []process{additive(3, sigma), masking(0.2, ones(3))}},
		"masking and swap":     {Uncorrupted(m, pair).Masking(0.2).Swap(0.3), []process{masking(0.2, pair), swapping(0.3, pair)}},
		"swap and swap":        {own.Swap(0.2).Swap(0.3), []process{swapping(0.2, ones(3)), swapping(0.3, ones(3))}},
		"salt on masked pair": {
			Uncorrupted(m, pair).Masking(0.2).SaltAndPepper(0.4, low, high),
			[]process{masking(0.2, pair), saltAndPepper(0.4, low, high)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			mean, cross, noisy := enumerate(table, c.stages...)
			nearVector(t, "E[x̃]", c.got.Mean, mean, 1e-13)
			nearMatrix(t, "Cov(x, x̃)", c.got.Cross, cross, 1e-13)
			nearMatrix(t, "Cov(x̃, x̃)", c.got.Noisy, noisy, 1e-13)
		})
	}
	nearMatrix(t, "the moments that were started from", own.Noisy, m.Covariance, 0)
}

// The formulas that are published for centred data, at an infinite table.
func TestSwapAndSaltAndPepperOptima(t *testing.T) {
	m := estimate(t, randomRows(3, 200, 4, 0.1))
	m.Rows = 0
	const p, keep = 0.3, 0.7
	d := m.Features()

	diagonal := func(at func(j int) float64) *mat.Dense {
		s := mat.NewDense(d, d, nil)
		for a := range d {
			for b := range d {
				s.Set(a, b, keep*keep*m.Covariance.At(a, b))
			}
			s.Set(a, a, at(a))
		}
		return s
	}
	optimum := func(s *mat.Dense) *mat.Dense {
		var inverse, w mat.Dense
		if err := inverse.Inverse(s); err != nil {
			t.Fatal(err)
		}
		w.Mul(m.Covariance, &inverse)
		w.Scale(keep, &w)
		return &w
	}
	check := func(name string, j Joint, want *mat.Dense) {
		t.Helper()
		got, err := j.Best()
		if err != nil {
			t.Fatal(err)
		}
		nearMatrix(t, name, got.W, want, 1e-9)
	}
	start := Uncorrupted(m, nil)
	check("swap", start.Swap(p), optimum(diagonal(func(j int) float64 { return m.Covariance.At(j, j) })))
	zeros, ones := make([]float64, d), []float64{1, 1, 1, 1}
	check("salt and pepper", start.SaltAndPepper(p, zeros, ones), optimum(diagonal(func(j int) float64 {
		mean := keep*m.Mean[j] + p/2
		return keep*m.square(j) + p/2 - mean*mean
	})))
}

func TestIdentityMSEFormulas(t *testing.T) {
	m := estimate(t, randomRows(4, 50, 3, 0.5))
	j := Uncorrupted(m, nil)
	var squares, variance float64
	for c := range m.Mean {
		squares += m.square(c) / 3
		variance += m.Covariance.At(c, c) / 3
	}
	near(t, "gaussian", j.Gaussian(0.3).IdentityMSE(), 0.09, 1e-12)
	near(t, "masking", j.Masking(0.25).IdentityMSE(), 0.25*squares, 1e-12)
	near(t, "swap", j.Swap(0.25).IdentityMSE(), 2*0.25*variance*50/49, 1e-12)
	near(t, "mean", j.MeanMSE(), variance, 1e-12)
	identity := Linear{W: mat.DenseCopyOf(eye(3)), Bias: make([]float64, 3)}
	masked := j.Masking(0.25)
	near(t, "MSE of the identity as a linear map", masked.MSE(identity), masked.IdentityMSE(), 1e-12)
	constant := Linear{W: mat.NewDense(3, 3, nil), Bias: m.Mean}
	near(t, "MSE of the mean as a linear map", masked.MSE(constant), masked.MeanMSE(), 1e-12)
}

func eye(d int) mat.Matrix {
	diagonal := mat.NewDiagDense(d, nil)
	for j := range d {
		diagonal.SetDiag(j, 1)
	}
	return diagonal
}

// On the pairs from which its moments come, the expected MSE is the MSE.
func TestExpectedMSEIsTheMeanOverThePairs(t *testing.T) {
	clean, corrupted := randomRows(5, block+11, 4, 1), randomRows(6, block+11, 4, 2)
	j, err := EstimateJoint(t.Context(), clean, corrupted)
	if err != nil {
		t.Fatal(err)
	}
	best, err := j.Best()
	if err != nil {
		t.Fatal(err)
	}
	reconstruction, err := best.Reconstruct(t.Context(), corrupted)
	if err != nil {
		t.Fatal(err)
	}
	got, err := MSE(t.Context(), clean, reconstruction)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "MSE", got, j.MSE(best), 1e-6*got)
	if got >= j.MeanMSE() {
		t.Errorf("the best linear denoiser has MSE %g, the mean %g", got, j.MeanMSE())
	}
}

// At the optimum the derivative of the expected MSE is zero in every direction,
// and the error rises by the square of the step.
func TestBestHasZeroGradient(t *testing.T) {
	m := estimate(t, randomRows(7, 300, 4, 0.5))
	random := rand.New(rand.NewPCG(8, 0))
	for name, j := range map[string]Joint{
		"gaussian": Uncorrupted(m, nil).Gaussian(0.7),
		"masking":  Uncorrupted(m, nil).Masking(0.3),
		"swap":     Uncorrupted(m, []int{1, 3}).Swap(0.3),
	} {
		best, err := j.Best()
		if err != nil {
			t.Fatal(err)
		}
		least := j.MSE(best)
		for range 20 {
			const step = 1e-3
			direction := mat.NewDense(4, 4, nil)
			shift := make([]float64, 4)
			for a := range 4 {
				shift[a] = random.NormFloat64()
				for b := range 4 {
					direction.Set(a, b, random.NormFloat64())
				}
			}
			at := func(step float64) float64 {
				var w mat.Dense
				w.Scale(step, direction)
				w.Add(&w, best.W)
				bias := make([]float64, 4)
				for a := range bias {
					bias[a] = best.Bias[a] + step*shift[a]
				}
				return j.MSE(Linear{W: &w, Bias: bias})
			}
			near(t, name+": derivative", (at(step)-at(-step))/(2*step), 0, 1e-9)
			if at(step) <= least {
				t.Errorf("%s: a step from the optimum lowers the error", name)
			}
		}
	}
}

func TestWienerIsTheBestUnderGaussianNoise(t *testing.T) {
	m := estimate(t, randomRows(9, 300, 5, 0.5))
	const sigma = 0.8
	j := Uncorrupted(m, nil).Gaussian(sigma)
	for q := 0; q <= 6; q++ {
		filter, err := Wiener(m, sigma, q)
		if err != nil {
			t.Fatal(err)
		}
		best, err := j.BestRank(q)
		if err != nil {
			t.Fatal(err)
		}
		nearMatrix(t, "W", filter.W, best.W, 1e-10)
		nearVector(t, "bias", filter.Bias, best.Bias, 1e-10)
		want, err := WienerMSE(m, sigma, q)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "MSE", j.MSE(filter), want, 1e-12)
	}
	full, err := j.Best()
	if err != nil {
		t.Fatal(err)
	}
	filter, err := Wiener(m, sigma, 5)
	if err != nil {
		t.Fatal(err)
	}
	nearMatrix(t, "Σ(Σ+σ²I)⁻¹", filter.W, full.W, 1e-12)
}

// A column that never varies makes Σ singular, and without noise so is Cov(x̃).
func TestWienerWithoutNoiseProjects(t *testing.T) {
	rows := randomRows(10, 40, 3, 0)
	for i := range rows.Len() {
		rows.Row(i)[1] = 2
	}
	filter, err := Wiener(estimate(t, rows), 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	nearMatrix(t, "W", filter.W, mat.NewDense(3, 3, []float64{1, 0, 0, 0, 0, 0, 0, 0, 1}), 1e-12)
	nearVector(t, "bias", filter.Bias, []float64{0, 2, 0}, 1e-12)
}

func TestMarginalizedIsTheBestUnderMasking(t *testing.T) {
	rows := randomRows(11, 300, 4, 0.5)
	for i := range rows.Len() {
		rows.Row(i)[2] = 0 // a dead pixel: Q is singular
	}
	m := estimate(t, rows)
	const p = 0.3
	got, err := Marginalized(m, p)
	if err != nil {
		t.Fatal(err)
	}
	best, err := Uncorrupted(m, nil).Masking(p).Best()
	if err != nil {
		t.Fatal(err)
	}
	nearMatrix(t, "W", got.W, best.W, 1e-10)
	nearVector(t, "bias", got.Bias, best.Bias, 1e-10)
}

// The regression on corrupted copies tends to the marginalised solution: its
// coefficients differ by their standard error, of the order of 1/√copies.
func TestMarginalizedIsTheLimitOfRegression(t *testing.T) {
	const p, copies = 0.3, 1000
	rows := randomRows(12, 60, 3, 0.5)
	random := rand.New(rand.NewPCG(13, 0))
	clean, corrupted := Rows{Features: 3}, Rows{Features: 3}
	for range copies {
		clean.Values = append(clean.Values, rows.Values...)
		for _, v := range rows.Values {
			if random.Float64() < p {
				v = 0
			}
			corrupted.Values = append(corrupted.Values, v)
		}
	}
	j, err := EstimateJoint(t.Context(), clean, corrupted)
	if err != nil {
		t.Fatal(err)
	}
	regression, err := j.Best()
	if err != nil {
		t.Fatal(err)
	}
	closed, err := Marginalized(estimate(t, rows), p)
	if err != nil {
		t.Fatal(err)
	}
	nearMatrix(t, "W", closed.W, regression.W, 0.02)
	nearVector(t, "bias", closed.Bias, regression.Bias, 0.05)
}

func TestFieldsMustCoverTheColumns(t *testing.T) {
	m := estimate(t, randomRows(1, 3, 3, 0))
	defer func() {
		if recover() == nil {
			t.Error("fields of 2 columns were accepted for 3 features")
		}
	}()
	Uncorrupted(m, []int{2})
}
