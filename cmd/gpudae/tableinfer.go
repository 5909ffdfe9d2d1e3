package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// tableCommands are those that take models of tables of mixed columns.
func tableCommands() []string {
	return []string{"eval", "denoise", "encode", "impute", "anomaly", "export", "inspect", "report", "serve"}
}

// checkColumns refuses a model of mixed columns to a command that knows numbers only.
func checkColumns(c *cli.Context, saved *train.Saved) error {
	curves := c.Command.Name == "figure" && c.Args().Get(1) == "curves"
	if saved.Columns == nil || curves || slices.Contains(tableCommands(), c.Command.Name) {
		return nil
	}
	return usage(c.Args().First(), "its columns are mixed, and "+commandPath(c)+" knows numbers only", "use it with "+strings.Join(tableCommands(), ", "))
}

// loadTable reads all rows of the input as a model of mixed columns sees them.
func (p *program) loadTable(ctx context.Context, saved *train.Saved, o *inferenceOptions) (*loaded, error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return nil, err
	}
	trained, err := savedSettings(saved)
	if err != nil {
		return nil, err
	}
	frame, err := p.openFrame(ctx, o.input, inputOptions{header: o.reading.header})
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	rows, err := storeRows(ctx, frame, schema, trained.Table, o.machine.Threads)
	if err != nil {
		return nil, err
	}
	for _, n := range rows.Notices {
		o.console.logf("%s", n)
	}
	info := saved.Schema
	info.Name, info.Path, info.Rows, info.SHA256 = frame.Info().Name, frame.Info().Path, rows.Rows(), frame.Info().SHA256
	same := info.SHA256 != "" && info.SHA256 == saved.Schema.SHA256 && info.Rows == saved.Split.Rows
	return &loaded{info: info, table: rows.Table(), same: same, store: rows}, nil
}

// eachTableBlock sends the rows of the input through a model of mixed columns, a
// block at a time: visit has the rows as the model sees them.
func (p *program) eachTableBlock(ctx context.Context, saved *train.Saved, o *inferenceOptions, schema *table.Schema,
	visit func(net *model.Net, x *tensor.Dense) error) error {
	frame, err := p.openFrame(ctx, o.input, inputOptions{header: o.reading.header})
	if err != nil {
		return err
	}
	defer frame.Close()
	encoder, err := schema.NewEncoder(frame.Info())
	if err != nil {
		return err
	}
	return o.eachBlock(ctx, saved, frame, encoder, func(net *model.Net, b tableBlock) error {
		return visit(net, tensor.New(tensor.WithShape(b.cells.Rows, encoder.Width()), tensor.WithBacking(b.x)))
	})
}

// tableOutput writes rows as they come.
type tableOutput struct {
	path    string
	writer  *data.FrameWriter
	rows    int
	columns int
}

func newTableOutput(path string, columns []data.FrameColumn) (*tableOutput, error) {
	w, err := data.CreateFrame(path, columns)
	return &tableOutput{path: path, writer: w, columns: len(columns)}, err
}

func (t *tableOutput) append(ctx context.Context, cells *data.Cells) error {
	t.rows += cells.Rows
	return t.writer.Append(ctx, cells)
}

// end writes the file whole, or removes it after an error.
func (t *tableOutput) end(err error) error {
	if err != nil {
		t.writer.Abort()
		return err
	}
	return t.writer.Commit()
}

func (p *program) printTableWrote(o *inferenceOptions, t *tableOutput) error {
	shape := []int{t.rows, t.columns}
	if o.json {
		return p.printJSON(wrote{t.path, shape})
	}
	return p.printText(fmt.Sprintf("%s: %v\n", t.path, shape))
}

// numberCells are the cells of a matrix.
func numberCells(x *tensor.Dense) *data.Cells {
	rows, columns, values := x.Shape()[0], x.Shape()[1], data.Float32s(x)
	cells := &data.Cells{Rows: rows, Columns: make([]data.Values, columns)}
	for j := range columns {
		numbers := make([]float64, rows)
		for i := range numbers {
			numbers[i] = float64(values[i*columns+j])
		}
		cells.Columns[j].Numbers = numbers
	}
	return cells
}

// encodeTable is encode of a table of mixed columns.
func (p *program) encodeTable(ctx context.Context, o *inferenceOptions, saved *train.Saved, out string, all bool) (err error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return err
	}
	var columns []data.FrameColumn
	for _, name := range codeColumns(saved.DAE, all) {
		columns = append(columns, data.FrameColumn{Name: name, Type: data.Number})
	}
	to, err := newTableOutput(out, columns)
	if err != nil {
		return err
	}
	err = p.eachTableBlock(ctx, saved, o, schema, func(net *model.Net, x *tensor.Dense) error {
		layers, err := net.EncodeLayers(ctx, x)
		if err != nil {
			return err
		}
		if !all {
			layers = layers[len(layers)-1:]
		}
		y := sideBySide(layers)
		if err := checkFinite(o.input, to.rows, to.columns, data.Float32s(y)); err != nil {
			return err
		}
		return to.append(ctx, numberCells(y))
	})
	if err := to.end(err); err != nil {
		return err
	}
	return p.printTableWrote(o, to)
}

// denoiseTable is denoise of a table of mixed columns: every cell, absent ones
// too, becomes what the model says of it, in the spelling of the training data.
func (p *program) denoiseTable(ctx context.Context, o *inferenceOptions, saved *train.Saved, out string) error {
	schema, err := schemaOf(saved)
	if err != nil {
		return err
	}
	decoder, err := schema.NewDecoder(typedOutput(out))
	if err != nil {
		return err
	}
	to, err := newTableOutput(out, decoder.Columns())
	if err != nil {
		return err
	}
	err = p.eachTableBlock(ctx, saved, o, schema, func(net *model.Net, x *tensor.Dense) error {
		y, err := net.Denoise(ctx, x)
		if err != nil {
			return err
		}
		if err := checkFinite(o.input, to.rows, to.columns, data.Float32s(y)); err != nil {
			return err
		}
		return to.append(ctx, decoder.Decode(data.Float32s(y)))
	})
	if err := to.end(err); err != nil {
		return err
	}
	return p.printTableWrote(o, to)
}

// typedOutput reports whether a file of that name has types of its own for
// numbers and times, rather than texts alone.
func typedOutput(path string) bool {
	name := data.TrimCompression(strings.ToLower(path))
	return !strings.HasSuffix(name, ".csv") && !strings.HasSuffix(name, ".tsv")
}
