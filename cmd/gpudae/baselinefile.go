package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"gpudae/baseline"
	"gpudae/data"
	"gpudae/internal/atomicfile"
	"gpudae/train"
)

// linearFormat marks the JSON file of a linear model.
const linearFormat = "gpudae-baseline-1"

// linearModel is a fitted linear model with all that its use needs.
type linearModel struct {
	Format     string      `json:"format"`
	Kind       string      `json:"kind"`
	Data       data.Info   `json:"data"`
	Scaler     data.Scaler `json:"scaler"`
	Label      string      `json:"label,omitempty"`
	Header     string      `json:"header"`
	Split      train.Split `json:"split"`
	Corruption string      `json:"corruption"` // that it was fitted to remove
	Sigma      float64     `json:"sigma"`      // noise that Latent removes, in the scale of training; 0: its own

	Latent *baseline.LatentGaussian `json:"latent,omitempty"` // density: ppca, fa, wiener
	PCA    *baseline.PCA            `json:"pca,omitempty"`    // pca
	Map    *baseline.Linear         `json:"map,omitempty"`    // denoiser: wiener, mda
}

// save writes the model as a whole or not at all.
func (m *linearModel) save(path string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// loadLinear reads what save wrote.
func loadLinear(path string) (*linearModel, error) {
	const remedy = "make one with gpudae baseline ppca DATA -o FILE.json"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &failure{code: exitData, where: path, problem: openProblem(err), remedy: remedy, err: err}
	}
	m := new(linearModel)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &failure{code: exitData, where: path, problem: "is not a linear model: " + err.Error(), remedy: remedy, err: err}
	}
	if err := m.validate(); err != nil {
		return nil, &failure{code: exitData, where: path, problem: "is not a linear model: " + err.Error(), remedy: remedy, err: err}
	}
	return m, nil
}

// validate checks that the parts are those of the kind and fit the data.
func (m *linearModel) validate() error {
	if m.Format != linearFormat {
		return fmt.Errorf("its format is %q, not %q", m.Format, linearFormat)
	}
	latent := m.Kind == "ppca" || m.Kind == "fa" || m.Kind == "wiener"
	mapped := m.Kind == "wiener" || m.Kind == "mda"
	if !latent && !mapped && m.Kind != "pca" {
		return fmt.Errorf("unknown kind %q", m.Kind)
	}
	if (m.Latent != nil) != latent || (m.Map != nil) != mapped || (m.PCA != nil) != (m.Kind == "pca") {
		return errors.New("its parts are not those of " + m.Kind)
	}
	features := m.Data.Features
	if features < 1 || len(m.Scaler.Low) != features ||
		latent && m.Latent.Features() != features || mapped && len(m.Map.Bias) != features || m.PCA != nil && len(m.PCA.Mean) != features {
		return fmt.Errorf("its parts are not for %d features", features)
	}
	if m.Sigma < 0 {
		return fmt.Errorf("noise of σ = %g", m.Sigma)
	}
	return checkHeader(m.Header)
}

// components is the width of the code; 0 if there is none.
func (m *linearModel) components() int {
	switch {
	case m.PCA != nil:
		return len(m.PCA.Variances)
	case m.Map == nil:
		return m.Latent.Components()
	}
	return 0
}

// Reconstruct removes the noise that the model was fitted to remove.
func (m *linearModel) Reconstruct(ctx context.Context, corrupted baseline.Rows) (baseline.Rows, error) {
	switch {
	case m.Map != nil:
		return m.Map.Reconstruct(ctx, corrupted)
	case m.PCA != nil:
		return m.PCA.Reconstruct(ctx, corrupted)
	case m.Sigma > 0:
		return m.Latent.Denoise(ctx, corrupted, m.Sigma)
	}
	return m.Latent.Reconstruct(ctx, corrupted)
}

// logUnits is Σ ln b of the scaling x = a + b·z, over the values of a row that
// are there: ln p(x) = ln p(z) - Σ ln b.
func (m *linearModel) logUnits(row []float32) float64 {
	var sum float64
	for j, b := range m.Scaler.Scale {
		if row[j] == row[j] {
			sum += math.Log(b)
		}
	}
	return sum
}

// meanLogLikelihood is the mean of ln p(x) over rows in the scale of training, in
// nats and in the scale of the data.
func (m *linearModel) meanLogLikelihood(ctx context.Context, rows baseline.Rows) (float64, error) {
	each, err := m.Latent.LogLikelihood(ctx, rows)
	var sum float64
	for i, v := range each {
		sum += v - m.logUnits(rows.Row(i))
	}
	return sum / float64(len(each)), err
}
