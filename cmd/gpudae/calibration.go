package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"gpudae/anomaly"
	"gpudae/data"
	"gpudae/internal/atomicfile"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// calibrator finds out what is ordinary to a model: by rows that are given, or by
// those held out of training, once, which is then kept beside the model.
type calibrator struct {
	*inferenceOptions
	saved  *train.Saved
	schema *table.Schema
	groups int    // as Net.Losses takes them
	rows   string // ordinary rows; empty: those held out of training
}

// calibrationSuffix replaces that of the model's file.
const calibrationSuffix = ".calibration.json"

// calibrationVersion is that of the file's format.
const calibrationVersion = 2

// calibrationFile is what is kept of the rows held out of training.
type calibrationFile struct {
	Version int                          `json:"calibration"`
	Model   string                       `json:"model"`  // checksum of the model that it is of
	Groups  map[int]*anomaly.Calibration `json:"groups"` // by the number of turns in which columns are hidden
}

// calibration is that of the rows.
func (c *calibrator) calibration(ctx context.Context, p *program) (*anomaly.Calibration, error) {
	if c.rows != "" {
		return c.fit(ctx, p)
	}
	kept := c.kept()
	if found := kept.Groups[c.groups]; found != nil {
		return found, nil
	}
	fitted, err := c.fit(ctx, p)
	if err != nil {
		return nil, err
	}
	kept.Groups[c.groups] = fitted
	if err := kept.write(c.path()); err != nil {
		c.console.logf("the calibration is not kept, so that the training data will be read again: %v", err)
	}
	return fitted, nil
}

// path is that of the file beside the model.
func (c *calibrator) path() string { return calibrationOf(c.saved.Path) }

// calibrationOf is the path of the file beside that of a model.
func calibrationOf(model string) string {
	return strings.TrimSuffix(model, ".safetensors") + calibrationSuffix
}

// kept is what the file holds of the model as it is: nothing if it is of another,
// or damaged.
func (c *calibrator) kept() *calibrationFile {
	none := &calibrationFile{Version: calibrationVersion, Model: c.saved.Checksum, Groups: map[int]*anomaly.Calibration{}}
	text, err := os.ReadFile(c.path())
	if err != nil {
		return none
	}
	var f calibrationFile
	if json.Unmarshal(text, &f) != nil || f.Model != none.Model || f.Groups == nil {
		return none
	}
	if f.Version != none.Version {
		c.console.logf("%s is of another version of gpudae and is made anew", c.path())
		return none
	}
	for groups, calibration := range f.Groups {
		if calibration == nil || len(calibration.Columns) != len(c.names()) {
			delete(f.Groups, groups)
		}
	}
	return &f
}

// write writes the file whole or not at all.
func (f *calibrationFile) write(path string) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// names are those of the model's columns.
func (c *calibrator) names() []string {
	var names []string
	for _, i := range c.schema.Used() {
		names = append(names, c.schema.Columns[i].Name)
	}
	return names
}

// fit calibrates on the rows.
func (c *calibrator) fit(ctx context.Context, p *program) (*anomaly.Calibration, error) {
	path, wanted, err := c.ordinary()
	if err != nil {
		return nil, err
	}
	frame, err := p.openFrame(ctx, path, c.reading)
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	if c.rows == "" && frame.Info().SHA256 != c.saved.Schema.SHA256 {
		return nil, &data.Error{Path: path, Problem: "is not what the model was trained on any more", Remedy: "give ordinary rows with --calibrate"}
	}
	encoder, err := c.schema.NewEncoder(frame.Info())
	if err != nil {
		return nil, err
	}
	var losses []float32
	width := encoder.Width()
	quiet := *c.inferenceOptions
	quiet.console = newConsole(p.stderr, true)
	err = quiet.eachBlock(ctx, c.saved, frame, encoder, func(net *model.Net, b tableBlock) error {
		var x []float32
		for i := range b.cells.Rows {
			if wanted(b.from+i) && len(losses)+len(x) < calibrationRows*width {
				x = append(x, b.x[i*width:(i+1)*width]...)
			}
		}
		if len(x) == 0 {
			return nil
		}
		loss := make([]float32, len(x))
		if err := net.Losses(ctx, loss, make([]float32, len(x)), x, c.groups); err != nil {
			return err
		}
		losses = append(losses, loss...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return anomaly.Fit(c.names(), losses)
}

// ordinary says where ordinary rows are, and which.
func (c *calibrator) ordinary() (path string, wanted func(row int) bool, err error) {
	if c.rows != "" {
		return c.rows, func(int) bool { return true }, nil
	}
	const remedy = "give ordinary rows with --calibrate"
	split := c.saved.Split
	if split.Held == 0 {
		return "", nil, usage(c.model, "the run held no rows out of training, so it cannot tell what is ordinary", remedy)
	}
	trained, err := savedSettings(c.saved)
	if err != nil {
		return "", nil, err
	}
	if trained.Data == "-" {
		return "", nil, usage(c.model, "it was trained on standard input, which is gone", remedy)
	}
	rows := map[int]bool{}
	permutation := split.Validation().Permutation(split.Rows)
	for i := range min(split.Held, calibrationRows) {
		rows[int(permutation.At(uint32(i)))] = true
	}
	return trained.Data, func(row int) bool { return rows[row] }, nil
}
