package devicetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// TestReferencePasses: the suite finds nothing wrong with the reference.
func TestReferencePasses(t *testing.T) {
	Run(t, func(testing.TB) device.Device { return reference.New() })
}

// TestCoverage: an operation or a kind that no check runs is missed by name.
func TestCoverage(t *testing.T) {
	c := newCoverage()
	if missing := c.missing(); !slices.Equal(missing, wanted()) {
		t.Errorf("of an empty run, %v are missing", missing)
	}
	for _, name := range wanted() {
		c.ran[name] = 1
	}
	delete(c.ran, "Dense gelu")
	if missing := c.missing(); !slices.Equal(missing, []string{"Dense gelu"}) {
		t.Errorf("missing %v, want [Dense gelu]", missing)
	}
}

// TestSeedReplays: the seed is the environment's, and a failure prints it.
func TestSeedReplays(t *testing.T) {
	for text, want := range map[string]uint64{"": 1, "17": 17, "18446744073709551615": math.MaxUint64} {
		t.Setenv(SeedVariable, text)
		if got := seedFromEnvironment(t); got != want {
			t.Errorf("%s=%s is the seed %d", SeedVariable, text, got)
		}
	}
	t.Setenv(SeedVariable, "seven")
	if r := recorded(t, func(r *recorder) { seedFromEnvironment(r) }); !r.Failed() {
		t.Errorf("%s=seven is accepted", SeedVariable)
	}
	failing := check{"failing", func(r *rig) { r.report("it fails") }}
	r := recorded(t, func(r *recorder) { failing.run(r, reference.New(), 17, newCoverage()) })
	if want := SeedVariable + "=17"; !strings.Contains(strings.Join(r.logs, "\n"), want) {
		t.Errorf("a failure logs %q, want %q", r.logs, want)
	}
}

// TestSeedDrawsOtherInputs, and the same ones for the same check.
func TestSeedDrawsOtherInputs(t *testing.T) {
	first := newRand(1, "a").Uint64()
	if first != newRand(1, "a").Uint64() || first == newRand(2, "a").Uint64() || first == newRand(1, "b").Uint64() {
		t.Error("inputs are not a function of the seed and the check")
	}
}

// TestRoundedBoundsTheNorm: outputs that are off by a hundredth of themselves pass within
// a bound beyond that and no other, and what is not finite passes within none.
func TestRoundedBoundsTheNorm(t *testing.T) {
	scaled := func(by float32) device.Device {
		return &defective{Device: reference.New(), defect: defect{dense: func(d device.Device, a device.DenseArgs) {
			d.Dense(a)
			d.Combine(device.CombineArgs{Alpha: by, A: a.Y, Dst: a.Y})
		}}}
	}
	large := check{"DenseLarge", func(r *rig) { r.denseTrial(device.Identity, denseShape{7, 13, 11}, false, true, false) }}
	for _, c := range []struct {
		by    float32
		bound float64
		fails bool
	}{{1, 1e-9, false}, {1.01, 0.011, false}, {1.01, 0.009, true}, {float32(math.NaN()), 1, true}} {
		r := recorded(t, func(r *recorder) { rounded(large, c.bound).run(r, scaled(c.by), 1, newCoverage()) })
		if r.Failed() != c.fails {
			t.Errorf("outputs times %g within %g: failed %t", c.by, c.bound, r.Failed())
		}
	}
}

// TestDefectsAreFound: for each way to be wrong, the checks that must notice.
func TestDefectsAreFound(t *testing.T) {
	for _, defect := range defects() {
		t.Run(defect.name, func(t *testing.T) {
			for _, name := range defect.foundBy {
				failures := failuresOf(t, name, &defective{Device: reference.New(), defect: defect})
				if len(failures) == 0 {
					t.Errorf("%s passes", name)
				} else if !strings.Contains(strings.Join(failures, "\n"), defect.says) {
					t.Errorf("%s does not say %q: %s", name, defect.says, failures[0])
				}
			}
		})
	}
}

// defective is a reference device with a defect. A method is replaced where the
// defect has a function for it.
type defective struct {
	device.Device
	defect defect
}

