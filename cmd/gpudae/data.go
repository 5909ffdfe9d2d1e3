package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/data/download"
)

func (p *program) dataCommand() *cli.Command {
	return &cli.Command{
		Name:  "data",
		Usage: "list, describe, convert and download data sets",
		Description: `Examples:
  gpudae data list
  gpudae data info train-images-idx3-ubyte.gz
  gpudae data schema table.csv -o schema.json
  gpudae data convert table.csv table.parquet
  gpudae data get mnist`,
		Subcommands: []*cli.Command{p.dataListCommand(), p.dataInfoCommand(), p.dataSchemaCommand(), p.dataConvertCommand(), p.dataGetCommand()},
	}
}

func (p *program) dataListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the built-in data sets, and those that can be downloaded",
		Description: `Arguments follow the name after a colon.

Examples:
  gpudae data list
  gpudae train two-moons:n=500,noise=0.05`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: p.dataList,
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Category: "Output", Usage: "print one JSON object on standard output"}
}

// builtInJSON is a row of the list.
type builtInJSON struct {
	Name        string `json:"name"`
	Arguments   string `json:"arguments,omitempty"`
	Description string `json:"description"`
	Source      string `json:"source,omitempty"`
}

func (p *program) dataList(c *cli.Context) error {
	if err := arguments(c); err != nil {
		return err
	}
	var list []builtInJSON
	for _, b := range data.List() {
		list = append(list, builtInJSON{b.Name, b.Arguments, b.Description, b.Source})
	}
	for _, s := range download.Sets() {
		list = append(list, builtInJSON{Name: s.Name, Description: s.Description + "; data get " + s.Name, Source: s.Source})
	}
	if c.Bool("json") {
		return p.printJSON(map[string]any{"data": list})
	}
	rows := grid{}
	for _, b := range list {
		rows.add(b.Name, b.Description)
		if b.Arguments != "" {
			rows.add("", "arguments "+b.Arguments)
		}
		if b.Source != "" {
			rows.add("", b.Source)
		}
	}
	return p.printText(rows.left())
}

func (p *program) dataInfoCommand() *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "describe a data set, having checked all of it",
		ArgsUsage: "DATA",
		Description: `DATA is a built-in name, a name that 'data get' has downloaded, a file, a folder
of .png and .jpg files of one size (folder:resize=32x32 brings them to one), or
- for standard input. A file is .csv, .tsv, .npy or .idx, each also with .gz or
.zst, .parquet, .arrow, .npz or .safetensors; file.npz:name chooses one of its
arrays. Of a table with columns of text, truth values or times the columns are
listed, with their types, missing and different cells.

Examples:
  gpudae data info digits
  gpudae data info table.csv --label class --json`,
		Flags:  append(readingFlags(""), jsonFlag()),
		Action: p.dataInfo,
	}
}

func (p *program) dataInfo(c *cli.Context) error {
	if err := arguments(c, "DATA"); err != nil {
		return err
	}
	f, s, err := p.mixedArgument(c)
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
		if c.Bool("json") {
			return p.printJSON(s)
		}
		return p.printText(describeFrame(s))
	}
	d, err := p.openArgument(c)
	if err != nil {
		return err
	}
	defer d.Close()
	info := d.Info()
	if c.Bool("json") {
		return p.printJSON(info)
	}
	return p.printText(describe(info, d.Labels()))
}

