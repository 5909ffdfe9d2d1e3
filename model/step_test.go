package model

import (
	"math"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

func parameter(t *testing.T, n *Net, arena device.View, name string) device.View {
	t.Helper()
	for i, p := range n.dae.Parameters() {
		if p.Name == name {
			return part(arena, n.dae.Parameters(), i)
		}
	}
	t.Fatalf("no parameter %s", name)
	return device.View{}
}

func allZero(values []float32) bool {
	for _, v := range values {
		if v != 0 {
			return false
		}
	}
	return true
}

// TestCleanSampleIsNotEncoded: when everything is masked the encoder sees
// zeros, so its weights cannot matter to the loss.
func TestCleanSampleIsNotEncoded(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			values := uniform(1, 60)
			for corruption, blind := range map[string]bool{"masking:1": true, "none": false} {
				n := bound(t, dev, linearConfig(6, corruption), 10)
				n.Gradient(sourceOf(t, dev, values, 6, device.Clock{}), 10)
				if got := allZero(download(t, dev, parameter(t, n, n.Grads, "encoder.0.weight"))); got != blind {
					t.Errorf("%s: the encoder's weights have no gradient: %t, want %t", corruption, got, blind)
				}
			}
		})
	}
}

// TestTargetIsClean: with weights of zero the reconstruction is 0, so the loss
// is that of the clean examples at mean 0, whatever the corruption.
func TestTargetIsClean(t *testing.T) {
	const rows, features = 10, 6
	values := uniform(1, rows*features)
	want := features * 0.5 * math.Log(2*math.Pi)
	for _, x := range values {
		want += 0.5 * float64(x) * float64(x) / rows
	}
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, linearConfig(features, "masking:0.5+gaussian:2"), rows)
			if err := n.SetParameters(make([]float32, n.dae.ParameterCount()), nil); err != nil {
				t.Fatal(err)
			}
			n.Gradient(sourceOf(t, dev, values, features, device.Clock{}), rows)
			if got := float64(download(t, dev, n.MeanLoss())[0]); math.Abs(got-want) > 1e-5*want {
				t.Errorf("loss %v, want %v", got, want)
			}
		})
	}
}

// corruptedAt returns x̃ and the mask of a training minibatch at a clock.
func corruptedAt(t *testing.T, n *Net, src Source, examples int, clock device.Clock) (corrupted, mask []float32) {
	t.Helper()
	setClock(t, n.dev, src, clock)
	n.Gradient(src, examples)
	rows := examples * n.dae.Config().Replicates
	return download(t, n.dev, n.corrupted.Top(rows)), download(t, n.dev, n.mask.Top(rows))
}

// TestMaskChangesEveryStep: the same examples are corrupted anew at each step,
// and at the same step alike.
func TestMaskChangesEveryStep(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, linearConfig(16, "masking:0.5+gaussian:0.1"), 8)
			src := sourceOf(t, dev, uniform(1, 8*16), 16, device.Clock{})
			first, _ := corruptedAt(t, n, src, 8, device.Clock{Step: 1})
			again, _ := corruptedAt(t, n, src, 8, device.Clock{Step: 1})
			if !equal32(first, again) {
				t.Error("one step drew two corruptions")
			}
			for step := range uint64(5) {
				if other, _ := corruptedAt(t, n, src, 8, device.Clock{Step: 2 + step}); equal32(first, other) {
					t.Errorf("steps 1 and %d drew the same corruption", 2+step)
				}
			}
		})
	}
}

// TestEveryReplicateDrawsItsOwnNoise: the K corruptions of an example differ,
// and the first of them is the one that K = 1 draws.
func TestEveryReplicateDrawsItsOwnNoise(t *testing.T) {
	const k, features, examples = 4, 32, 3
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := linearConfig(features, "masking:0.5")
			src := sourceOf(t, dev, uniform(1, examples*features), features, device.Clock{})
			single, _ := corruptedAt(t, bound(t, dev, config, examples), src, examples, device.Clock{Step: 9})
			config.Replicates = k
			n := bound(t, dev, config, examples)
			_, mask := corruptedAt(t, n, src, examples, device.Clock{Step: 9})
			all := download(t, dev, n.corrupted)
			row := func(values []float32, i int) []float32 { return values[i*features : (i+1)*features] }
			for e := range examples {
				if !equal32(row(all, e*k), row(single, e)) {
					t.Errorf("example %d: the first replicate is not the one of K = 1", e)
				}
				for a := range k {
					for b := range a {
						if equal32(row(mask, e*k+a), row(mask, e*k+b)) {
							t.Errorf("example %d: replicates %d and %d have one mask", e, a, b)
						}
					}
				}
			}
		})
	}
}