// defect is one way to be wrong.
type defect struct {
	name    string
	foundBy []string // checks that must fail
	says    string   // what one of the failures must contain

	alloc        func(d device.Device, t device.Type, n int) (device.Memory, error)
	record       func(d device.Device, body func()) (device.Program, error)
	gather       func(d device.Device, a device.GatherArgs)
	corrupt      func(d device.Device, a device.CorruptArgs)
	dense        func(d device.Device, a device.DenseArgs)
	denseBack    func(d device.Device, a device.DenseBackwardArgs)
	activate     func(d device.Device, a device.ActivateArgs)
	normalize    func(d device.Device, a device.NormalizeArgs)
	dropout      func(d device.Device, a device.DropoutArgs)
	likelihood   func(d device.Device, a device.LikelihoodArgs)
	reduce       func(d device.Device, a device.ReduceArgs)
	update       func(d device.Device, a device.UpdateArgs)
	tick         func(d device.Device, a device.TickArgs)
	diffuse      func(d device.Device, a device.DiffuseArgs)
	condition    func(d device.Device, a device.ConditionArgs)
	blend        func(d device.Device, a device.BlendArgs)
	score        func(d device.Device, a device.ScoreMatchArgs)
	sampleCode   func(d device.Device, a device.SampleCodeArgs)
	codeBackward func(d device.Device, a device.SampleCodeBackwardArgs)
	importance   func(d device.Device, a device.ImportanceArgs)
	scaleRows    func(d device.Device, a device.ScaleRowsArgs)
	draw         func(d device.Device, a device.DrawArgs)
	load         func(d device.Device, ctx context.Context, t device.Table) (device.Dataset, error)
	embed        func(d device.Device, a device.EmbedArgs)
	embedBack    func(d device.Device, a device.EmbedBackwardArgs)
	mean         func(d device.Device, a device.MeanArgs)
	synchronise  func(d device.Device) error
}

func (d *defective) Alloc(t device.Type, n int) (device.Memory, error) {
	if d.defect.alloc != nil {
		return d.defect.alloc(d.Device, t, n)
	}
	return d.Device.Alloc(t, n)
}

func (d *defective) Record(body func()) (device.Program, error) {
	if d.defect.record != nil {
		return d.defect.record(d.Device, body)
	}
	return d.Device.Record(body)
}

func (d *defective) Sync() error {
	if d.defect.synchronise != nil {
		return d.defect.synchronise(d.Device)
	}
	return d.Device.Sync()
}

func (d *defective) Gather(a device.GatherArgs) { replaced(d, d.defect.gather, d.Device.Gather, a) }

func (d *defective) Corrupt(a device.CorruptArgs) { replaced(d, d.defect.corrupt, d.Device.Corrupt, a) }

func (d *defective) Dense(a device.DenseArgs) { replaced(d, d.defect.dense, d.Device.Dense, a) }

func (d *defective) DenseBackward(a device.DenseBackwardArgs) {
	replaced(d, d.defect.denseBack, d.Device.DenseBackward, a)
}

func (d *defective) Activate(a device.ActivateArgs) {
	replaced(d, d.defect.activate, d.Device.Activate, a)
}

func (d *defective) Normalize(a device.NormalizeArgs) {
	replaced(d, d.defect.normalize, d.Device.Normalize, a)
}

func (d *defective) Dropout(a device.DropoutArgs) { replaced(d, d.defect.dropout, d.Device.Dropout, a) }

func (d *defective) Likelihood(a device.LikelihoodArgs) {
	replaced(d, d.defect.likelihood, d.Device.Likelihood, a)
}

func (d *defective) Reduce(a device.ReduceArgs) { replaced(d, d.defect.reduce, d.Device.Reduce, a) }

func (d *defective) Update(a device.UpdateArgs) { replaced(d, d.defect.update, d.Device.Update, a) }

func (d *defective) Tick(a device.TickArgs) { replaced(d, d.defect.tick, d.Device.Tick, a) }

func (d *defective) Diffuse(a device.DiffuseArgs) {
	replaced(d, d.defect.diffuse, d.Device.Diffuse, a)
}

func (d *defective) Condition(a device.ConditionArgs) {
	replaced(d, d.defect.condition, d.Device.Condition, a)
}

func (d *defective) Blend(a device.BlendArgs) {
	replaced(d, d.defect.blend, d.Device.Blend, a)
}

