package model

import (
	"slices"

	"gpudae/device"
)

// NormEpsilon is what layer and batch norm add to a variance before its root.
const NormEpsilon = normEpsilon

// Layer describes a layer of a DAE, dense → norm → activation, to whoever
// rebuilds it elsewhere. Dropout is left out: it concerns training only. Out of
// the encoder's last layer is the number of parameters of a stochastic code, two
// for each unit of a gaussian one; a decoder's In is its units.
type Layer struct {
	Name       string            // as in the names of its parameters: encoder.0
	In, Out    int               // units
	Activation device.Activation // identity for the output layer, whose result are the parameters of p(x|h)
	Norm       string            // none, layer or batch
	Tied       string            // name of the layer whose weight [In, Out] it uses transposed; empty for one with its own [Out, In]
	Parameters int               // trained numbers that are its own
}

// Layers lists the layers of the encoder, then those of the decoder. The first
// len(EncoderWidths) are the encoder's.
func (d *DAE) Layers() []Layer {
	all := make([]Layer, len(d.layers))
	for i, l := range d.layers {
		all[i] = Layer{Name: l.name, In: l.in, Out: l.out, Activation: l.act, Norm: l.norm.String()}
		if !l.unbiased {
			all[i].Parameters = l.out
		}
		if l.tied >= 0 {
			all[i].Tied = d.layers[l.tied].name
		} else {
			all[i].Parameters += l.in * l.out
		}
		if l.norm != normNone {
			all[i].Parameters += 2 * l.out
		}
	}
	return all
}

// OutputWidth is the number of outputs of the decoder: the parameters of p(x|h)
// of an example and, with Config.MaskHead, a logit more for each column.
func (d *DAE) OutputWidth() int { return d.resolved.outputWidth() }

// Embedding describes a categorical column's vectors, a parameter of that name
// [Categories+1, Width], to whoever rebuilds a model elsewhere: row k is that of
// code k, and the last that of an absent value.
type Embedding struct {
	Column            int
	Parameter         string
	Categories, Width int
}

// Embeddings lists the embeddings in the order of the columns.
func (d *DAE) Embeddings() []Embedding {
	var list []Embedding
	for j, slot := range d.embeddings {
		if slot >= 0 {
			p := d.parameters[slot]
			list = append(list, Embedding{Column: j, Parameter: p.Name, Categories: p.Rows - 1, Width: p.Columns})
		}
	}
	return list
}

// TableColumns says where each of Config's columns lies in the input of the
// first layer and among the parameters of p(x|h); nil without columns.
func (d *DAE) TableColumns() []device.TableColumn {
	if !d.resolved.tabular() {
		return nil
	}
	return d.tableColumns()
}

// Conditioning describes how a score model depends on the noise σ, to whoever
// rebuilds it elsewhere:
//
//	D(x̃; σ) = c_skip·x̃ + c_out·F([c_in·x̃ | cos(at·f) | sin(at·f)]), c_in = 1/√(σ² + SigmaData²)
type Conditioning struct {
	Parameterization string    // its row in Parameterizations has c_skip and c_out
	SigmaData        float64   // standard deviation of the data
	Levels           []float64 // σ of the levels, rising
	Frequencies      []float64 // f of the embedding; none if F sees x̃ alone
	// ByLevel says that at is the number of the level of σ, interpolated in ln σ
	// and bounded by the first and the last, rather than ln σ itself.
	ByLevel bool
}

// Conditioning returns nil for a model that is not trained by score matching.
func (d *DAE) Conditioning() *Conditioning {
	l := d.resolved.levels
	if l == nil {
		return nil
	}
	return &Conditioning{Parameterization: l.parameterization.Name, SigmaData: l.data, Levels: slices.Clone(l.sigmas),
		Frequencies: slices.Clone(l.frequencies), ByLevel: l.embedding == embedPositional}
}
