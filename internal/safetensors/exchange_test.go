package safetensors

import (
	"os"
	"path/filepath"
	"testing"
)

// TestExchange is one half of scripts/check/data.py: it reads what Python wrote
// and writes it again.
func TestExchange(t *testing.T) {
	folder := os.Getenv("GPUDAE_EXCHANGE")
	if folder == "" {
		t.Skip("GPUDAE_EXCHANGE is not set: run scripts/check/data.py")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "python-*.safetensors"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s, %v", folder, err)
	}
	for _, path := range paths {
		f, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(filepath.Join(folder, "go-"+filepath.Base(path)), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(filepath.Join(folder, "go.safetensors"), sample()); err != nil {
		t.Fatal(err)
	}
}
