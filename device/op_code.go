package device

import "gpudae/device/philox"

// The operations of a stochastic code h ~ q(h|x̃) under a prior p(h), of a bound
// by importance weighting, and of a draw from p(x|h).

// SampleCodeArgs draws h ~ q(h|x̃) from the encoder's output, as a
// differentiable function of it and of noise (formulas in kind.go), and
// computes the divergence of q from the prior. The noise of unit j of row i is
// that of philox at coordinates {Stream, Index: Stage, Replicate: i mod
// Replicates, Row: the row's number from Index, Step: the clock's step (0
// without a clock), Block: j/4}, lane j mod 4: NormalLane for Gaussian codes, u
// = Uniform for the others. Noise is equal bit for bit on all devices; of a
// Bernoulli unit whose u is within rounding of p, h may not be.
//
// Divergence is KL(q‖p) in closed form, or, with Sampled, log q(h) - log p(h) at
// the h that was drawn, whose expectation it is.
type SampleCodeArgs struct {
	Kind        Code
	Temperature float32 // CodeConcrete: τ > 0
	Params      View    // [rows, Kind.Width(units)]
	Noise       View    // out [rows, units]: z or u, for the backward pass
	Code        View    // out [rows, units]: h
	Divergence  View    // out [rows, 1], or absent
	Sampled     bool    // CodeGaussian only
	Seed        uint64
	Stream      philox.Stream
	Stage       uint32
	Replicates  int
	Index       Words
	Clock       Words // absent: step 0
}

// Check panics if the arguments do not fit together.
func (a *SampleCodeArgs) Check() {
	if !sameShape(a.Noise, a.Code) || a.Params.Rows != a.Code.Rows || a.Params.Columns != a.Kind.Width(a.Code.Columns) ||
		!a.Divergence.IsZero() && a.Divergence.Len() != a.Code.Rows || a.Index.Len != IndexWords(a.Code.Rows) || a.Replicates < 1 ||
		a.Sampled && a.Kind != CodeGaussian || a.Kind == CodeConcrete && !(a.Temperature > 0) || !isClock(a.Clock) {
		panicf("sample a %s code %s at temperature %g from %s, noise %s, divergence %s (sampled %t), %d index words, %d replicates, clock of %d words",
			a.Kind, shape(a.Code), a.Temperature, shape(a.Params), shape(a.Noise), shape(a.Divergence), a.Sampled, a.Index.Len, a.Replicates, a.Clock.Len)
	}
}

// SampleCodeBackwardArgs computes, from DCode = ∂/∂h,
//
//	DParams = (∂h/∂Params)ᵀ·DCode + Scale·w_i·∂Divergence_i/∂Params
//
// with the noise held fixed; the sampled divergence is differentiated through h
// too. w_i is Weights, or 1 without them.
type SampleCodeBackwardArgs struct {
	Kind        Code
	Temperature float32 // CodeConcrete: τ > 0
	Params      View    // [rows, Kind.Width(units)]
	Noise, Code View    // [rows, units]
	DCode       View    // [rows, units]
	Sampled     bool
	Scale       float32
	Weights     View // [rows, 1], or absent
	DParams     View // out, shaped as Params; may be Params
}

// Check panics if the arguments do not fit together.
func (a *SampleCodeBackwardArgs) Check() {
	if !sameShape(a.Noise, a.Code) || !sameShape(a.DCode, a.Code) || !sameShape(a.Params, a.DParams) || a.Params.Rows != a.Code.Rows ||
		a.Params.Columns != a.Kind.Width(a.Code.Columns) || !a.Weights.IsZero() && a.Weights.Len() != a.Code.Rows ||
		a.Sampled && a.Kind != CodeGaussian || a.Kind == CodeConcrete && !(a.Temperature > 0) {
		panicf("sample backward of a %s code %s (sampled %t) at temperature %g with %s from %s, noise %s, weights %s, to %s", a.Kind, shape(a.Code),
			a.Sampled, a.Temperature, shape(a.DCode), shape(a.Params), shape(a.Noise), shape(a.Weights), shape(a.DParams))
	}
}

