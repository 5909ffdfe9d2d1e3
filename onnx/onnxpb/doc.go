// Package onnxpb holds the messages of the ONNX format, generated from its
// definition onnx.proto, which is part of ONNX 1.17.0 (Copyright (c) ONNX Project
// Contributors, Apache License 2.0, as this project). Neither file is edited here.
//
// The package must not know what models mean; see package onnx.
package onnxpb

//go:generate go run -C ../internal/pbgen . -folder ../../onnxpb -out ../../onnxpb/onnx.pb.go -package gpudae/onnx/onnxpb onnx.proto
