package roofline

import (
	"gpudae/device"
	"gpudae/kernels"
)

// The operations of device.Device, as package gpu launches them.

func (c *Counter) Gather(a device.GatherArgs) {
	if note(c, a, (*Counter).Gather) {
		return
	}
	d := a.Data.(*dataset)
	examples := int64(a.X.Rows / a.Replicates)
	c.add(d.gather, a.X.Rows, a.X.Columns, examples*int64(d.stride)+wordBytes(a.Clock), bytes(a.X)+wordBytes(a.Index))
}

func (c *Counter) Corrupt(a device.CorruptArgs) {
	if note(c, a, (*Counter).Corrupt) {
		return
	}
	id, read := kernels.CorruptNone, bytes(a.From, a.Low, a.High)+wordBytes(a.Index, a.Rates, a.Continuous, a.Fields.OfColumn, a.Clock)
	switch a.Kind {
	case device.CorruptGaussian:
		id = kernels.CorruptGaussian
	case device.CorruptMasking:
		id = kernels.CorruptMasking
	case device.CorruptSaltAndPepper:
		id = kernels.CorruptSaltAndPepper
	case device.CorruptSpeckle:
		id = kernels.CorruptSpeckle
	case device.CorruptUniform:
		id = kernels.CorruptUniform
	case device.CorruptPoisson:
		id = kernels.CorruptPoisson
	case device.CorruptSpan:
		id = kernels.CorruptSpan
	case device.CorruptSwap, device.CorruptSwapRows:
		d := a.Data.(*dataset)
		id, read = d.swap, read+int64(a.From.Rows)*int64(d.stride) // at most
	}
	if a.Accumulate {
		read += bytes(a.Mask)
	}
	c.add(id, a.From.Rows, a.From.Columns, read, bytes(a.To, a.Mask))
}

func (c *Counter) Embed(a device.EmbedArgs) {
	if note(c, a, (*Counter).Embed) {
		return
	}
	c.add(kernels.Embed, a.X.Rows, a.Y.Columns, bytes(a.X)+4*int64(a.Table.Vectors)+wordBytes(a.Table.Words), bytes(a.Y))
}

func (c *Counter) EmbedBackward(a device.EmbedBackwardArgs) {
	if note(c, a, (*Counter).EmbedBackward) {
		return
	}
	const warp = 32
	c.add(kernels.EmbedBackward, a.Table.Codes, warp, bytes(a.X, a.DY)+wordBytes(a.Table.Words), 4*int64(a.Table.Vectors))
}

func (c *Counter) Dense(a device.DenseArgs) {
	if note(c, a, (*Counter).Dense) {
		return
	}
	l, _ := c.dense(&a)
	c.put(l)
}

// dense also returns the number of tiles.
func (c *Counter) dense(a *device.DenseArgs) (Launch, int) {
	product := kernels.DenseNT
	if a.Transposed {
		product = kernels.DenseNN
	}
	m, n, k := a.Y.Rows, a.Y.Columns, a.X.Columns
	choice := kernels.Choose(c.class, m, n, k, c.gpu.Multiprocessors)
	l := Launch{Kernel: choice.Kernel(product), Products: [2]kernels.Run{choice.Run(m, n, k)}, FLOPs: flops(m, n, k),
		Read: bytes(a.X, a.W, a.Bias), Written: bytes(a.Pre, a.Y)}
	if c.isBig(m, n, k) {
		tiles := c.engine.Tiles(m, n)
		l.Kernel, l.Rows, l.Columns, l.Products[0] = c.engine.Kernel(product), c.engine.Blocks(m, n, c.gpu.Multiprocessors), 1, c.engine.Run(m, n, k)
		l.Read = c.factors(a.X, a.W) + bytes(a.Bias)
		l.Written += c.leftBeside(a.Y)
		return l, tiles
	}
	l.Rows, l.Columns = choice.Shape(m, n, k)
	l.share(choice.Partial(m, n, k), choice.Shares(k))
	return l, choice.Tiles(m, n)
}

