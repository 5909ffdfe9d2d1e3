package train

import (
	"fmt"
	"math"

	"gpudae/device"
	"gpudae/model"
)

// Split divides the rows of a table by a permutation keyed by the seed: the
// first Held rows are held out for validation, the others train.
type Split struct {
	Rows int    `json:"rows"`
	Held int    `json:"held_out"`
	Seed uint64 `json:"seed"`
}

// maxRows is the range of the permutations of package philox.
const maxRows = 1 << 31

// NewSplit holds out the configured fraction of the rows, rounded, and at least
// one if the fraction is not zero.
func NewSplit(rows int, c Config) (Split, error) {
	s := Split{Rows: rows, Held: int(math.Round(c.Val * float64(rows))), Seed: c.Seed}
	if c.Val > 0 && s.Held == 0 {
		s.Held = 1
	}
	if rows < 1 || s.Held >= rows {
		return Split{}, &model.ConfigError{Key: "val", Problem: fmt.Sprintf("%d of %d rows are held out, which leaves none to train on", s.Held, rows),
			Remedy: "lower val or give more rows"}
	}
	if rows > maxRows {
		return Split{}, &model.ConfigError{Key: "data", Problem: fmt.Sprintf("%d rows", rows), Remedy: fmt.Sprintf("a run takes at most %d: give it a part of them", maxRows)}
	}
	return s, nil
}

// Validation returns the rows held out.
func (s Split) Validation() device.Rows {
	return device.Rows{Lo: 0, Hi: s.Held, Split: true, Seed: s.Seed}
}

// Training returns the rows that train.
func (s Split) Training() device.Rows {
	return device.Rows{Lo: s.Held, Hi: s.Rows, Split: true, Seed: s.Seed}
}

// Trains returns a function that reports whether a row of the table trains, as
// data.Fit wants it.
func (s Split) Trains() func(row int) bool {
	held := make(map[int]bool, s.Held)
	permutation := s.Validation().Permutation(s.Rows)
	for i := range s.Held {
		held[int(permutation.At(uint32(i)))] = true
	}
	return func(row int) bool { return !held[row] }
}

// batches divides an epoch's examples into minibatches, the last of which may
// be smaller.
type batches struct{ examples, batch int }

// count is the number of minibatches.
func (b batches) count() int { return (b.examples + b.batch - 1) / b.batch }

// size is the number of examples of minibatch i.
func (b batches) size(i int) int { return min(b.batch, b.examples-i*b.batch) }

// before is the number of examples in the minibatches before i.
func (b batches) before(i int) int { return min(i*b.batch, b.examples) }
