package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/safetensors"
	"gpudae/model"
)

const (
	modelKind     = "model 1"
	predictorKind = "predictor 1"
	targetKey     = "target"     // of a predictor's metadata
	provenanceKey = "provenance" // of the metadata
	columnsKey    = "columns"    // of the metadata, where the columns are mixed
)

// Saved is the content of a model file: a DAE with its weights, and what is
// needed to give it data.
type Saved struct {
	Path     string // of the file
	DAE      *model.DAE
	Params   []float32 // laid out as the DAE's parameters
	Buffers  []float32 // and buffers
	Config   Config    // how it was trained
	Schema   data.Info // on what
	Scaler   data.Scaler
	Split    Split
	Row      Row    // the epoch whose weights these are, without its times
	Settings []byte // the program's resolved settings in YAML
	Version  string // the program that wrote it
	// Columns is the schema of a table of mixed columns, nil for other data.
	Columns json.RawMessage
	Target  Target // of a predictor
	// Provenance is zero in files of versions that did not record it.
	Provenance Provenance
	// Checksum is that of the file's content, SHA-256, by which other files know it.
	Checksum string
}

// writeModel writes the model file, if it does not hold that epoch already. Its
// tensors have PyTorch's names and shapes. The epoch's times are left out, so
// that equal runs write equal files.
func (f *folder) writeModel(s *setup, row Row, w weights) error {
	if f.modelRow == row.Epoch {
		return nil
	}
	saved := &Saved{DAE: s.Model, Params: w.params, Buffers: w.buffers, Config: s.Config, Schema: s.Schema, Scaler: *s.Scaler, Split: s.split, Row: row,
		Settings: s.Settings, Version: s.Version, Target: s.Target, Columns: s.Columns, Provenance: s.provenance()}
	file, err := saved.file()
	if err != nil {
		return err
	}
	if err := f.writeSealed(ModelFile, file); err != nil {
		return err
	}
	f.modelRow = row.Epoch
	return nil
}

// file is the content of the model file.
func (s *Saved) file() (*safetensors.File, error) {
	row := s.Row
	row.SamplesPerS, row.Seconds = math.NaN(), math.NaN()
	file := &safetensors.File{
		Metadata: map[string]string{kindKey: kindOf(s.DAE), "version": s.Version, "settings": string(s.Settings), "format": "pt"},
		Tensors:  map[string]safetensors.Tensor{},
	}
	values := map[string]any{
		"model": s.DAE.Config(), "train": s.Config, "schema": s.Schema, "scaler": &s.Scaler, "split": s.Split, "epoch": row,
		provenanceKey: s.Provenance,
	}
	if s.DAE.IsPredictor() {
		values[targetKey] = s.Target
	}
	if s.Columns != nil {
		values[columnsKey] = s.Columns
	}
	if err := encode(file.Metadata, values); err != nil {
		return nil, err
	}
	putTensors(file, s.DAE.Parameters(), s.Params)
	putTensors(file, s.DAE.Buffers(), s.Buffers)
	return file, nil
}

// Write writes the model file to path, as a run does.
func (s *Saved) Write(path string) error {
	file, err := s.file()
	if err != nil {
		return err
	}
	if err := seal(file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safetensors.WriteFile(path, file)
}

// provenance is the job's with its device.
func (s *setup) provenance() Provenance {
	p, info := s.Provenance, s.Device.Info()
	p.Device = info.Name
	if info.Description != "" {
		p.Device += ": " + info.Description
	}
	return p
}

func (f *folder) writeSealed(name string, file *safetensors.File) error {
	if err := seal(file); err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	if err := safetensors.WriteFile(f.path(name), file); err != nil {
		return err
	}
	f.saved(f.path(name))
	return nil
}

func putTensors(file *safetensors.File, list []model.Parameter, arena []float32) {
	for _, p := range list {
		file.Tensors[p.Name] = safetensors.New(tensorShape(p), arena[p.Offset:p.Offset+p.Len()])
	}
}

// tensorShape is PyTorch's: weights are matrices, all else vectors.
func tensorShape(p model.Parameter) []int {
	if p.Decayed {
		return []int{p.Rows, p.Columns}
	}
	return []int{p.Len()}
}

// LoadModel reads a model file, or that of a run folder. It fails with a
// *FileError if the file is not there, damaged, or something else.
func LoadModel(path string) (*Saved, error) { return load(path, modelKind) }

// LoadAny is LoadModel that takes a predictor, too.
func LoadAny(path string) (*Saved, error) { return load(path, modelKind, predictorKind) }

// load reads a model file of one of those kinds.
func load(path string, kinds ...string) (*Saved, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, ModelFile)
	}
	file, err := readSealed(path, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{Path: path, Problem: "does not exist", Remedy: "give a run folder in which at least one epoch was completed, or a " + ModelFile}
	}
	if err != nil {
		return nil, err
	}
	kind := file.Metadata[kindKey]
	if !slices.Contains(kinds, kind) {
		return nil, wrongKind(path, kind, kinds[0])
	}
	s := &Saved{Path: path, Settings: []byte(file.Metadata["settings"]), Version: file.Metadata["version"], Checksum: file.Metadata[checksumKey]}
	var config model.Config
	err = decode(path, file.Metadata, map[string]any{
		"model": &config, "train": &s.Config, "schema": &s.Schema, "scaler": &s.Scaler, "split": &s.Split, "epoch": &s.Row,
	})
	if err != nil {
		return nil, err
	}
	if _, known := file.Metadata[provenanceKey]; known {
		if err := decode(path, file.Metadata, map[string]any{provenanceKey: &s.Provenance}); err != nil {
			return nil, err
		}
	}
	if text, known := file.Metadata[columnsKey]; known {
		if !json.Valid([]byte(text)) {
			return nil, &FileError{Path: path, Problem: "its schema of the columns is no JSON"}
		}
		s.Columns = json.RawMessage(text)
	}
	if kind == predictorKind {
		if err := decode(path, file.Metadata, map[string]any{targetKey: &s.Target}); err != nil {
			return nil, err
		}
	}
	if s.DAE, err = model.New(config); err == nil && kindOf(s.DAE) != kind {
		err = errors.New("it is not of the kind that it claims")
	}
	if err != nil {
		return nil, &FileError{Path: path, Problem: "describes no model that this program can build", Err: err}
	}
	if err := s.check(); err != nil {
		return nil, &FileError{Path: path, Problem: "contradicts itself", Err: err}
	}
	if err := s.readTensors(file); err != nil {
		return nil, err
	}
	return s, nil
}

