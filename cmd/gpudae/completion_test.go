package main

import (
	"slices"
	"strings"
	"testing"
)

// TestComplete: what can follow a command line, the last word being unfinished;
// nothing stands for files.
func TestComplete(t *testing.T) {
	app := (&program{}).app()
	for _, c := range []struct {
		line string
		want []string // some of the candidates; none at all if it is empty
		not  []string
	}{
		{"", []string{"train", "sweep", "completion"}, []string{"complete"}},
		{"tr", []string{"train"}, []string{"eval"}},
		{"data ", []string{"list", "get"}, []string{"train"}},
		{"train ", []string{"digits", "two-moons", "mnist"}, nil},
		{"train --res", []string{"--resume"}, []string{"--lr"}},
		{"train digits --preset ", []string{"toy", "vae"}, []string{"digits"}},
		{"train digits --preset=v", []string{"--preset=vae"}, []string{"--preset=toy"}},
		{"train digits --preset = v", []string{"vae"}, []string{"toy"}},
		{"train digits --preset =", []string{"vae", "toy"}, nil},
		{"train --device c", []string{"cpu", "cuda"}, []string{"reference"}},
		{"train --resume ", []string{"digits"}, nil},
		{"train -o ", nil, nil},
		{"train --header ", []string{"auto", "none", "names"}, nil},
		{"train --corruption sw", []string{"swap"}, []string{"masking"}},
		{"eval runs/a ", []string{"digits"}, nil},
		{"eval ", nil, nil},
		{"eval runs/a digits ", nil, nil},
		{"figure runs/a ", []string{"filters", "vector-field"}, nil},
		{"figure --json runs/a f", []string{"filters"}, []string{"curves"}},
		{"data get ", []string{"mnist"}, []string{"digits"}},
		{"bench mnist", []string{"mnist-mask-b128"}, nil},
		{"completion ", []string{"bash", "zsh", "fish"}, nil},
		{"nonsense ", nil, nil},
		{"train --nonsense ", nil, nil},
	} {
		var got []string
		for _, candidate := range complete(app, strings.Split(c.line, " ")) {
			got = append(got, candidate.word)
		}
		for _, word := range c.want {
			if !slices.Contains(got, word) {
				t.Errorf("%q: no %q in %q", c.line, word, got)
			}
		}
		if len(c.want) == 0 && len(got) > 0 {
			t.Errorf("%q: %q", c.line, got)
		}
		for _, word := range c.not {
			if slices.Contains(got, word) {
				t.Errorf("%q: %q", c.line, word)
			}
		}
	}
}

// TestManualHasEveryFlag: and no line that man would take for a request.
func TestManualHasEveryFlag(t *testing.T) {
	app := (&program{}).app()
	page := manPage(app, "2026-01-02")
	for _, c := range app.Commands {
		if name := `.SS "gpudae ` + c.Name; strings.Contains(page, name) == c.Hidden {
			t.Errorf("%s: hidden %v", name, c.Hidden)
		}
		for _, f := range c.Flags {
			if name := escaped("--" + f.Names()[0]); !c.Hidden && !strings.Contains(page, name) {
				t.Errorf("no %s of %s", name, c.Name)
			}
		}
	}
	for line := range strings.SplitSeq(page, "\n") {
		request, _, _ := strings.Cut(strings.TrimPrefix(line, "."), " ")
		if strings.HasPrefix(line, ".") && !slices.Contains([]string{"TH", "SH", "SS", "PP", "TP", "nf", "fi"}, request) || strings.HasPrefix(line, "'") {
			t.Errorf("a request %q", line)
		}
	}
}
