package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/train"
)

func (p *program) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write the page about a run",
		ArgsUsage: "RUN [-o OUT.html]",
		Description: `Writes one HTML file that needs nothing beside it: curves, the corruption and what
it did, the comparison with the closed forms, pictures, a map of the codes, layers,
configuration and provenance. 'train' writes it too; this writes it again, from the
data that the run was trained on.

Examples:
  gpudae report runs/mine
  gpudae report runs/mine -o mine.html`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` HTML file to write", DefaultText: reportFile + " in the run"},
		}, inferenceFlags()...),
		Action: p.report,
	}
}

func (p *program) report(c *cli.Context) error {
	if err := arguments(c, "RUN"); err != nil {
		return err
	}
	out := c.String("out")
	if ext := strings.ToLower(filepath.Ext(out)); c.IsSet("out") && ext != ".html" && ext != ".htm" {
		return usage("--out", out+": not the name of a page", "end the name in .html")
	}
	run := c.Args().First()
	if info, err := os.Stat(run); err == nil && !info.IsDir() {
		return usage("report", run+": not a run folder", "name the folder, which also holds the metrics")
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	history, err := readMetrics(filepath.Join(run, train.MetricsJSON))
	if err != nil {
		return err
	}
	settings, err := savedSettings(saved)
	if err != nil {
		return err
	}
	o.input = settings.Data
	in, err := p.loadFor(c.Context, saved, o)
	if err != nil {
		return err
	}
	defer in.close()
	if !in.same {
		return &failure{code: exitData, where: o.input, problem: "not what the run was trained on, whose SHA-256 is " + saved.Schema.SHA256, remedy: "restore the file"}
	}
	if out == "" {
		out = filepath.Join(run, reportFile)
	}
	_, exam, err := in.examine(saved, "")
	if err != nil {
		return err
	}
	err = o.onDevice(func(dev device.Device) error {
		r := &runReport{history: history, subject: &subject{note: func(string) {}, saved: saved, dev: dev, info: in.info, labels: in.labels, table: in.table, rows: exam.rows}}
		data := &prepared{info: in.info, labels: in.labels, scaler: &saved.Scaler, split: saved.Split, table: in.table}
		if r.corruption, err = measureCorruption(c.Context, dev, data, saved.DAE); err != nil {
			return err
		}
		if saved.Split.Held > 0 {
			if r.quality, err = assess(c.Context, dev, saved, exam); err != nil {
				return err
			}
		}
		return r.write(c.Context, out)
	})
	if err != nil {
		return err
	}
	if o.json {
		return p.printJSON(map[string]string{"out": out})
	}
	return p.printText(out + "\n")
}
