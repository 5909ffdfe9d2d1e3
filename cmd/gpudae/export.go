package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/export"
	"gpudae/internal/atomicfile"
	"gpudae/internal/safetensors"
	"gpudae/internal/settings"
	"gpudae/onnx"
	"gpudae/train"
)

// exportFormat is a row of the table of formats; its name is also the suffix of
// its files.
type exportFormat struct {
	name, doc string
	write     func(ctx context.Context, e *exporting) (*exported, error)
}

func exportFormats() []exportFormat {
	return []exportFormat{
		{"onnx", "the whole model as a graph, scaling included", writeONNX},
		{"safetensors", "the weights, with PyTorch's names and shapes", writeSafetensors},
		{"npz", "the same as arrays for NumPy", writeNPZ},
	}
}

// Values of --output.
const (
	outputBoth           = "both"
	outputReconstruction = export.Reconstruction
	outputPrediction     = "prediction"
	outputCode           = export.Code
)

// exporting is what an export works from.
type exporting struct {
	*inferenceOptions
	saved  *train.Saved
	out    string
	output string
}

// exported is the result of export.
type exported struct {
	Out        string             `json:"out"`
	Format     string             `json:"format"`
	Bytes      int64              `json:"bytes"`
	Opset      int                `json:"opset,omitempty"`
	Inputs     []string           `json:"inputs,omitempty"`
	Outputs    []string           `json:"outputs,omitempty"`
	Device     string             `json:"device,omitempty"` // whose output the graph was compared with
	Difference *export.Difference `json:"difference,omitempty"`
	Exact      *export.Difference `json:"difference_float64,omitempty"` // where the device's rounding is more than is allowed
}

func (p *program) exportCommand() *cli.Command {
	formats := grid{}
	for _, f := range exportFormats() {
		formats.add(f.name, f.doc)
	}
	return &cli.Command{
		Name:      "export",
		Usage:     "write a model for other programs",
		ArgsUsage: "MODEL -o OUT",
		Description: `Formats:
` + indent(formats.left()) + `
An ONNX file (opset 17) takes x, float32 [N, shape of an example] in the scale of
the data, and gives the reconstruction in the same shape and scale, and the code;
a score model takes sigma, float32 [N, 1], too, in units of the scaled data. Of a
table of mixed columns each has an input x.NAME and an output reconstruction.NAME
[N, 1]: float64 numbers, words. A fine-tuned model gives class and probabilities, or
value.
Its graph is computed beside the model before it is written, and the largest
difference is printed. docs/deploy.md shows how to load each format.

Examples:
  gpudae export runs/mine -o model.onnx
  gpudae export runs/mine --output code -o encoder.onnx
  gpudae export runs/mine --format npz -o weights.npz`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Export", Usage: "`FILE` file to write"},
			&cli.StringFlag{Name: "format", Category: "Export", Usage: "`FORMAT` " + strings.Join(formatNames(), ", "), DefaultText: "by OUT's suffix"},
			&cli.StringFlag{Name: "output", Category: "Export", Value: outputBoth, DefaultText: outputBoth,
				Usage: "`OUTPUT` what an ONNX graph computes: both, reconstruction (of a fine-tuned model prediction) or code"},
		}, exportMachineFlags(), outputFlags()),
		Action: p.export,
	}
}

// exportMachineFlags say where the output is computed that a graph is compared with.
func exportMachineFlags() []cli.Flag {
	machine := defaultMachine()
	return flagsOf(machineTable(), &machine)
}

func formatNames() []string {
	var names []string
	for _, f := range exportFormats() {
		names = append(names, f.name)
	}
	return names
}

func (p *program) export(c *cli.Context) error {
	if err := arguments(c, "MODEL"); err != nil {
		return err
	}
	e := &exporting{out: c.String("out"), output: c.String("output")}
	if e.out == "" {
		return usage("export", "no output file", "name it with -o, e.g. -o model.onnx")
	}
	format, err := findFormat(c.String("format"), e.out)
	if err != nil {
		return err
	}
	outputs := []string{outputBoth, outputReconstruction, outputPrediction, outputCode}
	if !slices.Contains(outputs, e.output) {
		return usage("--output", "unknown output "+quoted(e.output), settings.Suggest(e.output, outputs, "")+"choose one of "+strings.Join(outputs, ", "))
	}
	if format.name != "onnx" && c.IsSet("output") {
		return usage("--output", "weights have no outputs", "leave it out, or choose --format onnx")
	}
	if e.inferenceOptions, err = p.inferenceOptions(c); err != nil {
		return err
	}
	if e.saved, err = train.LoadAny(e.model); err != nil {
		return err
	}
	if err := checkOver(e.out, e.saved.Path); err != nil {
		return err
	}
	lacking := outputPrediction
	if e.saved.DAE.IsPredictor() {
		lacking = outputReconstruction
	}
	if e.output == lacking {
		return usage("--output", "the model puts out no "+lacking, "choose one of "+strings.Join(slices.DeleteFunc(outputs, func(name string) bool { return name == lacking }), ", "))
	}
	result, err := format.write(c.Context, e)
	if err != nil {
		return err
	}
	result.Out, result.Format = e.out, format.name
	if e.json {
		return p.printJSON(result)
	}
	return p.printText(result.String())
}

