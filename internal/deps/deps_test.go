// Package deps holds the import arrows of the design as a test: which package
// of this module may import which. An arrow that is missing here is an error
// when it appears in the code, and a package that is missing here is an error
// too, so that the table cannot fall behind.
package deps

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "gpudae"

// arrows maps a package to the packages of this module that it may import.
// "*" stands for all. Tests of a package may import more; see testArrows.
var arrows = map[string][]string{
	"device":               {"device/philox"},
	"device/philox":        {},
	"device/reference":     {"device", "device/philox"},
	"device/devicetest":    {"device", "device/philox", "device/reference"},
	"device/tape":          {"device"},
	"cpu":                  {"device", "device/philox", "device/tape"},
	"cpu/internal/amx":     {},
	"model":                {"device", "device/philox", "internal/spelling"},
	"optim":                {"device"},
	"data":                 {"device/philox", "internal/atomicfile", "internal/safetensors", "internal/spelling"},
	"data/download":        {},
	"table":                {"data", "device", "device/philox", "internal/atomicfile", "internal/spelling"},
	"train":                {"data", "device", "device/philox", "internal/atomicfile", "internal/safetensors", "model", "optim"},
	"export":               {"data", "device", "device/philox", "internal/safetensors", "model", "onnx", "table", "train"},
	"onnx":                 {"onnx/onnxpb"},
	"onnx/onnxpb":          {},
	"sample":               {"device", "device/philox", "model"},
	"twosample":            {"device/philox"},
	"impute":               {},
	"anomaly":              {},
	"serve":                {"data"},
	"baseline":             {},
	"figure":               {"internal/atomicfile"},
	"metric":               {},
	"report":               {},
	"tensorboard":          {},
	"kernels":              {},
	"cuda":                 {},
	"cuda/cublaslt":        {"cuda"},
	"cuda/cudatest":        {"cuda"},
	"gpu":                  {"cuda", "cuda/cublaslt", "device", "gpu/fuse", "gpu/smallnet", "kernels"},
	"gpu/fuse":             {"device", "device/tape"},
	"gpu/smallnet":         {"device"},
	"internal/atomicfile":  {},
	"internal/safetensors": {"internal/atomicfile"},
	"internal/deps":        {},
	"internal/roofline":    {"device", "gpu/fuse", "kernels"},
	"internal/selftest":    {"device", "device/philox", "device/reference", "model", "optim"},
	"internal/settings":    {"internal/spelling"},
	"internal/spelling":    {},
	"internal/sweep":       {"device/philox", "internal/settings"},
	"cmd/gpudae":           {"*"},

	"cpu/internal/amx/emulate": {"cpu/internal/amx"},

	"examples/vincent2010": {"data"},
}

// outside maps third-party modules to the only packages that may import them.
// What is not listed may be imported anywhere.
var outside = map[string][]string{
	"github.com/urfave/cli/v2":         {"cmd/gpudae"},
	"gorgonia.org/cu":                  {"cuda"},
	"gonum.org/v1/plot":                {"figure"},
	"github.com/parquet-go/parquet-go": {"data"},
	"github.com/apache/arrow-go/v18":   {"data"},
	"github.com/klauspost/compress":    {"data"},
	"github.com/prometheus":            {"serve"},
	"gorgonia.org/tensor":              {"data", "model", "train", "sample", "export", "gpu", "serve", "cmd/gpudae"},
	"google.golang.org/protobuf":       {"onnx", "onnx/onnxpb", "tensorboard"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportArrows(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s has no row in the table of arrows", name)
			continue
		}
		for _, imported := range p.Imports {
			checkArrow(t, name, imported, allowed)
		}
	}
}

func checkArrow(t *testing.T, name, imported string, allowed []string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*") {
			t.Errorf("package %s must not import %s", name, ours)
		}
		return
	}
	for path, importers := range outside {
		if (imported == path || strings.HasPrefix(imported, path+"/")) && !slices.Contains(importers, name) {
			t.Errorf("package %s must not import %s", name, imported)
		}
	}
}

// list returns the packages of the plain build and those of a build with the
// tag cuda, which need not be compiled for it: -e forgives what is not built yet.
func list(t *testing.T) []goPackage {
	t.Helper()
	return append(listWith(t, ""), listWith(t, "cuda")...)
}

func listWith(t *testing.T, tags string) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-tags="+tags, "-json=ImportPath,Imports", module+"/...")
	command.Env = append(command.Environ(), "CGO_ENABLED=1")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}
