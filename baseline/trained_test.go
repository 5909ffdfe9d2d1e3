package baseline_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"gpudae/baseline"
	"gpudae/cpu"
	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// A linear auto-encoder with a code of q units learns the subspace of the first q
// principal components, with and without Gaussian noise (Baldi and Hornik 1989;
// Bishop 2006, section 12.4.2), and as its map PCA's projection and the Wiener
// filter of rank q.
func TestTrainedLinearModelFindsThePrincipalSubspace(t *testing.T) {
	const d, q, rows = 6, 2, 512
	table := device.Table{Rows: rows, Columns: d, Scale: 1, Float32: planar(rows, d)}
	clean := baseline.Rows{Values: table.Float32, Features: d}
	moments, err := baseline.EstimateMoments(t.Context(), clean)
	if err != nil {
		t.Fatal(err)
	}
	pca, err := baseline.PCAOf(moments, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		corruption string
		sigma      float64
	}{{"none", 0}, {"gaussian:0.4", 0.4}} {
		t.Run(c.corruption, func(t *testing.T) {
			filter, err := baseline.Wiener(moments, c.sigma, q)
			if err != nil {
				t.Fatal(err)
			}
			decoder, whole := trained(t, table, q, c.corruption)
			// The sine of the largest angle between the subspaces is the norm of
			// (I - UUᵀ)Q, with the columns of Q an orthonormal basis of the decoder's.
			var factors mat.SVD
			if !factors.Factorize(decoder, mat.SVDThin) {
				t.Fatal("no singular values")
			}
			var basis, inside, outside mat.Dense
			factors.UTo(&basis)
			inside.Mul(pca.Components.T(), &basis)
			outside.Mul(pca.Components, &inside)
			outside.Sub(&basis, &outside)
			if sine := mat.Norm(&outside, 2); !(sine < 0.02) {
				t.Errorf("the subspaces are %.3f rad apart", math.Asin(min(sine, 1)))
			}
			var difference mat.Dense
			difference.Sub(whole, filter.W)
			if norm := mat.Norm(&difference, 2); !(norm < 0.04) {
				t.Errorf("the maps differ by %.3f:\n%.3f\nwant\n%.3f", norm, mat.Formatted(whole), mat.Formatted(filter.W))
			}
		})
	}
}

// planar makes examples that vary most in two directions, by different amounts.
func planar(rows, d int) []float32 {
	random := rand.New(rand.NewPCG(51, 0))
	var values []float32
	for range rows {
		a, b := 1.5*random.NormFloat64(), random.NormFloat64()
		for j := range d {
			angle := float64(j)
			values = append(values, float32(0.5+a*math.Cos(angle)+b*math.Sin(angle)+0.5*random.NormFloat64()))
		}
	}
	return values
}

// trained trains a linear auto-encoder and returns its decoder's weight [D, q]
// and the product of both weights [D, D].
func trained(t *testing.T, table device.Table, q int, corruption string) (decoder, whole *mat.Dense) {
	t.Helper()
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	dae, err := model.New(model.Config{Features: table.Columns, Hidden: []int{q}, Activation: "identity", Corruption: corruption,
		Likelihood: "gaussian:1", Replicates: 4})
	if err != nil {
		t.Fatal(err)
	}
	c := train.DefaultConfig()
	c.Val, c.Epochs, c.LR, c.Schedule, c.Batch, c.EMA = 0, 300, 2e-2, "cosine", 128, 0.999
	r, err := train.Run(t.Context(), train.Job{Device: dev, Model: dae, Table: table, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	weights := map[string]*mat.Dense{}
	for _, p := range dae.Parameters() {
		values := make([]float64, p.Rows*p.Columns)
		for i := range values {
			values[i] = float64(r.Params[p.Offset+i])
		}
		weights[p.Name] = mat.NewDense(p.Rows, p.Columns, values)
	}
	decoder, whole = weights["decoder.0.weight"], &mat.Dense{}
	whole.Mul(decoder, weights["encoder.0.weight"])
	return decoder, whole
}
