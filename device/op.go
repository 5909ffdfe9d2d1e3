package device

import "gpudae/device/philox"

// Rows names a part of a data set of n rows: the rows P(Lo), ..., P(Hi-1),
// where P is the permutation philox.NewPermutation(n, Seed,
// philox.StreamSplit, 0) if Split is set and the identity otherwise. So a
// training and a validation part are two ranges of one permutation, and no
// array of row numbers exists.
type Rows struct {
	Lo, Hi int
	Split  bool
	Seed   uint64
}

// Len is the number of rows in the part.
func (r Rows) Len() int { return r.Hi - r.Lo }

// Permutation returns P for a data set of n rows.
func (r Rows) Permutation(n int) philox.Permutation {
	if !r.Split {
		return philox.Permutation{}
	}
	return philox.NewPermutation(uint32(n), r.Seed, philox.StreamSplit, 0)
}

// IndexWords is the number of words of Index that a minibatch of n rows needs:
// n row numbers in the data set, then n positions in the part.
func IndexWords(n int) int { return 2 * n }

// GatherArgs makes the minibatch of the examples at epoch positions
// q = Cursor, Cursor+1, ... of the clock. With Shuffle, position q is example
// E(q) of the part, E = philox.NewPermutation(part length, Seed,
// philox.StreamPermutation, clock epoch); otherwise E(q) = q. Each example
// fills Replicates consecutive rows of X; row i of X is example
// E(Cursor + i/Replicates).
//
// Index receives, for each row of X, its row number P(Lo+E(q)) in the data set
// and then, for each row, its position E(q) in the part. The caller keeps
// Cursor + X.Rows/Replicates ≤ part length.
type GatherArgs struct {
	Data       Dataset
	Part       Rows
	Shuffle    bool
	Seed       uint64
	Replicates int
	Clock      Words
	X          View  // out [batch·Replicates, features]
	Index      Words // out, IndexWords(X.Rows)
}

// Check panics if the arguments do not fit together.
func (a *GatherArgs) Check() {
	rows, columns := a.Data.Shape()
	if a.X.Columns != columns || a.Replicates < 1 || a.X.Rows%a.Replicates != 0 || a.Index.Len != IndexWords(a.X.Rows) ||
		a.Part.Lo < 0 || a.Part.Hi > rows || a.Part.Lo > a.Part.Hi || a.X.Rows/a.Replicates > a.Part.Len() || a.Clock.Len != ClockWords {
		panicf("gather %d×%d with %d index words, %d replicates from rows %d..%d of %d×%d", a.X.Rows, a.X.Columns,
			a.Index.Len, a.Replicates, a.Part.Lo, a.Part.Hi, rows, columns)
	}
}

// Fields groups columns that are one unit: a categorical variable in one-hot
// form, destroyed as a whole and normalised by one softmax. The zero Fields
// makes every column a field of its own.
type Fields struct {
	Count    int
	OfColumn Words // [columns] the field of each column, non-decreasing
	Offsets  Words // [Count+1] the first column of each field, then the number of columns
}

// IsZero reports whether every column is its own field.
func (f Fields) IsZero() bool { return f.Count == 0 }

// Check panics if the fields do not cover d columns.
func (f Fields) Check(d int) {
	if !f.IsZero() && (f.OfColumn.Len != d || f.Offsets.Len != f.Count+1) {
		panicf("%d fields with %d+%d words for %d columns", f.Count, f.OfColumn.Len, f.Offsets.Len, d)
	}
}

