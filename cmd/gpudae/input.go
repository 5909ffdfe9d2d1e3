package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// inputOptions say how a file of examples is to be read.
type inputOptions struct {
	label  string
	header string
	scale  float32 // of a uint8 file, 0: the default
	labels string  // file of labels
	// optional takes data without the column of labels as such without labels.
	optional bool

	missing bool // whether values may be
	raw     bool // whether the cells of a text come with their bytes too
}

// options are those of package data.
func (o inputOptions) options(p *program) data.Options {
	headers := map[string]data.Header{auto: data.HeaderAuto, "none": data.HeaderNone, "names": data.HeaderNames}
	return data.Options{LabelColumn: o.label, LabelOptional: o.optional, Labels: o.labels, Header: headers[o.header], Scale: o.scale, Missing: o.missing, Standard: p.stdin, Raw: o.raw}
}

// openFrame opens a table with cells of any type; "-" is standard input.
func (p *program) openFrame(ctx context.Context, nameOrPath string, o inputOptions) (data.Frame, error) {
	options := o.options(p)
	path, err := p.downloaded(nameOrPath, &options)
	if err != nil {
		return nil, err
	}
	return data.OpenFrame(ctx, path, options)
}

// open opens a data set; "-" is standard input.
func (p *program) open(ctx context.Context, nameOrPath string, o inputOptions) (data.Dataset, error) {
	options := o.options(p)
	path, err := p.downloaded(nameOrPath, &options)
	if err != nil {
		return nil, err
	}
	return data.Open(ctx, path, options)
}

// prepared is a data set as a model is trained on it.
type prepared struct {
	info   data.Info
	labels *data.Labels // nil without classes
	scaler *data.Scaler
	split  train.Split
	table  device.Table
	low    float64 // least and greatest value of the table
	high   float64

	proposed bool        // whether the greatest noise level is that of the data
	mixed    *mixedTable // nil unless the columns are mixed
}

// prepare opens the data of a run, divides its rows, fits the scaling on the
// training rows alone and reads all of it.
//
// Numbers that are complete are read as such. Where a cell is none, or absent,
// the columns are mixed: then they have a schema, which resumed gives for a run
// that goes on.
func (p *program) prepare(ctx context.Context, c *trainSettings, origins settings.Origins, resumed *table.Schema) (*prepared, error) {
	asNumbers := c.Table.Schema == schemaNone || c.Table.Schema == auto && c.Scale != string(table.GaussRank)
	if asNumbers {
		in, err := p.prepareFrom(ctx, c, origins, inputOptions{label: c.Label, header: c.Header})
		if err == nil || c.Table.Schema == schemaNone || !frameable(err) {
			return in, err
		}
		if strays := p.strayNumbers(ctx, c, err); strays != nil {
			return nil, strays
		}
	}
	if err := c.Train.Validate(); err != nil {
		return nil, located(err, origins)
	}
	return p.prepareTable(ctx, c, origins, resumed)
}

