package model

import (
	"fmt"
	"slices"
	"strings"

	"gpudae/device"
)

// Target turns the Config of a DAE into that of a predictor: in place of the
// decoder a head of linear units reads the encoder and puts out the parameters
// of p(y|h), y being the row's target in a second table (Source.Target). The
// likelihood of x is then without effect.
//
//	x  --corrupt-->  x̃  --encode-->  h  --head-->  parameters of p(y|h)  --likelihood-->  loss, gradients
type Target struct {
	// Likelihood of y: bernoulli for two classes, categorical for one column a
	// class, of which one is 1, or gaussian:σ for a number.
	Likelihood string `yaml:"likelihood" json:"likelihood"`
	Width      int    `yaml:"width" json:"width"` // columns of the target
	// Layers are what the head reads: code, the default, or all layers of the encoder.
	Layers string `yaml:"layers,omitempty" json:"layers,omitempty"`
	// Freeze leaves the encoder as it is: only the head is trained.
	Freeze bool `yaml:"freeze,omitempty" json:"freeze,omitempty"`
}

// What a head reads.
const (
	HeadReadsCode = "code"
	HeadReadsAll  = "all"
)

// HeadLayers returns the values of Target.Layers, the default first.
func HeadLayers() []string { return []string{HeadReadsCode, HeadReadsAll} }

// IsPredictor reports whether the model predicts a target rather than
// reconstructs its input.
func (d *DAE) IsPredictor() bool { return d.resolved.Target != nil }

// Predictor returns the configuration of a predictor whose encoder is that of a
// DAE: its deterministic part, the mean of q(h|x) where the code is stochastic.
// The input is not corrupted; the caller may set another Corruption and Dropout.
// It fails with a *ConfigError for a score model, whose encoder needs a noise
// level that a clean example does not have.
func (d *DAE) Predictor(t Target) (Config, error) {
	if d.IsScoreModel() {
		return Config{}, configErrorf("objective", "train one with objective "+ObjectiveNLL,
			"the encoder of a score model depends on the noise level, which clean examples do not have")
	}
	c := d.Config()
	c.Hidden = slices.Clone(c.Hidden)
	if q := d.CodeDistribution(); q.Stochastic {
		if c.Code == 0 {
			last := len(c.Hidden) - 1
			c.Hidden, c.Code = c.Hidden[:last], c.Hidden[last]
		}
		c.CodeActivation = device.Identity.String()
		if q.Kind != device.CodeGaussian {
			c.CodeActivation = device.Sigmoid.String()
		}
	}
	c.CodeDistribution, c.Beta, c.BetaWarmup, c.Importance = "", nil, 0, 0
	c.Tied, c.Emphasis, c.Replicates, c.Walkback = false, Emphasis{}, 0, 0
	c.DecoderHidden, c.DecoderActivation = "", ""
	c.Corruption, c.Dropout = device.CorruptNone.String(), 0
	c.MaskHead, c.ColumnWeights = 0, nil // which weigh a reconstruction
	c.Target = &t
	return c, nil
}

// resolveTarget validates the target and looks its likelihood up.
func (r *resolved) resolveTarget() (err error) {
	if r.Target == nil {
		return nil
	}
	t := *r.Target
	setDefault(&t.Layers, HeadReadsCode)
	r.Target = &t
	if !slices.Contains(HeadLayers(), t.Layers) {
		return unknownName("layer", "layer", t.Layers, HeadLayers())
	}
	if r.target, err = ParseLikelihood(t.Likelihood); err != nil {
		return err
	}
	least, most := 1, 1
	switch r.target.Kind {
	case device.Gaussian, device.Bernoulli:
	case device.Categorical:
		least, most = 2, MaxClasses
	default:
		return configErrorf("likelihood", "choose bernoulli, categorical or gaussian", "%s is no likelihood of a target", r.target)
	}
	if t.Width < least || t.Width > most {
		return configErrorf("target", fmt.Sprintf("give %d to %d", least, most), "%d columns of a %s target", t.Width, r.target)
	}
	return r.checkPredictor()
}

