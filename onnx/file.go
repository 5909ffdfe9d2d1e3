package onnx

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"gpudae/onnx/onnxpb"
)

// MaxBytes bounds a file: what a message of protobuf may have.
const MaxBytes = 1<<31 - 1

// Model is the content of a file.
type Model struct {
	pb *onnxpb.ModelProto
}

// Encode returns the bytes of a file; equal models give equal bytes. It fails
// if there are more than MaxBytes.
func Encode(m *Model) ([]byte, error) {
	if size := proto.Size(m.pb); size > MaxBytes {
		return nil, fmt.Errorf("an ONNX file of %d bytes: the format ends at %d", size, MaxBytes)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m.pb)
}

// Decode reads the bytes of a file.
func Decode(content []byte) (*Model, error) {
	pb := &onnxpb.ModelProto{}
	if err := proto.Unmarshal(content, pb); err != nil {
		return nil, fmt.Errorf("not an ONNX file: %w", err)
	}
	if pb.Graph == nil {
		return nil, errors.New("an ONNX file without a graph")
	}
	for _, set := range pb.OpsetImport {
		if set.GetDomain() == "" && set.GetVersion() == Opset {
			return &Model{pb}, nil
		}
	}
	return nil, fmt.Errorf("an ONNX file of other operators than those of opset %d", Opset)
}

// Metadata returns the properties by their keys.
func (m *Model) Metadata() map[string]string {
	all := map[string]string{}
	for _, p := range m.pb.MetadataProps {
		all[p.GetKey()] = p.GetValue()
	}
	return all
}

// Inputs lists the names of the inputs.
func (m *Model) Inputs() []string {
	var names []string
	for _, in := range m.pb.Graph.Input {
		names = append(names, in.GetName())
	}
	return names
}

// Outputs lists the names of the outputs.
func (m *Model) Outputs() []string {
	var names []string
	for _, o := range m.pb.Graph.Output {
		names = append(names, o.GetName())
	}
	return names
}