// prepareFrom is prepare of data read in a way of their own.
func (p *program) prepareFrom(ctx context.Context, c *trainSettings, origins settings.Origins, o inputOptions) (*prepared, error) {
	kind, err := data.ParseScaleKind(c.Scale)
	if err != nil {
		return nil, usage(origin(origins, "scale"), "unknown scaling "+quoted(c.Scale), "use one of auto, none, unit, standard, min-max")
	}
	if err := c.Train.Validate(); err != nil {
		return nil, located(err, origins)
	}
	d, err := p.open(ctx, c.Data, o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	in := &prepared{info: d.Info(), labels: d.Labels()}
	if in.info.Path != "" && c.Data != "-" { // a run finds its data from any folder
		if c.Data, err = filepath.Abs(c.Data); err != nil {
			return nil, fmt.Errorf("%s: finding its folder: %w", in.info.Path, err)
		}
	}
	if in.split, err = train.NewSplit(in.info.Rows, c.Train); err != nil {
		return nil, located(err, origins)
	}
	if in.scaler, err = data.Fit(ctx, kind, d, in.split.Trains()); err != nil {
		return nil, err
	}
	return in, in.read(ctx, d)
}

// tableOf is a matrix as a device takes it.
func tableOf(m data.Matrix) device.Table {
	return device.Table{Rows: m.Rows, Columns: m.Columns, Uint8: m.Uint8, Float32: m.Float32, Scale: m.Scale}
}

// read fills the table.
func (in *prepared) read(ctx context.Context, d data.Dataset) error {
	matrix, err := data.Table(ctx, d, in.scaler)
	if err != nil {
		return err
	}
	in.table = tableOf(matrix)
	low, high := model.ColumnExtremes(in.table)
	in.low, in.high = float64(low[0]), float64(high[0])
	for i := range low {
		in.low, in.high = min(in.low, float64(low[i])), max(in.high, float64(high[i]))
	}
	return nil
}

// onUnitInterval reports whether all values lie in [0, 1].
func (in *prepared) onUnitInterval() bool { return in.low >= 0 && in.high <= 1 }

// settle decides what the settings leave to the data.
func (in *prepared) settle(ctx context.Context, c *trainSettings, origins settings.Origins) error {
	if in.mixed != nil {
		if err := in.settleTable(ctx, c, origins); err != nil {
			return err
		}
	} else {
		in.settleNumbers(c)
	}
	if err := in.settleRates(ctx, c); err != nil {
		return err
	}
	if q, err := model.ParseCodeDistribution(c.Model.CodeDistribution); err == nil && q.Stochastic {
		setAuto(&c.Model.CodeActivation, "identity")
	}
	if c.Model.CodeActivation == auto {
		c.Model.CodeActivation = c.Model.Activation
	}
	return nil
}

// settleNumbers decides what they leave to columns of numbers.
func (in *prepared) settleNumbers(c *trainSettings) {
	c.Scale = string(in.scaler.Kind)
	c.Model.Features, c.Model.Shape = in.info.Features, in.info.Shape
	if c.Model.Objective == model.ObjectiveDSM {
		setAuto(&c.Model.Corruption, "none")
		setAuto(&c.Model.Likelihood, "gaussian")
	}
	if c.Model.Corruption == auto {
		c.Model.Corruption = "gaussian:0.5"
		if in.onUnitInterval() {
			c.Model.Corruption = "masking:0.25"
		}
	}
	if c.Model.Likelihood == auto {
		c.Model.Likelihood = "gaussian:1"
		if in.onUnitInterval() {
			c.Model.Likelihood = "bernoulli"
		}
	}
	c.Model.Indicators, c.Model.MaskHead = c.Table.Indicators, c.Table.MaskHead // which New refuses
}

// setAuto decides a setting that is left to the program.
func setAuto(s *string, value string) {
	if *s == auto {
		*s = value
	}
}

// build makes the model that the settings describe, and checks that the data
// lie where its likelihood and its corruption have support.
func (in *prepared) build(c *trainSettings, origins settings.Origins) (*model.DAE, error) {
	if c.Model.Replicates == 0 || c.Model.Walkback == 0 || c.Model.Emphasis == (model.Emphasis{}) { // which New takes for the defaults
		return nil, zeroSetting(c.Model, origins)
	}
	dae, err := model.New(c.Model)
	if err == nil && in.mixed == nil {
		err = dae.Likelihood().CheckSupport(in.low, in.high)
	}
	if err == nil && in.mixed == nil {
		err = dae.Corruption().CheckSupport(in.low)
	}
	if err != nil {
		return nil, located(err, origins)
	}
	if in.mixed == nil && dae.Likelihood().Kind == device.Categorical {
		return dae, in.checkFields(c.Model.Fields)
	}
	return dae, nil
}

// checkFields refuses a field that is no distribution over its categories, nor absent.
func (in *prepared) checkFields(fields []int) error {
	for row := range in.table.Rows {
		column := 0
		for f, width := range fields {
			var sum float64
			for i := range width {
				sum += float64(in.table.At(row*in.table.Columns + column + i))
			}
			if math.Abs(sum-1) > 1e-3 && sum != 0 {
				remedy := "encode the categories as one 1 among zeros, or choose bernoulli"
				if in.table.Uint8 != nil && in.table.Scale != 1 {
					remedy = "give --scale min-max for zeros and ones of 8 bits, which are divided by 255"
				}
				return &data.Error{Path: in.info.Name, Row: row + 1, Remedy: remedy,
					Problem: fmt.Sprintf("field %d, columns %d to %d, adds up to %.6g, and categorical fields to 1", f+1, column+1, column+width, sum)}
			}
			column += width
		}
	}
	return nil
}

// zeroSetting is the error of a setting that must not be 0.
func zeroSetting(c model.Config, origins settings.Origins) error {
	if c.Replicates == 0 {
		return usage(origin(origins, "replicates"), "no corruption of an example to train on", "give 1 or more")
	}
	if c.Walkback == 0 {
		return usage(origin(origins, "walkback"), "a chain of no links", "give 1 or more")
	}
	return usage(origin(origins, "emphasis"), "no feature counts in the loss", "give one of the weights more than 0")
}

// located says where a person set what a configuration error is about.
func located(err error, origins settings.Origins) error {
	var config *model.ConfigError
	if !errors.As(err, &config) {
		return err
	}
	return usage(origin(origins, config.Key), config.Problem, config.Remedy)
}

// savedSettings are those of the run that a model comes from.
func savedSettings(saved *train.Saved) (trainSettings, error) {
	c := defaultTrainSettings()
	layer, err := settings.FromYAML(saved.Path, saved.Settings)
	if err != nil {
		return c, err
	}
	if _, err := trainTable().Resolve(&c, layer); err != nil {
		return c, fmt.Errorf("%s: %w", saved.Path, err)
	}
	return c, nil
}

// openFor opens examples for a model that exists: read as its training data
// were, and checked to have its columns.
func (p *program) openFor(ctx context.Context, saved *train.Saved, nameOrPath string, o inputOptions) (data.Dataset, error) {
	o.scale = saved.Schema.Scale
	d, err := p.open(ctx, nameOrPath, o)
	if err != nil {
		return nil, err
	}
	if err := saved.Schema.Accepts(d.Info()); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// rowsAtATime bounds what a pass over a file holds in memory.
const rowsAtATime = 4096

// eachRange calls visit with the rows of d as the model sees them, a range at a
// time.
func eachRange(ctx context.Context, d data.Dataset, scaler *data.Scaler, visit func(x *tensor.Dense) error) error {
	rows := d.Info().Rows
	for from := 0; from < rows; from += rowsAtATime {
		x, err := data.Scaled(ctx, d, scaler, from, min(rowsAtATime, rows-from))
		if err != nil {
			return err
		}
		if err := visit(x); err != nil {
			return err
		}
	}
	return nil
}
