package export

import (
	"fmt"
	"strconv"
	"strings"

	"gpudae/data"
	"gpudae/device"
	"gpudae/onnx"
	"gpudae/table"
	"gpudae/train"
)

// transformsOf are those of a model's columns if they are mixed, otherwise nil. It
// fails with *data.Error if the schema is not that of the model.
func transformsOf(s *train.Saved) ([]table.Transform, error) {
	if s.Columns == nil {
		return nil, nil
	}
	columns := s.DAE.TableColumns()
	schema, err := table.ParseFitted(s.Path, s.Columns, len(columns))
	if err != nil {
		return nil, err
	}
	transforms := schema.Transforms()
	for j, t := range transforms {
		if c := columns[j]; c.Categories > 0 && t.Absent != c.Categories || (c.Categories > 0) != (t.Kind == table.Categorical) {
			return nil, &data.Error{Path: s.Path, ColumnName: t.Name, Problem: fmt.Sprintf("is %s in its schema, and of %d categories in its model", t.Kind, c.Categories),
				Remedy: "it is damaged: give another copy"}
		}
	}
	return transforms, nil
}

// number reports whether a column's cells are numbers, times included.
func number(t *table.Transform) bool { return t.Categories == nil }

// columnDoc says what the numbers of an input or output are.
func columnDoc(t *table.Transform) string {
	if t.Kind == table.Time {
		return t.Name + ": seconds since 1970 in UTC"
	}
	return t.Name + ": " + string(t.Kind)
}

// embed declares an input for each column, and makes of them what the first layer
// reads: numbers scaled and 0 where they are absent, the vectors of categories,
// then the indicators of absence. Inner values are named by the column's number,
// since its name may be any text.
func (b *builder) embed() string {
	places, vectors := b.saved.DAE.TableColumns(), map[int]string{}
	for _, e := range b.saved.DAE.Embeddings() {
		vectors[e.Column] = e.Parameter
	}
	var values, indicators []string
	for j := range b.transforms {
		t, name := &b.transforms[j], columnName(j)
		indicator := places[j].Indicator != device.NoIndicator
		if number(t) {
			x := b.Input(Input+"."+t.Name, columnDoc(t)+", NaN where it is missing", onnx.Float64, onnx.Batch, 1)
			absent := b.Node(name+".absent", "IsNaN", []string{x})
			z := b.Node(name+".known", "Where", []string{absent, b.scalar(name+".none", 0), b.scaled(name, x, t)})
			values = append(values, b.narrow(name, z))
			if indicator {
				indicators = append(indicators, b.narrow(name+".indicator", absent))
			}
			continue
		}
		x := b.Input(Input+"."+t.Name, columnDoc(t)+"; empty where it is missing", onnx.Text, onnx.Batch, 1)
		code := b.Node(name+".code", onnx.LabelEncoder, []string{x}, onnx.Labels(t.Texts, t.Codes, t.Other)...)
		code = b.Node(name+".index", "Reshape", []string{code, b.Integers(name+".index_shape", -1)})
		vector := vectors[j]
		if vector == "" {
			b.Constant(name+".values", []float32{0, 1, 0}, t.Absent+1, 1)
			vector = name + ".values"
		} else {
			b.parameter(vector)
		}
		values = append(values, b.Node(name, "Gather", []string{vector, code}))
		if indicator {
			last := make([]float32, t.Absent+1)
			last[t.Absent] = 1
			indicators = append(indicators, b.Node(name+".indicator", "Gather", []string{b.Constant(name+".last", last, len(last), 1), code}))
		}
	}
	return b.Node("columns", "Concat", append(values, indicators...), onnx.Int("axis", -1))
}

func columnName(j int) string { return fmt.Sprintf("columns.%d", j) }

func (b *builder) scalar(name string, v float64) string { return b.Doubles(name, []float64{v}) }

// by applies an operator to x and a constant, unless that changes nothing.
func (b *builder) by(name, op, x string, constant, nothing float64) string {
	if constant == nothing {
		return x
	}
	return b.Node(name, op, []string{x, b.scalar(name+".constant", constant)})
}

// scaled: z of a number, in float64.
func (b *builder) scaled(name, x string, t *table.Transform) string {
	if t.Knots != nil {
		return b.through(name+".scaled", x, t.Knots.Values, t.Knots.Scores, 1/t.Scale)
	}
	x = b.by(name+".shifted", "Sub", x, t.Offset, 0)
	return b.by(name+".scaled", "Div", x, t.Scale, 1)
}

// unscaled: the number of a z as it is written back, in float64.
func (b *builder) unscaled(name, z string, t *table.Transform) string {
	x := z
	if t.Knots != nil {
		x = b.through(name+".unscaled", z, t.Knots.Scores, t.Knots.Values, t.Scale)
	} else {
		x = b.by(name+".multiplied", "Mul", x, t.Scale, 1)
		x = b.by(name+".unscaled", "Add", x, t.Offset, 0)
	}
	x = b.Node(name+".bounded", "Clip", []string{x, b.scalar(name+".low", t.Low), b.scalar(name+".high", t.High)})
	return b.rounded(name+".rounded", x, t.Rounding)
}