// CorruptArgs draws one stage of the corruption: To ~ C(·|From). Its draws are
// those of philox at coordinates {Stream, Index: Stage, Replicate: i mod
// Replicates, Row: the row's number from Index, Step: the clock's step (0
// without a clock)}, Block f/4 and lane f mod 4, where f is the field of the
// column for masking, span and swap, and the column for the other kinds:
//
//	gaussian, speckle      NormalLane of the block at Draw 0
//	masking, salt&pepper   the word at Draw 0
//	uniform                Uniform of the word at Draw 0
//	swap                   the word at Draw 0 decides; the word w at Draw 1
//	                       chooses the donor: d = Below(w, part length - 1), and
//	                       d+1 if d ≥ the row's own position; the value is that
//	                       of row P(Lo+d) of the data set
//	swap-rows              as swap, but for w, which is the word at Draw 1, Block
//	                       0, lane 0 for all fields of the row
//	span                   the word of f = s decides whether the run starts that
//	                       covers the fields s-(Length-1), ..., s, for s from 0 to
//	                       fields+Length-2
//	poisson                philox.Poisson with Block = column
//
// Arithmetic is float32, in the order of the formulas of kind.go, each
// operation rounded (float32(σ·z) before the addition; speckle is x·(1 + σ·z)
// with float32(σ·z), then 1+, then ·x; uniform is a·(2u-1), poisson N/peak with
// λ = float32(peak·x)). So x̃ is equal bit for bit on all float32 devices.
//
// Mask receives 1 where a feature was destroyed by this stage (decided so, even
// if its value came out the same), which is everywhere for the kinds without a
// rate (gaussian, speckle, uniform, poisson) and nowhere for none; 0 elsewhere,
// or, with Accumulate, what it held before. A part of a single row has no
// donor: swaps then destroy nothing.
//
// With Absent, NaN stands for a value that is not there. Masking and span destroy
// to NaN, which is what a network is asked to fill in, and a NaN is left as it is by
// every kind, its mask that of a feature that was not destroyed. A donor's value
// may be absent: that is a draw from the column's marginal, and counts as destroyed.
type CorruptArgs struct {
	Kind       Corruption
	Rate       uint64  // philox.Threshold of the rate: masking, salt-and-pepper, swaps; span: of a start
	Rates      Words   // [fields] RateWords in place of Rate: masking, swaps; or absent
	Length     int     // span: the number of fields of a run, at least 1
	Amount     float32 // σ, a or peak: the other kinds
	Absent     bool    // NaN is an absent value: never destroyed, and what masking destroys to
	Continuous Words   // [columns] 0: gaussian, speckle, uniform, poisson, salt-and-pepper leave the column alone; absent: none
	From       View    // [rows, features] x, or the previous stage's output
	To         View    // out [rows, features]; may be From
	Mask       View    // out [rows, features]
	Accumulate bool    // keep what earlier stages destroyed
	Low, High  View    // [1, features] salt-and-pepper: the columns' extremes
	Fields     Fields
	Seed       uint64
	Stream     philox.Stream
	Stage      uint32
	Replicates int
	Index      Words   // of the minibatch, see GatherArgs
	Clock      Words   // absent: step 0
	Data       Dataset // swaps: where donors come from
	Part       Rows    // swaps: the part of Data that Index refers to
}

// Check panics if the arguments do not fit together.
func (a *CorruptArgs) Check() {
	if !sameShape(a.From, a.To) || !sameShape(a.From, a.Mask) || a.Index.Len != IndexWords(a.From.Rows) || a.Replicates < 1 {
		panicf("corrupt %s from %s to %s, mask %s, %d index words", a.Kind, shape(a.From), shape(a.To), shape(a.Mask), a.Index.Len)
	}
	a.Fields.Check(a.From.Columns)
	if a.Kind == CorruptSaltAndPepper && (a.Low.Len() != a.From.Columns || a.High.Len() != a.From.Columns) {
		panicf("corrupt %s of %d columns with %d lows and %d highs", a.Kind, a.From.Columns, a.Low.Len(), a.High.Len())
	}
	if a.Clock.Len != 0 && a.Clock.Len != ClockWords {
		panicf("corrupt %s by a clock of %d words", a.Kind, a.Clock.Len)
	}
	fields := a.From.Columns
	if !a.Fields.IsZero() {
		fields = a.Fields.Count
	}
	if a.Kind == CorruptSpan && a.Length < 1 {
		panicf("corrupt %s by runs of %d fields", a.Kind, a.Length)
	}
	if !a.Rates.IsZero() && a.Rates.Len != fields || !a.Continuous.IsZero() && a.Continuous.Len != a.From.Columns {
		panicf("corrupt %s of %d columns in %d fields with %d rates and %d words of what is continuous", a.Kind, a.From.Columns, fields,
			a.Rates.Len, a.Continuous.Len)
	}
	if a.Kind.Swaps() {
		a.checkDonors()
	}
}

