package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

func (p *program) predictCommand() *cli.Command {
	return &cli.Command{
		Name:      "predict",
		Usage:     "apply a fine-tuned model to new rows",
		ArgsUsage: "MODEL IN -o OUT",
		Description: `MODEL is what finetune wrote. For each row of IN, which has the columns of the
training data in their order and may have the label too, a .csv, .tsv or .parquet file
receives the most probable class and the probabilities p_CLASS of all, or the value, in
the unit of the training data. Arrays, which hold numbers alone, receive the
probabilities or the value. Where IN has labels, the metrics of finetune are printed.

Examples:
  gpudae predict runs/classifier new.csv -o predictions.csv
  gpudae predict runs/classifier images.npy -o probabilities.npy
  gpudae predict runs/mnist mnist:test -o predictions.csv --json`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .csv, .tsv, .npy or .idx, also with .gz or .zst, .npz, .parquet or .safetensors"},
			&cli.StringFlag{Name: "labels", Category: "Data", Usage: "`FILE` file of labels, IDX or NPY, to judge the predictions by"},
		}, inferenceFlags()...),
		Action: p.predict,
	}
}

// predictJSON is what --json prints.
type predictJSON struct {
	Out     string     `json:"out"`
	Rows    int        `json:"rows"`
	Metrics *judgement `json:"metrics,omitempty"`
}

func (p *program) predict(c *cli.Context) error {
	if err := arguments(c, "MODEL", "IN"); err != nil {
		return err
	}
	out, err := outputFile(c)
	if err != nil {
		return err
	}
	o, err := p.inferenceOptions(c)
	if err != nil {
		return err
	}
	saved, err := train.LoadPredictor(o.model)
	if err != nil {
		return err
	}
	if o.reading, err = readingOfPredictor(c, saved); err != nil {
		return err
	}
	source, err := p.predicting(c.Context, o, saved)
	if err != nil {
		return err
	}
	defer source.close()
	rows, judged, err := p.predictTo(c.Context, o, saved.Target, source, out)
	if err != nil {
		return err
	}
	return p.printPredicted(o, saved.Target, predictJSON{out, rows, judged})
}

// predictSource is what is predicted: each calls visit with ranges of rows of what
// the model puts out.
type predictSource struct {
	labels *data.Labels // nil without any
	each   func(ctx context.Context, visit func(y []float32) error) error
	close  func() error
}

// predicting opens the input as the model was trained.
func (p *program) predicting(ctx context.Context, o *inferenceOptions, saved *train.Saved) (*predictSource, error) {
	if saved.Columns != nil {
		return p.predictingMixed(ctx, o, saved)
	}
	d, err := p.openFor(ctx, saved, o.input, o.reading)
	if err != nil {
		return nil, err
	}
	return &predictSource{labels: d.Labels(), close: d.Close, each: func(ctx context.Context, visit func([]float32) error) error {
		return o.onDevice(func(dev device.Device) error {
			net, _, err := saved.Bind(dev, min(inferenceBatch, d.Info().Rows))
			if err != nil {
				return err
			}
			return eachRange(ctx, d, &saved.Scaler, func(x *tensor.Dense) error { return visitPrediction(ctx, net, x, visit) })
		})
	}}, nil
}

func visitPrediction(ctx context.Context, net *model.Net, x *tensor.Dense, visit func([]float32) error) error {
	y, err := net.Predict(ctx, x)
	if err != nil {
		return err
	}
	return visit(data.Float32s(y))
}

// predictingMixed is predicting of a model of mixed columns.
func (p *program) predictingMixed(ctx context.Context, o *inferenceOptions, saved *train.Saved) (*predictSource, error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return nil, err
	}
	source := &predictSource{close: func() error { return nil }, each: func(ctx context.Context, visit func([]float32) error) error {
		return p.eachTableBlock(ctx, saved, o, schema, func(net *model.Net, x *tensor.Dense) error { return visitPrediction(ctx, net, x, visit) })
	}}
	if o.input == "-" { // which can be read once
		return source, nil
	}
	frame, err := p.openFrame(ctx, o.input, inputOptions{header: o.reading.header})
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	source.labels, err = labelsOf(ctx, frame, o.reading)
	return source, err
}

// readingOfPredictor is how the data of a fine-tuned model are read: the column of
// its label, where it is, is no feature.
func readingOfPredictor(c *cli.Context, saved *train.Saved) (inputOptions, error) {
	trained := defaultFinetune()
	layer, err := settings.FromYAML(saved.Path, saved.Settings)
	if err != nil {
		return inputOptions{}, err
	}
	if _, err := finetuneTable().Resolve(&trained, layer); err != nil {
		return inputOptions{}, fmt.Errorf("%s: %w", saved.Path, err)
	}
	o := inputOptions{label: trained.base.Label, header: trained.base.Header, labels: c.String("labels"), optional: true}
	if c.IsSet("label") {
		o.label, o.optional = c.String("label"), false
	}
	if o.labels != "" {
		o.label = ""
	}
	if c.IsSet("header") {
		o.header = c.String("header")
	}
	return o, checkHeader(o.header)
}

