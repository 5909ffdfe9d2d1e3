package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/anomaly"
	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// Defaults and bounds of anomaly.
const (
	anomalyRate     = 0.01
	anomalyTop      = 3
	mostGroups      = 16     // that are chosen without being asked for
	calibrationRows = 20_000 // at most
)

func (p *program) anomalyCommand() *cli.Command {
	return &cli.Command{
		Name:      "anomaly",
		Usage:     "find rows that are not like the training data",
		ArgsUsage: "MODEL IN -o OUT",
		Description: fmt.Sprintf(`Writes, for each row of a table, what a model of mixed columns (train --preset
anomaly) makes of it: by column the value that it expects (_pred), -log p of the
value that is there in nats (_loss), and how many standard deviations that lies
above the mean of rows held out of training (_z_loss); by row the greatest and the
mean of these in absolute value (max_abs_z, mean_abs_z), the share of held-out rows
that score as high (p_value), whether that is at most --fpr (anomaly), and the
columns to look at (top_features). A missing cell has no part in it.

A model that was trained on masked values is not shown a value that it is asked
about: columns are hidden in --groups turns. Others see the rows as they are.

What is ordinary is learned from the rows held out of training, at most %d, so
the training data must still be there; --calibrate takes other ordinary rows.

Examples:
  gpudae train log.csv --preset anomaly -o runs/log
  gpudae anomaly runs/log today.csv -o scores.csv
  gpudae anomaly runs/log today.csv -o scores.parquet --fpr 0.001 --by mean_abs_z --brief`, calibrationRows),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .csv, .tsv, also with .gz or .zst, .parquet or .arrow"},
			&cli.Float64Flag{Name: "fpr", Category: "Anomalies", Usage: "`P` false positives: the fraction of ordinary rows that may be flagged", Value: anomalyRate},
			&cli.StringFlag{Name: "by", Category: "Anomalies", Usage: "`SCORE` what rows are flagged by: max_abs_z or mean_abs_z", Value: string(anomaly.MaxAbsZ)},
			&cli.IntFlag{Name: "groups", Category: "Anomalies", Usage: "`G` turns in which columns are hidden, 0: rows are shown as they are", DefaultText: fmt.Sprintf("one a column up to %d for models of masked values, otherwise 0", mostGroups)},
			&cli.StringFlag{Name: "calibrate", Category: "Anomalies", Usage: "`DATA` ordinary rows that were not trained on", DefaultText: "the rows held out of training"},
			&cli.IntFlag{Name: "top", Category: "Anomalies", Usage: "`N` columns in top_features", Value: anomalyTop},
			&cli.BoolFlag{Name: "brief", Category: "Anomalies", Usage: "no columns by feature, only those by row"},
		}, inferenceFlags()...),
		Action: p.anomaly,
	}
}

// detection is a run of anomaly.
type detection struct {
	*inferenceOptions
	saved       *train.Saved
	schema      *table.Schema
	decoder     *table.Decoder
	out         string
	rate        float64
	by          anomaly.Kind
	groups      int
	top         int
	brief       bool
	calibrate   string // empty: the rows held out of training
	calibration *anomaly.Calibration
	threshold   float64
	rows        int
	flagged     int
}

// anomalyJSON is what --json prints.
type anomalyJSON struct {
	Model      string  `json:"model"`
	Data       string  `json:"data"`
	Out        string  `json:"out"`
	Rows       int     `json:"rows"`
	Anomalies  int     `json:"anomalies"`
	By         string  `json:"by"`
	FPR        float64 `json:"fpr"`
	Threshold  number  `json:"threshold"`
	Groups     int     `json:"groups"`
	Calibrated int     `json:"calibration_rows"`
}

func (p *program) anomaly(c *cli.Context) error {
	d, err := p.detection(c)
	if err != nil {
		return err
	}
	if err := d.run(c.Context, p); err != nil {
		return err
	}
	rows := len(d.calibration.Scores[d.by])
	if d.json {
		return p.printJSON(anomalyJSON{d.model, d.input, d.out, d.rows, d.flagged, string(d.by), d.rate, number(d.threshold), d.groups, rows})
	}
	return p.printText(fmt.Sprintf("%s: %s, %d flagged: %s above %.4g, as at most %.3g %% of %s that are ordinary\n",
		d.out, count(d.rows, "row"), d.flagged, d.by, d.threshold, 100*d.rate, count(rows, "row")))
}

