package main

import (
	"context"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"gpudae/anomaly"
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

What is ordinary is learned from the rows held out of training, at most %d, and
kept beside the model as NAME.calibration.json, so that the training data are read
once; --calibrate takes other ordinary rows.

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
	detector
	saved     *train.Saved
	schema    *table.Schema
	out       string
	groups    int
	calibrate string // empty: the rows held out of training
	rows      int
	flagged   int
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
	d := &detection{groups: c.Int("groups"), calibrate: c.String("calibrate")}
	d.detector = detector{rate: c.Float64("fpr"), by: anomaly.Kind(c.String("by")), top: c.Int("top"), brief: c.Bool("brief")}
	if name, problem, remedy := d.check(); name != "" {
		return nil, usage("--"+name, problem, remedy)
	}
	if d.groups < 0 {
		return nil, usage("--groups", count(d.groups, "turn"), "give 0 or more")
	}
	var err error
	if d.out, err = outputFile(c); err != nil {
		return nil, err
	}
	if d.inferenceOptions, d.saved, err = p.inference(c); err != nil {
		return nil, err
	}
	if trained, err := savedSettings(d.saved); err == nil { // its rows may have to be read again
		if err := checkOver(d.out, trained.Data); err != nil {
			return nil, err
		}
	}
	if d.schema, err = schemaFor(c, d.saved); err != nil {
		return nil, err
	}
	if d.decoder, err = d.schema.NewDecoder(typedOutput(d.out)); err != nil {
		return nil, err
	}
	if name := d.twice(); name != "" {
		return nil, usage(d.model, "two columns of the result would be called "+quoted(name), "add --brief")
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
	c := calibrator{d.inferenceOptions, d.saved, d.schema, d.groups, d.calibrate}
	calibration, err := c.calibration(ctx, p)
	if err != nil {
		return err
	}
	d.calibrated(calibration)
	if math.IsInf(d.threshold, 1) {
		d.console.logf("anomaly: %d rows tell no rate below %.3g, so nothing is flagged; give more with --calibrate",
			len(calibration.Scores[d.by]), calibration.LeastRate())
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
		losses, restored := make([]float32, len(b.x)), make([]float32, len(b.x))
		if err := net.Losses(ctx, losses, restored, b.x, d.groups); err != nil {
			return err
		}
		cells, flagged := d.judge(losses, restored)
		d.flagged += flagged
		return to.append(ctx, cells)
	})
	d.rows = to.rows
	return to.end(err)
}
