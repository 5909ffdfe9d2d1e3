package data

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// A data set may be the numbers of a frame: they are read once, and wait as float32
// in memory or, if they are many, in a temporary file.

// openArrow opens the columns of an Arrow file as features.
func openArrow(ctx context.Context, in *input, o Options) (Dataset, error) {
	frame, err := openArrowFrame(ctx, in, o)
	if err != nil {
		return nil, err
	}
	r := &frameReader{info: frame.Info(), label: -1, missing: o.Missing}
	if err := r.start(o); err != nil {
		return nil, err
	}
	values := &floatStore{in: in}
	for {
		cells, err := frame.Next(ctx, blockRows)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := r.take(cells, values); err != nil {
			return nil, err
		}
	}
	labels, err := r.labels(ctx, o)
	if err != nil {
		return nil, err
	}
	info := Info{Name: r.info.Name, Path: in.path, Format: r.info.Format, Columns: r.features, SHA256: in.sha256}
	return values.dataset(ctx, info, labels, o.Missing)
}

// frameReader takes the numbers of a frame, and the classes of one column.
type frameReader struct {
	info     FrameInfo
	label    int // -1: none
	features []string
	missing  bool
	rows     int
	classes  []string
}

// start finds the column of classes and refuses others that are no numbers.
func (r *frameReader) start(o Options) error {
	if o.LabelColumn != "" {
		r.label = slices.IndexFunc(r.info.Columns, func(c FrameColumn) bool { return c.Name == o.LabelColumn })
		if number, err := strconv.Atoi(o.LabelColumn); r.label < 0 && err == nil && number >= 1 && number <= len(r.info.Columns) {
			r.label = number - 1
		}
		if r.label < 0 && !o.LabelOptional {
			return &Error{Path: r.info.Path, ColumnName: o.LabelColumn, Problem: "there is no such column for the labels", Remedy: "use the name of a column, or a number from 1"}
		}
	}
	for c, column := range r.info.Columns {
		if c == r.label {
			continue
		}
		if column.Type == Text || column.Type == Time {
			return &Error{Path: r.info.Path, Column: c + 1, ColumnName: column.Name, Problem: fmt.Sprintf("holds %ss, not numbers", column.Type), Remedy: "remove the column or code its values as numbers"}
		}
		r.features = append(r.features, column.Name)
	}
	if r.features == nil {
		return &Error{Path: r.info.Path, Problem: "there is no column of numbers"}
	}
	return nil
}

// take adds a block of rows.
func (r *frameReader) take(cells *Cells, to *floatStore) error {
	block := make([]float32, 0, cells.Rows*len(r.features))
	for i := range cells.Rows {
		for c := range cells.Columns {
			v := &cells.Columns[c]
			if c == r.label {
				r.classes = append(r.classes, v.class(i))
				continue
			}
			value := float32(v.float(i))
			if finite(float64(value)) || r.missing && value != value {
				block = append(block, value)
				continue
			}
			e := &Error{Path: r.info.Path, Row: r.rows + i + 1, Column: c + 1, ColumnName: r.info.Columns[c].Name,
				Problem: "the value is infinite or beyond the range of float32", Remedy: "rescale the data or remove the row"}
			if value != value {
				e.Problem, e.Remedy = "the value is missing (null)", "fill in or remove missing values"
			}
			return e
		}
	}
	r.rows += cells.Rows
	return to.append(block)
}

// class is the cell of a row as the name of a class; that of an absent one is empty.
func (v *Values) class(row int) string {
	switch {
	case v.IsAbsent(row):
		return ""
	case v.Text != nil:
		return v.Text[row]
	case v.Integers != nil:
		return strconv.FormatInt(v.Integers[row], 10)
	case v.Booleans != nil:
		return strconv.FormatBool(v.Booleans[row])
	case v.Times != nil:
		return FormatTime(v.Times[row], false)
	}
	return strconv.FormatFloat(v.Numbers[row], 'g', -1, 64)
}

func (r *frameReader) labels(ctx context.Context, o Options) (*Labels, error) {
	if r.label < 0 {
		return readLabels(ctx, o.Labels, r.rows)
	}
	if o.Labels != "" {
		return nil, &Error{Path: r.info.Path, ColumnName: o.LabelColumn, Problem: "there are labels in the file " + o.Labels + " too", Remedy: "name one of the two"}
	}
	return NewLabels(r.classes), nil
}

// floatStore holds float32 values as bytes, in memory up to heldLongest of them and
// otherwise in a temporary file.
type floatStore struct {
	in     *input // which closes the file
	block  []byte // still in memory
	spool  *spool // nil while all are
	values int
}

func (s *floatStore) append(values []float32) error {
	for _, v := range values {
		s.block = binary.LittleEndian.AppendUint32(s.block, math.Float32bits(v))
	}
	s.values += len(values)
	if s.spool == nil && len(s.block) < heldLongest || len(s.block) < 1<<20 {
		return nil
	}
	return s.flush()
}

// flush moves what is in memory to the file.
func (s *floatStore) flush() error {
	if s.spool == nil {
		spool, err := newSpool()
		if err != nil {
			return fmt.Errorf("%s: %w", s.in.path, err)
		}
		s.spool = spool
		s.in.closeToo(spool)
	}
	if _, err := s.spool.Write(s.block); err != nil {
		return fmt.Errorf("%s: %w", s.in.path, err)
	}
	s.block = s.block[:0]
	return nil
}

// dataset makes a data set of the values.
func (s *floatStore) dataset(ctx context.Context, info Info, labels *Labels, missing bool) (Dataset, error) {
	info.Element, info.Scale, info.Features = Float32, 1, len(info.Columns)
	if info.Shape != nil {
		info.Features = product(info.Shape)
	}
	info.Shape, info.Rows, info.Classes = []int{info.Features}, s.values/info.Features, labels.classNames()
	a := &array{kind: kindOf(Float32), order: binary.LittleEndian, shape: []int{info.Rows, info.Features}, bytes: bytes.NewReader(s.block)}
	if s.spool != nil {
		if err := s.flush(); err != nil {
			return nil, err
		}
		a.bytes = s.spool
	}
	d := &arrayDataset{array: a, info: info, labels: labels, missing: missing, close: s.in.Close}
	return d, d.info.setExtremes(ctx, d)
}
