package baseline

import (
	"encoding/json"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// The JSON of a model is an object of plain arrays, matrices row-major, in which
// every number survives bit for bit. Reading one checks that its arrays belong
// together, since it may come from anywhere.

// UnmarshalJSON reads {"mean": [D], "loadings": [D·q], "noise": [D]}.
func (g *LatentGaussian) UnmarshalJSON(text []byte) error {
	type plain LatentGaussian
	var read plain
	if err := json.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("latent gaussian: %w", err)
	}
	d := len(read.Mean)
	if d == 0 || len(read.Noise) != d || len(read.Loadings)%d != 0 {
		return fmt.Errorf("latent gaussian: %d means, %d loadings and %d noises do not belong together", d, len(read.Loadings), len(read.Noise))
	}
	for j, v := range read.Noise {
		if v < 0 {
			return fmt.Errorf("latent gaussian: column %d has noise of variance %g", j+1, v)
		}
	}
	*g = LatentGaussian(read)
	return nil
}

// pcaJSON is the JSON of a PCA.
type pcaJSON struct {
	Mean       []float64 `json:"mean"`       // [D]
	Components []float64 `json:"components"` // [D, q]
	Variances  []float64 `json:"variances"`  // [q]
	Total      float64   `json:"total"`
}

// MarshalJSON implements json.Marshaler.
func (p PCA) MarshalJSON() ([]byte, error) {
	out := pcaJSON{Mean: p.Mean, Components: []float64{}, Variances: p.Variances, Total: p.Total}
	if len(p.Variances) > 0 {
		out.Components = rowMajor(p.Components)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *PCA) UnmarshalJSON(text []byte) error {
	var in pcaJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("principal components: %w", err)
	}
	d, q := len(in.Mean), len(in.Variances)
	if d == 0 || len(in.Components) != d*q {
		return fmt.Errorf("principal components: %d means, %d variances and %d components do not belong together", d, q, len(in.Components))
	}
	*p = PCA{Mean: in.Mean, Components: &mat.Dense{}, Variances: in.Variances, Total: in.Total}
	if q > 0 {
		p.Components = mat.NewDense(d, q, in.Components)
	}
	return nil
}

// linearJSON is the JSON of a Linear.
type linearJSON struct {
	Weight []float64 `json:"weight"` // [D, D]
	Bias   []float64 `json:"bias"`   // [D]
}

// MarshalJSON implements json.Marshaler.
func (l Linear) MarshalJSON() ([]byte, error) {
	if l.W == nil {
		return nil, errors.New("linear map: it is empty")
	}
	return json.Marshal(linearJSON{rowMajor(l.W), l.Bias})
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Linear) UnmarshalJSON(text []byte) error {
	var in linearJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("linear map: %w", err)
	}
	d := len(in.Bias)
	if d == 0 || len(in.Weight) != d*d {
		return fmt.Errorf("linear map: %d weights and %d biases do not belong together", len(in.Weight), d)
	}
	*l = Linear{W: mat.NewDense(d, d, in.Weight), Bias: in.Bias}
	return nil
}

// rowMajor lists the elements of a matrix.
func rowMajor(m *mat.Dense) []float64 {
	rows, columns := m.Dims()
	out := make([]float64, 0, rows*columns)
	for i := range rows {
		out = append(out, m.RawRowView(i)...)
	}
	return out
}
