package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCommittedFileIsGenerated compares what the generator writes with what is
// in package onnxpb.
func TestCommittedFileIsGenerated(t *testing.T) {
	const folder = "../../onnxpb"
	out := filepath.Join(t.TempDir(), "onnx.pb.go")
	if err := generate(folder, "onnx.proto", "gpudae/onnx/onnxpb", out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(folder, "onnx.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("onnx/onnxpb/onnx.pb.go is not what the generator writes: run go generate in onnx/onnxpb")
	}
}