// ImportanceArgs computes the importance-weighted bound (Burda et al. 2016,
// equation 8) of each example from the terms ℓ_ik = -log(p(x_i, h_ik)/q(h_ik|x̃_ik))
// of its K consecutive rows, and the weights that its gradient gives them
// (equation 14):
//
//	Bounds_i = -log((1/K)·Σ_k exp(-ℓ_ik)),  Weights_ik = softmax_k(-ℓ_ik)
type ImportanceArgs struct {
	Replicates int  // K
	Terms      View // [examples·K, 1]
	Bounds     View // out [examples, 1]
	Weights    View // out [examples·K, 1], or absent; may be Terms
}

// Check panics if the arguments do not fit together.
func (a *ImportanceArgs) Check() {
	n := a.Terms.Len()
	if a.Replicates < 1 || n != a.Bounds.Len()*a.Replicates || !a.Weights.IsZero() && a.Weights.Len() != n {
		panicf("importance of %s in groups of %d, bounds %s, weights %s", shape(a.Terms), a.Replicates, shape(a.Bounds), shape(a.Weights))
	}
}

// ScaleRowsArgs computes Y_ij = Scale_i·X_ij.
type ScaleRowsArgs struct {
	Scale View // [rows, 1]
	X, Y  View // [rows, n]; Y may be X
}

// Check panics if the arguments do not fit together.
func (a *ScaleRowsArgs) Check() {
	if !sameShape(a.X, a.Y) || a.Scale.Len() != a.X.Rows {
		panicf("scale the rows of %s by %s to %s", shape(a.X), shape(a.Scale), shape(a.Y))
	}
}

// DrawArgs draws Out ~ p(x|h) from the decoder's output. With the words of
// philox at coordinates {Stream, Index: Stage, Replicate: i mod Replicates, Row:
// the row's number from Index, Step: the clock's step (0 without a clock)}, Draw
// 0, Block j/4, lane j mod 4:
//
//	bernoulli         1 if Uniform of the word < the logistic function of a
//	gaussian          μ + σ·NormalLane
//	gaussian-learned  μ + √v·NormalLane
//	categorical       the first column c of field j whose cumulative softmax exceeds
//	                  Uniform of the word of field j (the last, if none does)
//	poisson           philox.Poisson of rate exp(a), with Block = column
//	mixed             of each column as its family's; of a categorical one the
//	                  number of the logit that would be drawn
//
// where j is the field for categorical and the column for the other kinds. A
// gaussian draw is equal bit for bit on all float32 devices, as that of Corrupt
// is. Elsewhere the logistic function, the softmax and the exponential may round
// differently: of a u within rounding of its threshold, or a rate within rounding
// of where the count changes, the draw may be the neighbour's.
type DrawArgs struct {
	Kind       Likelihood
	Sigma      float32      // as in LikelihoodArgs
	Floor      float32      // as in LikelihoodArgs
	Fields     Fields       // Categorical
	Table      TableColumns // Mixed
	Params     View         // [rows, Kind.Width(features)]; Mixed: as in LikelihoodArgs
	Out        View         // out [rows, features]; may be Params if the widths agree, but not under Mixed
	Seed       uint64
	Stream     philox.Stream
	Stage      uint32
	Replicates int
	Index      Words
	Clock      Words // absent: step 0
}

// Check panics if the arguments do not fit together.
func (a *DrawArgs) Check() {
	if a.Params.Rows != a.Out.Rows || !fits(a.Kind, a.Table, a.Params.Columns, a.Out.Columns) || a.Index.Len != IndexWords(a.Out.Rows) ||
		a.Replicates < 1 || !isClock(a.Clock) {
		panicf("draw %s of %s to %s, %d index words, %d replicates, clock of %d words", a.Kind, shape(a.Params), shape(a.Out), a.Index.Len,
			a.Replicates, a.Clock.Len)
	}
	a.Fields.Check(a.Out.Columns)
}
