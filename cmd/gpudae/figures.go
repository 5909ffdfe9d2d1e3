package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gorgonia.org/tensor"

	"gpudae/baseline"
	"gpudae/data"
	"gpudae/device"
	"gpudae/figure"
	"gpudae/train"
)

// figureKind is a row of the table of figures.
type figureKind struct {
	name, doc string
	inRun     bool // whether train draws it
	planar    bool // whether it needs examples of two features
	examples  bool // whether it shows examples
	draw      func(ctx context.Context, s *subject, path string) error
}

func figureKinds() []figureKind {
	return []figureKind{
		{"reconstructions", "examples, corrupted and reconstructed", true, false, true, drawReconstructions},
		{"curves", "losses and learning rate by epoch", true, false, false, drawCurves},
		{"filters", "the weights of the first layer", true, false, false, drawFilters},
		{"manifold", "where corrupted points are sent, in the plane", true, true, true, drawManifold},
		{"vector-field", "the lines of reconstruction minus input and where they end, in the plane", true, true, true, drawVectorField},
		{"density", "the density that a model of Gaussian noise has learned, in the plane", false, true, true, drawDensity},
		{"codes", "the codes' two principal components, by class", false, false, true, drawCodes},
		{"interpolation", "what lies between the codes of two examples, images", false, false, true, drawInterpolation},
		{"trajectories", "how noise becomes data, reconstructed again and again or level by level: images, or paths in the plane", false, false, true, drawTrajectories},
		{"samples", "what the model draws: images, or points in the plane", false, false, true, drawSamples},
		{"chain", "a film strip: images of the Markov chain by steps, or of a score model from noise on", false, false, true, drawChain},
	}
}

// runFigures are the names of the figures that train may draw.
func runFigures() []string {
	var names []string
	for _, k := range figureKinds() {
		if k.inRun {
			names = append(names, k.name)
		}
	}
	return names
}

// subject is what figures are drawn of: a model with rows of its data.
type subject struct {
	saved  *train.Saved
	dev    device.Device
	info   data.Info
	labels *data.Labels
	table  device.Table
	rows   device.Rows       // shown, of the table
	note   func(text string) // says how a figure was made
}

// subjectOfRun shows the rows held out, or else those that train.
func subjectOfRun(dev device.Device, saved *train.Saved, in *prepared) *subject {
	s := &subject{note: func(string) {}, saved: saved, dev: dev, info: in.info, labels: in.labels, table: in.table, rows: in.split.Validation()}
	if s.rows.Len() == 0 {
		s.rows = in.split.Training()
	}
	return s
}