// predictTo writes the predictions of all rows, and judges them where there are labels.
func (p *program) predictTo(ctx context.Context, o *inferenceOptions, t train.Target, source *predictSource, out string) (rows int, judged *judgement, err error) {
	judge := judgeOf(t, source.labels)
	if judge.odd != "" {
		o.console.logf("%s: the label %s is none that the model predicts, so predictions are not judged", o.input, judge.odd)
	}
	w, text, err := createPredictions(out, t)
	if err != nil {
		return 0, nil, err
	}
	defer w.Abort()
	err = source.each(ctx, func(y []float32) error {
		if err := checkFinite(o.input, rows, t.Width(), y); err != nil {
			return err
		}
		var block [][]float64
		for row := range slices.Chunk(y, t.Width()) {
			block = append(block, predicted(t, row))
			judge.add(block[len(block)-1])
		}
		rows += len(block)
		return w.Append(ctx, predictionCells(t, block, text))
	})
	if err != nil {
		return 0, nil, err
	}
	return rows, judge.judge(), w.Commit()
}

// createPredictions starts the file, which has a column for the most probable class
// if its format holds text.
func createPredictions(out string, t train.Target) (w *data.FrameWriter, text bool, err error) {
	numbers := predictionColumns(t)
	if t.Classes != nil {
		w, err = data.CreateFrame(out, append([]data.FrameColumn{{Name: "class", Type: data.Text}}, numbers...))
		var bad *data.Error
		if !errors.As(err, &bad) || bad.Column != 1 {
			return w, true, err
		}
	}
	w, err = data.CreateFrame(out, numbers)
	return w, false, err
}

// predicted is a row of what is written.
func predicted(t train.Target, out []float32) []float64 {
	switch len(t.Classes) {
	case 0:
		return []float64{resolved(inUnits(t, out[0]), t.Scale)}
	case 2:
		return []float64{shortest(1 - out[0]), shortest(out[0])}
	}
	row := make([]float64, len(out))
	for c, p := range out {
		row[c] = shortest(p)
	}
	return row
}

// resolved is a number without the digits that float32, the type of what a
// predictor puts out in so many units, cannot tell.
func resolved(v, scale float64) float64 {
	const digits, most = 7, 300
	places := min(max(digits-int(math.Floor(math.Log10(scale))), 0), most)
	x, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', places, 64), 64) // what was just written
	return x
}

// predictionColumns are its numbers.
func predictionColumns(t train.Target) []data.FrameColumn {
	if t.Classes == nil {
		return []data.FrameColumn{{Name: "value", Type: data.Number}}
	}
	columns := make([]data.FrameColumn, len(t.Classes))
	for i, class := range t.Classes {
		columns[i] = data.FrameColumn{Name: "p_" + class, Type: data.Number}
	}
	return columns
}

// predictionCells are rows of the file, the most probable class first.
func predictionCells(t train.Target, rows [][]float64, text bool) *data.Cells {
	cells := &data.Cells{Rows: len(rows)}
	if text {
		classes := make([]string, len(rows))
		for i, row := range rows {
			classes[i] = t.Classes[mostProbable(row)]
		}
		cells.Columns = append(cells.Columns, data.Values{Text: classes})
	}
	for c := range rows[0] {
		numbers := make([]float64, len(rows))
		for i, row := range rows {
			numbers[i] = row[c]
		}
		cells.Columns = append(cells.Columns, data.Values{Numbers: numbers})
	}
	return cells
}

// mostProbable is the first of the greatest.
func mostProbable(row []float64) int {
	best := 0
	for c, v := range row {
		if v > row[best] {
			best = c
		}
	}
	return best
}

// shortest is the float64 of the shortest decimal that reads back as v, so that
// files hold no digits that v does not have.
func shortest(v float32) float64 {
	x, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64) // what was just written
	return x
}

// rowJudge compares rows, one after the other, with labels, if there are any.
type rowJudge struct {
	predictions
	labels *data.Labels
	odd    string // a label that the model cannot predict, for which nothing is judged
	index  []int  // of the labels' names: the class of the model
	values []float64
	at     int
}

func judgeOf(t train.Target, labels *data.Labels) *rowJudge {
	j := &rowJudge{predictions: predictions{target: t}, labels: labels}
	if j.labels == nil {
		return j
	}
	if t.Classes == nil {
		if j.values, _ = parsedNumbers(j.labels.Names); j.values == nil {
			j.labels, j.odd = nil, firstWord(j.labels.Names)
		}
		return j
	}
	for _, name := range j.labels.Names {
		k := slices.Index(t.Classes, name)
		if k < 0 {
			j.labels, j.odd = nil, quoted(name)
			return j
		}
		j.index = append(j.index, k)
	}
	return j
}

// add takes the next row, as predicted gives it.
func (j *rowJudge) add(row []float64) {
	if j.labels == nil {
		return
	}
	label := j.labels.Class[j.at]
	j.at++
	if j.target.Classes == nil {
		j.numbers, j.truth = append(j.numbers, row[0]), append(j.truth, j.values[label])
		return
	}
	j.probabilities = append(j.probabilities, row...)
	j.classes = append(j.classes, j.index[label])
}

func (j *rowJudge) judge() *judgement {
	if j.labels == nil || j.at == 0 {
		return nil
	}
	return j.predictions.judge()
}

func (p *program) printPredicted(o *inferenceOptions, t train.Target, out predictJSON) error {
	if o.json {
		return p.printJSON(out)
	}
	text := fmt.Sprintf("%s: %s\n", out.Out, count(out.Rows, "row"))
	if out.Metrics != nil {
		g := grid{judgementHeads(t)}
		out.Metrics.line(&g, o.input)
		text += indent(g.String())
	}
	return p.printText(text)
}
