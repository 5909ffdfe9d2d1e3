package deps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// folders are those of the packages that docs/theory.md names.
var folders = map[string]string{
	"baseline": "baseline", "device": "device", "figure": "figure", "main": "cmd/gpudae", "metric": "metric", "model": "model", "reference": "device/reference", "sample": "sample", "train": "train", "twosample": "twosample",
}

var codeName = regexp.MustCompile("`([a-z]+)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)`")

// TestTheoryNamesWhatExists: every function and test in docs/theory.md is in
// the package that it says.
func TestTheoryNamesWhatExists(t *testing.T) {
	text, err := os.ReadFile("../../docs/theory.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]map[string]bool{}
	names := codeName.FindAllStringSubmatch(string(text), -1)
	if len(names) < 40 {
		t.Fatalf("only %d names of code in the text", len(names))
	}
	for _, name := range names {
		folder, known := folders[name[1]]
		if !known {
			t.Errorf("%s: no folder is known for the package", name[0])
			continue
		}
		if declared[folder] == nil {
			declared[folder] = declarations(t, filepath.Join("../..", folder))
		}
		if !declared[folder][name[2]] {
			t.Errorf("%s is not in %s", name[0], folder)
		}
	}
}

// declarations are the functions, methods (as Type.Method) and types of a
// folder's files, tests included.
func declarations(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				found[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						found[s.Name.Name] = true
					}
				}
			}
		}
	}
	return found
}

// receiver is "Type." for a method, otherwise empty.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}
