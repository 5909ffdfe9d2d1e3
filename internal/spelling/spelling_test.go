package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"corruption", "batch", "epochs", "lr", "hidden", "activation", "salt-and-pepper"}
	for typed, want := range map[string]string{
		"coruption": "corruption", "batch-size": "batch", "epoch": "epochs", "LR": "lr", "hiddne": "hidden",
		"acitvation": "activation", "salt": "salt-and-pepper", "SALT": "salt-and-pepper",
		"zebra": "", "": "", "ba": "", strings.Repeat("batch", 1000): "batch", strings.Repeat("x", 1<<20): "",
	} {
		if got := Nearest(typed, words); got != want {
			t.Errorf("nearest to %.20q is %q, want %q", typed, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"ca", "abc", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q it is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