// checkDonors panics if there is no data set for the rows that are corrupted.
func (a *CorruptArgs) checkDonors() {
	if a.Data == nil {
		panicf("corrupt %s without a data set", a.Kind)
	}
	rows, columns := a.Data.Shape()
	if columns != a.From.Columns || a.Part.Lo < 0 || a.Part.Hi > rows || a.Part.Lo > a.Part.Hi {
		panicf("corrupt %s of %d columns by rows %d..%d of %d×%d", a.Kind, a.From.Columns, a.Part.Lo, a.Part.Hi, rows, columns)
	}
}

// DenseArgs computes Y = act(A) with A = X·Wᵀ + b, or A = X·W + b with
// Transposed (a tied decoder). W is stored [out, in] as in the first form, so
// for a transposed use it is [X.Columns, Y.Columns].
type DenseArgs struct {
	X          View // [batch, in]
	W          View // [out, in], or [in, out] with Transposed
	Bias       View // [1, out], or absent
	Transposed bool
	Act        Activation
	Pre        View // out [batch, out]: A, or absent
	Y          View // out [batch, out]
}

// Check panics if the arguments do not fit together.
func (a *DenseArgs) Check() {
	out, in := a.W.Rows, a.W.Columns
	if a.Transposed {
		out, in = in, out
	}
	if a.X.Columns != in || a.Y.Columns != out || a.X.Rows != a.Y.Rows || !a.Bias.IsZero() && a.Bias.Len() != out ||
		!a.Pre.IsZero() && !sameShape(a.Pre, a.Y) {
		panicf("dense %s by %s (transposed %t) to %s, bias %s, pre %s", shape(a.X), shape(a.W), a.Transposed, shape(a.Y), shape(a.Bias), shape(a.Pre))
	}
}

// DenseBackwardArgs computes, from DA = ∂/∂A of DenseArgs,
//
//	DX = (DA·W) ⊙ act'(X)      (DA·Wᵀ with Transposed)
//	DW = DAᵀ·X                 (Xᵀ·DA with Transposed), plus what it held with Accumulate
//	DBias = column sums of DA
//
// where act is InAct, the activation that produced X, whose derivative is taken
// from X, or from InPre (X before that activation) for those kinds that need
// it. InAct is Identity where X is not an activation's direct output.
type DenseBackwardArgs struct {
	DA         View // [batch, out]
	X          View // [batch, in]
	W          View // as in DenseArgs
	Transposed bool
	Accumulate bool       // of DW only
	InAct      Activation // epilogue of DX
	InPre      View       // [batch, in] if InAct.NeedsInput
	DX         View       // out [batch, in], or absent
	DW         View       // out, shaped as W, or absent
	DBias      View       // out [1, out], or absent
}

// Check panics if the arguments do not fit together.
func (a *DenseBackwardArgs) Check() {
	out, in := a.W.Rows, a.W.Columns
	if a.Transposed {
		out, in = in, out
	}
	if a.DA.Columns != out || a.X.Columns != in || a.DA.Rows != a.X.Rows || !a.DX.IsZero() && !sameShape(a.DX, a.X) ||
		!a.DW.IsZero() && !sameShape(a.DW, a.W) || !a.DBias.IsZero() && a.DBias.Len() != out ||
		!a.DX.IsZero() && a.InAct.NeedsInput() && !sameShape(a.InPre, a.X) {
		panicf("dense backward of %s, input %s, weights %s (transposed %t) to %s, %s and %s", shape(a.DA), shape(a.X), shape(a.W),
			a.Transposed, shape(a.DX), shape(a.DW), shape(a.DBias))
	}
}