// share adds the traffic of so many partial sums of so many shares, which are written and read once each.
func (l *Launch) share(floats, shares int) {
	l.Partial, l.Shares = 2*4*int64(floats), shares
	l.Read, l.Written = l.Read+l.Partial/2, l.Written+l.Partial/2
}

// flops are those of an m×n product with sums of k terms.
func flops(m, n, k int) int64 { return 2 * int64(m) * int64(n) * int64(k) }

func (c *Counter) DenseBackward(a device.DenseBackwardArgs) {
	if note(c, a, (*Counter).DenseBackward) {
		return
	}
	l, _ := c.denseBackward(&a)
	c.put(l)
}

// backward is the work that the arguments describe.
func backward(a *device.DenseBackwardArgs) kernels.Backward {
	return kernels.Backward{Rows: a.DA.Rows, In: a.X.Columns, Out: a.DA.Columns, Transposed: a.Transposed,
		DX: !a.DX.IsZero(), DW: !a.DW.IsZero(), DBias: !a.DBias.IsZero()}
}

// denseBackward also returns the number of sums of squares of gradients of parameters.
func (c *Counter) denseBackward(a *device.DenseBackwardArgs) (l Launch, squares int) {
	b := backward(a)
	choice := b.Choose(c.class, c.gpu.Multiprocessors)
	l = Launch{Kernel: choice.Kernel(b.Product()), Columns: 1, Read: bytes(a.DA), Written: bytes(a.DX, a.DW, a.DBias)}
	dx, dw, dbias := b.Parts(choice)
	l.Rows = dx + dw + dbias
	l.Products[0], l.Products[1] = b.Runs(choice)
	l.share(b.Partial(choice), max(choice.Shares(b.Out), choice.WeightShares(b.Rows)))
	squares = b.Squares(choice)
	big := c.isBig(b.Rows, b.In, b.Out)
	if big {
		_, dw, dbias = c.engine.Parts(b)
		l.Kernel, l.Rows, squares = c.engine.Kernel(b.Product()), c.engine.BackwardBlocks(b, c.gpu.Multiprocessors), dw+dbias
		l.Products = c.engine.Runs(b)
	}
	if b.DX {
		l.FLOPs += flops(b.Rows, b.In, b.Out)
		l.Read += bytes(a.W)
		if a.InAct.NeedsInput() {
			l.Read += bytes(a.InPre)
		}
	}
	if b.DW {
		l.FLOPs += flops(b.Rows, b.In, b.Out)
		if a.Accumulate {
			l.Read += bytes(a.DW)
		}
	}
	if b.DW || b.DX && a.InAct != device.Identity && !a.InAct.NeedsInput() {
		l.Read += bytes(a.X)
	}
	if big {
		l.Read = c.factors(c.narrows(*a)...) + readBeside(a)
		l.Written += c.leftBeside(a.DX)
	}
	return l, squares
}

func (c *Counter) Activate(a device.ActivateArgs) {
	if note(c, a, (*Counter).Activate) {
		return
	}
	c.add(kernels.Activate, a.X.Rows, a.X.Columns, bytes(a.X), bytes(a.Y))
}

func (c *Counter) ActivateBackward(a device.ActivateBackwardArgs) {
	if note(c, a, (*Counter).ActivateBackward) {
		return
	}
	c.add(kernels.ActivateBackward, a.DY.Rows, a.DY.Columns, 2*bytes(a.DY), bytes(a.DX))
}

func (c *Counter) Normalize(a device.NormalizeArgs) {
	if note(c, a, (*Counter).Normalize) {
		return
	}
	id := kernels.BatchNormInference
	switch {
	case a.Kind == device.LayerNorm:
		id = kernels.LayerNorm
	case a.Training:
		id = kernels.BatchNorm
	}
	running := bytes(a.RunningMean, a.RunningVar)
	c.add(id, a.X.Rows, a.X.Columns, bytes(a.X, a.Gain, a.Bias)+running, bytes(a.Y, a.Mean, a.InvStd)+running)
}

