package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPredictionsAreThoseOfThePage: docs/gpu-performance.md holds what bench
// --predict prints, so that a step that asks for more than it did is seen. With
// GPUDAE_UPDATE=1 the page is written.
func TestPredictionsAreThoseOfThePage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "gpu-performance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(page)
	for _, name := range []string{"h100", "a100"} {
		g, err := gpuNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		p := &program{stdout: &out}
		if err := p.predictSteps(context.Background(), g, workloads(), false); err != nil {
			t.Fatal(err)
		}
		want = between(t, want, "<!-- predicted: "+name+" -->\n", "```\n"+out.String()+"```\n\n")
	}
	if want == string(page) {
		return
	}
	if os.Getenv("GPUDAE_UPDATE") == "" {
		t.Fatalf("%s is not what bench --predict prints now; look at the difference, and run this test with GPUDAE_UPDATE=1 to write it", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
		t.Fatal(err)
	}
}

// between replaces what follows a mark, a block of code if one stands there.
func between(t *testing.T, page, mark, text string) string {
	t.Helper()
	before, after, found := strings.Cut(page, mark)
	if !found {
		t.Fatalf("the page has no %s", mark)
	}
	if strings.HasPrefix(after, "```\n") {
		_, rest, closed := strings.Cut(after[len("```\n"):], "```\n\n")
		if !closed {
			t.Fatalf("the block after %s has no end", mark)
		}
		after = rest
	}
	return before + mark + text + after
}
