// Package model is the denoising auto-encoder: from an example x to the
// gradient of its loss,
//
//	x  --corrupt-->  x̃  --encode-->  h  --decode-->  parameters of p(x|h)  --likelihood-->  loss, gradients
//
// A Config is validated by New, which lays out the parameters of the DAE in one
// arena. Bind puts it on a device; the resulting Net computes gradients
// (step.go reads as the algorithm), evaluates, denoises and encodes.
//
// The package must not know files, formats, optimisers or any particular
// device: it speaks to the machine through package device alone. Host matrices
// are *tensor.Dense.
package model

import (
	"slices"

	"gpudae/device"
)

// DAE is a validated architecture: layers and the layout of their parameters.
// It holds no weights and is immutable.
type DAE struct {
	resolved   *resolved
	layers     []layer // the encoder's, then the decoder's
	depth      int     // layers of the encoder
	slots      []slots // of each layer
	embeddings []int   // of each of Config's columns: its vectors in parameters, -1 where it has none
	parameters []Parameter
	buffers    []Parameter
	decayed    int
}

// Parameter is a named matrix in an arena: Rows×Columns elements, row-major,
// from Offset on. Vectors have one row. Names and layouts are PyTorch's:
// "encoder.0.weight" is [out, in].
type Parameter struct {
	Name          string
	Rows, Columns int
	Offset        int
	Decayed       bool // subject to weight decay: weights, not biases and gains
}

// Len is the number of elements.
func (p Parameter) Len() int { return p.Rows * p.Columns }

// slots are the indices of a layer's parameters and buffers, -1 where absent.
type slots struct {
	weight, bias    int
	gain, shift     int
	runMean, runVar int
}

// New validates the configuration, with a *ConfigError if it is at fault, and
// lays out the parameters: weights first, which decay, then the rest.
func New(c Config) (*DAE, error) {
	r, err := c.resolve()
	if err != nil {
		return nil, err
	}
	d := &DAE{resolved: r, layers: r.layers()}
	d.depth = len(r.encoderWidths())
	d.layOut()
	return d, nil
}

func (d *DAE) layOut() {
	d.slots = make([]slots, len(d.layers))
	params, buffers := &arena{}, &arena{}
	if d.frozen() { // what is not trained does not decay: the head comes first
		d.layOutWeights(params, d.depth, len(d.layers))
		d.decayed = params.size
	}
	for j, name := range d.resolved.embeddingNames() {
		slot := -1
		if c := d.resolved.Columns[j]; name != "" {
			slot = params.add(name, c.Categories+1, c.Embedding, true)
		}
		d.embeddings = append(d.embeddings, slot)
	}
	if d.frozen() {
		d.layOutWeights(params, 0, d.depth)
	} else {
		d.layOutWeights(params, 0, len(d.layers))
		d.decayed = params.size
	}
	for i, l := range d.layers {
		s := &d.slots[i]
		s.bias = -1
		if !l.unbiased {
			s.bias = params.add(l.name+".bias", 1, l.out, false)
		}
		s.gain, s.shift, s.runMean, s.runVar = -1, -1, -1, -1
		if l.norm != normNone {
			s.gain = params.add(l.name+".norm.weight", 1, l.out, false)
			s.shift = params.add(l.name+".norm.bias", 1, l.out, false)
		}
		if l.norm == normBatch {
			s.runMean = buffers.add(l.name+".norm.running_mean", 1, l.out, false)
			s.runVar = buffers.add(l.name+".norm.running_var", 1, l.out, false)
		}
	}
	d.parameters, d.buffers = params.list, buffers.list
}

// layOutWeights lists the weights of layers from, ..., to-1.
func (d *DAE) layOutWeights(params *arena, from, to int) {
	for i, l := range d.layers[from:to] {
		if l.tied >= 0 {
			d.slots[from+i].weight = d.slots[l.tied].weight
			continue
		}
		d.slots[from+i].weight = params.add(l.name+".weight", l.out, l.in, true)
	}
}

// arena lists matrices one after the other.
type arena struct {
	list []Parameter
	size int
}

func (a *arena) add(name string, rows, columns int, decayed bool) int {
	a.list = append(a.list, Parameter{name, rows, columns, a.size, decayed})
	a.size += rows * columns
	return len(a.list) - 1
}

