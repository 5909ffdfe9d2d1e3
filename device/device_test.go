package device_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gpudae/device"
)

// block is a memory of which only the size matters.
type block struct {
	kind device.Type
	n    int
}

func (b block) Type() device.Type { return b.kind }
func (b block) Len() int          { return b.n }

// matrix is a view of memory of its own.
func matrix(rows, columns int) device.View {
	return device.MatrixOf(block{device.Float, rows * columns}, 0, rows, columns)
}

func words(n int) device.Words { return device.WordsOf(block{device.Word, n}, 0, n) }

// panicOf returns what f panics with, or "".
func panicOf(f func()) (message string) {
	defer func() {
		if p := recover(); p != nil {
			message = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

// expectPanic requires a panic of package device that contains some words.
func expectPanic(t *testing.T, what string, f func(), parts ...string) {
	t.Helper()
	message := panicOf(f)
	if !strings.HasPrefix(message, "device: ") {
		t.Errorf("%s: panic %q", what, message)
	}
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("%s: panic %q does not say %q", what, message, part)
		}
	}
}

func TestReshapeKeepsTheElements(t *testing.T) {
	m := block{device.Float, 100}
	v := device.MatrixOf(m, 7, 6, 4)
	if got, want := v.Reshape(3, 8), device.MatrixOf(m, 7, 3, 8); got != want {
		t.Errorf("6×4 as 3×8 is %+v, want %+v", got, want)
	}
	if v.Len() != 24 || v.Reshape(24, 1).Len() != 24 {
		t.Errorf("6×4 has %d elements, and %d as a column", v.Len(), v.Reshape(24, 1).Len())
	}
	expectPanic(t, "reshape to another size", func() { v.Reshape(5, 5) }, "6×4", "5×5")
}

func TestTopKeepsTheFirstRows(t *testing.T) {
	m := block{device.Float, 100}
	v := device.MatrixOf(m, 7, 6, 4)
	if got, want := v.Top(2), device.MatrixOf(m, 7, 2, 4); got != want {
		t.Errorf("the top 2 rows are %+v, want %+v", got, want)
	}
	if v.Top(6) != v || v.Top(0).Len() != 0 {
		t.Errorf("the top 6 rows are %+v, the top 0 %+v", v.Top(6), v.Top(0))
	}
	for _, rows := range []int{-1, 7} {
		expectPanic(t, "top", func() { v.Top(rows) }, fmt.Sprint(rows), "of 6")
	}
}

func TestAbsentArguments(t *testing.T) {
	if !(device.View{}).IsZero() || !(device.Words{}).IsZero() || !(device.Fields{}).IsZero() {
		t.Error("the zero values are not absent")
	}
	if matrix(0, 3).IsZero() || words(0).IsZero() {
		t.Error("an empty argument is absent")
	}
}

func TestViewsStayInTheirMemory(t *testing.T) {
	floats, numbers := block{device.Float, 10}, block{device.Word, 10}
	device.MatrixOf(floats, 4, 2, 3)
	device.WordsOf(numbers, 4, 6)
	for what, f := range map[string]func(){
		"a matrix past the end":   func() { device.MatrixOf(floats, 5, 2, 3) },
		"a matrix before it":      func() { device.MatrixOf(floats, -1, 2, 3) },
		"a negative size":         func() { device.MatrixOf(floats, 0, -2, -3) },
		"a matrix of words":       func() { device.MatrixOf(numbers, 0, 1, 1) },
		"words past the end":      func() { device.WordsOf(numbers, 5, 6) },
		"words before it":         func() { device.WordsOf(numbers, -1, 2) },
		"a negative length":       func() { device.WordsOf(numbers, 5, -2) },
		"words of floating point": func() { device.WordsOf(floats, 0, 1) },
	} {
		expectPanic(t, what, f, "10 elements")
	}
}

func TestClockWordsRoundTrip(t *testing.T) {
	for _, c := range []device.Clock{
		{},
		{Step: 1, Epoch: 2, Cursor: 3, Index: 4},
		{Step: 1<<32 + 5},
		{Step: math.MaxUint64, Epoch: math.MaxUint32, Cursor: math.MaxUint32, Index: math.MaxUint32},
	} {
		w := c.Words()
		if len(w) != device.ClockWords {
			t.Errorf("%+v has %d words", c, len(w))
		}
		if got := device.ClockFromWords(w); got != c {
			t.Errorf("%+v came back as %+v", c, got)
		}
	}
}

// TestClockLayout: devices read and advance the words by their place.
func TestClockLayout(t *testing.T) {
	got := device.Clock{Step: 0x0000000200000001, Epoch: 3, Cursor: 4, Index: 5}.Words()
	for i, want := range []uint32{1, 2, 3, 4, 5, 0, 0, 0} {
		if got[i] != want {
			t.Errorf("word %d is %d, want %d", i, got[i], want)
		}
	}
}

func TestOutOfMemoryErrorSaysHowMuch(t *testing.T) {
	for want, e := range map[string]device.OutOfMemoryError{
		"out of memory on cpu: 7 bytes wanted, 5 free": {Device: "cpu", Wanted: 7, Free: 5},
		"out of memory on cuda:0: 7 bytes wanted":      {Device: "cuda:0", Wanted: 7},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestKindNames: a kind's name is what a user types; it is unique, lower case
// and free of the characters of the grammar around it.
func TestKindNames(t *testing.T) {
	expectNames(t, device.Corruptions())
	expectNames(t, device.Activations())
	expectNames(t, device.Normalizations())
	expectNames(t, device.Likelihoods())
	expectNames(t, device.Optimizers())
	expectNames(t, device.Reductions())
	expectNames(t, device.Codes())
}

func expectNames[K fmt.Stringer](t *testing.T, kinds []K) {
	t.Helper()
	if len(kinds) < 2 {
		t.Fatalf("%T: the kinds are %v", kinds, kinds)
	}
	seen := map[string]bool{}
	for _, k := range kinds {
		name := k.String()
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("a %T is named %q", k, name)
		}
		if seen[name] {
			t.Errorf("two kinds of %T are named %q", k, name)
		}
		seen[name] = true
	}
}

// TestRowsPermutation: without Split a part is a range of rows; with it, it is
// one of a permutation of all rows that depends on the seed only.
func TestRowsPermutation(t *testing.T) {
	plain, first, second := (device.Rows{Lo: 3, Hi: 9}).Permutation(50), device.Rows{Hi: 30, Split: true, Seed: 4}, device.Rows{Lo: 30, Hi: 50, Split: true, Seed: 4}
	if plain.At(5) != 5 || (device.Rows{Lo: 3, Hi: 9}).Len() != 6 {
		t.Error("a part without a split is not a range")
	}
	a, b := first.Permutation(50), second.Permutation(50)
	moved := false
	for i := range uint32(50) {
		if a.At(i) != b.At(i) {
			t.Fatalf("two parts of a split disagree at %d", i)
		}
		moved = moved || a.At(i) != i
	}
	if !moved {
		t.Error("a split moves nothing")
	}
}