// check compares what the metadata say with each other.
func (s *Saved) check() error {
	features := s.DAE.Config().Features
	if s.Schema.Features != features || len(s.Scaler.Low) != features {
		return fmt.Errorf("a model of %d features, data of %d and a scaler of %d", features, s.Schema.Features, len(s.Scaler.Low))
	}
	if (s.DAE.Config().Columns != nil) != (s.Columns != nil) {
		return errors.New("a model of mixed columns without their schema, or a schema without such a model")
	}
	if s.Split.Held < 0 || s.Split.Held >= s.Split.Rows {
		return fmt.Errorf("%d of %d rows held out", s.Split.Held, s.Split.Rows)
	}
	return s.checkTarget() // the settings of a training that is over are nobody's any more
}

// readTensors takes the weights, and nothing but weights, from the file.
func (s *Saved) readTensors(file *safetensors.File) error {
	if want := len(s.DAE.Parameters()) + len(s.DAE.Buffers()); len(file.Tensors) != want {
		return &FileError{Path: s.Path, Problem: fmt.Sprintf("holds %d tensors where the model has %d", len(file.Tensors), want)}
	}
	for _, p := range slices.Concat(s.DAE.Parameters(), s.DAE.Buffers()) { // before anything of the size that the file claims is allocated
		if _, err := safetensors.Values[float32](file, s.Path, p.Name, tensorShape(p)...); err != nil {
			return &FileError{Path: s.Path, Problem: "does not fit the model that it describes", Err: err}
		}
	}
	s.Params, s.Buffers = make([]float32, s.DAE.ParameterCount()), make([]float32, s.DAE.BufferCount())
	for _, part := range []struct {
		list  []model.Parameter
		arena []float32
	}{{s.DAE.Parameters(), s.Params}, {s.DAE.Buffers(), s.Buffers}} {
		for _, p := range part.list {
			values, err := safetensors.Values[float32](file, s.Path, p.Name, tensorShape(p)...)
			if err != nil {
				return err
			}
			for i, v := range values {
				if !finite(float64(v)) {
					return &FileError{Path: s.Path, Problem: fmt.Sprintf("tensor %q holds %g at element %d", p.Name, v, i)}
				}
			}
			copy(part.arena[p.Offset:], values)
		}
	}
	return nil
}

// Bind puts the model on a device, for minibatches of at most that many
// examples. The source draws noise with the seed of the training run; its part
// and data are for the caller to set, see Source.
func (s *Saved) Bind(dev device.Device, examples int) (*model.Net, model.Source, error) {
	net, err := model.Bind(dev, s.DAE, model.Binding{Examples: examples})
	if err != nil {
		return nil, model.Source{}, err
	}
	if err := net.SetParameters(s.Params, s.Buffers); err != nil {
		return nil, model.Source{}, err
	}
	span, err := model.NewRange(dev, s.Scaler.Low, s.Scaler.High)
	if err != nil {
		return nil, model.Source{}, err
	}
	return net, model.Source{Seed: s.Config.Seed, Range: span}, nil
}

// Evaluate computes what validation computed, on rows of a table; with the
// training run's table and s.Split.Validation() it is the recorded loss, to the
// last bit on the same kind of device.
func (s *Saved) Evaluate(ctx context.Context, dev device.Device, table device.Table, rows device.Rows) (model.Evaluation, error) {
	if table.Columns != s.DAE.Config().Features {
		return model.Evaluation{}, &model.ConfigError{Key: "features", Problem: shapeProblem(table.Columns, s.DAE.Config().Features), Remedy: "give data like those of training"}
	}
	net, src, err := s.Bind(dev, min(s.Config.Batch, max(rows.Len(), 1)))
	if err != nil {
		return model.Evaluation{}, err
	}
	if src.Data, err = dev.Load(ctx, table); err != nil {
		return model.Evaluation{}, fmt.Errorf("copying %d rows to the device: %w", table.Rows, err)
	}
	src.Part = rows
	return net.Evaluate(ctx, src)
}

func shapeProblem(columns, features int) string {
	return fmt.Sprintf("the data have %d columns, the model %d features", columns, features)
}
