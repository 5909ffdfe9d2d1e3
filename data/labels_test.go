package data

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLabelsMayBeLacking where they are optional.
func TestLabelsMayBeLacking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte("x,y\n1,2\n3,4\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for column, features := range map[string]int{"kind": 2, "7": 2, "y": 1} {
		d, err := Open(t.Context(), path, Options{LabelColumn: column, LabelOptional: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Info().Features; got != features || (d.Labels() != nil) != (features == 1) {
			t.Errorf("%s: %d features", column, got)
		}
		d.Close()
	}
	if _, err := Open(t.Context(), path, Options{LabelColumn: "kind"}); err == nil {
		t.Error("a column of labels that is not there")
	}
}
