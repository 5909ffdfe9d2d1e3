package main

import (
	"slices"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	app := (&program{}).app()
	for line, want := range map[string]string{
		"train digits --epochs 3 -o R":           "train --epochs=3 --out=R -- digits",
		"train -o=R digits --tied":               "train --out=R --tied -- digits",
		"train --tied=false -- --odd -o":         "train --tied=false -- --odd -o",
		"train -epochs 3":                        "train --epochs=3",
		"train --lr -1":                          "train --lr=-1",
		"train --set a=b --set c=d=e":            "train --set=a=b --set=c=d=e",
		"eval R - --json":                        "eval --json -- R -",
		"data info x --label y":                  "data info --label=y -- x",
		"--version":                              "--version",
		"train --corruption masking:0.25+swap:1": "train --corruption=masking:0.25+swap:1",
	} {
		got, err := arrange(app, strings.Fields("gpudae "+line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if joined := strings.Join(got.args[1:], " "); joined != want {
			t.Errorf("%s became %s, want %s", line, joined, want)
		}
	}
}

// FuzzArrange checks that no command line is a panic, and that what is arranged
// keeps the positional arguments.
func FuzzArrange(f *testing.F) {
	f.Add("train digits --epochs 3 -o R")
	f.Add("data info -- --x")
	f.Add("help train --lr")
	app := (&program{}).app()
	f.Fuzz(func(t *testing.T, line string) {
		args := append([]string{"gpudae"}, strings.Split(line, " ")...)
		got, err := arrange(app, args)
		if err != nil {
			if told := err.Error(); !strings.Contains(told, ": ") {
				t.Errorf("error %q", told)
			}
			return
		}
		if i := slices.Index(got.args, "--"); i >= 0 {
			for _, positional := range got.args[i+1:] {
				if !slices.Contains(args, positional) {
					t.Errorf("%q appeared in %q", positional, got.args)
				}
			}
		}
	})
}