func (d *defective) ScoreMatch(a device.ScoreMatchArgs) {
	replaced(d, d.defect.score, d.Device.ScoreMatch, a)
}

func (d *defective) SampleCode(a device.SampleCodeArgs) {
	replaced(d, d.defect.sampleCode, d.Device.SampleCode, a)
}

func (d *defective) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	replaced(d, d.defect.codeBackward, d.Device.SampleCodeBackward, a)
}

func (d *defective) Importance(a device.ImportanceArgs) {
	replaced(d, d.defect.importance, d.Device.Importance, a)
}

func (d *defective) ScaleRows(a device.ScaleRowsArgs) {
	replaced(d, d.defect.scaleRows, d.Device.ScaleRows, a)
}

func (d *defective) Draw(a device.DrawArgs) {
	replaced(d, d.defect.draw, d.Device.Draw, a)
}

func (d *defective) Embed(a device.EmbedArgs) { replaced(d, d.defect.embed, d.Device.Embed, a) }

func (d *defective) EmbedBackward(a device.EmbedBackwardArgs) {
	replaced(d, d.defect.embedBack, d.Device.EmbedBackward, a)
}

func (d *defective) Mean(a device.MeanArgs) { replaced(d, d.defect.mean, d.Device.Mean, a) }

func (d *defective) Load(ctx context.Context, t device.Table) (device.Dataset, error) {
	if d.defect.load != nil {
		return d.defect.load(d.Device, ctx, t)
	}
	return d.Device.Load(ctx, t)
}

func replaced[A any](d *defective, by func(device.Device, A), sound func(A), a A) {
	if by != nil {
		by(d.Device, a)
		return
	}
	sound(a)
}

// must ends a test on an error of the sound device below.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func download(d device.Device, v device.View) []float32 {
	x := make([]float32, v.Len())
	must(d.Download(x, v))
	return x
}

// poke writes a number at an offset from the start of a view, also outside it.
func poke(d device.Device, v device.View, offset int, x float32) {
	must(d.Upload(device.MatrixOf(v.Memory, v.Offset+offset, 1, 1), []float32{x}))
}

func defects() []defect {
	return slices.Concat(corruptionDefects(), arithmeticDefects(), memoryDefects(), stateDefects(), codeDefects(), tableDefects())
}

