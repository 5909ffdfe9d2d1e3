package model

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"gpudae/device"
)

// knownNet is a net whose p(x|h) is the same whatever it sees: weights are zero,
// and the biases of its last layer are the parameters of the columns.
func knownNet(t *testing.T, dev device.Device, rows int) *Net {
	t.Helper()
	columns := []ColumnConfig{{Name: "g", Family: "gaussian"}, {Name: "b", Family: "bernoulli"}, {Name: "c", Family: "categorical", Categories: 3}}
	n := bound(t, dev, Config{Columns: columns, Hidden: []int{2}, Likelihood: "mixed:0.5", Corruption: "masking:0.25"}, rows)
	params := make([]float32, n.DAE().ParameterCount())
	for _, p := range n.DAE().Parameters() {
		if p.Name == "decoder.0.bias" {
			copy(params[p.Offset:], []float32{3, float32(math.Log(0.8 / 0.2)), 0, float32(math.Log(2)), float32(math.Log(5))})
		}
	}
	if err := n.SetParameters(params, nil); err != nil {
		t.Fatal(err)
	}
	return n
}

// absentRows are rows of nothing but absent cells.
func absentRows(rows, features int) []float32 {
	return slices.Repeat([]float32{float32(math.NaN())}, rows*features)
}

// TestNothingIsFilledInAsUnknown: the other categories keep their shares of each other.
func TestNothingIsFilledInAsUnknown(t *testing.T) {
	for name, dev := range devices(t) {
		const rows = 7000
		n := knownNet(t, dev, rows)
		params := make([]float32, n.DAE().ParameterCount())
		for _, p := range n.DAE().Parameters() {
			if p.Name == "decoder.0.bias" {
				copy(params[p.Offset:], []float32{3, 0, 9, float32(math.Log(2)), float32(math.Log(5))})
			}
		}
		if err := n.SetParameters(n.DAE().WithoutUnknown(params), nil); err != nil {
			t.Fatal(err)
		}
		x := absentRows(rows, 3)
		if err := n.Complete(t.Context(), x, Completion{Rounds: 1, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		var counts [3]int
		for i := 2; i < len(x); i += 3 {
			counts[int(x[i])]++
		}
		if share := float64(counts[2]) / rows; counts[0] != 0 || math.Abs(share-5./7) > 0.02 {
			t.Errorf("%s: codes %v", name, counts)
		}
		filled := absentRows(1, 3)
		if err := n.Restore(t.Context(), filled, absentRows(1, 3)); err != nil || filled[2] != 2 {
			t.Errorf("%s: restored as %v, %v", name, filled, err)
		}
	}
}

// TestCellsOfRowsWithoutNumbersStayAbsent: a category is none if the logits were no numbers.
func TestCellsOfRowsWithoutNumbersStayAbsent(t *testing.T) {
	nan := float32(math.NaN())
	to := []float32{1, 2, 3, nan, 5, 6}
	restoreCells(to, []float32{nan, 7, nan, 8, nan, nan}, 3)
	if want := []float32{1, 7, 3, 8, nan, nan}; fmt.Sprint(to) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", to, want)
	}
}

// TestCompletionDrawsFromTheModel compares the moments of what is filled in with
// those of the distribution that the model puts out.
func TestCompletionDrawsFromTheModel(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			const rows = 20_000
			n := knownNet(t, dev, 512)
			x := absentRows(rows, 3)
			x[0], x[4] = 7, 1 // cells that are there
			if err := n.Complete(t.Context(), x, Completion{Rounds: 2, Seed: 5}); err != nil {
				t.Fatal(err)
			}
			if x[0] != 7 || x[4] != 1 {
				t.Errorf("cells that were there became %g and %g", x[0], x[4])
			}
			var mean, square, ones float64
			var counts [3]float64
			for i := 6; i < len(x); i += 3 {
				mean += float64(x[i]) / rows
				square += (float64(x[i]) - 3) * (float64(x[i]) - 3) / rows
				ones += float64(x[i+1]) / rows
				counts[int(x[i+2])] += 1. / rows
			}
			within(t, "mean", mean, 3, 5*0.5/math.Sqrt(rows))
			within(t, "variance", square, 0.25, 5*0.25*math.Sqrt(2./rows))
			within(t, "ones", ones, 0.8, 5*math.Sqrt(0.16/rows))
			for k, p := range []float64{1. / 8, 2. / 8, 5. / 8} {
				within(t, fmt.Sprintf("category %d", k), counts[k], p, 5*math.Sqrt(p*(1-p)/rows))
			}
		})
	}
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %.5f, want %.5f ± %.5f", what, got, want, tolerance)
	}
}

// TestCompletionDoesNotDependOnTheMinibatch: neither on its size nor on which rows
// come in one call.
func TestCompletionDoesNotDependOnTheMinibatch(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			c := mixedConfig()
			c.Corruption, c.Likelihood, c.Indicators = "masking:0.3", "mixed:learned", true
			rows := mixedRows(3, 11, c.Columns)
			var first []float32
			for _, size := range []int{11, 4, 1} {
				n := bound(t, dev, c, size)
				whole, parts := slices.Clone(rows), slices.Clone(rows)
				o := Completion{Rounds: 3, Seed: 9, First: 20, Draw: 2}
				if err := n.Complete(t.Context(), whole, o); err != nil {
					t.Fatal(err)
				}
				split := 5 * n.Features()
				for _, part := range []struct{ from, to int }{{0, split}, {split, len(parts)}} {
					o.First = 20 + part.from/n.Features()
					if err := n.Complete(t.Context(), parts[part.from:part.to], o); err != nil {
						t.Fatal(err)
					}
				}
				if first == nil {
					first = whole
				}
				if !equal32(whole, first) || !equal32(parts, first) {
					t.Errorf("minibatches of %d rows give other draws", size)
				}
				other := slices.Clone(rows)
				o.First, o.Draw = 20, 3
				if err := n.Complete(t.Context(), other, o); err != nil {
					t.Fatal(err)
				}
				if equal32(other, first) {
					t.Error("another draw is the same")
				}
			}
			if slices.ContainsFunc(first, func(v float32) bool { return v != v }) {
				t.Errorf("cells are still absent: %v", first)
			}
		})
	}
}

