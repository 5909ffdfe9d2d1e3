package device

import "gpudae/device/philox"

// The operations of a score model, which sees its noise level. A level l is a
// column of small tables [1, L] that the host fills: σ, the coefficients of the
// preconditioned denoiser and the weight of the loss (Karras et al. 2022,
// equations 7 and 8),
//
//	D(x̃; σ) = c_skip(σ)·x̃ + c_out(σ)·F(c_in(σ)·x̃, embedding(σ))
//
// so every noise schedule, parameterisation and weighting is data, not code.

// DiffuseArgs draws a noise level for each row, uniformly among those of Sigma,
// and then x̃ ~ N(x, σ²I):
//
//	l = Below(w, L),  To = From + σ_l·z
//
// At the coordinates of CorruptArgs, w is the first word of Block 0 at Draw 1
// and z is NormalLane of the column's block at Draw 0; so with a single level
// To is what CorruptGaussian with Amount σ gives, bit for bit. float32(σ·z) is
// rounded before the addition.
type DiffuseArgs struct {
	Sigma      View  // [1, L]
	From       View  // [rows, features] x
	To         View  // out [rows, features]; may be From
	Level      Words // out [rows]
	Seed       uint64
	Stream     philox.Stream
	Stage      uint32
	Replicates int
	Index      Words // of the minibatch, see GatherArgs
	Clock      Words // absent: step 0
}

// Check panics if the arguments do not fit together.
func (a *DiffuseArgs) Check() {
	if !sameShape(a.From, a.To) || a.Level.Len != a.From.Rows || a.Sigma.Rows != 1 || a.Sigma.Columns < 1 ||
		a.Index.Len != IndexWords(a.From.Rows) || a.Replicates < 1 || !isClock(a.Clock) {
		panicf("diffuse %s to %s at %d levels of %s, %d index words, %d replicates, clock of %d words", shape(a.From), shape(a.To),
			a.Level.Len, shape(a.Sigma), a.Index.Len, a.Replicates, a.Clock.Len)
	}
}

// ConditionArgs computes a score model's input from x̃ and its level:
//
//	Out = [Scale_l·X | Embedding_l]
type ConditionArgs struct {
	Level     Words // [rows], each below L
	Scale     View  // [1, L] c_in
	Embedding View  // [L, E], or absent: E = 0
	X         View  // [rows, features]
	Out       View  // out [rows, features + E]; not X
}

// Check panics if the arguments do not fit together.
func (a *ConditionArgs) Check() {
	if a.Level.Len != a.X.Rows || a.Out.Rows != a.X.Rows || a.Out.Columns != a.X.Columns+a.Embedding.Columns || a.Scale.Rows != 1 ||
		!a.Embedding.IsZero() && a.Embedding.Rows != a.Scale.Columns {
		panicf("condition %s on %d levels, scale %s, embedding %s, to %s", shape(a.X), a.Level.Len, shape(a.Scale), shape(a.Embedding), shape(a.Out))
	}
}

// BlendArgs computes Out = Alpha_l·X + Beta_l·Y, l being the row's level, each
// product rounded before the addition. An absent X counts as zero. Of a Y that
// is wider than Out the first columns are taken: the part of the gradient by a
// ConditionArgs.Out that belongs to x̃.
type BlendArgs struct {
	Level       Words // [rows], each below L
	Alpha, Beta View  // [1, L]; Alpha is not read without X
	X           View  // [rows, n], or absent
	Y           View  // [rows, n or more]
	Out         View  // out [rows, n]; may be X, and Y if as wide
}

// Check panics if the arguments do not fit together.
func (a *BlendArgs) Check() {
	if a.Level.Len != a.Out.Rows || a.Y.Rows != a.Out.Rows || a.Y.Columns < a.Out.Columns || a.Beta.Rows != 1 ||
		!a.X.IsZero() && (!sameShape(a.X, a.Out) || !sameShape(a.Alpha, a.Beta)) {
		panicf("blend %s and %s at %d levels of %s and %s to %s", shape(a.X), shape(a.Y), a.Level.Len, shape(a.Alpha), shape(a.Beta), shape(a.Out))
	}
}

// ScoreMatchArgs computes the loss of denoising score matching (Vincent 2011,
// equation 11, in terms of the denoiser D = x̃ + σ²·s) and its gradient by F,
// where D = c_skip·x̃ + c_out·F:
//
//	Losses_i = ½·Weight_l·Σ_j (D_ij - x_ij)²
//	DF = Scale·Weight_l·OutScale_l·(D - x)
//
// l being the row's level.
type ScoreMatchArgs struct {
	Level    Words // [rows], each below L
	Weight   View  // [1, L]
	OutScale View  // [1, L] c_out
	Denoised View  // [rows, features] D
	Target   View  // [rows, features] the clean x
	Losses   View  // out [rows, 1]
	DF       View  // out [rows, features], or absent; may be Denoised
	Scale    float32
}

// Check panics if the arguments do not fit together.
func (a *ScoreMatchArgs) Check() {
	if a.Level.Len != a.Denoised.Rows || !sameShape(a.Denoised, a.Target) || a.Losses.Len() != a.Denoised.Rows || a.Weight.Rows != 1 ||
		!sameShape(a.Weight, a.OutScale) || !a.DF.IsZero() && !sameShape(a.DF, a.Denoised) {
		panicf("match the score of %s and %s at %d levels of %s and %s, losses %s, gradient %s", shape(a.Denoised), shape(a.Target),
			a.Level.Len, shape(a.Weight), shape(a.OutScale), shape(a.Losses), shape(a.DF))
	}
}
