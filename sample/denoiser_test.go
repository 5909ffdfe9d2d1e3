package sample

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"gpudae/twosample"
)

// gaussianMixture is a mixture Σ_k w_k·N(μ_k, Σ_k) and its exact Denoiser.
type gaussianMixture struct {
	features   int
	components []component
}

// component is w, μ and Σ = U·diag(λ)·Uᵀ.
type component struct {
	weight float64
	mean   []float64
	axes   [][]float64 // the columns of U
	values []float64   // λ
}

func newComponent(weight float64, mean, covariance []float64) component {
	var eigen mat.EigenSym
	if !eigen.Factorize(mat.NewSymDense(len(mean), covariance), true) {
		panic("no eigenvectors")
	}
	c := component{weight: weight, mean: mean, values: eigen.Values(nil)}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	for i := range mean {
		c.axes = append(c.axes, mat.Col(nil, i, &vectors))
	}
	return c
}

func newMixture(components ...component) *gaussianMixture {
	return &gaussianMixture{len(components[0].mean), components}
}

func (m *gaussianMixture) Features() int { return m.features }

// along returns x - μ on the component's axes.
func (c *component) along(x []float32) []float64 {
	a := make([]float64, len(x))
	for i, axis := range c.axes {
		for j, v := range x {
			a[i] += axis[j] * (float64(v) - c.mean[j])
		}
	}
	return a
}

// back returns Ua.
func (c *component) back(a []float64) []float64 {
	x := make([]float64, len(a))
	for i, v := range a {
		for j, u := range c.axes[i] {
			x[j] += u * v
		}
	}
	return x
}

// log is ln(w·N(x; μ, Σ + σ²I)).
func (c *component) log(along []float64, sigma float64) float64 {
	sum := math.Log(c.weight)
	for i, a := range along {
		v := c.values[i] + sigma*sigma
		sum -= a*a/(2*v) + math.Log(2*math.Pi*v)/2
	}
	return sum
}

// logDensity is ln p_σ(x).
func (m *gaussianMixture) logDensity(x []float32, sigma float64) float64 {
	_, total := m.shares(x, sigma)
	return total
}

// shares are p(k|x), and ln p_σ(x).
func (m *gaussianMixture) shares(x []float32, sigma float64) ([]float64, float64) {
	logs, most := make([]float64, len(m.components)), math.Inf(-1)
	for k := range m.components {
		logs[k] = m.components[k].log(m.components[k].along(x), sigma)
		most = max(most, logs[k])
	}
	sum := 0.0
	for k, l := range logs {
		logs[k] = math.Exp(l - most)
		sum += logs[k]
	}
	for k := range logs {
		logs[k] /= sum
	}
	return logs, most + math.Log(sum)
}

// posterior is E[x₀|x, k] of each component.
func (m *gaussianMixture) posterior(x []float32, sigma float64) [][]float64 {
	means := make([][]float64, len(m.components))
	for k := range m.components {
		c := &m.components[k]
		along := c.along(x)
		for i, v := range c.values {
			along[i] *= v / (v + sigma*sigma)
		}
		means[k] = c.back(along)
		for j := range means[k] {
			means[k][j] += c.mean[j]
		}
	}
	return means
}

// DenoiseAt: D = Σ_k p(k|x)·E[x₀|x, k].
func (m *gaussianMixture) DenoiseAt(_ context.Context, dst, x []float32, sigma float64) error {
	for i := 0; i < len(x); i += m.features {
		row := slices.Clone(x[i : i+m.features])
		shares, _ := m.shares(row, sigma)
		means := m.posterior(row, sigma)
		for j := range row {
			sum := 0.0
			for k, share := range shares {
				sum += share * means[k][j]
			}
			dst[i+j] = float32(sum)
		}
	}
	return nil
}

// PullBackAt: ∂D/∂x = Cov[x₀|x]/σ², which is symmetric.
func (m *gaussianMixture) PullBackAt(_ context.Context, dst, x, v []float32, sigma float64) error {
	for i := 0; i < len(x); i += m.features {
		row, vector := x[i:i+m.features], v[i:i+m.features]
		shares, _ := m.shares(row, sigma)
		means := m.posterior(row, sigma)
		product := make([]float64, m.features)
		overall := make([]float64, m.features)
		for k, share := range shares {
			for j := range overall {
				overall[j] += share * means[k][j]
			}
		}
		for k, share := range shares {
			c := &m.components[k]
			still := component{mean: make([]float64, m.features), axes: c.axes}
			along := still.along(vector)
			for a, value := range c.values {
				along[a] *= value / (value + sigma*sigma)
			}
			within := c.back(along)
			dot := 0.0
			for j, u := range vector {
				dot += (means[k][j] - overall[j]) * float64(u)
			}
			for j := range product {
				product[j] += share * (within[j] + dot*(means[k][j]-overall[j])/(sigma*sigma))
			}
		}
		for j, p := range product {
			dst[i+j] = float32(p)
		}
	}
	return nil
}

