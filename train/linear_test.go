package train

import (
	"math"
	"slices"
	"testing"

	"gpudae/device"
	"gpudae/model"
)

// covariance of the rows of a table, which divides by their number.
func covariance(t device.Table) [][]float64 {
	d := t.Columns
	mean := make([]float64, d)
	for i, x := range t.Float32 {
		mean[i%d] += float64(x) / float64(t.Rows)
	}
	c := make([][]float64, d)
	for i := range c {
		c[i] = make([]float64, d)
	}
	for row := range slices.Chunk(t.Float32, d) {
		for i := range d {
			for j := range d {
				c[i][j] += (float64(row[i]) - mean[i]) * (float64(row[j]) - mean[j]) / float64(t.Rows)
			}
		}
	}
	return c
}

// eigen returns the eigenvalues and, in columns, the eigenvectors of a
// symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, section 8.5).
func eigen(a [][]float64) (values []float64, vectors [][]float64) {
	n := len(a)
	vectors = make([][]float64, n)
	for i := range vectors {
		vectors[i] = make([]float64, n)
		vectors[i][i] = 1
	}
	for range 30 {
		for p := range n {
			for q := p + 1; q < n; q++ {
				theta := math.Atan2(2*a[p][q], a[q][q]-a[p][p]) / 2
				c, s := math.Cos(theta), math.Sin(theta)
				for k := range n {
					a[k][p], a[k][q] = c*a[k][p]-s*a[k][q], s*a[k][p]+c*a[k][q]
				}
				for k := range n {
					a[p][k], a[q][k] = c*a[p][k]-s*a[q][k], s*a[p][k]+c*a[q][k]
				}
				for k := range n {
					vectors[k][p], vectors[k][q] = c*vectors[k][p]-s*vectors[k][q], s*vectors[k][p]+c*vectors[k][q]
				}
			}
		}
	}
	for i := range n {
		values = append(values, a[i][i])
	}
	return values, vectors
}

// TestLinearModelReachesTheWienerFilter trains x̂ = W₂(W₁x̃ + b₁) + b₂ under
// Gaussian noise, whose optimum is x̂ = Σ(Σ+σ²I)⁻¹(x̃-μ) + μ (Wiener 1949).
func TestLinearModelReachesTheWienerFilter(t *testing.T) {
	const sigma, features = 0.5, 4
	full := toy(2000)
	table := device.Table{Rows: full.Rows, Columns: features, Scale: 1}
	for row := range slices.Chunk(full.Float32, full.Columns) {
		table.Float32 = append(table.Float32, row[0], row[1], row[2], row[4])
	}
	c := DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 150, 1e-2, "cosine", 200, 0.999
	r := mustRun(t, Job{
		Device: newCPU(t, 1),
		Model: newDAE(t, model.Config{Features: features, Hidden: []int{features}, Activation: "identity",
			Corruption: "gaussian:0.5", Likelihood: "gaussian:1", Replicates: 4}),
		Table: table, Config: c,
	})
	// W = V diag(λ/(λ+σ²)) Vᵀ
	values, vectors := eigen(covariance(table))
	product := func(i, j int) (sum float64) { // of the trained W₂W₁, stored [out, in]
		for k := range features {
			sum += float64(r.Params[features*features+i*features+k]) * float64(r.Params[k*features+j])
		}
		return sum
	}
	for i := range features {
		for j := range features {
			want := 0.0
			for k, lambda := range values {
				want += vectors[i][k] * lambda / (lambda + sigma*sigma) * vectors[j][k]
			}
			if got := product(i, j); math.Abs(got-want) > 0.012 {
				t.Errorf("W[%d,%d] = %.4f, the Wiener filter has %.4f", i, j, got, want)
			}
		}
	}
}