// ActivateArgs computes Y = act(X) elementwise.
type ActivateArgs struct {
	Act  Activation
	X, Y View // same shape; Y may be X
}

// Check panics if the arguments do not fit together.
func (a *ActivateArgs) Check() {
	if !sameShape(a.X, a.Y) {
		panicf("activate %s: %s to %s", a.Act, shape(a.X), shape(a.Y))
	}
}

// ActivateBackwardArgs computes DX = DY ⊙ act'(X), from X for the activations
// that need it and from Y = act(X) for the others. DX may be DY.
type ActivateBackwardArgs struct {
	Act    Activation
	X      View // pre-activation; absent unless Act.NeedsInput
	Y      View // output; absent if Act.NeedsInput
	DY, DX View
}

// Check panics if the arguments do not fit together.
func (a *ActivateBackwardArgs) Check() {
	from := a.Y
	if a.Act.NeedsInput() {
		from = a.X
	}
	if !sameShape(from, a.DY) || !sameShape(a.DX, a.DY) {
		panicf("activate backward %s: %s by %s to %s", a.Act, shape(a.DY), shape(from), shape(a.DX))
	}
}

// NormalizeArgs computes Y = Gain ⊙ (X - m)/√(s² + ε) + Bias, where m and the
// biased variance s² are over the features of each row (LayerNorm) or over the
// rows of each feature (BatchNorm). In training BatchNorm moves the running
// statistics, r ← (1-Momentum)·r + Momentum·batch statistic, with the unbiased
// variance (that of a single row counts as biased); outside training they are
// its m and s². Mean and InvStd receive the m and 1/√(s²+ε) that were used, for
// the backward pass: [rows, 1] for LayerNorm, [1, features] for BatchNorm.
type NormalizeArgs struct {
	Kind                    Normalization
	Training                bool
	Epsilon                 float32
	Momentum                float32 // BatchNorm in training
	X                       View
	Gain, Bias              View // [1, features]
	RunningMean, RunningVar View // [1, features], BatchNorm only
	Mean, InvStd            View // out
	Y                       View // out, same shape as X; may be X where no backward pass follows
}

// Check panics if the arguments do not fit together.
func (a *NormalizeArgs) Check() {
	d := a.X.Columns
	if !sameShape(a.X, a.Y) || a.Gain.Len() != d || a.Bias.Len() != d || statistics(a.Kind, a.X) != a.Mean.Len() || a.Mean.Len() != a.InvStd.Len() ||
		a.Kind == BatchNorm && (a.RunningMean.Len() != d || a.RunningVar.Len() != d) {
		panicf("normalize %s: %s to %s, gain %s, bias %s, mean %s", a.Kind, shape(a.X), shape(a.Y), shape(a.Gain), shape(a.Bias), shape(a.Mean))
	}
}

// NormalizeBackwardArgs computes the gradients of NormalizeArgs in training
// mode: with x̂ = (X-m)·InvStd and g = DY ⊙ Gain,
//
//	DX = InvStd·(g - avg g - x̂·avg(g ⊙ x̂)),  DGain = Σ_rows DY ⊙ x̂,  DBias = Σ_rows DY
//
// the averages being over what the statistics were taken over.
type NormalizeBackwardArgs struct {
	Kind         Normalization
	X, Gain      View
	Mean, InvStd View
	DY           View
	DX           View // out; may be DY
	DGain, DBias View // out [1, features]
}