func corruptionDefects() []defect {
	return []defect{
		{
			name:    "the rate is the probability of keeping",
			foundBy: []string{"RateIsFractionDestroyed", "Corrupt/masking", "Corrupt/swap", "Corrupt/salt-and-pepper", "Moments/masking"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Rate = threshold(1) - a.Rate
				d.Corrupt(a)
			},
		},
		{
			name:    "dropout's rate is the probability of keeping",
			foundBy: []string{"Dropout", "Moments/dropout"},
			dropout: func(d device.Device, a device.DropoutArgs) {
				a.Rate = threshold(1) - a.Rate
				d.Dropout(a)
			},
		},
		{
			name: "the draws of the first step are used at every step",
			foundBy: []string{"MaskIsFreshAtEveryStep", "NoiseIsFreshAtEveryStep", "NoiseIsFreshAtEveryReplay",
				"Corrupt/masking", "Corrupt/gaussian", "Corrupt/poisson"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Clock = device.Words{}
				d.Corrupt(a)
			},
		},
		{
			name:    "survivors are rescaled",
			foundBy: []string{"SurvivorsAreNotRescaled", "Corrupt/masking"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				d.Corrupt(a)
				d.Combine(device.CombineArgs{Alpha: 1.25, A: a.To, Dst: a.To})
			},
		},
		{
			name:    "columns of a field are destroyed one by one",
			foundBy: []string{"FieldsAreDestroyedWhole", "Corrupt/masking", "Corrupt/swap"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Fields = device.Fields{}
				d.Corrupt(a)
			},
		},
		{
			name:    "a swap's donor is the row itself",
			foundBy: []string{"SwapDonorIsAnotherRow", "RateIsFractionDestroyed", "Moments/swap", "Corrupt/swap"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				x := download(d, a.From)
				d.Corrupt(a)
				if a.Kind == device.CorruptSwap {
					must(d.Upload(a.To, x))
				}
			},
		},
		{
			name:    "a swap's donors come from the first rows only",
			foundBy: []string{"SwapDonorsAreUniformOverThePart", "Corrupt/swap"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Part.Hi = min(a.Part.Hi, a.Part.Lo+16)
				d.Corrupt(a)
			},
		},
		{
			name:    "a swap's donors come from the whole data set instead of the part",
			foundBy: []string{"SwapDonorIsAnotherRow", "SwapDonorsAreUniformOverThePart", "Corrupt/swap"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				if a.Data != nil {
					rows, _ := a.Data.Shape()
					a.Part = device.Rows{Hi: rows}
				}
				d.Corrupt(a)
			},
		},
		{
			name:    "a draw depends on the place in the minibatch",
			foundBy: []string{"CorruptSplitsBatches/masking", "CorruptSplitsBatches/gaussian", "CorruptSplitsBatches/poisson", "Corrupt/uniform"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				words := make([]uint32, a.Index.Len)
				must(d.DownloadWords(words, a.Index))
				renumbered := slices.Clone(words)
				for i := range renumbered[:len(words)/2] {
					renumbered[i] = uint32(i / a.Replicates)
				}
				must(d.UploadWords(a.Index, renumbered))
				d.Corrupt(a)
				must(d.UploadWords(a.Index, words))
			},
		},
		{
			name:    "replicates share their draws",
			foundBy: []string{"ReplicatesDiffer", "Corrupt/gaussian"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Replicates = 1
				d.Corrupt(a)
			},
		},
		{
			name:    "stages share their draws",
			foundBy: []string{"Moments/composition", "DrawsAreIndependent", "Corrupt/masking"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Stage = 0
				d.Corrupt(a)
			},
		},
		{
			name:    "only half of the seed is used",
			foundBy: []string{"DrawsAreIndependent", "Corrupt/gaussian"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Seed = uint64(uint32(a.Seed))
				d.Corrupt(a)
			},
		},
		{
			name:    "the mask of earlier stages is lost",
			foundBy: []string{"Moments/composition", "Corrupt/none", "Corrupt/masking"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				a.Accumulate = false
				d.Corrupt(a)
			},
		},
		{
			name:    "noise is off by one unit in the last place",
			foundBy: []string{"Corrupt/gaussian", "Corrupt/speckle", "Corrupt/uniform"},
			corrupt: func(d device.Device, a device.CorruptArgs) {
				d.Corrupt(a)
				x := download(d, a.To)
				x[0] = math.Nextafter32(x[0], 9)
				must(d.Upload(a.To, x))
			},
		},
	}
}

