package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCommittedFilesAreGenerated runs the generator and compares what it
// writes with the files in package cpu, but for the line that says how it was
// called.
func TestCommittedFilesAreGenerated(t *testing.T) {
	folder := t.TempDir()
	assembly, stubs := filepath.Join(folder, "vector_amd64.s"), filepath.Join(folder, "vector_amd64.go")
	generator := exec.Command("go", "run", ".", "-out", assembly, "-stubs", stubs, "-pkg", "cpu")
	if output, err := generator.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, path := range []string{assembly, stubs} {
		name := filepath.Base(path)
		if !bytes.Equal(body(t, path), body(t, filepath.Join("..", "..", name))) {
			t.Errorf("cpu/%s is not what the generator writes: run go generate in folder cpu", name)
		}
	}
}

// body is a file without its first line.
func body(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return rest
}
