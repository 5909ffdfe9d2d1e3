//go:build slow && linux

package table

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Three million rows of a CSV file are inferred and stored within 1.1 times the
// size of the records and what some columns cost; a float copy of the table, or the
// text of it, would be several times that.
func TestMemoryOfMillionsOfRows(t *testing.T) {
	const rows, columns = 2_500_000, 15
	path := writeCSV(t, rows, columns)
	frame := openFrame(t, path)
	before := resident(t, "VmRSS")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the peak cannot be measured: ", err)
	}
	schema, _, err := Infer(context.Background(), frame, Options{})
	if err != nil {
		t.Fatal(err)
	}
	inferred := resident(t, "VmHWM") - before
	store := encoded(t, frame, schema, StoreOptions{})
	peak := resident(t, "VmHWM") - before
	text, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("records %d MB (%d bytes a row), text %d MB, as float32 %d MB; peak of inference %d MB, of both %d MB",
		store.Bytes()>>20, store.Records().Stride, text.Size()>>20, rows*columns*4>>20, inferred>>20, peak>>20)
	const fixed = 64 << 20 // blocks of cells, tallies of columns, garbage
	if limit := store.Bytes()/10*11 + fixed; peak > limit {
		t.Errorf("the peak is %d MB, beyond %d MB", peak>>20, limit>>20)
	}
	if inferred > fixed {
		t.Errorf("inference takes %d MB", inferred>>20)
	}
}

// resident is a line of /proc/self/status in bytes.
func resident(t *testing.T, what string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, what+":"); found {
			kilobytes := 0
			if _, err := fmt.Sscan(value, &kilobytes); err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no %s", what)
	return 0
}
