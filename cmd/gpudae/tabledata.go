package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gpudae/data"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/table"
	"gpudae/train"
)

// mixedTable is a table of mixed columns, encoded by its schema.
type mixedTable struct {
	schema  *table.Schema
	store   *storedRows
	notices []table.Notice
}

// prepareTable opens a table of mixed columns, finds out what they are from the
// training rows alone, unless a schema says so, and encodes all rows.
func (p *program) prepareTable(ctx context.Context, c *trainSettings, origins settings.Origins, resumed *table.Schema) (*prepared, error) {
	frame, err := p.openFrame(ctx, c.Data, inputOptions{header: c.Header})
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	if c.Data, err = absolute(c.Data); err != nil {
		return nil, err
	}
	in := &prepared{mixed: &mixedTable{schema: resumed}}
	rows, err := countRows(ctx, frame)
	if err != nil {
		return nil, err
	}
	if in.split, err = train.NewSplit(rows, c.Train); err != nil {
		return nil, located(err, origins)
	}
	if resumed == nil {
		if err := in.mixed.infer(ctx, frame, c, origins, in.split); err != nil {
			return nil, err
		}
	}
	if err := in.mixed.encode(ctx, frame, c, origins); err != nil {
		return nil, err
	}
	in.describeTable(frame.Info())
	return in, nil
}

// absolute lets a run find its data from any folder.
func absolute(path string) (string, error) {
	if path == "-" {
		return path, nil
	}
	found, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: finding its folder: %w", path, err)
	}
	return found, nil
}

// countRows reads the frame to its end where nothing else says how many rows it has.
func countRows(ctx context.Context, frame data.Frame) (rows int, err error) {
	if n := frame.Info().Rows; n >= 0 {
		return n, nil
	}
	for {
		cells, err := frame.Next(ctx, rowsAtATime)
		if errors.Is(err, io.EOF) {
			return rows, frame.Rewind()
		}
		if err != nil {
			return 0, err
		}
		rows += cells.Rows
	}
}

// infer makes the schema, or fits that of a file.
func (m *mixedTable) infer(ctx context.Context, frame data.Frame, c *trainSettings, origins settings.Origins, split train.Split) error {
	o := table.Options{Training: split.Trains(), Limits: table.DefaultLimits(), Threads: c.Machine.Threads}
	o.Limits.Categories = c.Table.MaxCategories
	if c.Table.MaxCategories < 1 || c.Table.MaxCategories > model.MaxCategories-1 {
		return usage(origin(origins, "max_categories"), fmt.Sprintf("%d categories", c.Table.MaxCategories), fmt.Sprintf("give 1 to %d", model.MaxCategories-1))
	}
	var err error
	if o.Scaling, err = tableScaling(c.Scale, origins); err != nil {
		return err
	}
	if path := c.Table.Schema; path != schemaInfer && path != auto {
		if o.Schema, err = table.ReadSchema(path); err != nil {
			return err
		}
		if c.Table.Schema, err = absolute(path); err != nil {
			return err
		}
	}
	if m.schema, m.notices, err = table.Infer(ctx, frame, o); err != nil {
		return err
	}
	if err := m.leaveOut(c.Label, frame.Info(), origins); err != nil {
		return err
	}
	return nil
}

// encode reads the rows in their narrow types, those that are larger than the
// memory for them into files.
func (m *mixedTable) encode(ctx context.Context, frame data.Frame, c *trainSettings, origins settings.Origins) error {
	if c.Table.Memory < 0 || c.Table.Memory > math.MaxInt>>20 {
		return usage(origin(origins, "memory"), fmt.Sprintf("%d MB", c.Table.Memory), "give 0 or a positive number")
	}
	var err error
	m.store, err = storeRows(ctx, frame, m.schema, c.Table, c.Machine.Threads)
	return err
}

// storedRows are the rows of a store, and the temporary folder that they may lie in.
type storedRows struct {
	*table.Store
	temporary string
}

// close gives the memory and the folder back.
func (s *storedRows) close() error {
	if s == nil {
		return nil
	}
	err := s.Store.Close()
	if s.temporary != "" {
		if removed := os.RemoveAll(s.temporary); err == nil {
			err = removed
		}
	}
	return err
}

// storeRows encodes a frame: in memory, or in a folder, which stays only if it
// has a name.
func storeRows(ctx context.Context, frame data.Frame, schema *table.Schema, c tableSettings, threads int) (*storedRows, error) {
	rows := &storedRows{}
	o := table.StoreOptions{Folder: c.Store, Memory: c.Memory << 20, Threads: threads}
	if o.Folder == "" {
		folder, err := os.MkdirTemp("", "gpudae-rows-")
		if err != nil {
			return nil, cannotWrite(os.TempDir(), err)
		}
		rows.temporary, o.Folder = folder, filepath.Join(folder, "store")
	}
	var err error
	if rows.Store, err = table.Encode(ctx, frame, schema, o); err != nil {
		os.RemoveAll(rows.temporary)
		return nil, err
	}
	return rows, nil
}