// findFormat finds a format by its name or, if that is empty, by a file's suffix.
func findFormat(name, out string) (exportFormat, error) {
	where, problem := "--format", "unknown format "+quoted(name)
	if name == "" {
		name = strings.TrimPrefix(filepath.Ext(out), ".")
		where, problem = "--out", out+" has no suffix that names a format"
	}
	for _, f := range exportFormats() {
		if f.name == name {
			return f, nil
		}
	}
	return exportFormat{}, usage(where, problem, settings.Suggest(name, formatNames(), "")+"choose --format "+strings.Join(formatNames(), ", "))
}

// String is the result for a person.
func (r *exported) String() string {
	text := fmt.Sprintf("%s: %s, %s\n", r.Out, r.Format, fileSize(uint64(r.Bytes)))
	if r.Difference == nil {
		return text
	}
	text += fmt.Sprintf("opset %d, %s -> %s\n", r.Opset, valueNames(r.Inputs), valueNames(r.Outputs))
	text += "largest difference to our own output on " + r.Device + ": " + differences(r.Outputs, r.Difference) + "\n"
	if r.Exact != nil {
		text += "that is rounding; in float64: " + differences(r.Outputs, r.Exact) + "\n"
	}
	return text
}

// valueNames lists values, those of a table's columns together.
func valueNames(names []string) string {
	var list []string
	counts := map[string]int{}
	for _, name := range names {
		group, _, column := strings.Cut(name, ".")
		if column {
			counts[group]++
		}
		if counts[group] <= 1 {
			list = append(list, group)
		}
	}
	for i, group := range list {
		if n := counts[group]; n > 0 {
			list[i] = fmt.Sprintf("%s.* (%s)", group, count(n, "column"))
		}
	}
	return strings.Join(list, ", ")
}

// differences lists those of the outputs that there are.
func differences(outputs []string, d *export.Difference) string {
	var list []string
	for _, name := range outputs {
		group, _, _ := strings.Cut(name, ".")
		difference := d.Prediction
		switch group {
		case export.Code:
			difference = d.Code
		case export.Reconstruction:
			difference = d.Reconstruction
		case export.Class, export.LogP: // which the next or the last one has
			continue
		default:
			group = outputPrediction
		}
		if text := fmt.Sprintf("%.1e (%s)", difference, group); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
}

func writeONNX(ctx context.Context, e *exporting) (*exported, error) {
	if size := export.Size(e.saved.DAE); size > onnx.MaxBytes {
		return nil, usage("--format", fmt.Sprintf("the model's %s do not fit an ONNX file, which ends at %s", fileSize(uint64(size)), fileSize(onnx.MaxBytes)),
			"choose safetensors")
	}
	graph, err := export.ONNX(e.saved, export.Outputs{Reconstruction: e.output != outputCode, Code: e.output == outputBoth || e.output == outputCode})
	if err != nil {
		return nil, err
	}
	content, err := onnx.Encode(graph)
	if err != nil {
		return nil, err
	}
	read, err := onnx.Decode(content) // what others will read is what is checked
	if err != nil {
		return nil, err
	}
	r := &exported{Bytes: int64(len(content)), Opset: onnx.Opset, Inputs: read.Inputs(), Outputs: read.Outputs()}
	err = e.onDevice(func(dev device.Device) error {
		verdict, err := export.Verify(ctx, dev, reference.New(), e.saved, read)
		r.Device, r.Difference, r.Exact = dev.Info().Name, &verdict.Difference, verdict.Exact
		if err == nil && !verdict.Right() {
			err = fmt.Errorf("%s: not written: the graph differs from the model by %s, more than %g; please report it",
				e.out, differences(r.Outputs, verdict.Exact), export.Tolerance)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, atomicfile.Write(e.out, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

func writeSafetensors(_ context.Context, e *exporting) (*exported, error) {
	file, err := export.Safetensors(e.saved)
	if err != nil {
		return nil, err
	}
	if err := safetensors.WriteFile(e.out, file); err != nil {
		return nil, err
	}
	return written(e.out)
}

func writeNPZ(ctx context.Context, e *exporting) (*exported, error) {
	arrays, err := export.NPZ(e.saved)
	if err != nil {
		return nil, err
	}
	if err := data.WriteNPZ(ctx, e.out, arrays); err != nil {
		return nil, err
	}
	return written(e.out)
}

// written measures a file.
func written(path string) (*exported, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &exported{Bytes: info.Size()}, nil
}
