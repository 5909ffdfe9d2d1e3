package onnx

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"gpudae/onnx/onnxpb"
)

// graphCase is an operator on x [2, 2] = [[-1, 2], [0.5, -3]] with its values
// worked out from the operator's formula.
type graphCase struct {
	op         string
	build      func(g *Graph, x string) string
	want       []float64
	wantShaped []int
}

func cases() []graphCase {
	unary := func(op string, attributes ...Attribute) func(*Graph, string) string {
		return func(g *Graph, x string) string { return g.Node("y", op, []string{x}, attributes...) }
	}
	binary := func(op string) func(*Graph, string) string {
		return func(g *Graph, x string) string {
			return g.Node("y", op, []string{x, g.Constant("c", []float32{2, 4}, 2)})
		}
	}
	row := func(g *Graph, name string, values ...float32) string { return g.Constant(name, values, len(values)) }
	square := []int{2, 2}
	e := math.Exp
	return []graphCase{
		{"Identity", unary("Identity"), []float64{-1, 2, 0.5, -3}, square},
		{"Add", binary("Add"), []float64{1, 6, 2.5, 1}, square},
		{"Sub", binary("Sub"), []float64{-3, -2, -1.5, -7}, square},
		{"Mul", binary("Mul"), []float64{-2, 8, 1, -12}, square},
		{"Div", binary("Div"), []float64{-0.5, 0.5, 0.25, -0.75}, square},
		{"Mul", func(g *Graph, x string) string {
			return g.Node("y", "Mul", []string{x, g.Constant("scalar", []float32{2})})
		}, []float64{-2, 4, 1, -6}, square},
		{"Div", func(g *Graph, x string) string {
			return g.Node("y", "Div", []string{g.Constant("c", []float32{3}, 1), x})
		}, []float64{-3, 1.5, 6, -1}, square},
		{"Sub", func(g *Graph, x string) string {
			return g.Node("y", "Sub", []string{x, g.Constant("c", []float32{1, 2}, 2, 1)})
		}, []float64{-2, 1, -1.5, -5}, square},
		{"Mul", func(g *Graph, x string) string {
			column := g.Node("c", "Slice", []string{x, g.Integers("from", 1), g.Integers("to", 2), g.Integers("axis", 1)})
			return g.Node("y", "Mul", []string{column, g.Constant("row", []float32{1, 10, 100}, 3)})
		}, []float64{2, 20, 200, -3, -30, -300}, []int{2, 3}},
		{"Log", func(g *Graph, x string) string { return g.Node("y", "Log", []string{g.Node("e", "Exp", []string{x})}) }, []float64{-1, 2, 0.5, -3}, square},
		{"Sqrt", func(g *Graph, x string) string {
			return g.Node("y", "Sqrt", []string{g.Node("s", "Mul", []string{x, x})})
		}, []float64{1, 2, 0.5, 3}, square},
		{"Sin", unary("Sin"), []float64{-0.8414709848078965, 0.9092974268256817, 0.479425538604203, -0.1411200080598672}, square},
		{"Neg", unary("Neg"), []float64{1, -2, -0.5, 3}, square},
		{"Cast", func(g *Graph, x string) string {
			return g.Node("y", "Cast", []string{g.Node("sum", "Add", []string{x, g.Doubles("tiny", []float64{1e-12})})}, Int("to", int(Float32)))
		}, []float64{-1, 2, 0.5, -3}, square},
		{"Cast", func(g *Graph, x string) string {
			wide := g.Node("wide", "Cast", []string{x}, Int("to", int(Float64)))
			return g.Node("y", "Sub", []string{g.Node("sum", "Add", []string{wide, g.Doubles("tiny", []float64{1e-12})}), wide})
		}, []float64{1e-12, 1e-12, 1e-12, 1e-12}, square},
		{"Clip", func(g *Graph, x string) string {
			return g.Node("y", "Clip", []string{x, g.Constant("a", []float32{-2}), g.Constant("b", []float32{1})})
		}, []float64{-1, 1, 0.5, -2}, square},
		{"ReduceSum", func(g *Graph, x string) string { return g.Node("y", "ReduceSum", []string{x, g.Integers("axes", -1)}) }, []float64{1, -2.5}, []int{2, 1}},
		{"Abs", unary("Abs"), []float64{1, 2, 0.5, 3}, square},
		{"Sign", unary("Sign"), []float64{-1, 1, 1, -1}, square},
		{"Floor", unary("Floor"), []float64{-1, 2, 0, -3}, square},
		{"Round", unary("Round"), []float64{-1, 2, 0, -3}, square},
		{"IsNaN", func(g *Graph, x string) string {
			return g.Node("y", "IsNaN", []string{g.Node("log", "Log", []string{x})})
		}, []float64{1, 0, 0, 1}, square},
		{"GreaterOrEqual", func(g *Graph, x string) string {
			return g.Node("y", "GreaterOrEqual", []string{x, g.Constant("c", []float32{0.5})})
		}, []float64{0, 1, 1, 0}, square},
		{"Where", func(g *Graph, x string) string {
			positive := g.Node("positive", "GreaterOrEqual", []string{x, g.Constant("zero", []float32{0})})
			return g.Node("y", "Where", []string{positive, x, g.Constant("c", []float32{7})})
		}, []float64{7, 2, 0.5, 7}, square},
		{"ArgMax", unary("ArgMax", Int("axis", -1)), []float64{1, 0}, []int{2, 1}},
		{"Gather", func(g *Graph, x string) string {
			index := g.Node("index", "Reshape", []string{g.Node("most", "ArgMax", []string{x}, Int("axis", -1)), g.Integers("shape", -1)})
			return g.Node("y", "Gather", []string{g.Constant("rows", []float32{1, 2, 3, 4, 5, 6}, 2, 3), index})
		}, []float64{4, 5, 6, 1, 2, 3}, []int{2, 3}},
		{"Gather", func(g *Graph, x string) string {
			return g.Node("y", "Gather", []string{g.Constant("list", []float32{5, 7}, 2), g.Node("index", "ArgMax", []string{x}, Int("axis", -1))})
		}, []float64{7, 5}, []int{2, 1}},
		{LabelEncoder, func(g *Graph, x string) string { // 1, 0 to texts and back
			most := g.Node("most", "ArgMax", []string{x}, Int("axis", -1))
			word := g.Node("word", LabelEncoder, []string{most}, Names([]int{1}, []string{"one"}, "other")...)
			return g.Node("y", LabelEncoder, []string{word}, Labels([]string{"other", "two"}, []int{8, 2}, 9)...)
		}, []float64{9, 8}, []int{2, 1}},
		{"LogSoftmax", unary("LogSoftmax", Int("axis", -1)), []float64{-math.Log1p(e(3)), -math.Log1p(e(-3)), -math.Log1p(e(-3.5)), -math.Log1p(e(3.5))}, square},
		{"Relu", unary("Relu"), []float64{0, 2, 0.5, 0}, square},
		{"LeakyRelu", unary("LeakyRelu", Float("alpha", 0.25)), []float64{-0.25, 2, 0.5, -0.75}, square},
		{"Elu", unary("Elu", Float("alpha", 2)), []float64{2 * (e(-1) - 1), 2, 0.5, 2 * (e(-3) - 1)}, square},
		{"Sigmoid", unary("Sigmoid"), []float64{1 / (1 + e(1)), 1 / (1 + e(-2)), 1 / (1 + e(-0.5)), 1 / (1 + e(3))}, square},
		{"Tanh", unary("Tanh"), []float64{(e(-2) - 1) / (e(-2) + 1), (e(4) - 1) / (e(4) + 1), (e(1) - 1) / (e(1) + 1), (e(-6) - 1) / (e(-6) + 1)}, square},
		{"Erf", unary("Erf"), []float64{-0.8427007929497149, 0.9953222650189527, 0.5204998778130465, -0.9999779095030014}, square}, // Abramowitz and Stegun, table 7.1
		{"Exp", unary("Exp"), []float64{e(-1), e(2), e(0.5), e(-3)}, square},
		{"Softplus", unary("Softplus"), []float64{math.Log(1 + e(-1)), math.Log(1 + e(2)), math.Log(1 + e(0.5)), math.Log(1 + e(-3))}, square},
		{"Softmax", unary("Softmax", Int("axis", -1)), []float64{1 / (1 + e(3)), 1 / (1 + e(-3)), 1 / (1 + e(-3.5)), 1 / (1 + e(3.5))}, square},
		{"Gemm", func(g *Graph, x string) string {
			w := g.Constant("w", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
			return g.Node("y", "Gemm", []string{x, w, row(g, "b", 10, 20, 30)}, Int("transB", 0))
		}, []float64{17, 28, 39, -1.5, 6, 13.5}, []int{2, 3}},
		{"Gemm", func(g *Graph, x string) string {
			w := g.Constant("w", []float32{1, 4, 2, 5, 3, 6}, 3, 2)
			return g.Node("y", "Gemm", []string{x, w, row(g, "b", 10, 20, 30)}, Int("transB", 1))
		}, []float64{17, 28, 39, -1.5, 6, 13.5}, []int{2, 3}},
		{"LayerNormalization", func(g *Graph, x string) string { // means 0.5, -1.25; variances 2.25, 3.0625; ε 1.75 and then 3.1875
			return g.Node("y", "LayerNormalization", []string{x, row(g, "g", 2, 4), row(g, "s", 1, -1)}, Int("axis", -1), Float("epsilon", 1.75))
		}, []float64{1 - 2*1.5/2, -1 + 4*1.5/2, 1 + 2*1.75/math.Sqrt(4.8125), -1 - 4*1.75/math.Sqrt(4.8125)}, square},
		{"BatchNormalization", func(g *Graph, x string) string {
			return g.Node("y", "BatchNormalization", []string{x, row(g, "g", 2, 4), row(g, "s", 1, -1), row(g, "m", -2, 1), row(g, "v", 3, 8)}, Float("epsilon", 1))
		}, []float64{1 + 2*1./2, -1 + 4*1./3, 1 + 2*2.5/2, -1 - 4*4./3}, square},
		{"Reshape", func(g *Graph, x string) string {
			return g.Node("y", "Reshape", []string{x, g.Integers("shape", 0, -1, 1)})
		}, []float64{-1, 2, 0.5, -3}, []int{2, 2, 1}},
		{"Slice", func(g *Graph, x string) string {
			return g.Node("y", "Slice", []string{x, g.Integers("from", 1), g.Integers("to", 2), g.Integers("axis", 1)})
		}, []float64{2, -3}, []int{2, 1}},
		{"Concat", func(g *Graph, x string) string {
			return g.Node("y", "Concat", []string{x, g.Node("twice", "Add", []string{x, x})}, Int("axis", -1))
		}, []float64{-1, 2, -2, 4, 0.5, -3, 1, -6}, []int{2, 4}},
	}
}

// input is x of the cases.
func input() map[string]Tensor {
	return map[string]Tensor{"x": NewTensor([]float32{-1, 2, 0.5, -3}, 2, 2)}
}

func graphOf(build func(g *Graph, x string) string) *Model {
	g := NewGraph("test")
	g.Output(build(g, g.Input("x", "", Float32, Batch, 2)), "", Float32)
	return g.Model(About{Producer: "test", Metadata: []Property{{"key", "value"}}})
}

func TestOperators(t *testing.T) {
	missing := Operators()
	for _, c := range cases() {
		missing = slices.DeleteFunc(missing, func(op string) bool { return op == c.op })
		got, err := Run(context.Background(), graphOf(c.build), input())
		if err != nil {
			t.Errorf("%s: %v", c.op, err)
			continue
		}
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-14 }
		if y := got["y"]; !slices.Equal(y.Shape, c.wantShaped) || !slices.EqualFunc(y.Values, c.want, near) {
			t.Errorf("%s: %v of shape %v, want %v of %v", c.op, y.Values, y.Shape, c.want, c.wantShaped)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no case of %v", missing)
	}
}

func TestFileGivesBackTheGraph(t *testing.T) {
	m := graphOf(cases()[len(cases())-1].build)
	first, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	read, err := Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Encode(read)
	if err != nil || !bytes.Equal(first, second) || !proto.Equal(m.pb, read.pb) || read.Metadata()["key"] != "value" {
		t.Errorf("another model comes back, %v", err)
	}
}

// Texts go in and come out of a graph that names its second set of operators.
func TestTexts(t *testing.T) {
	g := NewGraph("test")
	code := g.Node("code", LabelEncoder, []string{g.Input("x", "", Text, Batch, 1)}, Labels([]string{"Rome", ""}, []int{1, 2}, 0)...)
	g.Output(g.Node("y", LabelEncoder, []string{code}, Names([]int{1, 2}, []string{"Roma", "none"}, "unknown")...), "", Text, Batch, 1)
	m := g.Model(About{})
	if domains := m.pb.OpsetImport; len(domains) != 2 || domains[1].GetDomain() != "ai.onnx.ml" || domains[1].GetVersion() != 3 {
		t.Errorf("operators of %v", domains)
	}
	got, err := Run(context.Background(), m, map[string]Tensor{"x": {Shape: []int{3, 1}, Texts: []string{"", "Oslo", "Rome"}}})
	if want := []string{"none", "unknown", "Roma"}; err != nil || !slices.Equal(got["y"].Texts, want) {
		t.Errorf("%q, %v, want %q", got["y"].Texts, err, want)
	}
	if _, err := Run(context.Background(), m, map[string]Tensor{"x": {Shape: []int{1, 1}, Values: []float64{1}}}); err == nil {
		t.Error("a number is taken for a text")
	}
}

func TestRunExplainsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		build func(g *Graph, x string) string
		want  string
	}{
		"operator": {func(g *Graph, x string) string { return g.Node("y", "Conv", []string{x}) }, `node 1 (Conv, "y"): an operator that is not known here`},
		"value":    {func(g *Graph, x string) string { return g.Node("y", "Exp", []string{"z"}) }, `no value "z"`},
		"order": {func(g *Graph, x string) string {
			g.Node("y", "Exp", []string{"h"})
			return g.Node("h", "Exp", []string{x})
		}, `no value "h"`},
		"twice":     {func(g *Graph, x string) string { return g.Node(g.Node("y", "Exp", []string{x}), "Exp", []string{x}) }, `a second value "y"`},
		"output":    {func(g *Graph, x string) string { return "z" }, `output: no value "z"`},
		"inputs":    {func(g *Graph, x string) string { return g.Node("y", "Exp", []string{x, x}) }, "2 inputs and 1 outputs"},
		"attribute": {func(g *Graph, x string) string { return g.Node("y", "Elu", []string{x}) }, "no attribute alpha"},
		"axis":      {func(g *Graph, x string) string { return g.Node("y", "Softmax", []string{x}, Int("axis", 0)) }, "only the last one"},
		"shapes": {func(g *Graph, x string) string {
			return g.Node("y", "Add", []string{x, g.Constant("c", make([]float32, 3), 3)})
		}, "shapes [2 2] and [3]"},
		"reshape": {func(g *Graph, x string) string { return g.Node("y", "Reshape", []string{x, g.Integers("s", 3, -1)}) }, "shape [3 -1] of [2 2]"},
		"row": {func(g *Graph, x string) string {
			return g.Node("y", "Gather", []string{x, g.Integers("index", 0, 2)})
		}, "element 2 of 2"},
		"text": {func(g *Graph, x string) string {
			return g.Node("y", "Neg", []string{g.Node("word", LabelEncoder, []string{x}, Names(nil, nil, "other")...)})
		}, "texts, which it does not take"},
		"labels": {func(g *Graph, x string) string {
			return g.Node("y", LabelEncoder, []string{x}, Names([]int{1}, nil, "other")...)
		}, "0 texts of 1 integers"},
		"domain": {func(g *Graph, x string) string { return g.Node("y", "com.example.Neg", []string{x}) }, "an operator that is not known here"},
		"slice": {func(g *Graph, x string) string {
			return g.Node("y", "Slice", []string{x, g.Integers("a", 1), g.Integers("b", 3), g.Integers("c", 1)})
		}, "columns 1 to 3"},
		"memory": {func(g *Graph, x string) string {
			empty := g.Node("e", "Slice", []string{x, g.Integers("a", 0), g.Integers("b", 0), g.Integers("c", 1)})
			return g.Node("y", "Gemm", []string{empty, g.Constant("w", nil, 0, 1<<30), x}, Int("transB", 0))
		}, "shapes [2 0], [0 1073741824] and [2 2]"},
	} {
		_, err := Run(context.Background(), graphOf(c.build), input())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	m := graphOf(cases()[0].build)
	for name, in := range map[string]map[string]Tensor{
		"none": {}, "columns": {"x": NewTensor(make([]float32, 3), 1, 3)}, "rank": {"x": NewTensor(make([]float32, 2), 2)}, "values": {"x": {Shape: []int{2, 2}}},
		"texts": {"x": {Shape: []int{1, 2}, Texts: []string{"a", "b"}}},
	} {
		if _, err := Run(context.Background(), m, in); err == nil || !strings.Contains(err.Error(), `input "x"`) {
			t.Errorf("input %s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, m, input()); err != context.Canceled {
		t.Errorf("a cancelled context: %v", err)
	}
	huge := &onnxpb.TensorProto{Dims: []int64{1 << 40}, DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT))}
	if _, err := widen(huge); err == nil {
		t.Error("a constant of 2⁴⁰ elements and no bytes is read")
	}
	if _, err := zeros(1<<20, 1<<20); err == nil {
		t.Error("2⁴⁰ zeros are made")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		pb   *onnxpb.ModelProto
		want string
	}{
		"no graph": {&onnxpb.ModelProto{}, "without a graph"},
		"opset":    {&onnxpb.ModelProto{Graph: &onnxpb.GraphProto{}}, "opset 17"},
	} {
		content, err := proto.Marshal(c.pb)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(content); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Decode([]byte("no protobuf")); err == nil || !strings.Contains(err.Error(), "not an ONNX file") {
		t.Errorf("text: %v", err)
	}
}

// FuzzRun: whatever bytes come, there is an error or outputs whose values fill
// their shapes.
func FuzzRun(f *testing.F) {
	for _, c := range cases() {
		content, err := Encode(graphOf(c.build))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := Decode(content)
		if err != nil {
			return
		}
		got, err := Run(context.Background(), m, input())
		if err != nil {
			return
		}
		for name, y := range got {
			if !y.full() {
				t.Errorf("output %q: %d values and %d texts for shape %v", name, len(y.Values), len(y.Texts), y.Shape)
			}
		}
	})
}
