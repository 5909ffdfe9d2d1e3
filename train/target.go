package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/model"
)

// Target describes what a predictor tells of a row: one of Classes or, without
// any, a number, which the model knows as (y - Offset)/Scale.
type Target struct {
	Name    string   `json:"name,omitempty"` // of the column, where it has one
	Classes []string `json:"classes,omitempty"`
	Offset  float64  `json:"offset,omitempty"`
	Scale   float64  `json:"scale,omitempty"`
}

// UnmarshalJSON reads what encoding/json wrote, and checks it.
func (t *Target) UnmarshalJSON(text []byte) error {
	type plain Target // without this method
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if p.Classes == nil && (!(p.Scale > 0) || !finite(p.Scale) || !finite(p.Offset)) {
		return fmt.Errorf("a number with offset %v and scale %v", p.Offset, p.Scale)
	}
	if len(p.Classes) == 1 {
		return errors.New("a single class")
	}
	*t = Target(p)
	return nil
}

// Width is the number of columns of the target's table: one, or for more than
// two classes one of each.
func (t *Target) Width() int {
	if len(t.Classes) > 2 {
		return len(t.Classes)
	}
	return 1
}

// Model is the model's target, with a head that reads those layers.
func (t *Target) Model(layers string, freeze bool) model.Target {
	m := model.Target{Likelihood: device.Gaussian.String(), Width: t.Width(), Layers: layers, Freeze: freeze}
	switch {
	case len(t.Classes) == 2:
		m.Likelihood = device.Bernoulli.String()
	case len(t.Classes) > 2:
		m.Likelihood = device.Categorical.String()
	}
	return m
}

// ClassTable is the table of targets of rows whose classes are given by their
// index in Classes.
func (t *Target) ClassTable(class []int32) device.Table {
	width := t.Width()
	table := device.Table{Rows: len(class), Columns: width, Uint8: make([]uint8, len(class)*width), Scale: 1}
	for row, c := range class {
		switch {
		case width > 1:
			table.Uint8[row*width+int(c)] = 1
		case c == 1:
			table.Uint8[row] = 1
		}
	}
	return table
}

// NumberTable is the table of targets of rows that are numbers.
func (t *Target) NumberTable(y []float64) device.Table {
	table := device.Table{Rows: len(y), Columns: 1, Float32: make([]float32, len(y))}
	for row, v := range y {
		table.Float32[row] = float32((v - t.Offset) / t.Scale)
	}
	return table
}

// FitNumber sets Offset and Scale to the mean and the standard deviation of
// those numbers for which keep is true, which should be the training rows.
func (t *Target) FitNumber(y []float64, keep func(row int) bool) {
	n, mean, squares := 0.0, 0.0, 0.0
	for row, v := range y {
		if keep(row) {
			n++
			d := v - mean
			mean += d / n
			squares += d * (v - mean)
		}
	}
	t.Offset, t.Scale = mean, math.Sqrt(squares/n)
	if !(t.Scale > 0) || !finite(t.Scale) {
		t.Scale = 1
	}
}

// Start are the arenas that a run of a predictor starts from: those of the model
// that its encoder was taken from, see model.TakeEncoder. Its head starts at the
// means of the targets.
type Start struct{ Params, Buffers []float32 }

// checkTarget reports whether the job has what a predictor needs, and nothing of
// it otherwise.
func (s *setup) checkTarget() error {
	want := s.Model.Config().Target
	switch {
	case want == nil && (s.Targets.Rows > 0 || s.Start != nil):
		return errors.New("targets for a model that predicts nothing")
	case want == nil:
		return nil
	case s.Targets.Rows != s.Table.Rows || s.Targets.Columns != want.Width:
		return fmt.Errorf("targets of %d×%d for %d rows of a model that predicts %d columns", s.Targets.Rows, s.Targets.Columns, s.Table.Rows, want.Width)
	case want.Freeze && s.Config.EMA > 0:
		return &model.ConfigError{Key: "ema", Problem: "the average of a frozen encoder would differ from it by rounding", Remedy: "set ema to 0, or do not freeze"}
	}
	return nil
}

// loadTargets makes the targets resident.
func (d *session) loadTargets(ctx context.Context) (err error) {
	if !d.Model.IsPredictor() {
		return nil
	}
	if d.targets, err = d.Device.Load(ctx, d.Targets); err != nil {
		return fmt.Errorf("copying %d targets to the device: %w", d.Targets.Rows, err)
	}
	return nil
}

// predictorStart is where a predictor starts.
func (d *session) predictorStart(ctx context.Context) (arenas, error) {
	moments, err := model.ColumnMoments(ctx, d.Targets, d.split.Training())
	if err != nil {
		return arenas{}, err
	}
	start := arenas{params: d.Model.InitialParameters(d.Config.Seed), buffers: d.Model.InitialBuffers()}
	if d.Start != nil {
		copy(start.params, d.Start.Params)
		copy(start.buffers, d.Start.Buffers)
	}
	d.Model.StartAtTargetMeans(start.params, moments)
	return start, nil
}

// targetDigest identifies the targets and the start of a predictor's run; it is
// empty for other runs.
func (s *setup) targetDigest() (string, error) {
	if !s.Model.IsPredictor() {
		return "", nil
	}
	hash := sha256.New()
	parts := []any{s.Targets.Uint8, s.Targets.Float32}
	if s.Start != nil {
		parts = append(parts, s.Start.Params, s.Start.Buffers)
	}
	for _, part := range parts {
		if err := binary.Write(hash, binary.LittleEndian, part); err != nil {
			return "", fmt.Errorf("hashing the targets: %w", err)
		}
	}
	text, err := json.Marshal(s.Target)
	hash.Write(text)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// LoadPredictor reads the model file of a predictor, or that of a run folder. It
// fails as LoadModel does.
func LoadPredictor(path string) (*Saved, error) { return load(path, predictorKind) }

// kindOf is what a model's file is.
func kindOf(d *model.DAE) string {
	if d.IsPredictor() {
		return predictorKind
	}
	return modelKind
}

// checkTarget compares what the metadata say of the target with the model.
func (s *Saved) checkTarget() error {
	want := s.DAE.Config().Target
	if want == nil {
		return nil
	}
	if got := s.Target.Model(want.Layers, want.Freeze); got.Width != want.Width || got.Likelihood != want.Likelihood {
		return fmt.Errorf("a target of %d classes for a head of %d columns under %s", len(s.Target.Classes), want.Width, want.Likelihood)
	}
	return nil
}
