package baseline

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// withSpectrum makes rows whose covariance has exactly the given eigenvalues,
// μ ± √(q·λ_k)·u_k with orthonormal u_k: the columns of the Householder
// reflection I - 2vvᵀ, v = (1, ..., 1)/√D, taken stride apart.
func withSpectrum(d int, mean float64, spectrum []float64, stride int) (rows Rows, directions *mat.Dense) {
	q := len(spectrum)
	rows.Features = d
	directions = mat.NewDense(d, q, nil)
	for k, variance := range spectrum {
		for i := range d {
			u := -2 / float64(d)
			if i == k*stride {
				u++
			}
			directions.Set(i, k, u)
		}
		for _, sign := range []float64{-1, 1} {
			for i := range d {
				rows.Values = append(rows.Values, float32(mean+sign*math.Sqrt(float64(q)*variance)*directions.At(i, k)))
			}
		}
	}
	return rows, directions
}

func TestPCAFindsAKnownSpectrum(t *testing.T) {
	spectrum := []float64{5, 3, 2, 0.5}
	rows, directions := withSpectrum(6, 0.25, spectrum, 1)
	for q := 1; q <= 8; q++ {
		p, err := FitPCA(t.Context(), rows, q)
		if err != nil {
			t.Fatal(err)
		}
		kept := min(q, len(spectrum)) // the rows vary in four directions only
		nearVector(t, "variances", p.Variances, spectrum[:kept], 1e-5)
		near(t, "total variance", p.Total, 10.5, 1e-5)
		var overlap mat.Dense
		overlap.Mul(p.Components.T(), directions.Slice(0, 6, 0, kept))
		nearMatrix(t, "|UᵀU₀|", absolute(&overlap), eye(kept), 1e-6)

		reconstruction, err := p.Reconstruct(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		got, err := MSE(t.Context(), rows, reconstruction)
		if err != nil {
			t.Fatal(err)
		}
		var left float64
		for _, v := range spectrum[kept:] {
			left += v / 6
		}
		near(t, "MSE", got, left, 1e-6)
	}
}

func TestPCACodesAreCoordinates(t *testing.T) {
	rows, _ := withSpectrum(6, 0.25, []float64{5, 3, 2}, 1)
	p, err := FitPCA(t.Context(), rows, 2)
	if err != nil {
		t.Fatal(err)
	}
	codes, err := p.Encode(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	m := estimate(t, codes)
	nearVector(t, "mean of the codes", m.Mean, []float64{0, 0}, 1e-6)
	nearMatrix(t, "covariance of the codes", m.Covariance, mat.NewDense(2, 2, []float64{5, 0, 0, 3}), 1e-5)
	for k := range 2 {
		if largest := mat.Max(p.Components.ColView(k)); largest < mat.Max(absolute(mat.DenseCopyOf(p.Components.ColView(k))))-1e-9 {
			t.Errorf("the largest entry of component %d is negative", k)
		}
	}
}

func TestPCAOfConstantRowsIsTheMean(t *testing.T) {
	rows := Rows{Values: []float32{1, 2, 1, 2, 1, 2}, Features: 2}
	p, err := FitPCA(t.Context(), rows, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Variances) != 0 {
		t.Fatalf("components %v of constant rows", p.Variances)
	}
	got, err := p.Reconstruct(t.Context(), Rows{Values: []float32{5, 6}, Features: 2})
	if err != nil {
		t.Fatal(err)
	}
	if got.Values[0] != 1 || got.Values[1] != 2 {
		t.Errorf("reconstruction %v", got.Values)
	}
	codes, err := p.Encode(t.Context(), rows)
	if err != nil || len(codes.Values) != 0 {
		t.Errorf("codes %v, error %v", codes.Values, err)
	}
}

// Beyond ExactFeatures features the components come from the randomised method. The
// spectrum falls slowly, with a tail longer than the directions to spare.
func TestRandomizedPCAAgreesWithTheSpectrum(t *testing.T) {
	spectrum := make([]float64, 60)
	for k := range spectrum {
		spectrum[k] = math.Pow(0.8, float64(k))
	}
	rows, directions := withSpectrum(ExactFeatures+76, 0.5, spectrum, 17)
	p, err := FitPCA(t.Context(), rows, 8)
	if err != nil {
		t.Fatal(err)
	}
	nearVector(t, "variances", p.Variances, spectrum[:8], 1e-5)
	var total float64
	for _, v := range spectrum {
		total += v
	}
	near(t, "total variance", p.Total, total, 1e-4)
	var overlap mat.Dense
	overlap.Mul(p.Components.T(), directions.Slice(0, ExactFeatures+76, 0, 8))
	nearMatrix(t, "|UᵀU₀|", absolute(&overlap), eye(8), 1e-3)
}

// Where both ways are open they find the same components.
func TestRandomizedPCAIsTheExactOne(t *testing.T) {
	rows := randomRows(3, 400, 60, 0.2)
	for i := range rows.Values {
		rows.Values[i] *= float32(math.Pow(0.9, float64(i%60)))
	}
	exact, err := FitPCA(t.Context(), rows, 3)
	if err != nil {
		t.Fatal(err)
	}
	p, err := RandomizedPCA(t.Context(), rows, 3)
	if err != nil {
		t.Fatal(err)
	}
	nearVector(t, "mean", p.Mean, exact.Mean, 1e-9)
	near(t, "total variance", p.Total, exact.Total, 1e-9*exact.Total)
	nearVector(t, "variances", p.Variances, exact.Variances, 1e-4*exact.Variances[0])
	var overlap mat.Dense
	overlap.Mul(p.Components.T(), exact.Components)
	nearMatrix(t, "UᵀU₀", &overlap, eye(3), 1e-3)
	if _, err := RandomizedPCA(t.Context(), Rows{Features: 3}, 2); err == nil {
		t.Error("components of no rows")
	}
}

func TestReconstructorsRefuseOtherWidths(t *testing.T) {
	rows := randomRows(1, 9, 3, 0)
	p, err := FitPCA(t.Context(), rows, 2)
	if err != nil {
		t.Fatal(err)
	}
	wide := Rows{Values: make([]float32, 8), Features: 4}
	for name, r := range map[string]Reconstructor{
		"mean":   Mean(p.Mean),
		"pca":    p,
		"linear": Linear{W: mat.NewDense(3, 3, nil), Bias: make([]float64, 3)},
	} {
		if _, err := r.Reconstruct(t.Context(), wide); err == nil {
			t.Errorf("%s reconstructed 4 features from a fit to 3", name)
		}
	}
	if _, err := p.Encode(t.Context(), wide); err == nil {
		t.Error("4 features were encoded by components of 3")
	}
}