// Check panics if the arguments do not fit together.
func (a *NormalizeBackwardArgs) Check() {
	d := a.X.Columns
	if !sameShape(a.X, a.DY) || !sameShape(a.X, a.DX) || a.Gain.Len() != d || a.DGain.Len() != d || a.DBias.Len() != d ||
		statistics(a.Kind, a.X) != a.Mean.Len() || a.Mean.Len() != a.InvStd.Len() {
		panicf("normalize backward %s: %s and %s to %s", a.Kind, shape(a.X), shape(a.DY), shape(a.DX))
	}
}

func statistics(k Normalization, x View) int {
	if k == LayerNorm {
		return x.Rows
	}
	return x.Columns
}

// DropoutArgs computes Y = X ⊙ m/(1-p) with m zero with probability p
// (Srivastava et al. 2014, in the inverted form). The unit j of row i is
// dropped if the word at {Stream: StreamDropout, Index: Layer, Replicate: i mod
// Replicates, Row: from Index, Step: from Clock, Block: j/4}, lane j mod 4,
// fires at Rate. The backward pass is the same operation on the gradient.
type DropoutArgs struct {
	Rate       uint64  // philox.Threshold of p
	Keep       float32 // 1/(1-p)
	Layer      uint32
	Seed       uint64
	Replicates int
	Index      Words
	Clock      Words
	X, Y       View // same shape; Y may be X
}

// Check panics if the arguments do not fit together.
func (a *DropoutArgs) Check() {
	if !sameShape(a.X, a.Y) || a.Index.Len != IndexWords(a.X.Rows) || a.Replicates < 1 || a.Clock.Len != ClockWords {
		panicf("dropout %s to %s with %d index words", shape(a.X), shape(a.Y), a.Index.Len)
	}
}

// LikelihoodArgs computes, for each row i, Losses[i] = Σ_j w_ij·ℓ_ij in nats,
// ℓ being the -log p of the feature (of the field, counted at its columns, for
// Categorical) with every constant included, and DParams = Scale·∂Losses/∂Params.
// The weight w_ij is Destroyed where Mask is 1 and Untouched where it is 0
// (emphasis: Vincent et al. 2010, section 4.3), or 1 without a Mask. A
// categorical field takes the mask of its first column. Weights multiply w_ij.
// ByColumn holds ℓ_ij by itself, without w.
//
// Under Mixed a target that is NaN is absent: its ℓ is 0, and so is its gradient.
// With a MaskHead, VIME's second task (Yoon et al. 2020), the last Table.Count
// parameters are logits b_ij of the mask: MaskHead·Σ_j (softplus(b_ij) - Mask_ij·b_ij)
// over the columns whose target is not absent is added to Losses[i], and its
// gradient is taken too. Without one these parameters are ignored, where there are
// any, and their gradient is 0.
type LikelihoodArgs struct {
	Kind                 Likelihood
	Sigma                float32      // Gaussian: σ; GaussianLearned: the floor of σ
	Floor                float32      // Mixed: the floor of σ of a gaussian-learned column
	Fields               Fields       // Categorical
	Table                TableColumns // Mixed
	MaskHead             float32      // Mixed: the weight of the mask's likelihood, 0 for none
	Params               View         // [rows, Kind.Width(features)]; Mixed: [rows, Table.ParamWidth], and Table.Count more with a MaskHead
	Target               View         // [rows, features], the clean x
	Mask                 View         // [rows, features], or absent
	Destroyed, Untouched float32
	Weights              View // [1, features] a factor of each ℓ_ij (of a field: at its first column), or absent
	Losses               View // out [rows, 1]
	ByColumn             View // out [rows, features] the ℓ_ij themselves (of a field: at its first column, 0 at the others), or absent
	DParams              View // out, shaped as Params, or absent; may be Params
	Scale                float32
}

