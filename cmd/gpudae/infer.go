package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// inferenceBatch is the number of rows that go through a model at a time; the
// results do not depend on it.
const inferenceBatch = 256

// inferenceOptions are what the commands that use a model have in common.
type inferenceOptions struct {
	model   string
	input   string
	reading inputOptions
	machine machineSettings
	origins settings.Origins
	json    bool
	console *console
}

// inferenceFlags are their flags.
func inferenceFlags() []cli.Flag {
	machine := defaultMachine()
	return slices.Concat(readingFlags("that of training"), flagsOf(machineTable(), &machine), outputFlags())
}

// readingFlags say how a file of examples is to be read.
func readingFlags(otherwise string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "label", Category: "Data", Usage: "`COLUMN` CSV column of classes, by name or number, that is no feature", DefaultText: otherwise},
		headerFlag(otherwise),
	}
}

func headerFlag(otherwise string) cli.Flag {
	return &cli.StringFlag{Name: "header", Category: "Data", Usage: "`HEADER` whether a CSV file starts with names: auto, none or names", DefaultText: otherwise}
}

// inferenceOptions reads the options, but for how data are read.
func (p *program) inferenceOptions(c *cli.Context) (*inferenceOptions, error) {
	o := &inferenceOptions{model: c.Args().Get(0), input: c.Args().Get(1), json: c.Bool("json"), console: newConsole(p.stderr, c.Bool("quiet"))}
	var err error
	if o.machine, o.origins, err = p.machineOf(c); err != nil {
		return nil, err
	}
	return o, checkMachine(o.machine, o.origins)
}

// inference reads the model of a command line and the options around it.
func (p *program) inference(c *cli.Context) (*inferenceOptions, *train.Saved, error) {
	o, err := p.inferenceOptions(c)
	if err != nil {
		return nil, nil, err
	}
	saved, err := train.LoadModel(o.model)
	if err != nil {
		return nil, nil, err
	}
	if err := checkColumns(c, saved); err != nil {
		return nil, nil, err
	}
	trained, err := savedSettings(saved)
	if err != nil {
		return nil, nil, err
	}
	o.reading = inputOptions{label: trained.Label, header: trained.Header, optional: true}
	if c.IsSet("label") {
		o.reading.label, o.reading.optional = c.String("label"), false
	}
	if c.IsSet("header") {
		o.reading.header = c.String("header")
	}
	return o, saved, checkHeader(o.reading.header)
}

// inferenceTo is inference for a command that writes a file: it first checks the
// positional arguments and -o.
func (p *program) inferenceTo(c *cli.Context, names ...string) (o *inferenceOptions, saved *train.Saved, out string, err error) {
	if err = arguments(c, names...); err != nil {
		return nil, nil, "", err
	}
	if out, err = outputFile(c); err != nil {
		return nil, nil, "", err
	}
	o, saved, err = p.inference(c)
	return o, saved, out, err
}

func checkHeader(header string) error {
	if !slices.Contains(headerChoices(), header) {
		return usage("--header", "unknown header "+quoted(header), "choose one of "+strings.Join(headerChoices(), ", "))
	}
	return nil
}

// onDevice opens the device of the options for as long as use runs.
func (o *inferenceOptions) onDevice(use func(device.Device) error) error {
	dev, err := openDevice(o.machine, o.origins, o.console.logf)
	if err != nil {
		return err
	}
	defer dev.Close()
	return use(dev)
}

// arguments checks the number of positional arguments.
func arguments(c *cli.Context, names ...string) error {
	if c.NArg() < len(names) {
		return usage(commandPath(c), "no "+names[c.NArg()], "see 'gpudae "+commandPath(c)+" --help'")
	}
	if c.NArg() > len(names) {
		return usage(commandPath(c), "too many arguments: "+quoted(c.Args().Get(len(names))), "see 'gpudae "+commandPath(c)+" --help'")
	}
	return nil
}

// outputFile checks -o before any work is done: it takes the place of no input.
func outputFile(c *cli.Context) (string, error) {
	inputs := append(c.Args().Slice(), c.String("given-from"), c.String("labels"), c.String("data"), c.String("calibrate"))
	return outputBeside(c, slices.DeleteFunc(inputs, func(name string) bool { return name == "" })...)
}

// outputBeside is outputFile where those are the inputs that it must not replace.
func outputBeside(c *cli.Context, inputs ...string) (string, error) {
	path := c.String("out")
	if path == "" {
		return "", usage(c.Command.Name, "no output file", "name it with -o, e.g. -o out.npy")
	}
	if err := data.CheckOutput(path); err != nil {
		return "", &failure{code: exitUsage, where: "--out", problem: err.Error(), err: err}
	}
	for _, name := range inputs {
		checkpoints, _ := train.Checkpoints(name) // none of what is no run
		for _, file := range append(checkpoints, train.ModelFile) {
			inputs = append(inputs, filepath.Join(name, file))
		}
	}
	return path, checkOver(path, inputs...)
}

// checkOver refuses an output that would take the place of an input.
func checkOver(out string, inputs ...string) error {
	a, err := os.Stat(out)
	if err != nil || !a.Mode().IsRegular() {
		return nil
	}
	for _, path := range inputs {
		if b, err := os.Stat(path); err == nil && os.SameFile(a, b) {
			return usage("--out", out+": is an input, which would be lost", "name another file")
		}
	}
	return nil
}

// checkFinite refuses a row with a result that is no number. y is [rows, width], and
// before is the number of rows before them.
func checkFinite(path string, before, width int, y []float32) error {
	i := slices.IndexFunc(y, func(v float32) bool { return v-v != 0 })
	if i < 0 {
		return nil
	}
	return &data.Error{Path: path, Row: before + i/width + 1, Problem: "the result leaves the range of float32",
		Remedy: "such a row is far from the data of training: remove its outliers, or list them as missing"}
}

// stream sends the rows of d through compute, a range at a time, and writes what
// comes back, in the form of array, as it comes. The file is there at the end.
func (o *inferenceOptions) stream(ctx context.Context, saved *train.Saved, d data.Dataset, out string, array data.ArrayInfo,
	compute func(*model.Net, model.Source, *tensor.Dense) (*tensor.Dense, error)) error {
	w, err := data.CreateArray(out, array)
	if err != nil {
		return err
	}
	defer w.Abort()
	err = o.onDevice(func(dev device.Device) error {
		net, src, err := saved.Bind(dev, min(inferenceBatch, d.Info().Rows))
		if err != nil {
			return err
		}
		before := 0
		return eachRange(ctx, d, &saved.Scaler, func(x *tensor.Dense) error {
			y, err := compute(net, src, x)
			if err != nil {
				return data.Located(err, o.input, before)
			}
			rows, values := x.Shape()[0], data.Float32s(y)
			if err := checkFinite(o.input, before, len(values)/max(1, rows), values); err != nil {
				return err
			}
			before += rows
			return w.Append(ctx, y)
		})
	})
	if err != nil {
		return err
	}
	return w.Commit()
}

// wrote is the result of a command that writes an array.
type wrote struct {
	Out   string `json:"out"`
	Shape []int  `json:"shape"`
}

func (p *program) printWrote(o *inferenceOptions, out string, array data.ArrayInfo) error {
	shape := append([]int{array.Rows}, array.Shape...)
	if o.json {
		return p.printJSON(wrote{out, shape})
	}
	return p.printText(fmt.Sprintf("%s: %v\n", out, shape))
}

// commandPath is a command with those above it: "data list".
func commandPath(c *cli.Context) string {
	return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ")
}
