package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/internal/settings"
	"gpudae/sample"
	"gpudae/train"
)

func givenFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "given", Category: "Completion", Usage: "`COLUMN=V,...` columns, by name or number from 1, with their values, repeatable; the others are drawn"},
		&cli.StringFlag{Name: "given-from", Category: "Completion", Usage: "`DATA` rows whose values are given, one for each sample, over again if there are more samples"},
		&cli.StringFlag{Name: "given-columns", Category: "Completion", Usage: "`COLUMN,...` columns or pixels of --given-from, by name or number from 1, a range such as 1-32 too"},
		&cli.StringFlag{Name: "conditioning", Category: "Completion", Usage: "`HOW` noise levels: moments (corrects D by its Jacobian) or replacement", DefaultText: byMoments},
		&cli.IntFlag{Name: "resample", Category: "Completion", Usage: "`R` noise levels: descend each stretch of --jump levels so often", DefaultText: "1"},
		&cli.IntFlag{Name: "jump", Category: "Completion", Usage: "`J` levels of such a stretch", DefaultText: strconv.Itoa(defaultJump)},
	}
}

// givenColumns are columns that samples are to have, in the scale of training.
type givenColumns struct {
	names []string
	rows  int
	given sample.Given
}

// values is nil where nothing is given.
func (g *givenColumns) values() *sample.Given {
	if g == nil {
		return nil
	}
	return &g.given
}

// columnsNamed bounds the names that are printed.
const columnsNamed = 8

func (g *givenColumns) text(samples int) string {
	names := strings.Join(g.names[:min(len(g.names), columnsNamed)], ", ")
	if len(g.names) > columnsNamed {
		names += fmt.Sprintf(" and %d more", len(g.names)-columnsNamed)
	}
	return fmt.Sprintf("given %s by %s\n", names, count(min(g.rows, samples), "row"))
}

func (p *program) givenOf(c *cli.Context, o *inferenceOptions, saved *train.Saved) (*givenColumns, error) {
	switch {
	case c.IsSet("given") && (c.IsSet("given-from") || c.IsSet("given-columns")):
		return nil, usage("--given", "there is --given-from or --given-columns too", "use one of the two ways")
	case c.IsSet("given-from") != c.IsSet("given-columns"):
		return nil, usage("--given-from", "it goes with --given-columns", "give both, e.g. --given-from table.csv --given-columns 1,2")
	case c.IsSet("given"):
		return parseGiven(strings.Join(c.StringSlice("given"), ","), saved)
	case c.IsSet("given-from"):
		return p.readGiven(c, o, saved)
	}
	return nil, nil
}

func newGiven(saved *train.Saved, rows int) *givenColumns {
	features := saved.Schema.Features
	return &givenColumns{rows: rows, given: sample.Given{Known: make([]bool, features), Values: make([]float32, rows*features)}}
}

// parseGiven reads "x=0.5,3=1".
func parseGiven(text string, saved *train.Saved) (*givenColumns, error) {
	g := newGiven(saved, 1)
	for part := range strings.SplitSeq(text, ",") {
		equals := strings.LastIndex(part, "=")
		if equals < 0 {
			return nil, usage("--given", quoted(part)+" is not of the form COLUMN=VALUE", "write it like "+exampleColumn(saved.Schema)+"=0.5")
		}
		column, err := findColumn("--given", part[:equals], saved.Schema)
		if err != nil {
			return nil, err
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(part[equals+1:]), 32)
		if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, usage("--given", quoted(part[equals+1:])+" is not a number", "give column "+quoted(part[:equals])+" a number in the scale of the data")
		}
		if err := g.mark("--given", column, saved.Schema); err != nil {
			return nil, err
		}
		g.given.Values[column] = float32(value)
	}
	return g, g.finish("--given", saved)
}

// readGiven takes columns of a data set's rows.
func (p *program) readGiven(c *cli.Context, o *inferenceOptions, saved *train.Saved) (*givenColumns, error) {
	d, err := p.openFor(c.Context, saved, c.String("given-from"), o.reading)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	rows := min(d.Info().Rows, mostSamples)
	g := newGiven(saved, rows)
	for part := range strings.SplitSeq(c.String("given-columns"), ",") {
		from, to, err := columnRange(part, saved.Schema)
		if err != nil {
			return nil, err
		}
		for column := from; column <= to; column++ {
			if err := g.mark("--given-columns", column, saved.Schema); err != nil {
				return nil, err
			}
		}
	}
	for from := 0; from < rows; from += rowsAtATime {
		block, err := data.Floats(c.Context, d, from, min(rowsAtATime, rows-from))
		if err != nil {
			return nil, err
		}
		copy(g.given.Values[from*saved.Schema.Features:], data.Float32s(block))
	}
	return g, g.finish("--given-columns", saved)
}

// columnRange reads a column, or two numbers with a dash between them.
func columnRange(text string, schema data.Info) (from, to int, err error) {
	const flag = "--given-columns"
	low, high, isRange := strings.Cut(strings.TrimSpace(text), "-")
	first, firstErr := strconv.Atoi(low)
	last, lastErr := strconv.Atoi(high)
	if !isRange || firstErr != nil || lastErr != nil || slices.Contains(schema.Columns, strings.TrimSpace(text)) {
		from, err = findColumn(flag, text, schema)
		return from, from, err
	}
	if first < 1 || last < first || last > schema.Features {
		return 0, 0, usage(flag, fmt.Sprintf("%s is not a range of columns", text), fmt.Sprintf("columns are numbered from 1 to %d", schema.Features))
	}
	return first - 1, last - 1, nil
}

// findColumn returns the index of a column by its name or its number from 1.
func findColumn(flag, text string, schema data.Info) (int, error) {
	text = strings.TrimSpace(text)
	if i := slices.Index(schema.Columns, text); i >= 0 {
		return i, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= schema.Features {
		return n - 1, nil
	}
	return 0, usage(flag, "there is no column "+quoted(text), settings.Suggest(text, schema.Columns, "")+fmt.Sprintf("columns are numbered from 1 to %d", schema.Features))
}

func exampleColumn(schema data.Info) string { return columnName(schema, 0) }

// columnName is the name of a column, or its number from 1.
func columnName(schema data.Info, column int) string {
	if schema.Columns != nil {
		return schema.Columns[column]
	}
	return strconv.Itoa(column + 1)
}

func (g *givenColumns) mark(flag string, column int, schema data.Info) error {
	name := columnName(schema, column)
	if g.given.Known[column] {
		return usage(flag, "column "+quoted(name)+" is given twice", "give it once")
	}
	g.given.Known[column] = true
	g.names = append(g.names, name)
	return nil
}

// finish brings the values to the scale of training.
func (g *givenColumns) finish(flag string, saved *train.Saved) error {
	if len(g.names) == saved.Schema.Features {
		return usage(flag, "every column is given", "leave out those to be drawn")
	}
	z, err := saved.Scaler.Apply(tensor.New(tensor.WithShape(g.rows, saved.Schema.Features), tensor.WithBacking(g.given.Values)))
	if err != nil {
		return err
	}
	g.given.Values = data.Float32s(z)
	return nil
}