// TestCompletionByNumbersOfRows: rows in any order and company are filled in by their
// numbers alone.
func TestCompletionByNumbersOfRows(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			c := mixedConfig()
			c.Corruption, c.Likelihood, c.Indicators = "masking:0.3", "mixed:learned", true
			n := bound(t, dev, c, 4)
			whole := mixedRows(3, 11, c.Columns)
			numbers := []int{7, 0, 10, 3, 3, 1}
			var some []float32
			for _, i := range numbers {
				some = append(some, whole[i*n.Features():(i+1)*n.Features()]...)
			}
			o := Completion{Rounds: 3, Seed: 9, Draw: 2}
			if err := n.Complete(t.Context(), whole, o); err != nil {
				t.Fatal(err)
			}
			o.Numbers = numbers
			if err := n.Complete(t.Context(), some, o); err != nil {
				t.Fatal(err)
			}
			for at, i := range numbers {
				if !equal32(some[at*n.Features():(at+1)*n.Features()], whole[i*n.Features():(i+1)*n.Features()]) {
					t.Errorf("row %d in place %d is filled in otherwise", i, at)
				}
			}
		})
	}
}

// TestRestoreTakesTheMostProbable: the mean of numbers, the probability of one, the
// most probable code, and the cells that are there as they are.
func TestRestoreTakesTheMostProbable(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := knownNet(t, dev, 2)
			x := absentRows(3, 3)
			x[3], x[7] = -1, 0
			out := make([]float32, len(x))
			if err := n.Restore(t.Context(), out, x); err != nil {
				t.Fatal(err)
			}
			if want := []float32{3, 0.8, 2, -1, 0.8, 2, 3, 0, 2}; !close32(out, want, 1e-6) {
				t.Errorf("restored %v, want %v", out, want)
			}
		})
	}
}

// TestLossesAreThoseOfTheColumns works them out by hand.
func TestLossesAreThoseOfTheColumns(t *testing.T) {
	for name, dev := range devices(t) {
		for _, groups := range []int{0, 1, 2, 3, 100} {
			t.Run(fmt.Sprintf("%s/%d groups", name, groups), func(t *testing.T) {
				n := knownNet(t, dev, 2)
				x := absentRows(3, 3)
				copy(x, []float32{4, 1, 2, 2.5, 0})
				losses, restored := make([]float32, len(x)), make([]float32, len(x))
				if err := n.Losses(t.Context(), losses, restored, x, groups); err != nil {
					t.Fatal(err)
				}
				constant := math.Log(0.5) + 0.5*math.Log(2*math.Pi)
				want := []float64{2 + constant, -math.Log(0.8), -math.Log(5. / 8), 0.5 + constant, -math.Log(0.2)}
				for i, w := range want {
					within(t, fmt.Sprintf("loss %d", i), float64(losses[i]), w, 1e-5)
				}
				for i := len(want); i < len(x); i++ {
					if losses[i] == losses[i] {
						t.Errorf("the absent cell %d has a loss of %g", i, losses[i])
					}
				}
				if !close32(restored[6:], []float32{3, 0.8, 2}, 1e-6) {
					t.Errorf("restored %v", restored[6:])
				}
			})
		}
	}
}

// TestHiddenColumnsAreNotSeen: with a column hidden, what the model expects there
// does not depend on its value; shown, it does.
func TestHiddenColumnsAreNotSeen(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			c := mixedConfig()
			c.Corruption, c.Hidden = "masking:0.3", []int{8}
			n := bound(t, dev, c, 4)
			x := mixedRows(4, 1, c.Columns)
			x[0], x[4] = 0.5, 0.25
			moved := slices.Clone(x)
			moved[0] = 2
			for _, groups := range []int{0, len(c.Columns)} {
				var restored [2][]float32
				for i, rows := range [][]float32{x, moved} {
					restored[i] = make([]float32, len(x))
					if err := n.Losses(t.Context(), make([]float32, len(x)), restored[i], rows, groups); err != nil {
						t.Fatal(err)
					}
				}
				if hidden := restored[0][0] == restored[1][0]; hidden != (groups > 0) {
					t.Errorf("%d groups: from %g and %g the column is restored as %g and %g", groups, x[0], moved[0], restored[0][0], restored[1][0])
				}
				if restored[0][4] == restored[1][4] {
					t.Errorf("%d groups: the other columns do not depend on the value", groups)
				}
			}
		})
	}
}

// TestOnlyTablesAreCompleted: other models have no absent cells.
func TestOnlyTablesAreCompleted(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, linearConfig(3, "masking:0.2"), 2)
			x := make([]float32, 3)
			if n.Complete(t.Context(), x, Completion{Rounds: 1}) == nil || n.Restore(t.Context(), x, x) == nil || n.Losses(t.Context(), x, x, x, 0) == nil {
				t.Error("a model of plain numbers is taken for one of a table")
			}
		})
	}
}