// mixedArgument opens the first argument as a table of cells, and reads all of it, if
// it has columns of other things than numbers; nil otherwise. Standard input is
// kept for whoever opens it next.
func (p *program) mixedArgument(c *cli.Context) (data.Frame, data.FrameSummary, error) {
	var none data.FrameSummary
	reading := inputOptions{header: auto}
	if c.IsSet("header") {
		reading.header = c.String("header")
	}
	if err := checkHeader(reading.header); err != nil || c.IsSet("label") {
		return nil, none, err
	}
	name := c.Args().First()
	if name == "-" && p.stdin != nil {
		kept, err := data.Keep(c.Context, p.stdin)
		if err != nil {
			return nil, none, fmt.Errorf("standard input: %w", err)
		}
		p.stdin = kept
	}
	f, err := p.openFrame(c.Context, name, reading)
	if err != nil {
		if file, statErr := os.Stat(name); name != "-" && (statErr != nil || !file.Mode().IsRegular()) {
			return nil, none, c.Context.Err() // a built-in set, or a folder
		}
		return nil, none, err
	}
	if !slices.Contains([]string{"csv", "parquet", "arrow"}, f.Info().Format) {
		return nil, none, f.Close()
	}
	s, err := data.Summarise(c.Context, f)
	if err != nil || s.Numeric() {
		f.Close()
		return nil, none, err
	}
	return f, s, nil
}

// describeFrame lists the columns of a table.
func describeFrame(s data.FrameSummary) string {
	g := grid{{"name", s.Name}}
	if s.Path != "" {
		g.add("path", s.Path)
	}
	g.add("format", s.Format)
	g.add("rows", fmt.Sprint(s.Rows))
	g.add("columns", fmt.Sprint(len(s.Columns)))
	g.add("sha256", s.SHA256)
	columns := grid{{"column", "type", "missing", "distinct"}}
	for _, c := range s.Columns {
		distinct := fmt.Sprint(c.Distinct)
		if c.Distinct > data.DistinctMost {
			distinct = fmt.Sprintf("> %d", data.DistinctMost)
		}
		columns.add(c.Name, string(c.Type), fmt.Sprint(c.Missing), distinct)
	}
	return g.left() + "\n" + columns.String()
}

// openArgument opens the first argument as the flags of reading say.
func (p *program) openArgument(c *cli.Context) (data.Dataset, error) {
	reading := inputOptions{label: c.String("label"), header: auto}
	if c.IsSet("header") {
		reading.header = c.String("header")
	}
	if err := checkHeader(reading.header); err != nil {
		return nil, err
	}
	reading.missing = c.Bool("missing")
	return p.open(c.Context, c.Args().First(), reading)
}

// columnsShown is the number of column names that are shown.
const columnsShown = 12

func describe(info data.Info, labels *data.Labels) string {
	g := grid{{"name", info.Name}}
	if info.Path != "" {
		g.add("path", info.Path)
	}
	g.add("format", info.Format)
	g.add("rows", fmt.Sprint(info.Rows))
	g.add("features", fmt.Sprintf("%d, shape %v", info.Features, info.Shape))
	g.add("type", string(info.Element))
	scale := ""
	if info.Scale != 1 {
		scale = fmt.Sprintf(", stored values times %.6g", info.Scale)
	}
	g.add("range", fmt.Sprintf("%.6g to %.6g%s", info.Min, info.Max, scale))
	if len(info.Columns) > 0 {
		shown := info.Columns[:min(len(info.Columns), columnsShown)]
		more := ""
		if len(info.Columns) > len(shown) {
			more = fmt.Sprintf(", and %d more", len(info.Columns)-len(shown))
		}
		g.add("columns", strings.Join(shown, ", ")+more)
	}
	if labels != nil {
		g.add("classes", classCounts(labels))
	}
	g.add("sha256", info.SHA256)
	if info.Licence != "" {
		g.add("licence", info.Licence)
	}
	return g.left()
}

// classCounts lists the classes with the number of their rows.
func classCounts(labels *data.Labels) string {
	counts := make([]int, len(labels.Names))
	for _, class := range labels.Class {
		counts[class]++
	}
	var items []string
	for i, name := range labels.Names {
		items = append(items, fmt.Sprintf("%s (%d)", name, counts[i]))
	}
	if len(items) > columnsShown {
		items = append(slices.Clone(items[:columnsShown]), fmt.Sprintf("and %d more", len(items)-columnsShown))
	}
	return strings.Join(items, ", ")
}