// TestEmphasisWeighsDestroyedAgainstUntouched: with weights of zero the loss is
// Σ w·(½x² + ½ ln 2π), w by the mask; evaluation does not weigh.
func TestEmphasisWeighsDestroyedAgainstUntouched(t *testing.T) {
	const rows, features = 10, 8
	values := uniform(1, rows*features)
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := linearConfig(features, "masking:0.4")
			config.Emphasis = Emphasis{Destroyed: 3, Untouched: 0.25}
			n := bound(t, dev, config, rows)
			if err := n.SetParameters(make([]float32, n.dae.ParameterCount()), nil); err != nil {
				t.Fatal(err)
			}
			src := sourceOf(t, dev, values, features, device.Clock{})
			_, mask := corruptedAt(t, n, src, rows, device.Clock{Step: 1})
			var weighted, plain float64
			for i, x := range values {
				loss := (0.5*float64(x)*float64(x) + 0.5*math.Log(2*math.Pi)) / rows
				plain += loss
				weighted += loss * (0.25 + 2.75*float64(mask[i]))
			}
			if got := float64(download(t, dev, n.MeanLoss())[0]); math.Abs(got-weighted) > 1e-5*weighted {
				t.Errorf("loss %v, want %v", got, weighted)
			}
			e, err := n.Evaluate(t.Context(), src)
			if err != nil || math.Abs(e.NLL-plain) > 1e-5*plain {
				t.Errorf("evaluation gives %v nats, want %v: %v", e.NLL, plain, err)
			}
		})
	}
}

// TestReplicatesAverage: the loss and gradient of K replicates are the means of
// those of each, which dropout and corruption key by replicate; without noise
// they are those of K = 1.
func TestReplicatesAverage(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := Config{Features: 5, Hidden: []int{4}, Activation: "tanh", Likelihood: "gaussian"}
			src := sourceOf(t, dev, uniform(1, 15), 5, device.Clock{})
			one := bound(t, dev, config, 3)
			config.Replicates = 5
			five := bound(t, dev, config, 3)
			one.Gradient(src, 3)
			five.Gradient(src, 3)
			if !close32(download(t, dev, one.Values), download(t, dev, five.Values), 1e-4) || !close32(download(t, dev, one.Grads), download(t, dev, five.Grads), 1e-5) {
				t.Error("replicating without noise changes the gradient")
			}
		})
	}
}

// TestSwappedFieldsStayWhole: a swapped one-hot field is another row's field,
// not a mixture of bits.
func TestSwappedFieldsStayWhole(t *testing.T) {
	fields := []int{3, 2, 5}
	const rows, columns = 40, 10
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := Config{Features: columns, Fields: fields, Hidden: []int{4}, Likelihood: "categorical", Corruption: "swap:0.5"}
			n := bound(t, dev, config, rows)
			src := sourceOf(t, dev, oneHot(1, rows, fields), columns, device.Clock{})
			corrupted, mask := corruptedAt(t, n, src, rows, device.Clock{Step: 1})
			destroyed := 0
			for i := range rows {
				offset := i * columns
				for _, width := range fields {
					sum := float32(0)
					for j := range width {
						sum += corrupted[offset+j]
						if mask[offset+j] != mask[offset] {
							t.Fatalf("row %d: a field was destroyed in part", i)
						}
					}
					if sum != 1 {
						t.Fatalf("row %d: a swapped field sums to %v", i, sum)
					}
					destroyed += int(mask[offset])
					offset += width
				}
			}
			if units := float64(rows * len(fields)); math.Abs(float64(destroyed)-units/2) > 5*math.Sqrt(units/4) {
				t.Errorf("%d of %v fields were swapped at rate 0.5", destroyed, units)
			}
		})
	}
}