// detection reads the command line.
func (p *program) detection(c *cli.Context) (*detection, error) {
	if err := arguments(c, "MODEL", "IN"); err != nil {
		return nil, err
	}
	d := &detection{rate: c.Float64("fpr"), by: anomaly.Kind(c.String("by")), groups: c.Int("groups"), top: c.Int("top"), brief: c.Bool("brief"), calibrate: c.String("calibrate")}
	switch {
	case !(d.rate > 0 && d.rate < 1):
		return nil, usage("--fpr", fmt.Sprintf("a fraction of %v", d.rate), "give a number between 0 and 1, such as 0.01")
	case !slices.Contains(anomaly.Kinds(), d.by):
		return nil, usage("--by", "unknown score "+quoted(string(d.by)), "choose max_abs_z or mean_abs_z")
	case d.groups < 0:
		return nil, usage("--groups", count(d.groups, "turn"), "give 0 or more")
	case d.top < 0:
		return nil, usage("--top", count(d.top, "column"), "give 0 or more")
	}
	var err error
	if d.out, err = outputFile(c); err != nil {
		return nil, err
	}
	if d.inferenceOptions, d.saved, err = p.inference(c); err != nil {
		return nil, err
	}
	if d.schema, err = schemaFor(c, d.saved); err != nil {
		return nil, err
	}
	if d.decoder, err = d.schema.NewDecoder(typedOutput(d.out)); err != nil {
		return nil, err
	}
	if !c.IsSet("groups") {
		d.groups = defaultGroups(d.saved.DAE)
	}
	return d, nil
}

// defaultGroups hides columns from models that know hidden ones.
func defaultGroups(dae *model.DAE) int {
	if corruption := dae.Corruption(); corruption.Uses(device.CorruptMasking) || corruption.Uses(device.CorruptSpan) {
		return min(dae.Config().Features, mostGroups)
	}
	return 0
}

func (d *detection) run(ctx context.Context, p *program) error {
	if err := d.fit(ctx, p); err != nil {
		return err
	}
	d.threshold = d.calibration.Threshold(d.by, d.rate)
	if math.IsInf(d.threshold, 1) {
		d.console.logf("anomaly: %d rows tell no rate below %.3g, so nothing is flagged; give more with --calibrate",
			len(d.calibration.Scores[d.by]), d.calibration.LeastRate())
	}
	frame, err := p.openFrame(ctx, d.input, d.reading)
	if err != nil {
		return err
	}
	defer frame.Close()
	encoder, err := d.schema.NewEncoder(frame.Info())
	if err != nil {
		return err
	}
	to, err := newTableOutput(d.out, d.columns())
	if err != nil {
		return err
	}
	err = d.eachBlock(ctx, d.saved, frame, encoder, func(net *model.Net, b tableBlock) error {
		cells, err := d.score(ctx, net, b)
		if err != nil {
			return err
		}
		return to.append(ctx, cells)
	})
	d.rows = to.rows
	return to.end(err)
}

// fit calibrates on ordinary rows.
func (d *detection) fit(ctx context.Context, p *program) error {
	path, wanted, err := d.ordinary()
	if err != nil {
		return err
	}
	frame, err := p.openFrame(ctx, path, d.reading)
	if err != nil {
		return err
	}
	defer frame.Close()
	if d.calibrate == "" && frame.Info().SHA256 != d.saved.Schema.SHA256 {
		return &data.Error{Path: path, Problem: "is not what the model was trained on any more", Remedy: "give ordinary rows with --calibrate"}
	}
	encoder, err := d.schema.NewEncoder(frame.Info())
	if err != nil {
		return err
	}
	var losses []float32
	width := encoder.Width()
	quiet := *d.inferenceOptions
	quiet.console = newConsole(p.stderr, true)
	err = quiet.eachBlock(ctx, d.saved, frame, encoder, func(net *model.Net, b tableBlock) error {
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
		if err := net.Losses(ctx, loss, make([]float32, len(x)), x, d.groups); err != nil {
			return err
		}
		losses = append(losses, loss...)
		return nil
	})
	if err != nil {
		return err
	}
	d.calibration, err = anomaly.Fit(d.names(), losses)
	return err
}

