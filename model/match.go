package model

import (
	"fmt"
	"math"

	"gpudae/device"
)

// Denoising score matching: the steps that differ from those of a likelihood.

// noiseMemory is what a score model keeps of its noise levels on the device. Nets
// that share their memory share it.
type noiseMemory struct {
	trained levelTable  // all levels
	given   levelTable  // one level: that of rows that come from the host
	input   device.View // [rows, features + E] what the first layer sees

	sigma float64   // of the level in given, 0 before the first
	host  []float32 // its table
}

func (n *Net) allocateNoise(a *allocator) {
	l := n.dae.resolved.levels
	if l == nil {
		return
	}
	n.noise = &noiseMemory{host: make([]float32, columnsPerLevel+l.width())}
	n.noise.trained.allocate(a, len(l.sigmas), l.width(), n.rows)
	n.noise.given.allocate(a, 1, l.width(), n.rows)
	n.noise.input = a.matrix(n.rows, n.dae.resolved.Features+l.width())
}

// uploadNoise fills the table of all levels.
func (n *Net) uploadNoise() error {
	l := n.dae.resolved.levels
	if l == nil {
		return nil
	}
	host := make([]float32, n.noise.trained.memory.Len())
	l.fill(host, l.sigmas)
	return n.dev.Upload(n.noise.trained.memory, host)
}

// scores reports whether the net is trained by denoising score matching.
func (n *Net) scores() bool { return n.noise != nil }

// table is that of the levels of the minibatch.
func (n *Net) table(m *minibatch) *levelTable {
	if m.given {
		return &n.noise.given
	}
	return &n.noise.trained
}

// levelOf is the level of each row.
func (t *levelTable) levelOf(m *minibatch) device.Words {
	level := t.level
	level.Len = m.rows
	return level
}

// diffuse draws a noise level for each row and x̃ ~ N(x, σ²I).
func (n *Net) diffuse(m *minibatch) {
	t := n.table(m)
	n.dev.Diffuse(device.DiffuseArgs{
		Sigma: t.sigma, From: n.clean.Top(m.rows), To: n.corrupted.Top(m.rows), Level: t.levelOf(m),
		Seed: m.source.Seed, Stream: m.stream, Stage: uint32(m.pass), Replicates: m.replicates, Index: n.indexOf(m), Clock: m.noise,
	})
}

// condition computes the input [c_in·x̃ | embedding].
func (n *Net) condition(m *minibatch) {
	t := n.table(m)
	n.dev.Condition(device.ConditionArgs{
		Level: t.levelOf(m), Scale: t.scale, Embedding: t.embedding, X: n.corrupted.Top(m.rows), Out: n.noise.input.Top(m.rows),
	})
}

// denoise computes D = c_skip·x̃ + c_out·F.
func (n *Net) denoise(m *minibatch) {
	t := n.table(m)
	n.dev.Blend(device.BlendArgs{
		Level: t.levelOf(m), Alpha: t.skip, Beta: t.out, X: n.corrupted.Top(m.rows), Y: n.params(m), Out: n.reconstruction.Top(m.rows),
	})
}

// match computes, for each row, ½·w·‖D - x‖² and, if a gradient is wanted, that
// of its mean over rows in place of F. D has been computed.
func (n *Net) match(m *minibatch, gradient bool) {
	t := n.table(m)
	args := device.ScoreMatchArgs{
		Level: t.levelOf(m), Weight: t.weight, OutScale: t.out, Denoised: n.reconstruction.Top(m.rows), Target: n.clean.Top(m.rows),
		Losses: n.losses.Top(m.rows), Scale: 1 / float32(m.rows),
	}
	if gradient {
		args.DF = n.params(m)
	}
	n.dev.ScoreMatch(args)
}

// pullOut carries v from D to F.
func (n *Net) pullOut(m *minibatch) device.View {
	t := n.table(m)
	out := otherOf(n.pull.scratch, device.View{}, m.rows, n.Features())
	n.dev.Blend(device.BlendArgs{Level: t.levelOf(m), Beta: t.out, Y: n.pull.vector.Top(m.rows), Out: out})
	return out
}

// pullIn carries the gradient from the input to x̃ and adds the part of c_skip.
func (n *Net) pullIn(gradient device.View, m *minibatch) device.View {
	t, v := n.table(m), n.pull.vector.Top(m.rows)
	n.dev.Blend(device.BlendArgs{Level: t.levelOf(m), Alpha: t.skip, Beta: t.scale, X: v, Y: gradient, Out: v})
	return v
}

// checkNoise says what stands in the way of noise σ.
func (r *resolved) checkNoise(sigma float64) error {
	switch {
	case len(r.sigmas) == 0:
		return fmt.Errorf("the model was trained under %s, not under Gaussian noise alone", r.corruption)
	case !(sigma > 0) || math.IsInf(sigma, 1):
		return fmt.Errorf("noise of σ = %g: it must be positive", sigma)
	case len(r.sigmas) == 1 && math.Abs(sigma-r.sigmas[0]) > sameNoise*r.sigmas[0]:
		return fmt.Errorf("noise of σ = %g: the model knows that of its training alone, σ = %g", sigma, r.sigmas[0])
	}
	return nil
}

// setNoise makes σ the noise of the rows that come from the host.
func (n *Net) setNoise(sigma float64) error {
	r := n.dae.resolved
	if err := r.checkNoise(sigma); err != nil || !n.scores() || n.noise.sigma == sigma {
		return err
	}
	one := [1]float64{sigma}
	r.levels.fill(n.noise.host, one[:])
	if err := n.dev.Upload(n.noise.given.memory, n.noise.host); err != nil {
		return fmt.Errorf("copying the noise level: %w", err)
	}
	n.noise.sigma = sigma
	return nil
}