func arithmeticDefects() []defect {
	return []defect{
		{
			name:    "dense forgets the bias",
			foundBy: []string{"Dense/identity", "Dense/gelu", "DenseLarge"},
			says:    "elements of Y are wrong",
			dense: func(d device.Device, a device.DenseArgs) {
				a.Bias = device.View{}
				d.Dense(a)
			},
		},
		{
			name:    "dense rounds its input to the ten bits of TF32",
			foundBy: []string{"Dense/identity", "DenseLarge"},
			dense: func(d device.Device, a device.DenseArgs) {
				x := download(d, a.X)
				rounded := slices.Clone(x)
				for i := range rounded {
					rounded[i] = math.Float32frombits((math.Float32bits(rounded[i]) + 1<<12) &^ (1<<13 - 1))
				}
				must(d.Upload(a.X, rounded))
				d.Dense(a)
				must(d.Upload(a.X, x))
			},
		},
		{
			name:    "dense loses the last of many inputs",
			foundBy: []string{"DenseLarge"},
			dense: func(d device.Device, a device.DenseArgs) {
				x := download(d, a.X)
				if a.X.Columns > 128 {
					for i := range a.X.Rows {
						poke(d, a.X, i*a.X.Columns+a.X.Columns-1, 0)
					}
				}
				d.Dense(a)
				must(d.Upload(a.X, x))
			},
		},
		{
			name:    "the gradient of the weights is not accumulated",
			foundBy: []string{"DenseBackward/identity", "DenseBackwardLarge"},
			says:    "elements of DW are wrong",
			denseBack: func(d device.Device, a device.DenseBackwardArgs) {
				a.Accumulate = false
				d.DenseBackward(a)
			},
		},
		{
			name:    "the derivative of the activation below is left out",
			foundBy: []string{"DenseBackward/relu", "DenseBackward/gelu", "DenseBackward/softplus"},
			says:    "elements of DX are wrong",
			denseBack: func(d device.Device, a device.DenseBackwardArgs) {
				a.InAct = device.Identity
				d.DenseBackward(a)
			},
		},
		{
			name:    "gelu is approximated by the hyperbolic tangent",
			foundBy: []string{"Activate/gelu"},
			activate: func(d device.Device, a device.ActivateArgs) {
				x := download(d, a.X)
				d.Activate(a)
				for i, v := range x {
					if a.Act == device.GELU {
						v := float64(v)
						poke(d, a.Y, i, float32(v/2*(1+math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))))
					}
				}
			},
		},
		{
			name:     "softplus overflows",
			foundBy:  []string{"Activate/softplus"},
			activate: overflowingSoftplus,
		},
		{
			name:    "a kind has no twin",
			foundBy: []string{"Activate/silu"},
			says:    "panic: no twin",
			activate: func(d device.Device, a device.ActivateArgs) {
				if a.Act == device.SiLU {
					panic("no twin")
				}
				d.Activate(a)
			},
		},
		{
			name:      "the variance is computed from the mean square",
			foundBy:   []string{"Normalize/layer"},
			normalize: singlePassLayerNorm,
		},
		{
			name:    "the running statistics move outside training",
			foundBy: []string{"Normalize/batch"},
			says:    "running mean",
			normalize: func(d device.Device, a device.NormalizeArgs) {
				a.Training = true
				d.Normalize(a)
			},
		},
		{
			name:    "the mask does not weigh the loss",
			foundBy: []string{"Likelihood/bernoulli", "Likelihood/categorical", "Likelihood/poisson", "Likelihood/gaussian", "Likelihood/gaussian-learned"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				a.Mask = device.View{}
				d.Likelihood(a)
			},
		},
		{
			name:    "one softmax is taken over all fields",
			foundBy: []string{"Likelihood/categorical"},
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				a.Fields = device.Fields{}
				d.Likelihood(a)
			},
		},
		{
			name:    "the constant of the gaussian is left out",
			foundBy: []string{"Likelihood/gaussian", "Likelihood/gaussian-learned"},
			says:    "losses",
			likelihood: func(d device.Device, a device.LikelihoodArgs) {
				d.Likelihood(a)
				x := download(d, a.Losses)
				for i := range x {
					x[i] -= 0.9189385
				}
				must(d.Upload(a.Losses, x))
			},
		},
		{
			name:    "a sum of squares forgets an element",
			foundBy: []string{"Reduce/sum-squares", "Reduce/sum"},
			reduce: func(d device.Device, a device.ReduceArgs) {
				if !a.PerRow && a.X.Columns > 4096 && a.X.Rows == 1 {
					a.X = device.MatrixOf(a.X.Memory, a.X.Offset, 1, a.X.Columns*9/10)
				}
				d.Reduce(a)
			},
		},
	}
}

func overflowingSoftplus(d device.Device, a device.ActivateArgs) {
	x := download(d, a.X)
	d.Activate(a)
	for i, v := range x {
		if a.Act == device.Softplus {
			poke(d, a.Y, i, float32(math.Log(float64(1+float32(math.Exp(float64(v)))))))
		}
	}
}

// singlePassLayerNorm is LayerNorm with E[x²] - E[x]² for the variance.
func singlePassLayerNorm(d device.Device, a device.NormalizeArgs) {
	x := download(d, a.X)
	d.Normalize(a)
	gain, bias := download(d, a.Gain), download(d, a.Bias)
	for i := range a.X.Rows {
		row := x[i*a.X.Columns : (i+1)*a.X.Columns]
		var sum, squares float32
		for _, v := range row {
			sum += v
			squares += v * v
		}
		n := float32(len(row))
		mean := sum / n
		scale := 1 / math.Sqrt(max(0, float64(squares/n-mean*mean))+float64(a.Epsilon))
		for j, v := range row {
			poke(d, a.Y, i*len(row)+j, gain[j]*(v-mean)*float32(scale)+bias[j])
		}
	}
}

