//go:build cuda

package gpu

import (
	"fmt"
	"slices"

	"gpudae/device"
	"gpudae/gpu/fuse"
	"gpudae/kernels"
)

// shares is memory of a program in which launches leave sums by block for Advance to add
// up: of losses, and of squares of gradients. A number of 0 means that there are none.
type shares struct {
	losses, squares device.View
	ticket          device.Words
}

// newShares allocates them.
func (d *Device) newShares(p *fuse.Plan) (shares, error) {
	var s shares
	if p.End == nil {
		return s, nil
	}
	losses, squares := d.shareCounts(p)
	floats, err := d.Alloc(device.Float, losses+squares)
	if err != nil {
		return s, err
	}
	word, err := d.Alloc(device.Word, 1)
	if err != nil {
		return s, err
	}
	s.losses, s.squares = device.MatrixOf(floats, 0, 1, losses), device.MatrixOf(floats, losses, 1, squares)
	s.ticket = device.WordsOf(word, 0, 1)
	return s, nil
}

// shareCounts is how many sums of losses and of squares the launches of a program leave.
func (d *Device) shareCounts(p *fuse.Plan) (losses, squares int) {
	for _, step := range p.Middle {
		switch {
		case step.Loss != nil:
			losses = d.lossSums(step.Loss)
		case step.Backward != nil:
			squares += d.squareSums(step.Backward)
		}
	}
	if v := p.End.Losses; !v.IsZero() && kernels.ShareBlocks(v.Len()) > 1 {
		losses = kernels.ShareBlocks(v.Len())
	}
	if v := p.End.Squares; !v.IsZero() {
		squares = kernels.ShareBlocks(v.Len())
	}
	return losses, squares
}

// middle issues the operations between the beginning and the end of a program; follows says that the end of the run before
// has left the copies of parameters that it keeps.
func (d *Device) middle(p *fuse.Plan, s shares, rule device.Words, follows bool) {
	squares := s.squares
	d.planned = true
	defer func() { d.planned, d.beside = false, device.View{} }()
	for _, step := range p.Middle {
		for _, v := range step.Narrow {
			d.narrow(v)
		}
		if !follows {
			for _, v := range step.Kept {
				d.narrow(v)
			}
		}
		d.beside = step.Beside
		switch {
		case step.Loss != nil:
			d.dense(&step.Loss.Dense, &step.Loss.Likelihood, address(s.losses))
		case step.Backward != nil:
			squares.Offset += d.denseBackward(step.Backward, address(squares), wordAddress(rule), step.Weights)
		default:
			step.Issue()
		}
	}
	if p.End == nil {
		return
	}
	if v := p.End.Losses; !v.IsZero() && kernels.ShareBlocks(v.Len()) > 1 {
		d.reduceAll(device.Sum, v.Len(), address(v), 0, address(s.losses))
	}
	if v := p.End.Squares; !v.IsZero() {
		d.reduceAll(device.SumSquares, v.Len(), address(v), 0, address(s.squares))
	}
}

// uploadStages copies what the stages of a beginning are to the device.
func (d *Device) uploadStages(b *fuse.Beginning) (device.Words, error) {
	if b == nil || len(b.Stages) == 0 {
		return device.Words{}, nil
	}
	var words []uint64
	for i := range b.Stages {
		words = append(stageWords(&b.Stages[i], words), flag(b.Stages[i].Absent))
	}
	if want := len(b.Stages) * len(kernels.StageWords()); len(words) != want {
		panic(fmt.Sprintf("gpu: %d words of stages, want %d", len(words), want))
	}
	return d.uploadTable(words)
}

// uploadTable puts words of 8 bytes in memory of their own.
func (d *Device) uploadTable(words []uint64) (device.Words, error) {
	memory, err := d.Alloc(device.Word, 2*len(words))
	if err != nil {
		return device.Words{}, err
	}
	to := device.WordsOf(memory, 0, memory.Len())
	return to, d.UploadWords(to, halves(words))
}

// halves splits words of 8 bytes, the low half first.
func halves(words []uint64) []uint32 {
	all := make([]uint32, 0, 2*len(words))
	for _, w := range words {
		all = append(all, uint32(w), uint32(w>>32))
	}
	return all
}

// uploadRule copies to the device what the launches are told that apply an end's update, with room for what they tell each other.
func (d *Device) uploadRule(e *fuse.Ending, s shares) (device.Words, error) {
	if e == nil || !e.Applied {
		return device.Words{}, nil
	}
	u := &e.Update
	first, second := moments(u)
	words := []uint64{uint64(u.Kind), flag(u.Nesterov), float(u.Beta1), float(u.Beta2), float(u.Epsilon), float(u.WeightDecay), integer(u.Decayed), float(u.Decay),
		address(u.Rates), integer(u.Rates.Len()), address(s.losses), integer(s.losses.Len()), float(e.Mean), flag(!u.Loss.IsZero()), address(u.Spikes),
		float(u.SpikeLimit), address(u.Grads), address(u.Params), first, second, address(u.EMA)}
	if want := len(kernels.RuleWords()); len(words) != want {
		panic(fmt.Sprintf("gpu: %d words of a rule, want %d", len(words), want))
	}
	return d.uploadTable(append(words, make([]uint64, kernels.RuleBytes()/8-len(words))...))
}

