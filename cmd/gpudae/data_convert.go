package main

import (
	"github.com/urfave/cli/v2"

	"gpudae/data"
)

func (p *program) dataConvertCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "write a data set in another format",
		ArgsUsage: "DATA OUT",
		Description: `DATA is as for 'data info'; OUT is .csv, .tsv, .npy or .idx, .gz or .zst after it
compresses, or .parquet, .arrow, .npz or .safetensors, or folder/ for PNG images.
Values are written as they are stored, a block of rows at a time. A column of
numbers that is named by --label is left out. A table with columns of text, truth
values or times keeps all its columns, and its missing cells; those of a CSV get
the type that all their cells have where OUT is no text.

Examples:
  gpudae data convert table.parquet table.csv.zst
  gpudae data convert people.csv people.parquet
  gpudae data convert photos:resize=32x32 photos.idx.gz
  gpudae data convert - table.npy < table.csv`,
		Flags: append(readingFlags(""),
			&cli.BoolFlag{Name: "missing", Category: "Data", Usage: "keep missing values: NaN in numbers, null in Parquet"}),
		Action: p.dataConvert,
	}
}

func (p *program) dataConvert(c *cli.Context) error {
	if err := arguments(c, "DATA", "OUT"); err != nil {
		return err
	}
	out := c.Args().Get(1)
	if err := data.CheckOutput(out); err != nil {
		return &failure{code: exitUsage, where: "data convert", problem: err.Error(), err: err}
	}
	if err := checkOver(out, c.Args().First()); err != nil {
		return err
	}
	f, s, err := p.mixedArgument(c)
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
		if s.Format == "csv" && !data.IsText(out) { // other formats say what their cells are
			f = data.Typed(f, s)
		}
		return data.WriteFrame(c.Context, out, f)
	}
	d, err := p.openArgument(c)
	if err != nil {
		return err
	}
	defer d.Close()
	return data.Convert(c.Context, out, d)
}
