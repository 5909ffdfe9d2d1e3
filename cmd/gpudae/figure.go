package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"gpudae/device"
	"gpudae/figure"
	"gpudae/internal/settings"
	"gpudae/train"
)

func (p *program) figureCommand() *cli.Command {
	text := `Draws one figure, KIND being one of:
`
	kinds := grid{}
	for _, k := range figureKinds() {
		kinds.add(k.name, k.doc)
	}
	return &cli.Command{
		Name:      "figure",
		Usage:     "draw a picture of a model",
		ArgsUsage: "MODEL [KIND] [-o OUT.png|svg]",
		Description: text + indent(kinds.left()) + `
Without KIND it is reconstructions; without -o it goes into the run's figures
folder.

Examples:
  gpudae figure runs/mine
  gpudae figure runs/mine filters -o filters.svg
  gpudae figure runs/mine reconstructions --data test.npy -o test.png`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write, .png or .svg", DefaultText: "figures/KIND.png in the run"},
			&cli.StringFlag{Name: "data", Category: "Data", Usage: "`DATA` examples to show", DefaultText: "those of training"},
		}, inferenceFlags()...),
		Action: p.figure,
	}
}

func (p *program) figure(c *cli.Context) error {
	if c.NArg() != 2 {
		if err := arguments(c, "MODEL"); err != nil {
			return err
		}
	}
	kind, err := findFigure(c.Args().Get(1))
	if err != nil {
		return err
	}
	out := c.String("out")
	if c.IsSet("out") {
		if err := figure.CheckPath(out); err != nil {
			return usage("--out", out+": unknown suffix of a figure", "end the name in .png or .svg")
		}
	}
	o, saved, err := p.inference(c)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(filepath.Dir(saved.Path), figuresFolder, kind.name+".png")
	}
	s, err := p.subjectOf(c, o, saved, kind)
	if err != nil {
		return err
	}
	err = o.onDevice(func(dev device.Device) error {
		s.dev = dev
		return kind.draw(c.Context, s, out)
	})
	if err != nil {
		return err
	}
	if o.json {
		return p.printJSON(map[string]string{"out": out, "kind": kind.name})
	}
	return p.printText(out + "\n")
}

func findFigure(name string) (figureKind, error) {
	if name == "" {
		return figureKinds()[0], nil
	}
	var names []string
	for _, k := range figureKinds() {
		if k.name == name {
			return k, nil
		}
		names = append(names, k.name)
	}
	return figureKind{}, usage("figure", "unknown kind "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+figureNames())
}

// subjectOf reads the examples that the figure needs, if it needs any.
func (p *program) subjectOf(c *cli.Context, o *inferenceOptions, saved *train.Saved, kind figureKind) (*subject, error) {
	s := &subject{saved: saved, info: saved.Schema, note: func(text string) { o.console.logf("figure %s: %s", kind.name, text) }}
	if kind.planar && s.info.Features != 2 {
		return nil, usage("figure "+kind.name, "the model's examples do not have two features", "choose another kind")
	}
	if !kind.examples {
		return s, nil
	}
	in, err := p.loadExamples(c, saved, o)
	if err != nil {
		return nil, err
	}
	_, exam, err := in.examine(saved, "")
	if err != nil {
		return nil, err
	}
	s.info, s.labels, s.table, s.rows = in.info, in.labels, in.table, exam.rows
	return s, nil
}
