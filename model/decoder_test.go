package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// decoderWidths are the units of a decoder's layers, the output last.
func decoderWidths(d *DAE) []int {
	var widths []int
	for _, l := range d.Layers()[len(d.EncoderWidths()):] {
		widths = append(widths, l.Out)
	}
	return widths
}

// TestDecoderHidden: each way to give the decoder's layers, with a code of its own and without.
func TestDecoderHidden(t *testing.T) {
	for _, c := range []struct {
		hidden  []int
		code    int
		decoder string
		want    []int
		kept    string
	}{
		{[]int{6, 4}, 0, "", []int{6, 5}, ""},
		{[]int{6, 4}, 0, DecoderMirrors, []int{6, 5}, ""},
		{[]int{6, 4}, 3, "", []int{4, 6, 5}, ""},
		{[]int{6, 4}, 0, DecoderBare, []int{5}, DecoderBare},
		{[]int{6, 4}, 3, "7", []int{7, 5}, "7"},
		{[]int{6}, 0, "7, 8,9", []int{7, 8, 9, 5}, "7, 8,9"},
		{nil, 3, "7", []int{7, 5}, "7"},
	} {
		d := mustNew(t, Config{Features: 5, Hidden: c.hidden, Code: c.code, DecoderHidden: c.decoder, Likelihood: "gaussian"})
		if got := decoderWidths(d); !slices.Equal(got, c.want) {
			t.Errorf("hidden %v, code %d, decoder %q: the decoder has %v, want %v", c.hidden, c.code, c.decoder, got, c.want)
		}
		if got := d.Config().DecoderHidden; got != c.kept {
			t.Errorf("decoder %q is kept as %q, want %q", c.decoder, got, c.kept)
		}
	}
}

// TestDecoderHiddenIsRefused: what is no list of units, and what needs the encoder's mirror.
func TestDecoderHiddenIsRefused(t *testing.T) {
	classes := &Target{Likelihood: "bernoulli", Width: 1}
	for what, c := range map[string]Config{
		`"x" is not a number`:      {DecoderHidden: "x"},
		`"0" is not a number`:      {DecoderHidden: "8,0"},
		`"" is not a number`:       {DecoderHidden: "8,"},
		"tied weights":             {DecoderHidden: "8", Tied: true},
		"tied weights are":         {DecoderHidden: DecoderBare, Tied: true},
		"257 layers":               {DecoderHidden: strings.Repeat("1,", 253) + "1"},
		"no decoder hidden":        {DecoderHidden: "8", Target: classes},
		"parameters (":             {DecoderHidden: "2000000000"},
		"a gaussian code has two ": {DecoderHidden: DecoderMirrors, Tied: true, CodeDistribution: "gaussian"},
	} {
		c.Features, c.Hidden, c.Likelihood = 5, []int{6, 4}, "gaussian"
		var bad *ConfigError
		if _, err := New(c); !errors.As(err, &bad) || !strings.Contains(err.Error(), what) {
			t.Errorf("%q, tied %t: %v, want %s", c.DecoderHidden, c.Tied, err, what)
		}
	}
}

// TestNoStackAndNoPredictorOfSuchDecoders: a stack's parts have one layer on either side, and a predictor
// has no decoder.
func TestNoStackAndNoPredictorOfSuchDecoders(t *testing.T) {
	d := mustNew(t, Config{Features: 5, Hidden: []int{6}, DecoderHidden: "7", Likelihood: "gaussian"})
	if _, _, err := Stack([]StackPart{{d, make([]float32, d.ParameterCount())}}); err == nil || !strings.Contains(err.Error(), "not a plain DAE") {
		t.Errorf("a stack of it: %v", err)
	}
	c, err := d.Predictor(Target{Likelihood: "bernoulli", Width: 1})
	if err != nil {
		t.Fatal(err)
	}
	if mustNew(t, c).Config().DecoderHidden != "" {
		t.Error("the predictor kept a decoder")
	}
}