// Config returns the configuration with its defaults filled in.
func (d *DAE) Config() Config { return d.resolved.Config }

// Corruption returns the corruption process.
func (d *DAE) Corruption() Corruption { return d.resolved.corruption }

// Likelihood returns the likelihood.
func (d *DAE) Likelihood() Likelihood { return d.resolved.likelihood }

// EncoderWidths returns the units of each encoder layer, the code last.
func (d *DAE) EncoderWidths() []int { return slices.Clone(d.resolved.encoderWidths()) }

// CodeWidth is the number of units of the code h.
func (d *DAE) CodeWidth() int { return d.layers[d.depth].in }

// CodeDistribution returns q(h|x̃).
func (d *DAE) CodeDistribution() CodeDistribution { return d.resolved.codes }

// Parameters lists the trained parameters in the order of their offsets, the decayed ones first.
func (d *DAE) Parameters() []Parameter { return d.parameters }

// Buffers lists what is kept but not trained: running statistics.
func (d *DAE) Buffers() []Parameter { return d.buffers }

// ParameterCount is the length of the arena of parameters.
func (d *DAE) ParameterCount() int { return arenaLen(d.parameters) }

// BufferCount is the length of the arena of buffers.
func (d *DAE) BufferCount() int { return arenaLen(d.buffers) }

// DecayedCount is the number of parameters, at the start of the arena, that
// weight decay concerns.
func (d *DAE) DecayedCount() int { return d.decayed }

func arenaLen(list []Parameter) int {
	if len(list) == 0 {
		return 0
	}
	last := list[len(list)-1]
	return last.Offset + last.Len()
}

// InitialParameters draws the initial weights; biases are 0 and gains 1.
func (d *DAE) InitialParameters(seed uint64) []float32 {
	values := make([]float32, d.ParameterCount())
	for j, slot := range d.embeddings {
		if slot >= 0 {
			fillVectors(slice(values, d.parameters[slot]), d.parameters[slot].Columns, j, seed)
		}
	}
	for i, l := range d.layers {
		if l.tied < 0 {
			d.resolved.init.fill(slice(values, d.parameters[d.slots[i].weight]), l.in, l.out, l.act, seed, uint32(i))
		}
		if l.norm != normNone {
			fill(slice(values, d.parameters[d.slots[i].gain]), 1)
		}
	}
	return values
}

// embeds reports whether there are vectors of categories to train.
func (d *DAE) embeds() bool {
	return slices.ContainsFunc(d.embeddings, func(slot int) bool { return slot >= 0 })
}

// tableColumns places the columns of a table.
func (d *DAE) tableColumns() []device.TableColumn {
	return d.resolved.tableColumns(func(j int) int { return d.parameters[d.embeddings[j]].Offset })
}

// LeastBatch is the least number of examples of a minibatch that trains: batch norm of
// a single row leaves nothing of it but the bias.
func (d *DAE) LeastBatch() int {
	if d.resolved.norm == normBatch && d.resolved.copies() < 2 {
		return 2
	}
	return 1
}

// InitialBuffers returns running means of 0 and running variances of 1.
func (d *DAE) InitialBuffers() []float32 {
	values := make([]float32, d.BufferCount())
	for i, l := range d.layers {
		if l.norm == normBatch {
			fill(slice(values, d.buffers[d.slots[i].runVar]), 1)
		}
	}
	return values
}

func slice(values []float32, p Parameter) []float32 { return values[p.Offset : p.Offset+p.Len()] }

func fill(values []float32, v float32) {
	for i := range values {
		values[i] = v
	}
}

// FLOPs counts the floating-point operations of the matrix products for one
// example, all its rows in a minibatch included: forward, or forward and backward in training.
func (d *DAE) FLOPs(training bool) int64 {
	var total int64
	for i, l := range d.layers {
		product := 2 * int64(l.in) * int64(l.out)
		switch {
		case !training || d.frozen() && i < d.depth:
			total += product
		case i == 0 && !d.embeds(): // the gradient by x̃ is not needed
			total += 2 * product
		default:
			total += 3 * product
		}
	}
	if training {
		total *= int64(d.resolved.rowsOfExample())
	}
	return total
}