func (c *Counter) NormalizeBackward(a device.NormalizeBackwardArgs) {
	if note(c, a, (*Counter).NormalizeBackward) {
		return
	}
	statistics, rows, columns := bytes(a.Mean, a.InvStd), a.X.Rows, a.X.Columns
	if a.Kind == device.BatchNorm {
		c.add(kernels.BatchNormBackward, rows, columns, bytes(a.X, a.Gain, a.DY)+statistics, bytes(a.DX, a.DGain, a.DBias))
		return
	}
	c.add(kernels.LayerNormBackwardParameters, rows, columns, bytes(a.X, a.DY)+statistics, bytes(a.DGain, a.DBias))
	c.add(kernels.LayerNormBackwardInput, rows, columns, bytes(a.X, a.Gain, a.DY)+statistics, bytes(a.DX))
}

func (c *Counter) Dropout(a device.DropoutArgs) {
	if note(c, a, (*Counter).Dropout) {
		return
	}
	c.add(kernels.Dropout, a.X.Rows, a.X.Columns, bytes(a.X)+wordBytes(a.Index, a.Clock), bytes(a.Y))
}

func (c *Counter) Likelihood(a device.LikelihoodArgs) {
	if note(c, a, (*Counter).Likelihood) {
		return
	}
	id, columns := kernels.LikelihoodBernoulli, a.Target.Columns
	switch a.Kind {
	case device.Gaussian:
		id = kernels.LikelihoodGaussian
	case device.GaussianLearned:
		id = kernels.LikelihoodGaussianLearned
	case device.Categorical:
		id = kernels.LikelihoodCategorical
	case device.Poisson:
		id = kernels.LikelihoodPoisson
	case device.Mixed:
		id, columns = kernels.LikelihoodMixed, a.Params.Columns
	}
	c.add(id, a.Target.Rows, columns, bytes(a.Params, a.Target, a.Mask, a.Weights)+wordBytes(a.Table.Words, a.Fields.Offsets),
		bytes(a.Losses, a.ByColumn, a.DParams))
}

func (c *Counter) Mean(a device.MeanArgs) {
	if note(c, a, (*Counter).Mean) {
		return
	}
	switch a.Kind {
	case device.Categorical:
		c.add(kernels.MeanCategorical, a.Out.Rows, a.Out.Columns, bytes(a.Params)+wordBytes(a.Fields.Offsets), bytes(a.Out))
	case device.Mixed:
		c.add(kernels.MeanMixed, a.Out.Rows, a.Params.Columns, bytes(a.Params)+wordBytes(a.Table.Words), bytes(a.Out))
	default:
		c.add(kernels.Mean, a.Out.Rows, a.Out.Columns, bytes(a.Params), bytes(a.Out))
	}
}

func (c *Counter) Reduce(a device.ReduceArgs) {
	if note(c, a, (*Counter).Reduce) {
		return
	}
	read := bytes(a.X, a.Y)
	if a.PerRow {
		c.add(kernels.ReduceRows, a.X.Rows, a.X.Columns, read, bytes(a.Out))
		return
	}
	n := a.X.Len()
	shares := kernels.ShareBlocks(n)
	c.add(kernels.ReduceAll, 1, n, read, 4*int64(shares))
	if shares > 1 {
		c.add(kernels.ReduceAll, 1, shares, 4*int64(shares), bytes(a.Out))
	}
}

func (c *Counter) Combine(a device.CombineArgs) {
	if note(c, a, (*Counter).Combine) {
		return
	}
	c.add(kernels.Combine, a.Dst.Rows, a.Dst.Columns, bytes(a.A, a.B), bytes(a.Dst))
}

func (c *Counter) Diffuse(a device.DiffuseArgs) {
	if note(c, a, (*Counter).Diffuse) {
		return
	}
	c.add(kernels.Diffuse, a.From.Rows, a.From.Columns, bytes(a.Sigma, a.From)+wordBytes(a.Index, a.Clock), bytes(a.To)+wordBytes(a.Level))
}