// Check panics if the arguments do not fit together.
func (a *LikelihoodArgs) Check() {
	if a.Params.Rows != a.Target.Rows || !fits(a.Kind, a.Table, a.Params.Columns, a.Target.Columns) || a.Losses.Len() != a.Target.Rows ||
		!a.DParams.IsZero() && !sameShape(a.DParams, a.Params) || !a.Mask.IsZero() && !sameShape(a.Mask, a.Target) ||
		!a.Weights.IsZero() && a.Weights.Len() != a.Target.Columns || !a.ByColumn.IsZero() && !sameShape(a.ByColumn, a.Target) {
		panicf("likelihood %s of %s under %s, losses %s, gradient %s, mask %s, weights %s, by column %s", a.Kind, shape(a.Target), shape(a.Params),
			shape(a.Losses), shape(a.DParams), shape(a.Mask), shape(a.Weights), shape(a.ByColumn))
	}
	if a.MaskHead != 0 && (a.Kind != Mixed || !(a.MaskHead > 0) || a.Mask.IsZero() || a.Params.Columns != a.Table.ParamWidth+a.Table.Count) {
		panicf("likelihood %s with the mask's at %g from %s, mask %s", a.Kind, a.MaskHead, shape(a.Params), shape(a.Mask))
	}
	a.Fields.Check(a.Target.Columns)
}

// fits reports whether so many parameters are those of so many features.
func fits(k Likelihood, t TableColumns, params, features int) bool {
	if k != Mixed {
		return params == k.Width(features)
	}
	t.Check()
	return features == t.Count && (params == t.ParamWidth || params == t.ParamWidth+t.Count)
}

// MeanArgs computes the reconstruction E[x|h]: the logistic function of the
// logits, the mean, the softmax by field, or the exponential of the log rate. Of
// a categorical column of a Mixed likelihood it is the most probable code, the
// lowest of those that are equally so.
type MeanArgs struct {
	Kind   Likelihood
	Fields Fields
	Table  TableColumns // Mixed
	Params View         // [rows, Kind.Width(features)]; Mixed: as in LikelihoodArgs
	Out    View         // out [rows, features]; may be Params if the widths agree, but not under Mixed
}

// Check panics if the arguments do not fit together.
func (a *MeanArgs) Check() {
	if a.Params.Rows != a.Out.Rows || !fits(a.Kind, a.Table, a.Params.Columns, a.Out.Columns) {
		panicf("mean %s of %s to %s", a.Kind, shape(a.Params), shape(a.Out))
	}
	a.Fields.Check(a.Out.Columns)
}

// ReduceArgs folds X (and Y, for SumSquaredDifference) into Out: one number a
// row if Out is [rows, 1] and PerRow is set, otherwise a single number.
type ReduceArgs struct {
	Kind   Reduction
	PerRow bool
	X, Y   View
	Out    View // out [rows, 1] or [1, 1]
}

// Check panics if the arguments do not fit together.
func (a *ReduceArgs) Check() {
	want := 1
	if a.PerRow {
		want = a.X.Rows
	}
	if a.Out.Len() != want || a.Kind == SumSquaredDifference && !sameShape(a.X, a.Y) {
		panicf("reduce %s of %s and %s to %s", a.Kind, shape(a.X), shape(a.Y), shape(a.Out))
	}
}

// CombineArgs computes Dst = Alpha·A + Beta·B elementwise; an absent operand
// counts as zero and is not read. Dst may be A or B.
type CombineArgs struct {
	Alpha, Beta float32
	A, B        View
	Dst         View
}

// Check panics if the arguments do not fit together.
func (a *CombineArgs) Check() {
	if !a.A.IsZero() && a.A.Len() != a.Dst.Len() || !a.B.IsZero() && a.B.Len() != a.Dst.Len() {
		panicf("combine %s and %s to %s", shape(a.A), shape(a.B), shape(a.Dst))
	}
}

