package data

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// TestExchange is one half of scripts/check/data.py. A manifest lists data sets
// that Python wrote, and for each the files to write what was read of it to.
func TestExchange(t *testing.T) {
	folder := os.Getenv("GPUDAE_EXCHANGE")
	if folder == "" {
		t.Skip("GPUDAE_EXCHANGE is not set: run scripts/check/data.py")
	}
	manifest, err := os.ReadFile(filepath.Join(folder, "manifest.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(manifest)) {
		names := strings.Split(strings.TrimSpace(line), "\t")
		d := open(t, filepath.Join(folder, names[0]), Options{})
		info := d.Info()
		x, err := d.Read(context.Background(), 0, info.Rows)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names[1:] {
			y := x.Clone().(*tensor.Dense)
			if !strings.Contains(name, ".csv") {
				if err := y.Reshape(append([]int{info.Rows}, info.Shape...)...); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(folder, name), y, info.Columns)
		}
	}
}