// tableScaling is the map of a table's numbers.
func tableScaling(scale string, origins settings.Origins) (table.Scaling, error) {
	switch s := table.Scaling(scale); s {
	case auto:
		return table.GaussRank, nil
	case table.Standard, table.MinMax, table.GaussRank, table.None:
		return s, nil
	}
	return "", usage(origin(origins, "scale"), scale+" is no map of the columns of a table", "use one of auto, none, standard, min-max, gauss-rank")
}

// leaveOut drops the column of classes, by its name or number.
func (m *mixedTable) leaveOut(label string, info data.FrameInfo, origins settings.Origins) error {
	if label == "" {
		return nil
	}
	var names []string
	for i := range m.schema.Columns {
		names = append(names, m.schema.Columns[i].Name)
	}
	if i := labelColumn(info, label); i >= 0 {
		if at := slices.Index(names, info.Columns[i].Name); at >= 0 {
			c := &m.schema.Columns[at]
			c.Kind, c.Reason, c.Scaling = table.Drop, table.ReasonUser, ""
			return nil
		}
	}
	return usage(origin(origins, "label"), "there is no column "+quoted(label), settings.Suggest(label, names, "")+"columns are numbered from 1")
}

// describeTable completes what is known of the data.
func (in *prepared) describeTable(info data.FrameInfo) {
	var names []string
	for _, i := range in.mixed.schema.Used() {
		names = append(names, in.mixed.schema.Columns[i].Name)
	}
	in.table = in.mixed.store.Table()
	low, high := in.mixed.store.ColumnExtremes()
	for j := range low {
		if low[j] != low[j] { // no row has a value
			low[j], high[j] = 0, 0
		}
		in.low, in.high = min(in.low, float64(low[j])), max(in.high, float64(high[j]))
	}
	in.scaler = &data.Scaler{Kind: data.ScaleNone, Low: low, High: high}
	in.info = data.Info{Name: info.Name, Path: info.Path, Format: info.Format, Rows: in.table.Rows, Features: len(names), Shape: []int{len(names)}, Columns: names,
		Element: data.Records, Scale: 1, Min: float32(in.low), Max: float32(in.high), SHA256: info.SHA256}
}

// settleTable decides what the settings leave to a table of mixed columns.
func (in *prepared) settleTable(ctx context.Context, c *trainSettings, origins settings.Origins) error {
	if c.Table.Schema == auto {
		c.Table.Schema = schemaInfer
	}
	if c.Scale == auto {
		c.Scale = string(table.GaussRank)
	}
	setAuto(&c.Model.Corruption, "swap:0.15")
	setAuto(&c.Model.Likelihood, "mixed")
	c.Model.Features, c.Model.Shape = in.info.Features, nil
	c.Model.Indicators, c.Model.MaskHead = c.Table.Indicators, c.Table.MaskHead
	c.Model.Columns = modelColumns(in.mixed.schema)
	var err error
	if c.Model.ColumnWeights, err = in.columnWeights(ctx, c); err != nil {
		return located(err, origins)
	}
	return nil
}

// modelColumns are the columns of a schema as a model sees them.
func modelColumns(s *table.Schema) []model.ColumnConfig {
	var columns []model.ColumnConfig
	for _, m := range s.ModelColumns() {
		columns = append(columns, model.ColumnConfig{Name: m.Name, Family: m.Family, Categories: m.Categories})
	}
	return columns
}

// columnWeights are those of the schema, and of the balance; nil if all are 1.
func (in *prepared) columnWeights(ctx context.Context, c *trainSettings) ([]float64, error) {
	plain := true
	var weights []float64
	for _, m := range in.mixed.schema.ModelColumns() {
		weights = append(weights, m.Weight)
		plain = plain && m.Weight == 1
	}
	if c.Table.Balance != balanceMarginal {
		if plain {
			return nil, nil
		}
		return weights, nil
	}
	config := c.Model
	config.Corruption, config.ColumnWeights, config.Emphasis = "none", nil, model.Emphasis{}
	config.MaskHead, config.Importance, config.CodeActivation = 0, 0, ""
	dae, err := model.New(config)
	if err != nil {
		return nil, err
	}
	moments, err := dae.Moments(ctx, in.table, in.split.Training())
	if err != nil {
		return nil, err
	}
	for j, w := range dae.BalancedWeights(moments) {
		weights[j] *= w
	}
	return weights, nil
}

// settleRates finds what an effective rate of swaps needs to know of the data.
func (in *prepared) settleRates(ctx context.Context, c *trainSettings) error {
	corruption, err := model.ParseCorruption(c.Model.Corruption)
	if err != nil {
		return nil // which building the model tells
	}
	for _, stage := range corruption {
		if stage.Effective {
			c.Model.Collisions, err = model.Collisions(ctx, in.table, in.split.Training(), c.Model.Fields)
			return err
		}
	}
	return nil
}

