package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

func (p *program) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what a model is and where it comes from",
		ArgsUsage: "MODEL",
		Description: `Prints the layers, sizes and costs of a model, the data and the settings that it
was trained with, its best epoch, and by which version, command and device, when.
MODEL is a run folder or a model.safetensors.

Examples:
  gpudae inspect runs/mine
  gpudae inspect model.safetensors --json`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: p.inspect,
	}
}

// inspection is what inspect tells.
type inspection struct {
	Path       string           `json:"path"`
	Bytes      int64            `json:"bytes"` // of the file
	Version    string           `json:"version"`
	Provenance train.Provenance `json:"provenance"`
	Model      model.Config     `json:"model"`
	Layers     []layerJSON      `json:"layers"`
	Code       int              `json:"code_units"`
	Parameters int              `json:"parameters"`
	Buffers    int              `json:"buffers"`
	FLOPs      flopsJSON        `json:"flops"`
	Train      train.Config     `json:"train"`
	Data       data.Info        `json:"data"`
	Columns    json.RawMessage  `json:"columns,omitempty"` // the schema of a table of mixed columns
	Scaler     data.Scaler      `json:"scaler"`
	Split      train.Split      `json:"split"`
	Best       train.Row        `json:"best_epoch"`
	Settings   string           `json:"settings"` // YAML, as in config.yaml

	embeddings []model.Embedding
	schema     *table.Schema // of Columns
}

type layerJSON struct {
	Name       string `json:"name"`
	Shape      [2]int `json:"shape"` // of the weight: [out, in]
	Activation string `json:"activation"`
	Norm       string `json:"norm"`
	Tied       string `json:"tied,omitempty"` // the layer whose weight it uses
	Parameters int    `json:"parameters"`
}

// flopsJSON are those of the matrix products, for one example.
type flopsJSON struct {
	Forward  int64 `json:"forward"`
	Training int64 `json:"training"`
}

func (p *program) inspect(c *cli.Context) error {
	if err := arguments(c, "MODEL"); err != nil {
		return err
	}
	saved, err := train.LoadModel(c.Args().First())
	if err != nil {
		return err
	}
	in, err := inspectionOf(saved)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(in)
	}
	return p.printText(in.String())
}

