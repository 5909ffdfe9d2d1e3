package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// tableBlock is a block of rows of a table: as they were read, and as the model
// sees them.
type tableBlock struct {
	from  int // number of the first row
	cells *data.Cells
	x     []float32 // [rows, columns of the model]
	// numbers are those of the rows where they do not count from the first; nil.
	numbers []int
}

// eachBlock sends the rows of a frame through a model of mixed columns, a block
// at a time, and then logs what is to be known of the rows.
func (o *inferenceOptions) eachBlock(ctx context.Context, saved *train.Saved, frame data.Frame, encoder *table.Encoder,
	visit func(*model.Net, tableBlock) error) error {
	return o.onDevice(func(dev device.Device) error {
		net, _, err := saved.Bind(dev, inferenceBatch)
		if err != nil {
			return err
		}
		for from := 0; ; {
			cells, err := frame.Next(ctx, rowsAtATime)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			b := tableBlock{from: from, cells: cells, x: make([]float32, cells.Rows*encoder.Width())}
			if err := encoder.Encode(cells, from, b.x); err != nil {
				return err
			}
			if err := visit(net, b); err != nil {
				return err
			}
			from += cells.Rows
		}
		for _, n := range encoder.Notices() {
			o.console.logf("%s", n)
		}
		return nil
	})
}

// cellFiller puts what was filled in into the cells of a table.
type cellFiller struct {
	text    *table.Decoder // of the cells of a text
	typed   *table.Decoder // of the cells of a column with a type; nil if all are texts
	places  []int          // of the model's columns in the table
	columns []data.FrameColumn
	quote   func(column int, text string) string // for the bytes of cells; nil where they have none
}

// fillWriters write the tables that are filled in, all of them or none.
type fillWriters struct {
	files []*data.FrameWriter
	cells *cellFiller
}

// writers starts the output files.
func (in *imputation) writers(info data.FrameInfo) (*fillWriters, error) {
	w := &fillWriters{cells: &cellFiller{places: in.places, columns: info.Columns}}
	if in.out == "" {
		return w, nil
	}
	var err error
	if w.cells.text, err = in.schema.NewDecoder(false); err != nil {
		return nil, err
	}
	if w.cells.typed, err = in.schema.NewDecoder(true); err != nil {
		return nil, err
	}
	preserved := keepsBytes(in.out) && info.Separator != 0
	if preserved {
		w.cells.quote = func(_ int, text string) string { return data.QuoteCell(text, info.Separator) }
	}
	for draw := range max(in.draws, 1) {
		path := outputName(in.out, draw, in.draws)
		file, err := data.CreateFrame(path, info.Columns)
		if err != nil {
			w.abort()
			return nil, err
		}
		w.files = append(w.files, file)
		in.outputs = append(in.outputs, path)
		if !info.Named {
			file.OmitNames()
		}
		if !preserved {
			continue
		}
		if err := file.Preserve(info); err != nil {
			w.abort()
			return nil, err
		}
	}
	return w, nil
}

func (w *fillWriters) abort() {
	for _, file := range w.files {
		file.Abort()
	}
}

func (w *fillWriters) commit() error {
	for _, file := range w.files {
		if err := file.Finish(); err != nil {
			return err
		}
	}
	for _, file := range w.files {
		if err := file.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// append writes the block with its absent cells replaced by those of y.
func (w *fillWriters) append(ctx context.Context, draw int, b tableBlock, y []float32) error {
	return w.files[draw].Append(ctx, w.cells.fill(b, y))
}

// fill returns the block with its absent cells replaced by those of y.
func (f *cellFiller) fill(b tableBlock, y []float32) *data.Cells {
	cells := *b.cells
	cells.Columns = slices.Clone(cells.Columns)
	if cells.Raw != nil {
		raw := *cells.Raw
		raw.Columns = slices.Clone(raw.Columns)
		cells.Raw = &raw
	}
	texts := f.text.Decode(y)
	typed := texts
	if f.typed != nil {
		typed = f.typed.Decode(y)
	}
	for j, place := range f.places {
		if place < 0 {
			continue
		}
		from := &typed.Columns[j]
		if f.columns[place].Type == data.Text {
			from = &texts.Columns[j]
		}
		f.fillColumn(&cells, place, from, b.x[j:], len(f.places))
	}
	return &cells
}

// fillColumn replaces the cells of a column where x, every width-th number, is
// absent.
func (f *cellFiller) fillColumn(cells *data.Cells, place int, from *data.Values, x []float32, width int) {
	to, raw := cells.Columns[place], []string(nil)
	copied := false
	for row := range cells.Rows {
		if v := x[row*width]; v == v {
			continue
		}
		if !copied {
			to, copied = cloneValues(to), true
			if cells.Raw != nil {
				raw = slices.Clone(cells.Raw.Columns[place])
			}
		}
		setCell(&to, row, from, row)
		if raw != nil {
			raw[row] = f.quote(place, to.Text[row])
		}
	}
	cells.Columns[place] = to
	if raw != nil {
		cells.Raw.Columns[place] = raw
	}
}

func cloneValues(v data.Values) data.Values {
	return data.Values{Absent: slices.Clone(v.Absent), Text: slices.Clone(v.Text), Numbers: slices.Clone(v.Numbers),
		Integers: slices.Clone(v.Integers), Booleans: slices.Clone(v.Booleans), Times: slices.Clone(v.Times)}
}

// setCell copies a cell to one of the column's own type.
func setCell(to *data.Values, row int, from *data.Values, at int) {
	if to.Absent != nil {
		to.Absent[row] = false
	}
	number := 0.0
	switch {
	case from.Numbers != nil:
		number = from.Numbers[at]
	case from.Integers != nil:
		number = float64(from.Integers[at])
	case from.Booleans != nil && from.Booleans[at]:
		number = 1
	}
	switch {
	case to.Text != nil:
		to.Text[row] = from.Text[at]
	case to.Numbers != nil:
		to.Numbers[row] = number
	case to.Integers != nil && from.Integers != nil:
		to.Integers[row] = from.Integers[at]
	case to.Integers != nil:
		to.Integers[row] = int64(number)
	case to.Booleans != nil:
		to.Booleans[row] = number != 0
	case to.Times != nil:
		to.Times[row] = from.Times[at]
	}
}
