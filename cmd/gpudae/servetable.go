package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"

	"gorgonia.org/tensor"

	"gpudae/anomaly"
	"gpudae/data"
	"gpudae/model"
	"gpudae/serve"
	"gpudae/table"
	"gpudae/train"
)

// servedTable is a model of a table of mixed columns that is served. Only the
// goroutine that computes uses net and filling.
type servedTable struct {
	saved   *train.Saved
	net     *model.Net
	filling *model.Net // that knows no unknown category
	schema  *table.Schema
	columns []serve.Column
	decoder *table.Decoder // of texts
	encoder *table.Encoder // of all columns, to make others of
	anomaly *anomaly.Calibration
	groups  int
}

// newServedTable serves the model with what the commands of its kind compute.
// Without a calibration there are no anomalies.
func newServedTable(saved *train.Saved, net, filling *model.Net, calibration *anomaly.Calibration) (*servedTable, error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return nil, err
	}
	s := &servedTable{saved: saved, net: net, filling: filling, schema: schema, columns: servedColumns(schema, saved.Target.Name), anomaly: calibration, groups: defaultGroups(saved.DAE)}
	if s.decoder, err = schema.NewDecoder(false); err != nil {
		return nil, err
	}
	all := data.FrameInfo{Name: schema.Name}
	for _, c := range s.columns {
		all.Columns = append(all.Columns, data.FrameColumn{Name: c.Name, Type: data.Text})
	}
	s.encoder, err = schema.NewEncoder(all)
	return s, err
}

// servedColumns are those that rows may have: those of the schema, and that of the
// target of a predictor.
func servedColumns(schema *table.Schema, target string) []serve.Column {
	var columns []serve.Column
	for i := range schema.Columns {
		c := &schema.Columns[i]
		served := serve.Column{Name: c.Name, Used: c.Kind != table.Drop, Type: servedType(c), Description: string(c.Kind)}
		switch c.Kind {
		case table.Drop:
			served.Description = "not used"
		case table.Binary, table.Categorical:
			served.Categories = c.Fit.Categories
		default:
			served.Description += fmt.Sprintf(", in training from %s to %s", c.Text(c.Fit.Low), c.Text(c.Fit.High))
		}
		columns = append(columns, served)
	}
	if target != "" && !slices.ContainsFunc(columns, func(c serve.Column) bool { return c.Name == target }) {
		columns = append(columns, serve.Column{Name: target, Type: data.Text, Description: "not used: it is what is predicted"})
	}
	return columns
}

// servedType is the type of a column's cells in JSON.
func servedType(c *table.Column) data.CellType {
	switch c.Kind {
	case table.Numeric:
		return data.Number
	case table.Integer:
		return data.Integer
	case table.Binary, table.Categorical:
		if c.Type != data.Time {
			return c.Type
		}
	}
	return data.Text
}

// table describes the server's table. header is how a CSV file of training was read.
func (s *servedTable) table(header data.Header) *serve.Table {
	t := &serve.Table{Columns: s.columns, Header: data.HeaderNames, Encode: s.encode}
	if nameless(s.schema) {
		t.Header = header
	}
	if s.saved.DAE.IsPredictor() {
		t.Operations = []serve.TableOperation{s.predictOperation()}
		return t
	}
	t.Operations = []serve.TableOperation{s.denoiseOperation(), s.encodeOperation(), s.imputeOperation()}
	if s.anomaly != nil {
		t.Operations = append(t.Operations, s.anomalyOperation())
	}
	return t
}

