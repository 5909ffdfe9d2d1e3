package export

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
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
// the last of them has a slope. It finds the piece of x by bisection, and does the
// same arithmetic as package table, to the last bit.
func (b *builder) through(name, x string, from, to []float64, slope float64) string {
	last := len(from) - 1
	keys := append([]float64{math.Inf(-1)}, from...) // where pieces begin: at the first, the points, the last
	starts, values := append([]float64{from[0]}, from...), append([]float64{to[0]}, to...)
	widths, rises := []float64{1}, []float64{slope}
	for i := range last {
		widths, rises = append(widths, from[i+1]-from[i]), append(rises, to[i+1]-to[i])
	}
	piece := b.bisect(name+".piece", x, keys)
	of := func(what string, list []float64) string {
		return b.Node(name+"."+what, "Gather", []string{b.Doubles(name+"."+what+"_list", list, len(list)), piece})
	}
	share := b.Node(name+".beyond", "Sub", []string{x, of("start", starts)})
	share = b.Node(name+".share", "Div", []string{share, of("width", append(widths, 1))})
	rise := b.Node(name+".risen", "Mul", []string{share, of("rise", append(rises, slope))})
	return b.Node(name, "Add", []string{of("value", values), rise})
}

// bisect is the index of the last of the keys, which rise from -∞, that is not
// above x.
func (b *builder) bisect(name, x string, keys []float64) string {
	top := 1 << (bits.Len(uint(len(keys)-1)) - 1)
	keys = append(slices.Clone(keys), slices.Repeat([]float64{math.Inf(1)}, 2*top-len(keys))...)
	var list string
	if top > 1 {
		list = b.Doubles(name+".keys", keys, len(keys))
	}
	index := b.Integers(name+".none", 0)
	for step := top; step > 0; step /= 2 {
		at := func(what string) string { return fmt.Sprintf("%s.%s%d", name, what, step) }
		ahead := b.Integers(at("step"), step)
		var key string
		if step == top {
			key = b.scalar(at("key"), keys[top])
		} else {
			ahead = b.Node(at("ahead"), "Add", []string{index, ahead})
			key = b.Node(at("key"), "Gather", []string{list, ahead})
		}
		index = b.Node(at("index"), "Where", []string{b.Node(at("reached"), "GreaterOrEqual", []string{x, key}), ahead, index})
	}
	return index
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
		var code string
		from, logits := 1, first
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