// schemaTable lists the columns of a schema for a person.
func schemaTable(s *table.Schema) string {
	g := grid{{"column", "kind", "scaling", "values", "absent"}}
	for i := range s.Columns {
		c := &s.Columns[i]
		kind, values, absent := string(c.Kind), "", ""
		if c.Kind == table.Drop {
			kind += ": " + string(c.Reason)
		} else {
			values = fmt.Sprint(c.Fit.Distinct)
			if n := len(c.Fit.Categories); n > 0 {
				values = fmt.Sprintf("%d categories", n)
			}
			absent = percent(float64(c.Fit.Absent) / float64(max(s.Rows, 1)))
		}
		g.add(c.Name, kind, string(c.Scaling), values, absent)
	}
	return g.String()
}

// kindOf is the kind of a column of the model.
func kindOf(s *table.Schema, used int) table.Kind { return s.Columns[s.Used()[used]].Kind }

// describe lists the columns of a table for the log: what they are, and
// what should be known of them.
func (m *mixedTable) describe() string {
	counts := map[table.Kind]int{}
	var dropped []string
	for _, c := range m.schema.Columns {
		counts[c.Kind]++
		if c.Kind == table.Drop {
			dropped = append(dropped, fmt.Sprintf("%s (%s)", c.Name, c.Reason))
		}
	}
	text := "columns:"
	separator := " "
	for _, kind := range table.Kinds() {
		if n := counts[kind]; n > 0 && kind != table.Drop {
			text += fmt.Sprintf("%s%d %s", separator, n, kind)
			separator = ", "
		}
	}
	text += "\n"
	if len(dropped) > 0 {
		text += "left out: " + columnsText(dropped) + "\n"
	}
	const most = 12
	notices := append(slices.Clone(m.notices), m.store.Notices...)
	for i, n := range notices {
		if i == most {
			text += fmt.Sprintf("and %d more notices\n", len(notices)-most)
			break
		}
		text += n.String() + "\n"
	}
	return text
}

// close releases the rows.
func (in *prepared) close() error {
	if in.mixed == nil {
		return nil
	}
	return in.mixed.store.close()
}

// frameable reports whether an error about data in numbers may be mended by
// taking them for a table of mixed columns: a cell is none, or a column.
func frameable(err error) bool {
	var bad *data.Error
	return errors.As(err, &bad) && (bad.Column > 0 || bad.ColumnName != "")
}

// Of a column of numbers some cells may be none by mistake: less than this part
// of the cells that are looked at.
const (
	strayShare = 0.1
	strayRows  = 20_000
)

// strayNumbers looks for a column of numbers in which a few cells are none, and
// returns the error of the first of them: to take such a column for one of
// categories is for a person to say. met is what reading numbers has met.
func (p *program) strayNumbers(ctx context.Context, c *trainSettings, met error) error {
	frame, err := p.openFrame(ctx, c.Data, inputOptions{header: c.Header})
	if err != nil {
		return err
	}
	defer frame.Close()
	info := frame.Info()
	numbers, words, first := make([]int, len(info.Columns)), make([]int, len(info.Columns)), make([]string, len(info.Columns))
	for rows := 0; rows < strayRows; {
		cells, err := frame.Next(ctx, min(rowsAtATime, strayRows-rows))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rows += cells.Rows
		for j := range cells.Columns {
			for i, text := range cells.Columns[j].Text {
				text = strings.TrimSpace(text)
				_, err := strconv.ParseFloat(text, 64)
				switch {
				case cells.Columns[j].IsAbsent(i) || isMissing(text):
				case err == nil:
					numbers[j]++
				default:
					if words[j]++; words[j] == 1 {
						first[j] = fmt.Sprintf("%s in row %d", quoted(text), rows-cells.Rows+i+1)
					}
				}
			}
		}
	}
	for j, n := range words {
		if n > 0 && float64(n) < strayShare*float64(numbers[j]) {
			stray := &data.Error{Path: info.Path, Column: j + 1, ColumnName: info.Columns[j].Name,
				Problem: fmt.Sprintf("%s is no number, as most of the column's cells are", first[j]),
				Remedy:  "correct it, leave it empty, or take the column for one of categories with --schema infer"}
			if bad := (*data.Error)(nil); errors.As(met, &bad) && bad.Column == stray.Column {
				stray.Line, stray.Row = bad.Line, bad.Row
			}
			return stray
		}
	}
	return nil
}

// isMissing reports whether a text stands for a missing value.
func isMissing(text string) bool {
	return slices.ContainsFunc(table.Missing(), func(marker string) bool { return strings.EqualFold(marker, text) })
}

// resumedSchema is the schema of the run that is to go on, nil for others.
func resumedSchema(o *trainOptions, c *trainSettings) (*table.Schema, error) {
	if !o.resume || c.Table.Schema == auto || c.Table.Schema == schemaNone {
		return nil, nil
	}
	return table.ReadSchema(filepath.Join(o.out, train.SchemaFile))
}

// cappedText says in which columns swaps fall short of their effective rate.
func cappedText(dae *model.DAE) string {
	var names []string
	columns := dae.Config().Columns
	for _, j := range dae.Capped() {
		if columns == nil {
			names = append(names, fmt.Sprint(j+1))
			continue
		}
		names = append(names, columns[j].Name)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("columns %s: so often are two values equal that every value is swapped, and still less change than asked for\n", columnsText(names))
}
