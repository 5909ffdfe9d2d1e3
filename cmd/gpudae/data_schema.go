package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"gpudae/table"
)

func (p *program) dataSchemaCommand() *cli.Command {
	return &cli.Command{
		Name:      "schema",
		Usage:     "say what the columns of a table mean",
		ArgsUsage: "DATA",
		Description: `Reads a table with cells of any type (.csv, .tsv, also with .gz or .zst, Parquet,
Arrow, arrays of numbers) and shows what each column is taken for, how much of it
is missing, and what is left out and why. With -o it goes to a file that can be
edited: kind, scaling, weight, bounds, missing, format of each column; see
docs/tables.md. With --schema the choices of such a file are fitted to DATA.

Examples:
  gpudae data schema table.csv
  gpudae data schema table.csv -o schema.json --missing 'unknown,-'
  gpudae data schema table.csv --schema schema.json -o schema.json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "schema", Category: "Columns", Usage: "`FILE` with the choices, as -o writes it; only kinds are needed"},
			&cli.StringFlag{Name: "missing", Category: "Columns", Usage: "`TEXTS` that stand for a missing value beside the usual ones, with commas between"},
			&cli.StringFlag{Name: "scale", Category: "Columns", Usage: "`KIND` of scaling of numbers: standard, min-max, gauss-rank, none", Value: string(table.Standard)},
			&cli.IntFlag{Name: "categories", Category: "Columns", Usage: "`N` most common texts of a column that are categories; the others are unknown", Value: table.DefaultLimits().Categories},
			&cli.IntFlag{Name: "min-count", Category: "Columns", Usage: "`N` rows that a category must have", Value: table.DefaultLimits().MinCount},
			headerFlag(auto),
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Category: "Output", Usage: "`FILE` to write the schema to"},
			jsonFlag(),
		},
		Action: p.dataSchema,
	}
}

func (p *program) dataSchema(c *cli.Context) error {
	if err := arguments(c, "DATA"); err != nil {
		return err
	}
	options, err := schemaOptions(c)
	if err != nil {
		return err
	}
	reading := inputOptions{header: auto}
	if c.IsSet("header") {
		reading.header = c.String("header")
	}
	if err := checkHeader(reading.header); err != nil {
		return err
	}
	if err := checkOver(c.String("out"), c.Args().First()); err != nil {
		return err
	}
	frame, err := p.openFrame(c.Context, c.Args().First(), reading)
	if err != nil {
		return err
	}
	defer frame.Close()
	schema, notices, err := table.Infer(c.Context, frame, options)
	if err != nil {
		return err
	}
	if path := c.String("out"); path != "" {
		if err := schema.Write(path); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return p.printText(string(schema.JSON()))
	}
	return p.printText(describeSchema(schema, notices))
}

// schemaOptions are the choices of the flags.
func schemaOptions(c *cli.Context) (o table.Options, err error) {
	o.Scaling, o.Limits = table.Scaling(c.String("scale")), table.DefaultLimits()
	if !slices.Contains(table.Scalings(), o.Scaling) {
		return o, usage("--scale", "unknown scaling "+quoted(string(o.Scaling)), "use one of standard, min-max, gauss-rank, none")
	}
	o.Limits.Categories, o.Limits.MinCount = c.Int("categories"), c.Int("min-count")
	if problem, remedy := o.Limits.Check(); problem != "" {
		return o, usage("data schema", problem, remedy)
	}
	o.Missing = table.Missing()
	if c.IsSet("missing") {
		o.Missing = append(o.Missing, strings.Split(c.String("missing"), ",")...)
	}
	path := c.String("schema")
	if path == "" {
		return o, nil
	}
	for _, flag := range []string{"missing", "scale", "categories", "min-count"} {
		if c.IsSet(flag) {
			return o, usage("--"+flag, "the schema file says it", "edit "+path)
		}
	}
	o.Schema, err = table.ReadSchema(path)
	return o, err
}

// describeSchema shows a schema to a person.
func describeSchema(s *table.Schema, notices []table.Notice) string {
	used := s.Used()
	text := fmt.Sprintf("%s: %s, %s, %d used", plain(s.Name), count(s.Rows, "row"), count(len(s.Columns), "column"), len(used))
	if len(used) > 0 && s.CheckFitted(s.Name) == nil {
		text += fmt.Sprintf("; %s a row, %s", count(s.RowBytes(), "byte"), fileSize(uint64(s.RowBytes())*uint64(s.Rows)))
	}
	rows := [][4]string{{"column", "kind", "missing", "distinct"}}
	values := []string{"values"}
	for i := range s.Columns {
		row, about := describeColumn(s, &s.Columns[i])
		rows, values = append(rows, row), append(values, about)
	}
	text += "\n\n" + setColumns(rows, values)
	if len(notices) > 0 {
		text += "\n"
	}
	for _, n := range notices {
		text += plain(n.String()) + "\n"
	}
	return text
}

// setColumns sets names and kinds to the left, numbers to the right, and the
// values after them.
func setColumns(rows [][4]string, values []string) string {
	var widths [4]int
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		line := fmt.Sprintf("%-*s  %-*s  %*s  %*s  %s", widths[0], row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3], values[i])
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// longestName is the number of letters of a name, or of a category, that are shown.
const longestName = 32

func describeColumn(s *table.Schema, c *table.Column) (row [4]string, values string) {
	row = [4]string{shorten(plain(c.Name)), string(c.Kind), "", ""}
	if c.Kind == table.Drop {
		row[1], values = "dropped", string(c.Reason)
	}
	f := c.Fit
	if f == nil {
		return row, values
	}
	row[2] = fmt.Sprintf("%.1f %%", 100*float64(f.Absent)/float64(max(s.Rows, 1)))
	if row[3] = strconv.Itoa(f.Distinct); f.Estimated {
		row[3] = "about " + row[3]
	}
	switch c.Kind {
	case table.Drop:
		if f.Distinct == 0 {
			row[3] = ""
		}
	case table.Binary, table.Categorical:
		values = topCategories(f)
	case table.Time:
		values = c.Text(f.Low) + " to " + c.Text(f.High)
	default:
		values = fmt.Sprintf("%s to %s, mean %s", c.Text(f.Low), c.Text(f.High), number(f.Mean))
	}
	return row, values
}

// topCategories lists the most common categories with their part of the cells.
func topCategories(f *table.Fit) string {
	const shown = 3
	part := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(f.Present, 1))) }
	var items []string
	for i, category := range f.Categories[:min(shown, len(f.Categories))] {
		items = append(items, shorten(plain(category))+" "+part(f.Counts[i]))
	}
	if more := len(f.Categories) - shown; more > 0 {
		items = append(items, fmt.Sprintf("%d more", more))
	}
	if f.Unknown > 0 {
		items = append(items, "unknown "+part(f.Unknown))
	}
	return strings.Join(items, ", ")
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= longestName {
		return s
	}
	return string([]rune(s)[:longestName-3]) + "..."
}

// plain keeps a text of a file from talking to the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
