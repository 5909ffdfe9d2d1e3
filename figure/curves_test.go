package figure

import (
	"math"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		span   span
		wanted int
		whole  bool
		want   []string
	}{
		{span{0, 1}, 5, false, []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		{span{-1.3, 1.1}, 5, false, []string{"−1.0", "−0.5", "0", "0.5", "1.0"}},
		{span{0, 0.00112}, 2, false, []string{"0", "0.001"}},
		{span{0, 0.0009}, 2, false, []string{"0", "0.0005"}},
		{span{14.2, 19.3}, 5, false, []string{"15", "16", "17", "18", "19"}},
		{span{1, 3}, 8, true, []string{"1", "2", "3"}},
		{span{1, 60}, 8, true, []string{"10", "20", "30", "40", "50", "60"}},
		{span{0, 3e-7}, 3, false, []string{"0", "1e−07", "2e−07", "3e−07"}},
	} {
		var got []string
		for _, tick := range c.span.ticks(c.wanted, c.whole) {
			got = append(got, tick.label)
			if tick.value < c.span.low-1e-9 || tick.value > c.span.high+1e-9 {
				t.Errorf("%v: tick %g is outside", c.span, tick.value)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%v: ticks %q, want %q", c.span, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: ticks %q, want %q", c.span, got, c.want)
				break
			}
		}
	}
}

func TestSpans(t *testing.T) {
	s := empty()
	for _, v := range []float64{2, math.NaN(), math.Inf(1), -1} {
		s.include(v)
	}
	if s != (span{-1, 2}) {
		t.Errorf("span %v", s)
	}
	for _, c := range []struct{ from, want span }{{empty(), span{0, 1}}, {span{20, 20}, span{18, 22}}, {span{0, 0}, span{-0.5, 0.5}}, {span{0, 10}, span{-1, 11}}} {
		if got := c.from.padded(0.1); got != c.want {
			t.Errorf("%v padded is %v, want %v", c.from, got, c.want)
		}
	}
}

func TestBestEpoch(t *testing.T) {
	epochs := []Epoch{{1, 0, math.NaN(), 0}, {2, 0, 5, 0}, {3, 0, 4, 0}, {4, 0, 6, 0}}
	if best, ok := (History{Epochs: epochs}).best(); !ok || best.Number != 3 {
		t.Errorf("best epoch %v", best)
	}
	if best, ok := (History{Epochs: epochs, Best: 2}).best(); !ok || best.Number != 2 {
		t.Errorf("best epoch %v, when told 2", best)
	}
	if _, ok := (History{Epochs: epochs[:1]}).best(); ok {
		t.Error("a best epoch without a validation NLL")
	}
}

// A steep start leaves the frame; what follows does not.
func TestSettledAxis(t *testing.T) {
	var h History
	for i := range 40 {
		h.Epochs = append(h.Epochs, Epoch{Number: i + 1, Train: 10, Validation: 11})
	}
	h.Epochs[0].Train, h.Epochs[1].Validation, h.Epochs[2].Train = 1000, 900, 20
	lines := []series{{value: func(e Epoch) float64 { return e.Train }}, {value: func(e Epoch) float64 { return e.Validation }}}
	if got := h.settled(lines); got != (span{10, 20}) {
		t.Errorf("axis %v", got)
	}
}

// The curves of constant losses are horizontal lines in their colours, the lower
// one lower, joined where the validation was not measured.
func TestCurvesAreDrawn(t *testing.T) {
	nan := math.NaN()
	epochs := []Epoch{{1, 1, 3, nan}, {2, 1, nan, nan}, {3, 1, 3, nan}, {4, 1, nan, nan}, {5, 1, 3, nan}}
	img := drawn(t, func(path string) error { return Curves(path, History{Epochs: epochs}) })
	_, blueY, blues := spots(img, blue)
	_, redY, reds := spots(img, vermilion)
	if blues < 1000 || reds < 1000 {
		t.Fatalf("%d blue and %d vermilion pixels", blues, reds)
	}
	if blueY <= redY {
		t.Errorf("training NLL 1 at height %g, validation NLL 3 at %g", blueY, redY)
	}
	withRate := make([]Epoch, len(epochs))
	for i, e := range epochs {
		e.Rate = 0.1
		withRate[i] = e
	}
	taller := drawn(t, func(path string) error { return Curves(path, History{Epochs: withRate}) })
	if taller.Bounds().Dy() <= img.Bounds().Dy() {
		t.Error("there is no panel for the learning rate")
	}
}
