package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gpudae/device"
	"gpudae/device/philox"
)

// What is done with rows of a table in which cells are absent, NaN: filling them
// in, and asking how likely a cell is given others. Rows are float32 slices on
// the host [rows, Features], as many as one likes.

// Purposes of the draws of a completion, in the coordinate Index of StreamDraw;
// those of package sample count from 0.
const (
	completionStage = 128 + iota // x ~ p(x|h)
	completionOrder              // the round in which a cell is filled in
)

// Completion says how absent cells are drawn.
type Completion struct {
	// Rounds is the number of passes in which the cells of a row are filled in, each
	// pass knowing what those before have drawn: at least 1.
	Rounds int
	Seed   uint64
	First  int // number of the first row in its file, from which its random words come
	Draw   int // number of the draw
	// Numbers are those of the rows where they do not follow one another; nil: they
	// count from First.
	Numbers []int
}

// number is that of row i.
func (c *Completion) number(i int) uint32 {
	if c.Numbers != nil {
		return uint32(c.Numbers[i])
	}
	return uint32(c.First + i)
}

// index are the words of rows first, first+1, ... for a device.
func (c *Completion) index(rows, first int) []uint32 {
	index := make([]uint32, device.IndexWords(rows))
	for i := range rows {
		index[i] = c.number(first + i)
	}
	return index
}

// Complete replaces the absent cells of x in place by draws from the model,
//
//	x_A₁ ~ p(· | x_O),  x_A₂ ~ p(· | x_O, x_A₁),  ...
//
// O being the cells that are there and A₁, A₂, ... a random division of the
// others into as many groups as there are rounds, for each row its own: a model
// that was trained to fill in cells masked at random is an order-agnostic
// autoregressive one (Uria, Murray and Larochelle 2014). Within a group cells are
// drawn independently, so that one round gives each absent cell its own
// distribution, but not what absent cells have to do with each other. The result
// does not depend on the size of the minibatches. It fails for models that are
// not of a table, and with the context's error.
func (n *Net) Complete(ctx context.Context, x []float32, c Completion) error {
	if err := n.checkTable(x); err != nil {
		return fmt.Errorf("filling in: %w", err)
	}
	if c.Rounds < 1 {
		return fmt.Errorf("filling in: %d rounds", c.Rounds)
	}
	out := make([]float32, n.rows*n.Features())
	return n.eachRows(x, func(first int, rows []float32) error {
		order := roundsOf(rows, n.Features(), c, first)
		for round := range c.Rounds {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := n.drawRows(out, rows, c, first, round); err != nil {
				return fmt.Errorf("filling in: %w", err)
			}
			for i, r := range order {
				if r == int32(round) {
					rows[i] = out[i]
				}
			}
		}
		return nil
	})
}

// WithoutUnknown are parameters by which categorical columns have no code 0, the
// unknown category, unless they have nothing else: those of p(x|h, x known).
func (d *DAE) WithoutUnknown(params []float32) []float32 {
	const never = -1e30 // as a logit
	params = slices.Clone(params)
	bias := slice(params, d.parameters[d.slots[len(d.layers)-1].bias])
	for _, c := range d.tableColumns() {
		if c.Family == device.FamilyCategorical && c.Categories > 1 {
			bias[c.Param] = never
		}
	}
	return params
}

// present marks a cell that is there.
const present = -1

// roundsOf is the round of each absent cell. The word of a cell is that of its
// row and column, so that it is the same in whatever minibatch the row comes.
func roundsOf(x []float32, features int, c Completion, first int) []int32 {
	order := make([]int32, len(x))
	key := philox.KeyOf(c.Seed)
	for i, v := range x {
		order[i] = present
		if v == v {
			continue
		}
		j := i % features
		at := philox.Coordinates{Stream: philox.StreamDraw, Index: completionOrder, Row: c.number(first + i/features), Step: uint32(c.Draw), Block: uint32(j / 4)}
		order[i] = int32(philox.Below(philox.Block(at.Counter(), key)[j%4], uint32(c.Rounds)))
	}
	return order
}

// drawRows writes a draw from p(x|h) of each row to out.
func (n *Net) drawRows(out, x []float32, c Completion, first, round int) error {
	m := n.probeOf(len(x) / n.Features())
	if err := n.dev.Upload(n.corrupted.Top(m.rows), x); err != nil {
		return err
	}
	if err := n.dev.UploadWords(n.clock, device.Clock{Step: uint64(c.Draw*c.Rounds + round)}.Words()); err != nil {
		return err
	}
	if err := n.dev.UploadWords(n.indexOf(m), c.index(m.rows, first)); err != nil {
		return err
	}
	m.mean = true
	n.encode(m)
	n.decode(m)
	l := n.dae.resolved.likelihood
	n.dev.Draw(device.DrawArgs{
		Kind: l.Kind, Sigma: l.sigma(), Floor: l.floor(), Fields: n.fields, Table: n.columns, Params: n.params(m), Out: n.reconstruction.Top(m.rows),
		Seed: c.Seed, Stream: philox.StreamDraw, Stage: completionStage, Replicates: 1, Index: n.indexOf(m), Clock: n.clock,
	})
	return n.download(out[:len(x)], n.reconstruction.Top(m.rows))
}

