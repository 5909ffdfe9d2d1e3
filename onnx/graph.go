// Package onnx builds, writes, reads and computes models in the Open Neural
// Network Exchange format, opset 17: graphs of operations on tensors of float32
// and, inside, float64
// (https://github.com/onnx/onnx/blob/main/docs/IR.md, .../Operators.md).
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

	"google.golang.org/protobuf/proto"

	"gpudae/onnx/onnxpb"
)

// Versions: opset 17 is the first with LayerNormalization (ONNX 1.12, 2022), and
// IR 8 is what goes with it.
const (
	Opset     = 17
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

// Input declares an input of float32.
func (g *Graph) Input(name, doc string, shape ...int) string {
	g.pb.Input = append(g.pb.Input, valueInfo(name, doc, shape))
	return name
}

// Output declares that the value of that name is an output.
func (g *Graph) Output(name, doc string, shape ...int) {
	g.pb.Output = append(g.pb.Output, valueInfo(name, doc, shape))
}

func valueInfo(name, doc string, shape []int) *onnxpb.ValueInfoProto {
	dims := make([]*onnxpb.TensorShapeProto_Dimension, len(shape))
	for i, size := range shape {
		dims[i] = &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(size)}}
		if size == Batch {
			dims[i].Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: batchName}
		}
	}
	return &onnxpb.ValueInfoProto{Name: &name, DocString: &doc, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Shape: &onnxpb.TensorShapeProto{Dim: dims}}}}}
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

// Types of numbers, for the attribute "to" of Cast.
const (
	Float32 = int(onnxpb.TensorProto_FLOAT)
	Float64 = int(onnxpb.TensorProto_DOUBLE)
)

// Node adds an operation, whose output has the node's name, and returns it.
func (g *Graph) Node(name, op string, inputs []string, attributes ...Attribute) string {
	g.pb.Node = append(g.pb.Node, &onnxpb.NodeProto{Name: &name, OpType: &op, Input: inputs, Output: []string{name}, Attribute: attributes})
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
	for _, p := range a.Metadata {
		pb.MetadataProps = append(pb.MetadataProps, &onnxpb.StringStringEntryProto{Key: &p.Key, Value: &p.Value})
	}
	return &Model{pb}
}
