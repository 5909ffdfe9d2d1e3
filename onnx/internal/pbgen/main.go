// Command pbgen writes the Go code of the ONNX messages from their definition,
// as protoc with protoc-gen-go would, but without a program to install beside
// Go: the definition is compiled by protocompile. It is a module of its own, so
// that its dependencies are not those of gpudae.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	folder := flag.String("folder", ".", "folder of the definition")
	out := flag.String("out", "", "Go file to write")
	pkg := flag.String("package", "", "its import path")
	flag.Parse()
	if err := generate(*folder, flag.Arg(0), *pkg, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pbgen:", err)
		os.Exit(1)
	}
}

// generate compiles the definition named name in folder to the Go file out of
// package pkg.
func generate(folder, name, pkg, out string) error {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{folder}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		return err
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{name},
		Parameter:      proto.String("M" + name + "=" + pkg),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
	})
	if err != nil {
		return err
	}
	internal_gengo.GenerateFile(plugin, plugin.Files[0])
	response := plugin.Response()
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	return os.WriteFile(out, []byte(response.File[0].GetContent()), 0o666)
}