func memoryDefects() []defect {
	calls := 0
	return []defect{
		{
			name:    "a write behind the output",
			foundBy: []string{"Dense/identity"},
			says:    "the guard at element",
			dense: func(d device.Device, a device.DenseArgs) {
				d.Dense(a)
				poke(d, a.Y, a.Y.Len(), 0)
			},
		},
		{
			name:    "a write before the output",
			foundBy: []string{"Activate/relu"},
			says:    "the guard at element -1",
			activate: func(d device.Device, a device.ActivateArgs) {
				d.Activate(a)
				poke(d, a.Y, -1, 0)
			},
		},
		{
			name:    "a read behind the input",
			foundBy: []string{"Reduce/sum"},
			reduce: func(d device.Device, a device.ReduceArgs) {
				if !a.PerRow && a.Y.IsZero() {
					a.X = device.MatrixOf(a.X.Memory, a.X.Offset, 1, a.X.Len()+1)
				}
				d.Reduce(a)
			},
		},
		{
			name:    "an element is not written",
			foundBy: []string{"Activate/tanh"},
			says:    "it is NaN",
			activate: func(d device.Device, a device.ActivateArgs) {
				x := download(d, a.Y)
				d.Activate(a)
				poke(d, a.Y, a.Y.Len()-1, x[len(x)-1])
			},
		},
		{
			name:    "an input is overwritten",
			foundBy: []string{"DenseBackward/identity"},
			says:    "the input DA was changed",
			denseBack: func(d device.Device, a device.DenseBackwardArgs) {
				d.DenseBackward(a)
				d.Combine(device.CombineArgs{Alpha: 2, A: a.DA, Dst: a.DA})
			},
		},
		{
			name:    "the clean example is overwritten",
			foundBy: []string{"Corrupt/masking"},
			says:    "the input X was changed",
			corrupt: func(d device.Device, a device.CorruptArgs) {
				d.Corrupt(a)
				d.Combine(device.CombineArgs{Alpha: 1, A: a.To, Dst: a.From})
			},
		},
		{
			name:    "a result depends on when it is computed",
			foundBy: []string{"Reduce/sum"},
			says:    "differs from call to call",
			reduce: func(d device.Device, a device.ReduceArgs) {
				d.Reduce(a)
				if calls++; calls%2 == 0 {
					poke(d, a.Out, 0, math.Nextafter32(download(d, a.Out)[0], 0))
				}
			},
		},
		{
			name:    "fresh memory is not cleared",
			foundBy: []string{"AllocZeroes"},
			alloc: func(d device.Device, t device.Type, n int) (device.Memory, error) {
				m, err := d.Alloc(t, n)
				if err == nil && t == device.Float {
					poke(d, device.MatrixOf(m, 0, 1, n), n-1, 1)
				}
				return m, err
			},
		},
		{
			name:    "a lack of memory has no type",
			foundBy: []string{"AllocRefusesAbsurdSizes"},
			alloc: func(d device.Device, t device.Type, n int) (device.Memory, error) {
				m, err := d.Alloc(t, n)
				if err != nil {
					return nil, errors.New("out of memory")
				}
				return m, nil
			},
		},
		{
			name:        "the machine fails",
			foundBy:     []string{"Combine", "Gather", "Tick", "ProgramRepeatsOperations"},
			says:        "the machine failed",
			synchronise: func(device.Device) error { return errors.New("the machine failed") },
		},
	}
}

