package onnx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"gpudae/onnx/onnxpb"
)

// Tensor is an array of numbers or of texts, row-major; integers are exact up to 2⁵³.
type Tensor struct {
	Shape  []int
	Values []float64
	Texts  []string // in place of Values
}

// full reports whether there are as many elements as the shape says.
func (t Tensor) full() bool {
	n, ok := elements(t.Shape)
	return ok && n == max(len(t.Values), len(t.Texts)) && (t.Values == nil || t.Texts == nil)
}

// NewTensor widens float32 values.
func NewTensor(values []float32, shape ...int) Tensor {
	t := Tensor{Shape: shape, Values: make([]float64, len(values))}
	for i, v := range values {
		t.Values[i] = float64(v)
	}
	return t
}

// maxElements bounds a tensor that a graph makes, since a file may come from
// anywhere and a few bytes can ask for much memory.
const maxElements = 1 << 25

// Run computes the outputs of a model from its inputs, in float64. It fails if
// the graph is not in order, uses an operator that is not one of Operators, or
// asks for more memory than is reasonable; and with the context's error.
func Run(ctx context.Context, m *Model, inputs map[string]Tensor) (map[string]Tensor, error) {
	r := &run{values: map[string]Tensor{}, constants: map[string]*onnxpb.TensorProto{}}
	for _, c := range m.pb.Graph.Initializer {
		r.constants[c.GetName()] = c
	}
	for _, in := range m.pb.Graph.Input {
		x, given := inputs[in.GetName()]
		if !given {
			return nil, fmt.Errorf("no input %q", in.GetName())
		}
		if err := checkInput(x, in.GetType().GetTensorType()); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		r.values[in.GetName()] = x
	}
	for i, n := range m.pb.Graph.Node {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.node(n); err != nil {
			return nil, fmt.Errorf("node %d (%s, %q): %w", i+1, n.GetOpType(), n.GetName(), err)
		}
	}
	outputs := map[string]Tensor{}
	for _, out := range m.pb.Graph.Output {
		y, err := r.value(out.GetName())
		if err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		outputs[out.GetName()] = y
	}
	return outputs, nil
}

// checkInput compares a tensor with what the graph declares.
func checkInput(x Tensor, declared *onnxpb.TypeProto_Tensor) error {
	if !x.full() {
		return fmt.Errorf("%d values and %d texts for shape %v", len(x.Values), len(x.Texts), x.Shape)
	}
	switch kind := Type(declared.GetElemType()); {
	case kind != Float32 && kind != Float64 && kind != Text:
		return fmt.Errorf("elements of %s, which are not known here", kind)
	case (kind == Text) != (x.Texts != nil):
		return fmt.Errorf("%d texts for elements of %s", len(x.Texts), kind)
	}
	dims := declared.GetShape().GetDim()
	fits := len(dims) == len(x.Shape)
	for i := 0; fits && i < len(dims); i++ {
		size, fixed := dims[i].GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue)
		fits = !fixed || size.DimValue == int64(x.Shape[i])
	}
	if !fits {
		return fmt.Errorf("the shape %v does not fit the declared one", x.Shape)
	}
	return nil
}

// run is a computation: constants are widened when they are used, so that a
// large model is not held twice.
type run struct {
	values    map[string]Tensor
	constants map[string]*onnxpb.TensorProto
}

func (r *run) node(n *onnxpb.NodeProto) error {
	kind := n.GetOpType()
	if n.GetDomain() != "" {
		kind = n.GetDomain() + "." + kind
	}
	op, known := operators[kind]
	if !known {
		return errors.New("an operator that is not known here")
	}
	if len(n.Input) != op.inputs && op.inputs >= 0 || len(n.Input) == 0 || len(n.Output) != 1 {
		return fmt.Errorf("%d inputs and %d outputs", len(n.Input), len(n.Output))
	}
	args := arguments{attributes: n.Attribute}
	for _, name := range n.Input {
		x, err := r.value(name)
		if err != nil {
			return err
		}
		if x.Texts != nil && kind != LabelEncoder {
			return errors.New("texts, which it does not take")
		}
		args.inputs = append(args.inputs, x)
	}
	y, err := op.compute(&args)
	if err != nil {
		return err
	}
	if _, taken := r.values[n.Output[0]]; taken {
		return fmt.Errorf("a second value %q", n.Output[0])
	}
	r.values[n.Output[0]] = y
	return nil
}

func (r *run) value(name string) (Tensor, error) {
	if x, computed := r.values[name]; computed {
		return x, nil
	}
	c, constant := r.constants[name]
	if !constant {
		return Tensor{}, fmt.Errorf("no value %q", name)
	}
	x, err := widen(c)
	if err != nil {
		return Tensor{}, fmt.Errorf("constant %q: %w", name, err)
	}
	return x, nil
}

// widen reads a constant.
func widen(c *onnxpb.TensorProto) (Tensor, error) {
	t := Tensor{}
	for _, d := range c.Dims {
		if d < 0 || d > math.MaxInt32 {
			return t, fmt.Errorf("a dimension of %d", d)
		}
		t.Shape = append(t.Shape, int(d))
	}
	var size int
	var element func([]byte) float64
	switch kind := onnxpb.TensorProto_DataType(c.GetDataType()); kind {
	case onnxpb.TensorProto_FLOAT:
		size, element = 4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }
	case onnxpb.TensorProto_DOUBLE:
		size, element = 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	case onnxpb.TensorProto_INT64:
		size, element = 8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) }
	default:
		return t, fmt.Errorf("elements of %s, which are not known here", kind)
	}
	n, ok := elements(t.Shape)
	if !ok || n > len(c.RawData)/size || len(c.RawData) != n*size {
		return t, fmt.Errorf("%d bytes for shape %v", len(c.RawData), t.Shape)
	}
	t.Values = make([]float64, n)
	for i := range t.Values {
		t.Values[i] = element(c.RawData[i*size:])
	}
	return t, nil
}

// elements multiplies the sizes of a shape, and reports whether the product is
// within what is allowed.
func elements(shape []int) (int, bool) {
	n := 1
	for _, size := range shape {
		if size < 0 || size > math.MaxInt32 {
			return 0, false
		}
		if n *= size; n > math.MaxInt32 {
			return 0, false
		}
	}
	return n, true
}

// zeros returns a tensor of zeros.
func zeros(shape ...int) (Tensor, error) {
	n, ok := elements(shape)
	if !ok || n > maxElements {
		return Tensor{}, fmt.Errorf("a tensor of shape %v is too large", shape)
	}
	return Tensor{Shape: slices.Clone(shape), Values: make([]float64, n)}, nil
}