// Restore writes to out, for each row of x, what the model makes of it where
// cells are absent, E[x|h] or the most probable code, and the row's own cells
// where they are there. It fails as Complete does.
func (n *Net) Restore(ctx context.Context, out, x []float32) error {
	n.checkHost(out, x)
	if err := n.checkTable(x); err != nil {
		return fmt.Errorf("filling in: %w", err)
	}
	return n.eachRows(x, func(first int, rows []float32) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := out[first*n.Features():][:len(rows)]
		if err := n.reconstructRows(to, rows, rows, nil); err != nil {
			return fmt.Errorf("filling in: %w", err)
		}
		restoreCells(to, rows, n.Features())
		return nil
	})
}

// restoreCells puts the cells that are there back. The absent ones of a row of which
// the model makes no numbers stay absent, categories too.
func restoreCells(to, rows []float32, width int) {
	for from := 0; from < len(rows); from += width {
		lost := slices.ContainsFunc(to[from:from+width], func(v float32) bool { return v != v })
		for i := from; i < from+width; i++ {
			if lost || rows[i] == rows[i] {
				to[i] = rows[i]
			}
		}
	}
}

// Losses writes, for each cell of x, its -log p in nats to losses, NaN where it is
// absent, and its reconstruction to restored; both are [rows, Features]. With no
// groups the model sees the rows as they are. Otherwise the columns are divided
// into so many groups, column j belonging to group j modulo their number, and
// each group in turn is hidden from the model, whose loss for its cells is then
// that of a guess from the other groups: the terms of the pseudo-likelihood
// (Besag 1975), exactly if every column is a group of its own. It fails as
// Complete does.
func (n *Net) Losses(ctx context.Context, losses, restored, x []float32, groups int) error {
	n.checkHost(losses, x)
	n.checkHost(restored, x)
	if err := n.checkTable(x); err != nil {
		return fmt.Errorf("losses: %w", err)
	}
	features := n.Features()
	groups = min(groups, features)
	given, mean, loss := make([]float32, n.rows*features), make([]float32, n.rows*features), make([]float32, n.rows*features)
	return n.eachRows(x, func(first int, rows []float32) error {
		given, mean, loss := given[:len(rows)], mean[:len(rows)], loss[:len(rows)]
		for group := range max(groups, 1) {
			if err := ctx.Err(); err != nil {
				return err
			}
			copy(given, rows)
			if groups > 0 {
				hide(given, features, groups, group)
			}
			if err := n.reconstructRows(mean, given, rows, loss); err != nil {
				return fmt.Errorf("losses: %w", err)
			}
			for i := range rows {
				if groups > 0 && i%features%groups != group {
					continue
				}
				at := first*features + i
				losses[at], restored[at] = loss[i], mean[i]
				if rows[i] != rows[i] {
					losses[at] = rows[i] // NaN
				}
			}
		}
		return nil
	})
}

// hide makes the columns of a group absent.
func hide(x []float32, features, groups, group int) {
	absent := float32(math.NaN())
	for i := range x {
		if i%features%groups == group {
			x[i] = absent
		}
	}
}

// reconstructRows writes E[x|h] of rows given to the model to mean, and, unless
// losses is nil, -log p by column of the rows x.
func (n *Net) reconstructRows(mean, given, x, losses []float32) error {
	m := n.probeOf(len(given) / n.Features())
	if err := n.dev.Upload(n.corrupted.Top(m.rows), given); err != nil {
		return err
	}
	n.reconstruct(m)
	if err := n.download(mean, n.reconstruction.Top(m.rows)); err != nil || losses == nil {
		return err
	}
	if err := n.dev.Upload(n.clean.Top(m.rows), x); err != nil {
		return err
	}
	args := n.likelihood(m)
	args.ByColumn = n.byColumn.Top(m.rows)
	n.dev.Likelihood(args)
	return n.download(losses, n.byColumn.Top(m.rows))
}

func (n *Net) checkTable(x []float32) error {
	if !n.dae.resolved.tabular() {
		return errors.New("the model is not one of a table of mixed columns")
	}
	if len(x) == 0 || len(x)%n.Features() != 0 {
		panic(fmt.Sprintf("model: %d numbers for rows of %d features", len(x), n.Features()))
	}
	return nil
}

// eachRows calls visit with as many rows of x as a minibatch holds at a time.
func (n *Net) eachRows(x []float32, visit func(first int, rows []float32) error) error {
	features := n.Features()
	for from := 0; from < len(x); from += n.rows * features {
		to := min(from+n.rows*features, len(x))
		if err := visit(from/features, x[from:to]); err != nil {
			return err
		}
	}
	return nil
}