// parts is what the launches of Advance share.
type parts struct {
	shares shares
	rule   device.Words // that other launches apply
	stages device.Words
	copies device.Words // what is left beside the parameters, if a beginning follows
}

// advance ends a step and begins one, each if it is there.
func (d *Device) advance(b *fuse.Beginning, e *fuse.Ending, p parts) {
	if b == nil && e == nil {
		return
	}
	id, rows, words := kernels.AdvanceF32, 0, make([]uint64, 0, 64)
	if b != nil {
		data := b.Gather.Data.(*dataset)
		id, rows = data.advances, b.Gather.X.Rows
		words = d.beginningWords(words, b, data, p.stages, e != nil)
	} else {
		words = append(words, make([]uint64, noBeginning)...)
	}
	blocks := rows
	if e != nil {
		blocks += endBlocks(e, rows)
		words = append(words, wordAddress(e.Tick.Clock), wordAddress(p.shares.ticket))
		words = endingWords(words, e, p.shares)
		if b != nil {
			words = append(words, integer(len(e.Copies)), wordAddress(p.copies))
		} else {
			words = append(words, 0, 0) // whatever follows makes them anew
		}
	} else {
		words = append(words, wordAddress(b.Gather.Clock), 0)
		words = append(words, make([]uint64, noEnding)...)
	}
	rule := p.rule
	if b == nil {
		rule = device.Words{} // no step begins
	}
	words = append(words, wordAddress(rule))
	if want := len(id.Kernel().Parameters); len(words) != want {
		panic(fmt.Sprintf("gpu: %d words for %s, want %d", len(words), id, want))
	}
	d.launch(id, blocks, 1, words...)
}

// endBlocks is how many blocks an end takes beside those of so many rows: none if it has no parameters to update, since one of those
// can do the rest.
func endBlocks(e *fuse.Ending, rows int) int {
	switch {
	case !e.Applied:
		return kernels.UpdateBlocks(e.Update.Params.Len())
	case rows == 0:
		return 1
	}
	return 0
}

// The numbers of words of a beginning of a matrix and of an end.
const (
	noBeginning = 22
	noEnding    = 33
)

// beginningWords are those of a minibatch; ahead says that an end comes with it.
func (d *Device) beginningWords(words []uint64, b *fuse.Beginning, data *dataset, stages device.Words, ahead bool) []uint64 {
	g := &b.Gather
	var corrupted, mask uint64
	besideX, besideCorrupted := d.leftOf(b, g.X), uint64(0)
	if len(b.Stages) > 0 {
		corrupted, mask = unlessUnread(b, b.Stages[0].To), unlessUnread(b, b.Stages[0].Mask)
		besideCorrupted = d.leftOf(b, b.Stages[0].To)
	}
	words = data.words(append(words, integer(g.X.Rows), integer(g.X.Columns)))
	return append(words, integer(g.Part.Lo), integer(g.Part.Len()), flag(g.Part.Split), g.Part.Seed, flag(g.Shuffle), g.Seed, integer(g.Replicates),
		flag(ahead), address(g.X), wordAddress(g.Index), corrupted, mask,
		besideX, besideCorrupted, integer(kernels.NarrowStride(g.X.Columns)), integer(len(b.Stages)), wordAddress(stages))
}

// unlessUnread is the address of a matrix that a beginning makes, 0 where nobody reads it.
func unlessUnread(b *fuse.Beginning, v device.View) uint64 {
	if slices.Contains(b.Unread, v) {
		return 0
	}
	return address(v)
}

// endingWords are those of the end of a step.
func endingWords(words []uint64, e *fuse.Ending, s shares) []uint64 {
	u, t := &e.Update, &e.Tick
	first, second := moments(u)
	losses := e.Losses
	if s.losses.Len() > 0 {
		losses = s.losses
	}
	values := address(t.Values)
	if t.Log.Rows == 0 {
		values = 0
	}
	params := address(u.Params)
	if e.Applied {
		params = 0
	}
	return append(words, integer(u.Params.Len()), uint64(u.Kind), flag(u.Nesterov), float(u.Beta1), float(u.Beta2), float(u.Epsilon), float(u.WeightDecay),
		integer(u.Decayed), float(u.Clip), float(u.Decay), address(u.Rates), address(losses), integer(losses.Len()), float(e.Mean),
		address(s.squares), integer(s.squares.Len()), address(e.Loss), address(e.GradSq), flag(!u.Loss.IsZero()), address(u.Spikes), float(u.SpikeLimit),
		params, address(u.Grads), first, second, address(u.EMA),
		integer(t.Rows), values, integer(t.Values.Columns), address(t.Log), integer(t.Log.Rows))
}