// TestMasksAreEqualOnAllDevicesAndSplits: x̃ and the mask of an example do not
// depend on the device, nor on the minibatch in which it comes.
func TestMasksAreEqualOnAllDevicesAndSplits(t *testing.T) {
	const rows, features = 21, 13
	for _, corruption := range []string{"gaussian:0.3", "masking:0.3", "salt-and-pepper:0.3", "swap:0.3", "speckle:0.3", "uniform:0.3", "poisson:20",
		"masking:0.2+swap:0.2+gaussian:0.1"} {
		t.Run(corruption, func(t *testing.T) {
			var want, wantMask []float32
			for name, dev := range devices(t) {
				config := linearConfig(features, corruption)
				src := sourceOf(t, dev, uniform(1, rows*features), features, device.Clock{})
				for _, split := range []int{1, 5, rows} {
					n := bound(t, dev, config, split)
					var got, gotMask []float32
					for first := 0; first < rows; first += split {
						corrupted, mask := corruptedAt(t, n, src, min(split, rows-first), device.Clock{Step: 4, Cursor: uint32(first)})
						got, gotMask = append(got, corrupted...), append(gotMask, mask...)
					}
					if want == nil {
						want, wantMask = got, gotMask
					}
					if !equal32(got, want) || !equal32(gotMask, wantMask) {
						t.Errorf("%s in minibatches of %d draws another corruption", name, split)
					}
				}
			}
		})
	}
}

// TestTrainingAndEvaluationDrawApart: evaluation's noise is not that of a training step.
func TestTrainingAndEvaluationDrawApart(t *testing.T) {
	dev := devices(t)["reference"]
	n := bound(t, dev, linearConfig(16, "masking:0.5"), 8)
	src := sourceOf(t, dev, uniform(1, 8*16), 16, device.Clock{})
	training, _ := corruptedAt(t, n, src, 8, device.Clock{})
	_, evaluation, _, err := n.Triples(t.Context(), src, 8)
	if err != nil {
		t.Fatal(err)
	}
	if equal32(training, evaluation.Data().([]float32)) {
		t.Error("the validation noise is the training noise of step 0")
	}
}

// TestGradientVisitsTheEpoch: by the clock's cursor, minibatches partition the
// part, the last one partial; another epoch has another order.
func TestGradientVisitsTheEpoch(t *testing.T) {
	const rows = 23
	values := make([]float32, rows)
	for i := range values {
		values[i] = float32(i)
	}
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, linearConfig(1, "none"), 5)
			src := sourceOf(t, dev, values, 1, device.Clock{})
			src.Shuffle = true
			src.Part = device.Rows{Lo: 3, Hi: rows, Split: true, Seed: 5}
			permutation := src.Part.Permutation(rows)
			var orders [2][]float32
			for epoch := range orders {
				seen := map[float32]int{}
				for cursor := 0; cursor < src.Part.Len(); cursor += 5 {
					examples := min(5, src.Part.Len()-cursor)
					setClock(t, dev, src, device.Clock{Epoch: uint32(epoch), Cursor: uint32(cursor)})
					n.Gradient(src, examples)
					for _, x := range download(t, dev, n.clean.Top(examples)) {
						seen[x]++
						orders[epoch] = append(orders[epoch], x)
					}
				}
				for q := src.Part.Lo; q < src.Part.Hi; q++ {
					if seen[float32(permutation.At(uint32(q)))] != 1 {
						t.Errorf("epoch %d visits row %d %d times", epoch, permutation.At(uint32(q)), seen[float32(permutation.At(uint32(q)))])
					}
				}
			}
			if equal32(orders[0], orders[1]) {
				t.Error("two epochs have one order")
			}
		})
	}
}

// TestGradientMayBeRecorded: a program repeats the step at the clock's position.
func TestGradientMayBeRecorded(t *testing.T) {
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			config := Config{Features: 8, Hidden: []int{6}, Activation: "gelu", Norm: "batch", Dropout: 0.2, Likelihood: "bernoulli", Corruption: "masking:0.5"}
			n := bound(t, dev, config, 4)
			src := sourceOf(t, dev, uniform(1, 64), 8, device.Clock{})
			program, err := dev.Record(func() { n.Gradient(src, 4) })
			if err != nil {
				t.Fatal(err)
			}
			for step := range uint64(3) {
				setClock(t, dev, src, device.Clock{Step: step, Cursor: uint32(step)})
				if err := program(); err != nil {
					t.Fatal(err)
				}
				recorded := download(t, dev, n.Grads)
				setClock(t, dev, src, device.Clock{Step: step, Cursor: uint32(step)})
				n.Gradient(src, 4)
				if !equal32(recorded, download(t, dev, n.Grads)) {
					t.Errorf("step %d: the program's gradient is another", step)
				}
			}
		})
	}
}