// drawRun draws the figures of a run into its folder and returns their paths.
func drawRun(ctx context.Context, dev device.Device, saved *train.Saved, in *prepared, dir string) ([]string, error) {
	s := subjectOfRun(dev, saved, in)
	folder := filepath.Join(dir, figuresFolder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, cannotWrite(folder, err)
	}
	var paths []string
	for _, k := range figureKinds() {
		if !k.inRun || k.planar && in.info.Features != 2 || s.mixed() && !k.ofTables() {
			continue
		}
		path := filepath.Join(folder, k.name+".png")
		if err := k.draw(ctx, s, path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// mixed reports whether the model's columns are.
func (s *subject) mixed() bool { return s.saved.Columns != nil }

// ofTables reports whether the figure makes sense of mixed columns: codes and
// weights of categories are no numbers to be shown side by side.
func (k figureKind) ofTables() bool { return k.name == "curves" }

// What figures are given to show.
const (
	examplesShown = 64   // examples, of which a figure takes as many as fit
	pointsShown   = 400  // points of a plane, with their way
	cloudShown    = 3000 // points of a cloud, and codes
)

// triples returns clean, corrupted and reconstructed rows in the scale of the data.
func (s *subject) triples(ctx context.Context, rows int) (clean, corrupted, reconstructed []float32, err error) {
	net, src, err := s.saved.Bind(s.dev, min(rows, s.rows.Len()))
	if err != nil {
		return nil, nil, nil, err
	}
	if src.Data, err = s.dev.Load(ctx, s.table); err != nil {
		return nil, nil, nil, err
	}
	src.Part = s.rows
	x, xt, r, err := net.Triples(ctx, src, rows)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, t := range []**tensor.Dense{&x, &xt, &r} {
		if *t, err = s.saved.Scaler.Invert(*t); err != nil {
			return nil, nil, nil, err
		}
	}
	return data.Float32s(x), data.Float32s(xt), data.Float32s(r), nil
}

// all are the rows of the table.
func (s *subject) all() device.Rows { return device.Rows{Hi: s.table.Rows} }

// cloud is all the data in their own scale, thinned to what can be seen.
func (s *subject) cloud() ([]float32, error) {
	return s.invert(rowsOf(s.table, s.all(), cloudShown).Values)
}

func (s *subject) invert(values []float32) ([]float32, error) {
	x, err := s.saved.Scaler.Invert(tensor.New(tensor.WithShape(len(values)/s.info.Features, s.info.Features), tensor.WithBacking(values)))
	if err != nil {
		return nil, err
	}
	return data.Float32s(x), nil
}

// classes returns the names of the classes of the first rows shown, nil without labels.
func (s *subject) classes(limit int) []string {
	if s.labels == nil {
		return nil
	}
	var names []string
	for _, row := range rowNumbers(s.table.Rows, s.rows, limit) {
		names = append(names, s.labels.Names[s.labels.Class[row]])
	}
	return names
}

// axes are the names of the two columns of a plane.
func (s *subject) axes() [2]string {
	if len(s.info.Columns) == 2 {
		return [2]string{s.info.Columns[0], s.info.Columns[1]}
	}
	return [2]string{}
}

func drawReconstructions(ctx context.Context, s *subject, path string) error {
	limit := examplesShown
	if s.info.Features == 2 {
		limit = pointsShown
	}
	clean, corrupted, reconstructed, err := s.triples(ctx, limit)
	if err != nil {
		return err
	}
	t := figure.Triples{Features: s.info.Features, Clean: clean, Corrupted: corrupted, Reconstructed: reconstructed,
		Shape: s.info.Shape, Columns: s.info.Columns, Labels: s.classes(limit)}
	if s.info.Min < 0 || s.info.Max > 1 {
		t.Low, t.High = float64(s.info.Min), float64(s.info.Max)
	}
	return figure.Reconstructions(path, t)
}

func drawCurves(_ context.Context, s *subject, path string) error {
	rows, err := readMetrics(filepath.Join(filepath.Dir(s.saved.Path), train.MetricsJSON))
	if err != nil {
		return err
	}
	h := figure.History{Best: s.saved.Row.Epoch}
	if s.saved.DAE.IsScoreModel() {
		h.Name = "loss of denoising score matching"
	}
	for _, r := range rows {
		h.Epochs = append(h.Epochs, figure.Epoch{Number: r.Epoch, Train: r.TrainLoss, Validation: r.ValLoss, Rate: r.LR})
	}
	return figure.Curves(path, h)
}

// readMetrics reads the history of a run.
func readMetrics(path string) ([]train.Row, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage(path, "no such file", "curves need a run folder: name that instead of a model file")
	}
	if err != nil {
		return nil, &failure{code: exitFailure, where: path, problem: openProblem(err), err: err}
	}
	var rows []train.Row
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var row train.Row
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, &failure{code: exitData, where: fmt.Sprintf("%s: line %d", path, len(rows)+1), problem: "not a row of metrics", remedy: "restore the file", err: err}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, &failure{code: exitData, where: path, problem: "no epoch in it", remedy: "go on with 'gpudae train --resume'"}
	}
	return rows, nil
}

func drawFilters(_ context.Context, s *subject, path string) error {
	first := s.saved.DAE.Parameters()[0] // encoder.0.weight, [units, features], and of a score model the noise level's inputs after them
	features := s.saved.DAE.Config().Features
	var weights []float32
	for row := range slices.Chunk(s.saved.Params[first.Offset:first.Offset+first.Len()], first.Columns) {
		weights = append(weights, row[:features]...)
	}
	return figure.Filters(path, figure.Weights{Features: features, Shape: s.saved.Schema.Shape, Values: weights})
}

func drawManifold(ctx context.Context, s *subject, path string) error {
	_, corrupted, reconstructed, err := s.triples(ctx, pointsShown)
	if err != nil {
		return err
	}
	cloud, err := s.cloud()
	if err != nil {
		return err
	}
	return figure.Manifold(path, figure.Pairs{Data: cloud, Corrupted: corrupted, Reconstructed: reconstructed, Axes: s.axes()})
}

func drawCodes(ctx context.Context, s *subject, path string) error {
	shown := *s
	shown.rows = s.all()
	shown.rows.Hi = min(cloudShown, s.table.Rows)
	rows := rowsOf(s.table, shown.rows, cloudShown)
	net, _, err := s.saved.Bind(s.dev, inferenceBatch)
	if err != nil {
		return err
	}
	h, err := net.Encode(ctx, tensor.New(tensor.WithShape(rows.Len(), rows.Features), tensor.WithBacking(rows.Values)))
	if err != nil {
		return err
	}
	codes := baseline.Rows{Values: data.Float32s(h), Features: s.saved.DAE.CodeWidth()}
	c := figure.Codes{Values: codes.Values, Labels: shown.classes(cloudShown), Axes: [2]string{"code 1", "code 2"}}
	if codes.Features != 2 {
		if c.Values, err = twoComponents(ctx, codes); err != nil {
			return err
		}
		c.Axes = [2]string{"first principal component of the code", "second"}
	}
	return figure.CodeMap(path, c)
}

// twoComponents are the first two principal components of rows, zero where
// there are fewer.
func twoComponents(ctx context.Context, rows baseline.Rows) ([]float32, error) {
	pca, err := baseline.FitPCA(ctx, rows, 2)
	if err != nil {
		return nil, err
	}
	projected, err := pca.Encode(ctx, rows)
	if err != nil || projected.Features == 2 {
		return projected.Values, err
	}
	plane := make([]float32, 2*rows.Len())
	for i := range rows.Len() * projected.Features {
		plane[2*i] = projected.Values[i]
	}
	return plane, nil
}

// figureNames lists the kinds for messages.
func figureNames() string {
	var names []string
	for _, k := range figureKinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}
