// Package onnx builds, writes, reads and computes models in the Open Neural
// Network Exchange format, opset 17, with the operators for texts of domain
// ai.onnx.ml: graphs of operations on tensors of float32, float64, int64 and texts
// (https://github.com/onnx/onnx/blob/main/docs/IR.md, .../Operators.md,
// .../Operators-ml.md).
//
// A Graph is built node by node. Encode and Decode are the file format. Run
// computes a graph in float64 by plain loops, as the operators' specification
// reads: it is there to check a file against the program that wrote it, and
// knows the operators of Operators only.
//
// The package must not know auto-encoders, devices or files.
package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"gpudae/onnx/onnxpb"
)

// Versions: opset 17 is the first with LayerNormalization (ONNX 1.12, 2022), and
// IR 8 is what goes with it.
const (
	Opset     = 17
	mlOpset   = 3 // of the domain ai.onnx.ml in that version
	irVersion = 8
)

// Batch is the size of a dimension that a caller chooses, the number of rows.
const Batch = -1

// batchName is how files call it.
const batchName = "N"

// Graph is a computation under construction. Values are known by name: those of
// inputs, constants, and of nodes, each of which has one output of its own name.
// Names must be unique.
type Graph struct {
	pb *onnxpb.GraphProto
}

// NewGraph returns an empty graph of that name.
func NewGraph(name string) *Graph { return &Graph{&onnxpb.GraphProto{Name: &name}} }

// Type is what the elements of a tensor are.
type Type = onnxpb.TensorProto_DataType

// Types.
const (
	Float32 = onnxpb.TensorProto_FLOAT
	Float64 = onnxpb.TensorProto_DOUBLE
	Int64   = onnxpb.TensorProto_INT64
	Text    = onnxpb.TensorProto_STRING
)

// Input declares an input.
func (g *Graph) Input(name, doc string, elements Type, shape ...int) string {
	g.pb.Input = append(g.pb.Input, valueInfo(name, doc, elements, shape))
	return name
}

// Output declares that the value of that name is an output.
func (g *Graph) Output(name, doc string, elements Type, shape ...int) {
	g.pb.Output = append(g.pb.Output, valueInfo(name, doc, elements, shape))
}

func valueInfo(name, doc string, elements Type, shape []int) *onnxpb.ValueInfoProto {
	dims := make([]*onnxpb.TensorShapeProto_Dimension, len(shape))
	for i, size := range shape {
		dims[i] = &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(size)}}
		if size == Batch {
			dims[i].Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: batchName}
		}
	}
	return &onnxpb.ValueInfoProto{Name: &name, DocString: &doc, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(elements)), Shape: &onnxpb.TensorShapeProto{Dim: dims}}}}}
}

// Constant adds a constant of float32, row-major. An empty shape is a scalar.
func (g *Graph) Constant(name string, values []float32, shape ...int) string {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return g.constant(name, onnxpb.TensorProto_FLOAT, raw, len(values), shape)
}

// Doubles adds a constant of float64.
func (g *Graph) Doubles(name string, values []float64, shape ...int) string {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return g.constant(name, onnxpb.TensorProto_DOUBLE, raw, len(values), shape)
}

// Integers adds a vector of int64, such as a shape.
func (g *Graph) Integers(name string, values ...int) string {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return g.constant(name, onnxpb.TensorProto_INT64, raw, len(values), []int{len(values)})
}

func (g *Graph) constant(name string, kind onnxpb.TensorProto_DataType, raw []byte, count int, shape []int) string {
	t := &onnxpb.TensorProto{Name: &name, DataType: proto.Int32(int32(kind)), RawData: raw}
	product := 1
	for _, size := range shape {
		product *= size
		t.Dims = append(t.Dims, int64(size))
	}
	if product != count {
		panic(fmt.Sprintf("onnx: constant %s: %d values for shape %v", name, count, shape))
	}
	g.pb.Initializer = append(g.pb.Initializer, t)
	return name
}

// Attribute is a parameter of a node.
type Attribute = *onnxpb.AttributeProto

// Int is an attribute.
func Int(name string, v int) Attribute {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(v))}
}

// Float is an attribute.
func Float(name string, v float32) Attribute {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_FLOAT.Enum(), F: &v}
}

// Labels are the attributes of a LabelEncoder from texts to integers: other is
// that of all other texts.
func Labels(texts []string, codes []int, other int) []Attribute {
	return []Attribute{textsAttribute("keys_strings", texts), integersAttribute("values_int64s", codes), Int("default_int64", other)}
}

// Names are those of one from integers to texts.
func Names(codes []int, texts []string, other string) []Attribute {
	return []Attribute{integersAttribute("keys_int64s", codes), textsAttribute("values_strings", texts),
		{Name: proto.String("default_string"), Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(other)}}
}

func textsAttribute(name string, texts []string) Attribute {
	a := &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_STRINGS.Enum()}
	for _, text := range texts {
		a.Strings = append(a.Strings, []byte(text))
	}
	return a
}

func integersAttribute(name string, values []int) Attribute {
	a := &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum()}
	for _, v := range values {
		a.Ints = append(a.Ints, int64(v))
	}
	return a
}

// LabelEncoder is the operator that looks texts or integers up.
const LabelEncoder = mlDomain + ".LabelEncoder"

const mlDomain = "ai.onnx.ml"

// Node adds an operation, whose output has the node's name, and returns it. What
// precedes the last point of op is its domain.
func (g *Graph) Node(name, op string, inputs []string, attributes ...Attribute) string {
	n := &onnxpb.NodeProto{Name: &name, Input: inputs, Output: []string{name}, Attribute: attributes}
	if i := strings.LastIndexByte(op, '.'); i >= 0 {
		n.Domain, op = proto.String(op[:i]), op[i+1:]
	}
	n.OpType = &op
	g.pb.Node = append(g.pb.Node, n)
	return name
}

// About describes a model in its file.
type About struct {
	Producer, Version string // the program
	Doc               string // a sentence
	Metadata          []Property
}

// Property is an entry of a model's metadata.
type Property struct{ Key, Value string }

// Model completes a graph.
func (g *Graph) Model(a About) *Model {
	pb := &onnxpb.ModelProto{
		IrVersion: proto.Int64(irVersion), OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(Opset)}},
		ProducerName: &a.Producer, ProducerVersion: &a.Version, DocString: &a.Doc, Graph: g.pb,
	}
	if slices.ContainsFunc(g.pb.Node, func(n *onnxpb.NodeProto) bool { return n.GetDomain() == mlDomain }) {
		pb.OpsetImport = append(pb.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String(mlDomain), Version: proto.Int64(mlOpset)})
	}
	for _, p := range a.Metadata {
		pb.MetadataProps = append(pb.MetadataProps, &onnxpb.StringStringEntryProto{Key: &p.Key, Value: &p.Value})
	}
	return &Model{pb}
}