// TestGradientAllocatesNothing on a device that allocates nothing.
func TestGradientAllocatesNothing(t *testing.T) {
	dev := devices(t)["cpu"]
	for _, config := range []Config{
		{Features: 12, Hidden: []int{9, 7}, Code: 3, Activation: "gelu", Norm: "batch", Dropout: 0.2, Likelihood: "bernoulli", Corruption: "masking:0.5+gaussian:0.1"},
		{Features: 12, Fields: []int{5, 7}, Hidden: []int{9}, Tied: true, Norm: "layer", Likelihood: "categorical", Corruption: "swap:0.5", Replicates: 3, Emphasis: Emphasis{1, 0.5}},
		{Features: 12, Hidden: []int{9, 4}, Activation: "relu", Likelihood: "gaussian-learned", Corruption: "salt-and-pepper:0.1+speckle:0.1+uniform:0.1+poisson:5"},
		{Features: 12, Hidden: []int{9}, Code: 4, Likelihood: "bernoulli", CodeDistribution: "gaussian", Corruption: "masking:0.5", Importance: 3},
		{Features: 12, Fields: []int{5, 7}, Hidden: []int{9}, Code: 4, Tied: true, Likelihood: "categorical", CodeDistribution: "bernoulli", Corruption: "swap:0.5", Walkback: 3, BetaWarmup: 5},
		{Features: 12, Hidden: []int{9}, Code: 4, Norm: "layer", Likelihood: "poisson", CodeDistribution: "concrete", Walkback: 2, Replicates: 2},
	} {
		n := bound(t, dev, config, 8)
		src := sourceOf(t, dev, oneHot(1, 20, []int{5, 7}), 12, device.Clock{})
		src.Shuffle = true
		for _, examples := range []int{8, 5} { // a full and a partial minibatch
			if allocations := testing.AllocsPerRun(20, func() { n.Gradient(src, examples) }); allocations != 0 {
				t.Errorf("%v on %d examples allocates %v times", config, examples, allocations)
			}
		}
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropoutKeysByLayer: two layers of equal width drop different units.
func TestDropoutKeysByLayer(t *testing.T) {
	dev := devices(t)["reference"]
	n := bound(t, dev, Config{Features: 4, Hidden: []int{64, 64}, Activation: "sigmoid", Dropout: 0.5, Likelihood: "gaussian"}, 2)
	n.Gradient(sourceOf(t, dev, uniform(1, 8), 4, device.Clock{}), 2)
	pattern := func(b *block) (p [128]bool) {
		for i, v := range download(t, dev, b.dropped) {
			p[i] = v == 0
		}
		return p
	}
	if pattern(&n.blocks[0]) == pattern(&n.blocks[1]) {
		t.Error("two layers drop the same units")
	}
}

// TestStagesDrawApart: two stages of one kind are independent, so that two
// maskings of one half destroy three quarters.
func TestStagesDrawApart(t *testing.T) {
	dev := devices(t)["cpu"]
	n := bound(t, dev, linearConfig(100, "masking:0.5+masking:0.5"), 100)
	_, mask := corruptedAt(t, n, sourceOf(t, dev, uniform(1, 1e4), 100, device.Clock{}), 100, device.Clock{})
	destroyed := 0.0
	for _, m := range mask {
		destroyed += float64(m) / 1e4
	}
	if math.Abs(destroyed-0.75) > 5*math.Sqrt(0.75*0.25/1e4) {
		t.Errorf("%v of the features were destroyed, want 0.75", destroyed)
	}
}

// TestMaskIsPhilox holds the masking to the generator's words.
func TestMaskIsPhilox(t *testing.T) {
	dev := devices(t)["cpu"]
	const features = 10
	n := bound(t, dev, linearConfig(features, "gaussian:0+masking:0.4"), 3)
	src := sourceOf(t, dev, uniform(1, 30), features, device.Clock{})
	corrupted, _ := corruptedAt(t, n, src, 3, device.Clock{Step: 6})
	for i := range 3 {
		for j := range features {
			at := philox.Coordinates{Stream: philox.StreamTrain, Index: 1, Step: 6, Row: uint32(i), Block: uint32(j / 4)}
			word := philox.Block(at.Counter(), philox.KeyOf(src.Seed))[j%4]
			if fired := philox.Fires(word, philox.Threshold(0.4)); fired != (corrupted[i*features+j] == 0) {
				t.Errorf("row %d, feature %d: masked %t, the word says %t", i, j, !fired, fired)
			}
		}
	}
}