func (m *gaussianMixture) draw(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	var values []float32
	for range n {
		u, k := random.Float64(), 0
		for u -= m.components[0].weight; u >= 0 && k+1 < len(m.components); u -= m.components[k].weight {
			k++
		}
		c := &m.components[k]
		along := make([]float64, m.features)
		for i, v := range c.values {
			along[i] = math.Sqrt(v) * random.NormFloat64()
		}
		for j, v := range c.back(along) {
			values = append(values, float32(c.mean[j]+v))
		}
	}
	return values
}

// plane is a mixture of three in the plane that is not symmetric.
func plane() *gaussianMixture {
	return newMixture(
		newComponent(0.5, []float64{1, 0.5}, []float64{0.2, 0.1, 0.1, 0.1}),
		newComponent(0.3, []float64{-1, 0.5}, []float64{0.05, 0, 0, 0.3}),
		newComponent(0.2, []float64{0.2, -1.5}, []float64{0.1, -0.05, -0.05, 0.08}))
}

// space is one of two in so many dimensions, with correlated neighbours.
func space(features int) *gaussianMixture {
	var both []component
	for k, weight := range []float64{0.6, 0.4} {
		mean, covariance := make([]float64, features), make([]float64, features*features)
		for i := range features {
			mean[i] = 0.8 * math.Cos(float64(i+3*k))
			for j := range features {
				covariance[i*features+j] = 0.3 * math.Pow(0.5-0.9*float64(k), math.Abs(float64(i-j)))
			}
		}
		both = append(both, newComponent(weight, mean, covariance))
	}
	return newMixture(both...)
}

// one is a single Gaussian in the plane.
func one() *gaussianMixture {
	return newMixture(newComponent(1, oracleMean[:], oracleCovariance[:]))
}

// TestMixtureDenoiser: the double's posterior mean is x + σ²∇ln p_σ, and what it
// pulls back is the derivative of that, by finite differences.
func TestMixtureDenoiser(t *testing.T) {
	for _, m := range []*gaussianMixture{plane(), space(5)} {
		for _, sigma := range []float64{0.1, 0.7, 4} {
			x := m.draw(20, 1)
			v := m.draw(20, 2)
			d, pulled, moved := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
			m.DenoiseAt(context.Background(), d, x, sigma)
			m.PullBackAt(context.Background(), pulled, x, v, sigma)
			const h = 1e-2
			for j := range m.features {
				up, down := slices.Clone(x), slices.Clone(x)
				for i := j; i < len(x); i += m.features {
					up[i] += h
					down[i] -= h
				}
				before := make([]float32, len(x))
				m.DenoiseAt(context.Background(), moved, up, sigma)
				m.DenoiseAt(context.Background(), before, down, sigma)
				for i := j; i < len(x); i += m.features {
					row := i - j
					slope := (m.logDensity(up[row:row+m.features], sigma) - m.logDensity(down[row:row+m.features], sigma)) / float64(up[i]-down[i])
					if got := (float64(d[i]) - float64(x[i])) / (sigma * sigma); math.Abs(got-slope) > 2e-2*(1+math.Abs(slope)) {
						t.Errorf("σ = %g: score %v, want %v", sigma, got, slope)
					}
					want := 0.0
					for k := range m.features {
						want += float64(v[row+k]) * float64(moved[row+k]-before[row+k]) / float64(up[i]-down[i])
					}
					if got := float64(pulled[i]); math.Abs(got-want) > 3e-2*(1+math.Abs(want)) {
						t.Errorf("σ = %g: pulled back %v, want %v", sigma, got, want)
					}
				}
			}
		}
	}
}

func mustLevels(t testing.TB, high, low float64, n int) []float64 {
	t.Helper()
	levels, err := KarrasLevels(high, low, n, 7)
	if err != nil {
		t.Fatal(err)
	}
	return levels
}

func mustStart(t testing.TB, d Denoiser, chains int, sigma float64, seed uint64) []float32 {
	t.Helper()
	start, err := StartAt(context.Background(), d, 0, chains, sigma, seed)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// checkSame requires two sets of examples not to be told apart by the energy
// distance or by MMD.
func checkSame(t *testing.T, what string, got, want []float32, features int) {
	t.Helper()
	for name, p := range compareSamples(t, got, want, features) {
		if p <= 0.01 {
			t.Errorf("%s: the %s tells the samples apart, P = %.3f", what, name, p)
		}
	}
}

func compareSamples(t *testing.T, got, want []float32, features int) map[string]float64 {
	t.Helper()
	x, y := twosample.Rows{Values: got, Features: features}, twosample.Rows{Values: want, Features: features}
	o := twosample.Options{Permutations: 99, Seed: 1}
	energy, err := twosample.Energy(context.Background(), x, y, o)
	if err != nil {
		t.Fatal(err)
	}
	mmd, err := twosample.MMD(context.Background(), x, y, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("energy distance %.5f, P = %.3f; MMD² %.6f, P = %.3f", energy.Statistic, energy.P, mmd.Statistic, mmd.P)
	return map[string]float64{"energy distance": energy.P, "MMD": mmd.P}
}