func stateDefects() []defect {
	return []defect{
		{
			name:    "the first minibatch is served for ever",
			foundBy: []string{"MinibatchAdvances", "GatherVisitsEachRowOncePerEpoch", "Gather"},
			gather: func(d device.Device, a device.GatherArgs) {
				words := make([]uint32, device.ClockWords)
				must(d.DownloadWords(words, a.Clock))
				must(d.UploadWords(a.Clock, make([]uint32, device.ClockWords)))
				d.Gather(a)
				must(d.UploadWords(a.Clock, words))
			},
		},
		{
			name:    "examples are not shuffled",
			foundBy: []string{"Gather", "GatherVisitsEachRowOncePerEpoch"},
			gather: func(d device.Device, a device.GatherArgs) {
				a.Shuffle = false
				d.Gather(a)
			},
		},
		{
			name:    "the split is ignored",
			foundBy: []string{"Gather", "GatherVisitsEachRowOncePerEpoch"},
			gather: func(d device.Device, a device.GatherArgs) {
				a.Part.Split = false
				d.Gather(a)
			},
		},
		{
			name:    "the clock stands still",
			foundBy: []string{"Tick", "MinibatchAdvances", "NoiseIsFreshAtEveryReplay", "ProgramRepeatsOperations"},
			tick:    func(device.Device, device.TickArgs) {},
		},
		{
			name:    "the log does not wrap around",
			foundBy: []string{"Tick"},
			says:    "log",
			tick: func(d device.Device, a device.TickArgs) {
				words := make([]uint32, device.ClockWords)
				must(d.DownloadWords(words, a.Clock))
				if device.ClockFromWords(words).Index >= uint32(a.Log.Rows) {
					a.Values, a.Log = device.View{}, device.View{}
				}
				d.Tick(a)
			},
		},
		{
			name:    "recording runs the operations",
			foundBy: []string{"RecordingRunsNothing"},
			record: func(d device.Device, body func()) (device.Program, error) {
				body()
				return d.Record(body)
			},
		},
		{
			name:    "a replay runs nothing",
			foundBy: []string{"RecordingRunsNothing", "ProgramRepeatsOperations", "NoiseIsFreshAtEveryReplay", "MinibatchAdvances"},
			record: func(d device.Device, body func()) (device.Program, error) {
				return d.Sync, nil
			},
		},
		{
			name:    "a step that is not finite is applied",
			foundBy: []string{"UpdateSkipsNonFiniteSteps/sgd", "UpdateSkipsNonFiniteSteps/adam"},
			update: func(d device.Device, a device.UpdateArgs) {
				gradSq := download(d, a.GradSq)
				must(d.Upload(a.GradSq, []float32{1}))
				a.Loss, a.Spikes = device.View{}, device.View{}
				d.Update(a)
				must(d.Upload(a.GradSq, gradSq))
			},
		},
		{
			name:    "a spike of the loss is applied",
			foundBy: []string{"UpdateSkipsSpikes/sgd", "UpdateSkipsSpikes/adam"},
			update: func(d device.Device, a device.UpdateArgs) {
				a.Spikes = device.View{}
				d.Update(a)
			},
		},
		{
			name:    "nothing is learnt of the losses",
			foundBy: []string{"TickAdvancesSpikes"},
			says:    "spikes",
			tick: func(d device.Device, a device.TickArgs) {
				a.Spikes = device.View{}
				d.Tick(a)
			},
		},
		{
			name:    "only the loss's finiteness is looked at",
			foundBy: []string{"UpdateSkipsNonFiniteSteps/adagrad"},
			update: func(d device.Device, a device.UpdateArgs) {
				if loss := download(d, a.Loss)[0]; loss-loss != 0 {
					return
				}
				gradSq := download(d, a.GradSq)
				must(d.Upload(a.GradSq, []float32{1}))
				d.Update(a)
				must(d.Upload(a.GradSq, gradSq))
			},
		},
		{
			name:    "biases decay too",
			foundBy: []string{"Update/sgd", "Update/adamw", "Update/rmsprop"},
			update: func(d device.Device, a device.UpdateArgs) {
				a.Decayed = a.Params.Len()
				d.Update(a)
			},
		},
		{
			name:    "the gradient is not clipped",
			foundBy: []string{"Update/sgd", "Update/adagrad"},
			update: func(d device.Device, a device.UpdateArgs) {
				a.Clip = 0
				d.Update(a)
			},
		},
		{
			name:    "adam does not correct the bias of its moments",
			foundBy: []string{"Update/adam", "Update/adamw"},
			update: func(d device.Device, a device.UpdateArgs) {
				words := make([]uint32, device.ClockWords)
				must(d.DownloadWords(words, a.Clock))
				late := device.ClockFromWords(words)
				late.Step = 1 << 40
				must(d.UploadWords(a.Clock, late.Words()))
				a.EMA = device.View{}
				d.Update(a)
				must(d.UploadWords(a.Clock, words))
			},
		},
		{
			name:    "the first learning rate is used for ever",
			foundBy: []string{"Update/adam"},
			update: func(d device.Device, a device.UpdateArgs) {
				rates := download(d, a.Rates)
				for i := range rates {
					poke(d, a.Rates, i, rates[0])
				}
				d.Update(a)
				must(d.Upload(a.Rates, rates))
			},
		},
	}
}