// nameless reports whether the columns have the names that a file without names gives them.
func nameless(schema *table.Schema) bool {
	for i := range schema.Columns {
		if schema.Columns[i].Name != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

func (s *servedTable) encode(info data.FrameInfo, cells *data.Cells) ([]float32, error) {
	encoder, err := s.encoder.Of(info)
	if err != nil {
		return nil, err
	}
	x := make([]float32, cells.Rows*encoder.Width())
	return x, encoder.Encode(cells, 0, x)
}

// used are the columns of the model.
func (s *servedTable) used() []*serve.Column {
	var used []*serve.Column
	for i := range s.columns {
		if s.columns[i].Used {
			used = append(used, &s.columns[i])
		}
	}
	return used
}

// bare is the request of an operation without parameters.
func bare(answer func(y *tensor.Dense) *serve.Answer) func(url.Values) (*serve.Request, error) {
	return func(url.Values) (*serve.Request, error) {
		return &serve.Request{Copies: 1, Answer: func(_ *serve.Rows, y *tensor.Dense) (*serve.Answer, error) {
			if err := checkFinite("", 0, y.Shape()[1], data.Float32s(y)); err != nil {
				return nil, err
			}
			return answer(y), nil
		}}, nil
	}
}

// answerOf is an answer of one table.
func answerOf(columns []data.FrameColumn, cells *data.Cells) *serve.Answer {
	return &serve.Answer{Info: data.FrameInfo{Columns: columns, Named: true}, Tables: []*data.Cells{cells}}
}

func (s *servedTable) denoiseOperation() serve.TableOperation {
	like := s.used()
	return serve.TableOperation{Name: "denoise", Summary: "Says what the model makes of every cell, missing ones too.",
		Request: bare(func(y *tensor.Dense) *serve.Answer {
			answer := answerOf(s.decoder.Columns(), s.decoder.Decode(data.Float32s(y)))
			answer.Like = like
			return answer
		}),
		Compute: func(ctx context.Context, x *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) {
			return s.net.Denoise(ctx, x)
		}}
}

func (s *servedTable) encodeOperation() serve.TableOperation {
	var columns []data.FrameColumn
	for _, name := range codeColumns(s.saved.DAE, false) {
		columns = append(columns, data.FrameColumn{Name: name, Type: data.Number})
	}
	return serve.TableOperation{Name: "encode", Summary: "Computes the code h of each row.",
		Request: bare(func(y *tensor.Dense) *serve.Answer { return answerOf(columns, numberCells(y)) }),
		Compute: func(ctx context.Context, x *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) {
			return s.net.Encode(ctx, x)
		}}
}

func (s *servedTable) predictOperation() serve.TableOperation {
	target := s.saved.Target
	columns := predictionColumns(target)
	if target.Classes != nil {
		columns = append([]data.FrameColumn{{Name: "class", Type: data.Text}}, columns...)
	}
	return serve.TableOperation{Name: "predict", Summary: "Predicts the class and the probabilities of all, or the value, of each row.",
		Request: bare(func(y *tensor.Dense) *serve.Answer {
			return answerOf(columns, predictionCells(target, predictedRows(target, y), target.Classes != nil))
		}),
		Compute: func(ctx context.Context, x *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) {
			return s.net.Predict(ctx, x)
		}}
}

// predictedRows are the rows of what a predictor puts out, as they are written.
func predictedRows(t train.Target, y *tensor.Dense) (rows [][]float64) {
	for row := range slices.Chunk(data.Float32s(y), t.Width()) {
		rows = append(rows, predicted(t, row))
	}
	return rows
}

// drawing is how missing cells are drawn; the zero drawing is their means and most
// probable categories.
type drawing struct {
	draws, rounds int
	seed          uint64
}

func (s *servedTable) imputeOperation() serve.TableOperation {
	whole := func(most int) map[string]any { return map[string]any{"type": "integer", "minimum": 1, "maximum": most} }
	return serve.TableOperation{Name: "impute", Summary: "Fills in missing cells; those that are there stay as they are written.",
		Parameters: []serve.Parameter{
			{Name: "m", Description: "tables of draws, in place of one of means and most probable categories", Schema: whole(mostDraws)},
			{Name: "rounds", Description: fmt.Sprintf("passes in which a row's cells are drawn, %d if it is not given", imputeRounds), Schema: whole(mostRounds)},
			{Name: "seed", Description: "of the draws, that of the run if it is not given; a row's draws depend on it, on the row's number in the request and on nothing else",
				Schema: map[string]any{"type": "integer", "minimum": 0, "maximum": uint64(math.MaxUint64)}},
		},
		Request: s.imputeRequest, Compute: s.impute}
}

func (s *servedTable) imputeRequest(given url.Values) (*serve.Request, error) {
	o := drawing{rounds: imputeRounds, seed: s.saved.Config.Seed}
	var err error
	for name, to := range map[string]struct {
		value *int
		most  int
	}{"m": {&o.draws, mostDraws}, "rounds": {&o.rounds, mostRounds}} {
		if !given.Has(name) {
			continue
		}
		if *to.value, err = strconv.Atoi(given.Get(name)); err != nil || *to.value < 1 || *to.value > to.most {
			return nil, fmt.Errorf("%s is %q; give 1 to %d", name, given.Get(name), to.most)
		}
	}
	if given.Has("seed") {
		if o.seed, err = strconv.ParseUint(given.Get("seed"), 10, 64); err != nil {
			return nil, fmt.Errorf("seed is %q; give a whole number from 0 on", given.Get("seed"))
		}
	}
	if o.draws == 0 {
		o = drawing{}
	}
	return &serve.Request{Shared: o, Copies: max(o.draws, 1), Answer: func(rows *serve.Rows, y *tensor.Dense) (*serve.Answer, error) { return s.filled(rows, y, o) }}, nil
}

// impute returns the rows of all draws side by side.
func (s *servedTable) impute(ctx context.Context, x *tensor.Dense, numbers []int, shared any) (*tensor.Dense, error) {
	o, rows, width := shared.(drawing), x.Shape()[0], x.Shape()[1]
	filler := filler{net: s.filling, seed: o.seed, rounds: o.rounds}
	b := tableBlock{x: data.Float32s(x), numbers: numbers}
	draws := max(o.draws, 1)
	all := make([]float32, rows*draws*width)
	for draw := range draws {
		y, err := filler.fill(ctx, b, o.draws > 0, draw)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			copy(all[(i*draws+draw)*width:][:width], y[i*width:])
		}
	}
	return tensor.New(tensor.WithShape(rows, draws*width), tensor.WithBacking(all)), nil
}

// filled is the answer of impute.
func (s *servedTable) filled(rows *serve.Rows, y *tensor.Dense, o drawing) (*serve.Answer, error) {
	encoder, err := s.encoder.Of(rows.Info)
	if err != nil {
		return nil, err
	}
	if err := checkFinite("", 0, y.Shape()[1], data.Float32s(y)); err != nil {
		return nil, err
	}
	cells := &cellFiller{text: s.decoder, places: encoder.Places(), columns: rows.Info.Columns, quote: rows.Quote}
	answer := &serve.Answer{Info: rows.Info, Draws: o.draws > 0, Preserved: true}
	for _, c := range rows.Info.Columns {
		answer.Like = append(answer.Like, &s.columns[slices.IndexFunc(s.columns, func(known serve.Column) bool { return known.Name == c.Name })])
	}
	b := tableBlock{cells: rows.Cells, x: rows.X}
	width, draws := encoder.Width(), max(o.draws, 1)
	one := make([]float32, len(rows.X))
	for draw := range draws {
		for i := range rows.Cells.Rows {
			copy(one[i*width:(i+1)*width], data.Float32s(y)[(i*draws+draw)*width:])
		}
		answer.Tables = append(answer.Tables, cells.fill(b, one))
	}
	return answer, nil
}

func (s *servedTable) anomalyOperation() serve.TableOperation {
	return serve.TableOperation{Name: "anomaly", Summary: "Says how unlike the training data each row is.",
		Parameters: []serve.Parameter{
			{Name: "fpr", Description: fmt.Sprintf("the fraction of ordinary rows that may be flagged, %g if it is not given", anomalyRate),
				Schema: map[string]any{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
			{Name: "by", Description: "what rows are flagged by", Schema: map[string]any{"enum": anomaly.Kinds(), "default": anomaly.MaxAbsZ}},
			{Name: "top", Description: "columns in top_features", Schema: map[string]any{"type": "integer", "minimum": 0, "default": anomalyTop}},
			{Name: "brief", Description: "no columns by feature, only those by row", Schema: map[string]any{"type": "boolean", "default": false}},
		},
		Request: s.anomalyRequest, Compute: s.losses}
}

func (s *servedTable) anomalyRequest(given url.Values) (*serve.Request, error) {
	d, err := detectorOf(given)
	if err != nil {
		return nil, err
	}
	d.decoder = s.decoder
	if name := d.twice(); name != "" {
		return nil, fmt.Errorf("brief: two columns of the answer would be called %q; ask for brief=true", name)
	}
	d.calibrated(s.anomaly)
	return &serve.Request{Copies: 1, Answer: func(rows *serve.Rows, y *tensor.Dense) (*serve.Answer, error) {
		width := len(s.anomaly.Columns)
		losses, restored := make([]float32, 0, len(rows.X)), make([]float32, 0, len(rows.X))
		for row := range slices.Chunk(data.Float32s(y), 2*width) {
			losses, restored = append(losses, row[:width]...), append(restored, row[width:]...)
		}
		cells, _ := d.judge(losses, restored)
		answer := answerOf(d.columns(), cells)
		answer.Like = make([]*serve.Column, len(cells.Columns))
		if !d.brief {
			for j, c := range s.used() {
				answer.Like[3*j] = c
			}
		}
		return answer, nil
	}}, nil
}

// detectorOf reads the parameters of a request.
func detectorOf(given url.Values) (*detector, error) {
	d := &detector{rate: anomalyRate, by: anomaly.MaxAbsZ, top: anomalyTop}
	var err error
	if given.Has("fpr") {
		if d.rate, err = strconv.ParseFloat(given.Get("fpr"), 64); err != nil {
			return nil, fmt.Errorf("fpr is %q; give a number between 0 and 1, such as 0.01", given.Get("fpr"))
		}
	}
	if given.Has("by") {
		d.by = anomaly.Kind(given.Get("by"))
	}
	if given.Has("top") {
		if d.top, err = strconv.Atoi(given.Get("top")); err != nil {
			return nil, fmt.Errorf("top is %q; give a whole number from 0 on", given.Get("top"))
		}
	}
	switch given.Get("brief") {
	case "true":
		d.brief = true
	case "false":
	default:
		if given.Has("brief") {
			return nil, errors.New("brief is true or false")
		}
	}
	if name, problem, remedy := d.check(); name != "" {
		return nil, fmt.Errorf("%s: %s; %s", name, problem, remedy)
	}
	return d, nil
}

// losses returns the losses of each row, and then what was expected in place of its
// cells.
func (s *servedTable) losses(ctx context.Context, x *tensor.Dense, _ []int, _ any) (*tensor.Dense, error) {
	rows, width, values := x.Shape()[0], x.Shape()[1], data.Float32s(x)
	losses, restored := make([]float32, len(values)), make([]float32, len(values))
	if err := s.net.Losses(ctx, losses, restored, values, s.groups); err != nil {
		return nil, err
	}
	both := make([]float32, 0, 2*len(values))
	for i := range rows {
		both = append(append(both, losses[i*width:(i+1)*width]...), restored[i*width:(i+1)*width]...)
	}
	return tensor.New(tensor.WithShape(rows, 2*width), tensor.WithBacking(both)), nil
}
