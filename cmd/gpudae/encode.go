package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/model"
)

func (p *program) encodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "encode",
		Usage:     "compute codes",
		ArgsUsage: "MODEL IN -o OUT",
		Description: `Writes the code h = f(x) of each example, or with --layer all the outputs of all
encoder layers side by side, the code last. A stochastic code is at the mean of q(h|x).

Examples:
  gpudae encode runs/mine data.npy -o codes.npy
  gpudae encode runs/mine data.csv --layer all -o layers.csv`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Data", Usage: "`FILE` file to write: .npy, .csv, .tsv or .idx, also with .gz or .zst, .npz, .parquet or .safetensors"},
			&cli.StringFlag{Name: "layer", Category: "Data", Usage: "`LAYER` code, or all", Value: "code", DefaultText: "code"},
		}, inferenceFlags()...),
		Action: p.encode,
	}
}

func (p *program) encode(c *cli.Context) error {
	all := c.String("layer") == "all"
	if !all && c.String("layer") != "code" {
		return usage("--layer", "unknown layer "+quoted(c.String("layer")), "choose code or all")
	}
	o, saved, out, err := p.inferenceTo(c, "MODEL", "IN")
	if err != nil {
		return err
	}
	if saved.Columns != nil {
		return p.encodeTable(c.Context, o, saved, out, all)
	}
	d, err := p.openFor(c.Context, saved, o.input, o.reading)
	if err != nil {
		return err
	}
	defer d.Close()
	columns := codeColumns(saved.DAE, all)
	array := data.ArrayInfo{Rows: d.Info().Rows, Shape: []int{len(columns)}, Element: data.Float32, Columns: columns}
	err = o.stream(c.Context, saved, d, out, array, func(net *model.Net, _ model.Source, x *tensor.Dense) (*tensor.Dense, error) {
		if !all {
			return net.Encode(c.Context, x)
		}
		layers, err := net.EncodeLayers(c.Context, x)
		if err != nil {
			return nil, err
		}
		return sideBySide(layers), nil
	})
	if err != nil {
		return err
	}
	return p.printWrote(o, out, array)
}

// sideBySide joins matrices of as many rows.
func sideBySide(layers []*tensor.Dense) *tensor.Dense {
	rows, width := layers[0].Shape()[0], 0
	for _, h := range layers {
		width += h.Shape()[1]
	}
	values := make([]float32, 0, rows*width)
	for i := range rows {
		for _, h := range layers {
			columns := h.Shape()[1]
			values = append(values, data.Float32s(h)[i*columns:(i+1)*columns]...)
		}
	}
	return tensor.New(tensor.WithShape(rows, width), tensor.WithBacking(values))
}

// codeColumns names units: h1, h2, ... of the code, layer1.h1, ... of all layers.
func codeColumns(dae *model.DAE, all bool) []string {
	var names []string
	if !all {
		for unit := range dae.CodeWidth() {
			names = append(names, fmt.Sprintf("h%d", unit+1))
		}
		return names
	}
	widths := dae.Config().Hidden
	if code := dae.Config().Code; code > 0 {
		widths = append(slices.Clone(widths), code)
	}
	for layer, width := range widths {
		for unit := range width {
			names = append(names, fmt.Sprintf("layer%d.h%d", layer+1, unit+1))
		}
	}
	return names
}