// MaxClasses bounds the columns of a categorical target: each row of a minibatch
// holds as many numbers.
const MaxClasses = 1 << 16

// checkPredictor refuses what concerns a decoder or a chain.
func (r *resolved) checkPredictor() error {
	for _, part := range []struct {
		key     string
		present bool
	}{
		{"objective", r.levels != nil},
		{"code_distribution", r.codes.Stochastic},
		{"walkback", r.Walkback > 1},
		{"tied", r.Tied},
		{"decoder_hidden", r.DecoderHidden != "" && r.DecoderHidden != DecoderMirrors},
		{"emphasis", r.Emphasis != Emphasis{1, 1}},
	} {
		if part.present {
			return configErrorf(part.key, "leave it out", "a predictor has no %s", strings.ReplaceAll(part.key, "_", " "))
		}
	}
	return nil
}

// head lists the linear parts whose sum is the head's output: one for each
// encoder layer that it reads, the code first. The first alone has a bias.
func (r *resolved) head() []layer {
	widths := r.encoderWidths()
	last := len(widths) - 1
	if r.Target.Layers != HeadReadsAll {
		return []layer{{name: "head", in: widths[last], out: r.Target.Width, tied: -1, act: device.Identity}}
	}
	var parts []layer
	for i := last; i >= 0; i-- {
		parts = append(parts, layer{name: fmt.Sprintf("head.%d", i), in: widths[i], out: r.Target.Width, tied: -1, act: device.Identity, unbiased: i < last})
	}
	return parts
}

// frozen reports whether only the head is trained.
func (d *DAE) frozen() bool { return d.resolved.Target != nil && d.resolved.Target.Freeze }

// TakeEncoder copies the encoder of another model, with params and buffers laid
// out as its own, into arenas laid out as d's; of a stochastic code it takes what
// gives the mean. The other model has the layers that Predictor took them from.
func (d *DAE) TakeEncoder(params, buffers []float32, from *DAE, fromParams, fromBuffers []float32) error {
	for _, part := range []struct {
		list, source []Parameter
		to, values   []float32
	}{{d.parameters, from.parameters, params, fromParams}, {d.buffers, from.buffers, buffers, fromBuffers}} {
		for _, p := range part.list {
			if !strings.HasPrefix(p.Name, encoderPrefix) {
				continue
			}
			i := slices.IndexFunc(part.source, func(q Parameter) bool { return q.Name == p.Name })
			if i < 0 || part.source[i].Len() < p.Len() || p.Rows > 1 && part.source[i].Columns != p.Columns {
				return fmt.Errorf("the other model has no %s of %d×%d", p.Name, p.Rows, p.Columns)
			}
			copy(slice(part.to, p), slice(part.values, part.source[i]))
		}
	}
	return nil
}

// encoderPrefix begins the names of the encoder's parameters.
const encoderPrefix = "encoder."

// StartAtTargetMeans sets the head, in an arena of parameters, so that every
// prediction is the constant that suits the training rows best: its weights are
// 0 and its bias is the link of the targets' means. A run then starts at the
// loss of the mean: for classes the entropy of their frequencies.
func (d *DAE) StartAtTargetMeans(params []float32, m Moments) {
	width := d.resolved.Target.Width
	if len(params) != d.ParameterCount() || len(m.Mean) != width || m.Rows < 1 {
		panic(fmt.Sprintf("model: start of a predictor of %d columns from %d means of %d rows", width, len(m.Mean), m.Rows))
	}
	for i := d.depth; i < len(d.layers); i++ {
		fill(slice(params, d.parameters[d.slots[i].weight]), 0)
	}
	bias := slice(params, d.parameters[d.slots[d.depth].bias])
	for j := range width {
		d.resolved.target.setBias(bias[j:], width, float64(m.Rows), m.Mean[j], m.Variance[j])
	}
}