// ordinary says where ordinary rows are, and which.
func (d *detection) ordinary() (path string, wanted func(row int) bool, err error) {
	if d.calibrate != "" {
		return d.calibrate, func(int) bool { return true }, nil
	}
	const remedy = "give ordinary rows with --calibrate"
	split := d.saved.Split
	if split.Held == 0 {
		return "", nil, usage(d.model, "the run held no rows out of training, so it cannot tell what is ordinary", remedy)
	}
	trained, err := savedSettings(d.saved)
	if err != nil {
		return "", nil, err
	}
	if trained.Data == "-" {
		return "", nil, usage(d.model, "it was trained on standard input, which is gone", remedy)
	}
	rows := map[int]bool{}
	permutation := split.Validation().Permutation(split.Rows)
	for i := range min(split.Held, calibrationRows) {
		rows[int(permutation.At(uint32(i)))] = true
	}
	return trained.Data, func(row int) bool { return rows[row] }, nil
}

// names are those of the model's columns.
func (d *detection) names() []string {
	var names []string
	for _, i := range d.schema.Used() {
		names = append(names, d.schema.Columns[i].Name)
	}
	return names
}

// columns are those of the output.
func (d *detection) columns() []data.FrameColumn {
	var columns []data.FrameColumn
	if !d.brief {
		for j, c := range d.decoder.Columns() {
			name := d.names()[j]
			columns = append(columns, data.FrameColumn{Name: name + "_pred", Type: c.Type},
				data.FrameColumn{Name: name + "_loss", Type: data.Number}, data.FrameColumn{Name: name + "_z_loss", Type: data.Number})
		}
	}
	for _, kind := range anomaly.Kinds() {
		columns = append(columns, data.FrameColumn{Name: string(kind), Type: data.Number})
	}
	return append(columns, data.FrameColumn{Name: "p_value", Type: data.Number}, data.FrameColumn{Name: "anomaly", Type: data.Integer},
		data.FrameColumn{Name: "top_features", Type: data.Text})
}

// score judges a block of rows.
func (d *detection) score(ctx context.Context, net *model.Net, b tableBlock) (*data.Cells, error) {
	losses, restored := make([]float32, len(b.x)), make([]float32, len(b.x))
	if err := net.Losses(ctx, losses, restored, b.x, d.groups); err != nil {
		return nil, err
	}
	width, rows := len(d.calibration.Columns), b.cells.Rows
	z := make([]float64, len(b.x))
	byRow := data.Cells{Columns: make([]data.Values, len(anomaly.Kinds())+3)}
	scores, rest := byRow.Columns[:len(anomaly.Kinds())], byRow.Columns[len(anomaly.Kinds()):]
	for i := range rows {
		row := z[i*width : (i+1)*width]
		d.calibration.Z(row, losses[i*width:(i+1)*width])
		for k, kind := range anomaly.Kinds() {
			scores[k].Numbers = append(scores[k].Numbers, anomaly.Score(kind, row))
		}
		score, flag := anomaly.Score(d.by, row), int64(0)
		if score > d.threshold {
			flag = 1
			d.flagged++
		}
		rest[0].Numbers = append(rest[0].Numbers, d.calibration.P(d.by, score))
		rest[1].Integers = append(rest[1].Integers, flag)
		rest[2].Text = append(rest[2].Text, d.topFeatures(row))
	}
	cells := &data.Cells{Rows: rows}
	if !d.brief {
		predicted := d.decoder.Decode(restored)
		for j := range width {
			cells.Columns = append(cells.Columns, predicted.Columns[j], numbersOf(rows, func(i int) float64 { return float64(losses[i*width+j]) }),
				numbersOf(rows, func(i int) float64 { return z[i*width+j] }))
		}
	}
	cells.Columns = append(cells.Columns, byRow.Columns...)
	return cells, nil
}

// numbersOf is a column of numbers, absent where they are NaN.
func numbersOf(rows int, at func(i int) float64) data.Values {
	v := data.Values{Numbers: make([]float64, rows)}
	for i := range rows {
		x := at(i)
		if math.IsNaN(x) {
			if v.Absent == nil {
				v.Absent = make([]bool, rows)
			}
			v.Absent[i], x = true, 0
		}
		v.Numbers[i] = x
	}
	return v
}

// topFeatures names the columns with the greatest z-scores.
func (d *detection) topFeatures(z []float64) string {
	var parts []string
	for _, j := range anomaly.Top(z, d.top) {
		parts = append(parts, fmt.Sprintf("%s (%.3g)", d.calibration.Columns[j].Name, z[j]))
	}
	return strings.Join(parts, ", ")
}