// UpdateArgs applies one step of an optimiser (formulas in kind.go) to all
// parameters. t is the clock's step + 1, η is Rates[clock index], and
//
//	g = Grads·min(1, Clip/√GradSq)   (Clip = 0: no clipping)
//
// WeightDecay λ concerns the first Decayed parameters: AdamW decouples it, the
// other rules add λθ to g after clipping. If GradSq or Loss is not finite
// nothing is changed: a diverged step is never applied. Nor is one whose Loss
// exceeds SpikeLimit by Spikes, if they are given. In a recorded step without clipping
// a device may apply each element of the gradient as it is made, when GradSq is not known:
// then what GradSq forbids is left out in parts: parameters and moments whose g is not
// finite keep their values, as those beside them may, and the others change.
// Afterwards EMA ← d·EMA + (1-d)·θ with d = min(Decay, (1+t)/(10+t)).
type UpdateArgs struct {
	Kind                  Optimizer
	Nesterov              bool
	Beta1, Beta2, Epsilon float32
	WeightDecay           float32
	Decayed               int
	Clip                  float32
	Rates                 View // [1, steps since the clock was set, at least]
	Clock                 Words
	GradSq                View // [1, 1] sum of squares of Grads
	Loss                  View // [1, 1] the step's loss, or absent
	Spikes                View // [1, SpikeValues] what Tick keeps of the losses before, or absent; needs Loss
	SpikeLimit            float32
	Params, Grads         View // [1, parameters]; Params in and out
	First, Second         View // in and out [1, parameters]: m and v, absent if the rule keeps none
	EMA                   View // in and out [1, parameters], or absent
	Decay                 float32
}

// Check panics if the arguments do not fit together.
func (a *UpdateArgs) Check() {
	n := a.Params.Len()
	if a.Grads.Len() != n || a.Kind.UsesFirstMoment() && a.First.Len() != n || a.Kind.UsesSecondMoment() && a.Second.Len() != n ||
		!a.EMA.IsZero() && a.EMA.Len() != n || a.Decayed < 0 || a.Decayed > n || a.GradSq.Len() != 1 || a.Clock.Len != ClockWords {
		panicf("update %s of %d parameters with %d gradients and %d, %d moments", a.Kind, n, a.Grads.Len(), a.First.Len(), a.Second.Len())
	}
	if a.Rates.Len() < 1 || !a.Loss.IsZero() && a.Loss.Len() != 1 {
		panicf("update %s by rates %s and loss %s", a.Kind, shape(a.Rates), shape(a.Loss))
	}
	checkSpikes("update", a.Spikes, a.Loss)
}

// TickArgs writes Values to row (clock index) mod Log.Rows of Log, then
// advances the clock by one step and Rows examples, and Spikes by Loss.
type TickArgs struct {
	Clock  Words
	Rows   int  // examples consumed
	Values View // [1, k], or absent
	Log    View // [entries, k], or absent
	// Spikes, if given, are advanced as Spikes.Next says.
	Spikes     View // in and out [1, SpikeValues], or absent; needs Loss
	SpikeLimit float32
	Loss       View // [1, 1] the step's loss
}

// Check panics if the arguments do not fit together.
func (a *TickArgs) Check() {
	if a.Values.Columns != a.Log.Columns || a.Values.Rows > 1 || a.Clock.Len != ClockWords || a.Rows < 0 {
		panicf("tick with values %s and log %s", shape(a.Values), shape(a.Log))
	}
	checkSpikes("tick", a.Spikes, a.Loss)
}

// checkSpikes panics if there are spikes without a loss to be one.
func checkSpikes(operation string, spikes, loss View) {
	if !spikes.IsZero() && (spikes.Len() != SpikeValues || loss.Len() != 1) {
		panicf("%s with spikes %s and loss %s", operation, shape(spikes), shape(loss))
	}
}

// isClock reports whether a clock that may be absent is one.
func isClock(w Words) bool { return w.IsZero() || w.Len == ClockWords }

func sameShape(a, b View) bool { return a.Rows == b.Rows && a.Columns == b.Columns }

// dims is a view's shape for a message.
type dims View

func shape(v View) dims { return dims(v) }