func inspectionOf(s *train.Saved) (*inspection, error) {
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	in := &inspection{Path: s.Path, Bytes: info.Size(), Version: s.Version, Provenance: s.Provenance, Model: s.DAE.Config(), Layers: layersJSON(s.DAE),
		Code: s.DAE.CodeWidth(), Parameters: s.DAE.ParameterCount(), Buffers: s.DAE.BufferCount(),
		FLOPs:   flopsJSON{s.DAE.FLOPs(false), s.DAE.FLOPs(true)},
		Columns: s.Columns, embeddings: s.DAE.Embeddings(),
		Train: s.Config, Data: s.Schema, Scaler: s.Scaler, Split: s.Split, Best: s.Row, Settings: string(s.Settings)}
	if s.Columns != nil {
		if in.schema, err = schemaOf(s); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func layersJSON(d *model.DAE) []layerJSON {
	var all []layerJSON
	for _, l := range d.Layers() {
		all = append(all, layerJSON{l.Name, [2]int{l.Out, l.In}, l.Activation.String(), l.Norm, l.Tied, l.Parameters})
	}
	return all
}

// String is the inspection for a person.
func (in *inspection) String() string {
	columns := ""
	if in.schema != nil {
		columns = "\n" + schemaTable(in.schema)
	}
	return in.facts().left() + columns + "\n" + layerTable(in.Layers, in.embeddings) + "\nsettings:\n" + indent(in.Settings)
}

func (in *inspection) facts() grid {
	g := grid{}
	add := func(name, text string) {
		if text != "" {
			g.add(name, text)
		}
	}
	add("file", fmt.Sprintf("%s, %s", in.Path, fileSize(uint64(in.Bytes))))
	add("model", in.modelText())
	add("parameters", sizeText(in.Parameters, in.Buffers))
	add("arithmetic", fmt.Sprintf("%s an example, %s in training", flopText(in.FLOPs.Forward), flopText(in.FLOPs.Training)))
	add("data", dataText(in.Data))
	add("SHA-256", in.Data.SHA256)
	add("columns", columnsText(in.Data.Columns))
	if in.schema == nil {
		add("scaling", scalerText(in.Scaler))
	}
	add("rows", fmt.Sprintf("%d to train, %d held out", in.Split.Rows-in.Split.Held, in.Split.Held))
	add("best epoch", epochText(in.Best))
	add("seed", strconv.FormatUint(in.Train.Seed, 10))
	add("version", in.Version)
	add("command", in.Provenance.Command)
	add("started", in.Provenance.Started)
	if in.Provenance == (train.Provenance{}) {
		add("command", "not recorded by the version that wrote the file")
	} else {
		add("machine", strings.TrimPrefix(in.Provenance.Platform+", "+in.Provenance.Device, ", "))
	}
	return g
}

// columnsText lists names, of many the first and the last.
func columnsText(names []string) string {
	if len(names) <= listedColumns {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d: %s ... %s", len(names), names[0], names[len(names)-1])
}

// modelText is the model in a line.
func (in *inspection) modelText() string {
	if in.Model.Objective == model.ObjectiveDSM {
		c := in.Model.Score
		return fmt.Sprintf("%v -> code of %d -> D(x̃; σ), under noise %s; %s, weighting %s, embedding %s, σ_data %s",
			in.Model.Shape, in.Code, c.Noise, c.Parameterization, c.Weighting, c.Embedding, number(c.SigmaData))
	}
	code := fmt.Sprintf("code of %d", in.Code)
	if q := in.Model.CodeDistribution; q != "" {
		code += " drawn from a " + q
	}
	return fmt.Sprintf("%v -> %s -> p(x|h) %s, under %s", in.Model.Shape, code, in.Model.Likelihood, in.Model.Corruption)
}

func sizeText(parameters, buffers int) string {
	text := fmt.Sprintf("%d (%s)", parameters, fileSize(4*uint64(parameters)))
	if buffers > 0 {
		text += fmt.Sprintf(", and %d running statistics", buffers)
	}
	return text
}

// flopText writes a number of floating-point operations.
func flopText(n int64) string {
	return strings.TrimSuffix(fileSize(uint64(n)), "B") + "FLOP"
}

func dataText(info data.Info) string {
	if info.Element == data.Records {
		return fmt.Sprintf("%s: %s of %s", info.Name, count(info.Rows, "row"), count(info.Features, "mixed column"))
	}
	text := fmt.Sprintf("%s: %s of %v, %s, values from %v to %v", info.Name, count(info.Rows, "row"), info.Shape, info.Element, info.Min, info.Max)
	if len(info.Classes) > 0 {
		text += fmt.Sprintf(", %d classes", len(info.Classes))
	}
	return text
}

func scalerText(s data.Scaler) string {
	if s.Kind == data.ScaleNone {
		return string(s.Kind)
	}
	return fmt.Sprintf("%s: offsets from %s to %s, scales from %s to %s", s.Kind,
		number(slices.Min(s.Offset)), number(slices.Max(s.Offset)), number(slices.Min(s.Scale)), number(slices.Max(s.Scale)))
}

func epochText(row train.Row) string {
	text := fmt.Sprintf("%d (step %d): validation loss %s, MSE %s", row.Epoch, row.Step, number(row.ValLoss), number(row.ValMSE))
	if !math.IsNaN(row.ValNLL) {
		text += fmt.Sprintf(", NLL %s nats an example", number(row.ValNLL))
	}
	return text + "; training loss " + number(row.TrainLoss).String()
}

// layerTable lists layers with their total.
func layerTable(layers []layerJSON, embeddings []model.Embedding) string {
	g := grid{{"layer", "weight", "norm", "activation", "parameters"}}
	total := 0
	for _, e := range embeddings {
		size := (e.Categories + 1) * e.Width
		g.add(strings.TrimSuffix(e.Parameter, ".weight"), fmt.Sprintf("%d x %d", e.Categories+1, e.Width), "", "", strconv.Itoa(size))
		total += size
	}
	for _, l := range layers {
		weight := fmt.Sprintf("%d x %d", l.Shape[0], l.Shape[1])
		if l.Tied != "" {
			weight = "that of " + l.Tied + ", transposed"
		}
		g.add(l.Name, weight, l.Norm, l.Activation, strconv.Itoa(l.Parameters))
		total += l.Parameters
	}
	g.add("all", "", "", "", strconv.Itoa(total))
	return g.String()
}