// through is linear between the points (from[i], to[i]), and beyond the first and
// the last of them has a slope: to[0] and the share of each step that lies below x.
func (b *builder) through(name, x string, from, to []float64, slope float64) string {
	last := len(from) - 1
	between := b.Node(name+".between", "Clip", []string{x, b.scalar(name+".first", from[0]), b.scalar(name+".last", from[last])})
	y := b.Node(name+".beyond", "Sub", []string{x, between})
	y = b.by(name+".sloped", "Mul", y, slope, 1)
	if last > 0 {
		widths, steps := make([]float64, last), make([]float64, last)
		for i := range last {
			widths[i], steps[i] = from[i+1]-from[i], to[i+1]-to[i]
		}
		climbed := b.Node(name+".climbed", "Mul", []string{b.shares(name+".knots", x, from[:last], widths), b.Doubles(name+".steps", steps, 1, last)})
		y = b.Node(name+".joined", "Add", []string{y, b.sum(name+".sum", climbed)})
	}
	return b.Node(name, "Add", []string{y, b.scalar(name+".start", to[0])})
}

// rounded: see table.Rounding.
func (b *builder) rounded(name, x string, r table.Rounding) string {
	if r.Step == 0 {
		return x
	}
	x = b.by(name+".shift", "Add", x, r.Shift, 0)
	x = b.by(name+".per", "Mul", x, r.Per, 1)
	x = b.by(name+".steps", "Div", x, r.Step, 1)
	if r.Even {
		x = b.Node(name, "Round", []string{x})
	} else {
		size := b.by(name+".up", "Add", b.Node(name+".size", "Abs", []string{x}), 0.5, 0)
		x = b.Node(name, "Mul", []string{b.Node(name+".sign", "Sign", []string{x}), b.Node(name+".whole", "Floor", []string{size})})
	}
	x = b.by(name+".times", "Mul", x, r.Step, 1)
	x = b.by(name+".units", "Div", x, r.Per, 1)
	return b.by(name+".back", "Sub", x, r.Shift, 0)
}

// cells puts out each column from the parameters of p(x|h), as table.Decoder
// writes it: the expected number, or the most probable category.
func (b *builder) cells(a string) {
	for j, c := range b.saved.DAE.TableColumns() {
		t, name, out := &b.transforms[j], columnName(j)+".out", Reconstruction+"."+b.transforms[j].Name
		first := b.columns(name+".params", a, c.Param, c.Param+max(c.Categories, 1)) // of a number with a variance the mean alone
		if number(t) {
			b.Node(out, "Identity", []string{b.unscaled(name, b.wide(name+".wide", first), t)})
			b.Output(out, "expected value of "+columnDoc(t), onnx.Float64, onnx.Batch, 1)
			continue
		}
		code, from, logits := "", 1, first
		if t.Kind == table.Binary { // 1 from a probability of ½ on; logits of 0 and a
			p := b.Node(name+".p", "Sigmoid", []string{first})
			code = b.Node(name+".likely", "GreaterOrEqual", []string{p, b.Constant(name+".half", []float32{0.5})})
			code, from = b.Node(name+".code", "Cast", []string{code}, onnx.Int("to", int(onnx.Int64))), 0
			logits = b.Node(name+".logits", "Gemm", []string{first, b.Constant(name+".pair", []float32{0, 1}, 1, 2), b.Constant(name+".bias", []float32{0, 0}, 2)},
				onnx.Int("transB", 0))
		} else {
			code = b.Node(name+".code", "ArgMax", []string{first}, onnx.Int("axis", -1))
		}
		b.names(out, code, from, t.Categories, table.Unknown, "most probable category of "+columnDoc(t))
		logP := b.Node(LogP+"."+t.Name, "LogSoftmax", []string{logits}, onnx.Int("axis", -1))
		b.Output(logP, "ln p of "+quoted(append([]string{table.Unknown}[:from], t.Categories...)), onnx.Float32, onnx.Batch, len(t.Categories)+from)
	}
}

// names puts out the name of a code [N, 1], the first of which is from.
func (b *builder) names(out, code string, from int, names []string, other, doc string) {
	codes := make([]int, len(names))
	for i := range codes {
		codes[i] = from + i
	}
	b.Node(out, onnx.LabelEncoder, []string{code}, onnx.Names(codes, names, other)...)
	b.Output(out, doc, onnx.Text, onnx.Batch, 1)
}

// quoted lists names, unless there are so many that a file should not repeat them.
func quoted(names []string) string {
	const most = 100
	if len(names) > most {
		return fmt.Sprintf("%d names", len(names))
	}
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = strconv.Quote(name)
	}
	return strings.Join(list, ", ")
}