func (c *Counter) Condition(a device.ConditionArgs) {
	if note(c, a, (*Counter).Condition) {
		return
	}
	c.add(kernels.Condition, a.Out.Rows, a.Out.Columns, bytes(a.Scale, a.Embedding, a.X)+wordBytes(a.Level), bytes(a.Out))
}

func (c *Counter) Blend(a device.BlendArgs) {
	if note(c, a, (*Counter).Blend) {
		return
	}
	c.add(kernels.Blend, a.Out.Rows, a.Out.Columns, bytes(a.Alpha, a.Beta, a.X, a.Out)+wordBytes(a.Level), bytes(a.Out))
}

func (c *Counter) ScoreMatch(a device.ScoreMatchArgs) {
	if note(c, a, (*Counter).ScoreMatch) {
		return
	}
	c.add(kernels.ScoreMatch, a.Target.Rows, a.Target.Columns, bytes(a.Weight, a.OutScale, a.Denoised, a.Target)+wordBytes(a.Level), bytes(a.Losses, a.DF))
}

func (c *Counter) SampleCode(a device.SampleCodeArgs) {
	if note(c, a, (*Counter).SampleCode) {
		return
	}
	c.add(kernels.SampleCode, a.Code.Rows, a.Code.Columns, bytes(a.Params)+wordBytes(a.Index, a.Clock), bytes(a.Noise, a.Code, a.Divergence))
}

func (c *Counter) SampleCodeBackward(a device.SampleCodeBackwardArgs) {
	if note(c, a, (*Counter).SampleCodeBackward) {
		return
	}
	c.add(kernels.SampleCodeBackward, a.Code.Rows, a.Code.Columns, bytes(a.Params, a.Noise, a.Code, a.DCode, a.Weights), bytes(a.DParams))
}

func (c *Counter) Importance(a device.ImportanceArgs) {
	if note(c, a, (*Counter).Importance) {
		return
	}
	c.add(kernels.Importance, a.Bounds.Len(), a.Replicates, bytes(a.Terms), bytes(a.Bounds, a.Weights))
}

func (c *Counter) ScaleRows(a device.ScaleRowsArgs) {
	if note(c, a, (*Counter).ScaleRows) {
		return
	}
	c.add(kernels.ScaleRows, a.X.Rows, a.X.Columns, bytes(a.Scale, a.X), bytes(a.Y))
}

func (c *Counter) Draw(a device.DrawArgs) {
	if note(c, a, (*Counter).Draw) {
		return
	}
	id, columns := kernels.Draw, a.Out.Columns
	switch {
	case a.Kind == device.Categorical:
		id = kernels.DrawCategorical
		if !a.Fields.IsZero() {
			columns = a.Fields.Count
		}
	case a.Kind == device.Mixed:
		id = kernels.DrawMixed
	}
	c.add(id, a.Out.Rows, columns, bytes(a.Params)+wordBytes(a.Fields.Offsets, a.Table.Words, a.Index, a.Clock), bytes(a.Out))
}

func (c *Counter) Update(a device.UpdateArgs) {
	if note(c, a, (*Counter).Update) {
		return
	}
	state := optimizerState(&a)
	c.put(Launch{Kernel: kernels.Update, Rows: 1, Columns: a.Params.Len(), Read: state + bytes(a.Grads), Written: state, State: 2*state + bytes(a.Grads)})
}

// optimizerState is the size of what an update reads and writes besides the gradient.
func optimizerState(a *device.UpdateArgs) int64 {
	state := bytes(a.Params, a.EMA)
	if a.Kind.UsesFirstMoment() {
		state += bytes(a.First)
	}
	if a.Kind.UsesSecondMoment() {
		state += bytes(a.Second)
	}
	return state
}

func (c *Counter) Tick(a device.TickArgs) {
	if note(c, a, (*Counter).Tick) {
		return
	}
	c.add(kernels.Tick, 1, 1, wordBytes(a.Clock)+bytes(a.Values, a.Spikes), wordBytes(a.Clock)+bytes(a.Values, a.Spikes))
}
