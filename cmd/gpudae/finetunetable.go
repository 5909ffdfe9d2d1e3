package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"gpudae/data"
	"gpudae/train"
)

// readMixed is readTargeted of a table of mixed columns: its rows are read by the
// schema of the model, in which the label has no part.
func (p *program) readMixed(ctx context.Context, saved *train.Saved, nameOrPath string, o inputOptions) (*targeted, error) {
	schema, err := schemaOf(saved)
	if err != nil {
		return nil, err
	}
	frame, err := p.openFrame(ctx, nameOrPath, inputOptions{header: o.header})
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	rows, err := storeRows(ctx, frame, schema, defaultTrainSettings().Table, 0)
	if err != nil {
		return nil, err
	}
	in := &targeted{info: saved.Schema, table: rows.Table(), store: rows}
	got := frame.Info()
	in.info.Name, in.info.Path, in.info.Rows, in.info.SHA256 = got.Name, got.Path, rows.Rows(), got.SHA256
	if i := labelColumn(got, o.label); i >= 0 {
		in.label = got.Columns[i].Name
	}
	if err = frame.Rewind(); err == nil {
		in.labels, err = labelsOf(ctx, frame, o)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// labelColumn is the column of labels, by its name if there are names and by its number; negative without one.
func labelColumn(info data.FrameInfo, label string) int {
	i := slices.IndexFunc(info.Columns, func(c data.FrameColumn) bool {
		return info.Named && (c.Name == label || c.Name == strings.TrimSpace(label))
	})
	if number, err := strconv.Atoi(label); i < 0 && err == nil && number <= len(info.Columns) {
		i = number - 1
	}
	return i
}

// labelsOf reads the column of labels of a frame, nil without one.
func labelsOf(ctx context.Context, frame data.Frame, o inputOptions) (*data.Labels, error) {
	info := frame.Info()
	column := labelColumn(info, o.label)
	if column < 0 {
		if o.label == "" || o.optional {
			return nil, nil
		}
		return nil, &data.Error{Path: info.Path, ColumnName: o.label, Problem: "there is no such column for the labels", Remedy: "use the name of a column, or a number from 1"}
	}
	var classes []string
	for {
		cells, err := frame.Next(ctx, rowsAtATime)
		if errors.Is(err, io.EOF) {
			return data.NewLabels(classes), nil
		}
		if err != nil {
			return nil, err
		}
		for row := range cells.Rows {
			classes = append(classes, labelText(&cells.Columns[column], row))
		}
	}
}

// labelText is a cell as a class: empty where it is absent.
func labelText(v *data.Values, row int) string {
	switch {
	case v.IsAbsent(row):
		return ""
	case v.Numbers != nil:
		return strconv.FormatFloat(v.Numbers[row], 'g', -1, 64)
	case v.Integers != nil:
		return strconv.FormatInt(v.Integers[row], 10)
	case v.Booleans != nil:
		return strconv.FormatBool(v.Booleans[row])
	case v.Times != nil:
		return strconv.FormatInt(v.Times[row], 10)
	}
	return v.Text[row]
}
