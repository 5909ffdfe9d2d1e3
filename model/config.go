package model

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"gpudae/device"
)

// Config describes a denoising auto-encoder. Its zero values are defaults
// where the comments say so.
type Config struct {
	Features       int      `yaml:"features" json:"features"`               // columns of the data
	Shape          []int    `yaml:"shape,omitempty" json:"shape,omitempty"` // of one example, such as [8, 8]; default [Features]
	Fields         []int    `yaml:"fields,omitempty" json:"fields,omitempty"`
	Corruption     string   `yaml:"corruption" json:"corruption"` // see ParseCorruption; default none
	Hidden         []int    `yaml:"hidden,flow" json:"hidden"`
	Code           int      `yaml:"code" json:"code"`                       // units of a separate code layer; 0: the last hidden layer is the code
	Activation     string   `yaml:"activation" json:"activation"`           // default relu
	CodeActivation string   `yaml:"code_activation" json:"code_activation"` // default Activation
	Tied           bool     `yaml:"tied" json:"tied"`                       // the decoder uses the encoder's weights, transposed
	Dropout        float64  `yaml:"dropout" json:"dropout"`                 // probability of zeroing a hidden unit
	Norm           string   `yaml:"norm" json:"norm"`                       // none (default), layer or batch
	Likelihood     string   `yaml:"likelihood" json:"likelihood"`           // see ParseLikelihood
	Init           string   `yaml:"init" json:"init"`                       // see Initializations; default auto
	Emphasis       Emphasis `yaml:"emphasis" json:"emphasis"`
	Replicates     int      `yaml:"replicates" json:"replicates"` // corruptions of each example in a minibatch, K; default 1
	// Objective is nll, the default, which is left out of files, or dsm: denoising
	// score matching at the noise levels of Score, in place of a corruption.
	Objective string `yaml:"objective,omitempty" json:"objective,omitempty"`
	Score     Score  `yaml:"score,omitempty" json:"score,omitzero"`

	CodeDistribution string   `yaml:"code_distribution,omitempty" json:"code_distribution,omitempty"` // q(h|x̃), see ParseCodeDistribution; none, the default, is left out of files
	Beta             *float64 `yaml:"beta,omitempty" json:"beta,omitempty"`                           // weight of the divergence of q from the prior; default 1
	BetaWarmup       int      `yaml:"beta_warmup,omitempty" json:"beta_warmup,omitempty"`             // steps over which that weight rises from 0
	Importance       int      `yaml:"importance,omitempty" json:"importance,omitempty"`               // samples K of an importance-weighted bound; 0: the divergence in closed form
	Walkback         int      `yaml:"walkback,omitempty" json:"walkback,omitempty"`                   // links of the Markov chain that training follows from each example; default 1

	// Of tables of mixed columns, under the likelihood mixed: NaN is an absent
	// value, which is no target, and which no corruption destroys.
	Columns    []ColumnConfig `yaml:"columns,omitempty" json:"columns,omitempty"`
	Indicators bool           `yaml:"indicators,omitempty" json:"indicators,omitempty"` // the encoder also sees of each column whether its value is absent from x̃
	MaskHead   float64        `yaml:"mask_head,omitempty" json:"mask_head,omitempty"`   // weight of the loss of a head that tells which values were destroyed (Yoon et al. 2020, VIME); 0: none

	ColumnWeights []float64 `yaml:"column_weights,omitempty,flow" json:"column_weights,omitempty"` // of each column's loss in training; default 1
	Collisions    []float64 `yaml:"collisions,omitempty,flow" json:"collisions,omitempty"`         // probability, by field, that another row has the same value: what swap:effective needs

	DecoderHidden     string  `yaml:"decoder_hidden,omitempty" json:"decoder_hidden,omitempty"`         // units of the decoder's hidden layers, see DecoderMirrors; the default is left out of files
	DecoderActivation string  `yaml:"decoder_activation,omitempty" json:"decoder_activation,omitempty"` // of the decoder's hidden layers; empty: Activation
	Target            *Target `yaml:"target,omitempty" json:"target,omitempty"`                         // of a predictor; otherwise absent
}

// Emphasis weighs the loss of destroyed features against that of untouched ones
// (Vincent et al. 2010, section 4.3). The zero Emphasis is {1, 1}.
type Emphasis struct {
	Destroyed float64 `yaml:"destroyed" json:"destroyed"`
	Untouched float64 `yaml:"untouched" json:"untouched"`
}

// What DecoderHidden may be beside a list such as 64,32, the layer that reads the code first.
const (
	// DecoderMirrors, the default, gives the decoder the encoder's hidden layers in reverse.
	DecoderMirrors = "mirror"
	// DecoderBare leaves it the output layer alone.
	DecoderBare = "none"
)

// Limits of a configuration.
const (
	// MaxParameters bounds a model: 2³¹ parameters are 8 GiB, and training
	// keeps as much again for the gradient and for each moment.
	MaxParameters = 1 << 31
	// MaxReplicates is the room for a replicate in a counter of philox.
	MaxReplicates = 4096
	// maxLayers is the room for a layer in a counter of philox.
	maxLayers = 256
	// maxDropout keeps the rescaling 1/(1-p) of the survivors moderate.
	maxDropout    = 0.99
	maxEmphasis   = 1e6
	bytesPerFloat = 4
)

// resolved is a validated Config with its names looked up.
type resolved struct {
	Config     // defaults filled in
	corruption Corruption
	likelihood Likelihood
	activation device.Activation
	code       device.Activation
	norm       normKind
	init       initializer
	levels     *levels   // of denoising score matching, otherwise absent
	sigmas     []float64 // of Gaussian noise, rising
	codes      CodeDistribution
	families   []device.Family   // of Columns
	decoder    device.Activation // of the decoder's hidden layers
	outward    []int             // units of those, the one that reads the code first
	target     Likelihood        // of y, of a predictor
}

// resolve validates a configuration and fills in its defaults. It allocates
// nothing that grows with the sizes it is given.
func (c Config) resolve() (*resolved, error) {
	c.Shape, c.Fields, c.Hidden = slices.Clone(c.Shape), slices.Clone(c.Fields), slices.Clone(c.Hidden)
	c.Columns, c.ColumnWeights, c.Collisions = slices.Clone(c.Columns), slices.Clone(c.ColumnWeights), slices.Clone(c.Collisions)
	r := &resolved{Config: c}
	r.setDefaults()
	for _, check := range []func() error{r.checkShape, r.resolveObjective, r.checkNames, r.checkColumns, r.checkLists, r.resolveTarget, r.resolveDecoder, r.checkSizes, r.checkCorruption, r.checkLikelihood, r.checkObjective,
		r.checkCode, r.checkWalkback} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *resolved) setDefaults() {
	setDefault(&r.Corruption, device.CorruptNone.String())
	setDefault(&r.Activation, device.ReLU.String())
	if r.draws() {
		setDefault(&r.CodeActivation, device.Identity.String())
	}
	setDefault(&r.CodeActivation, r.Activation)
	setDefault(&r.Norm, normNone.String())
	setDefault(&r.Init, autoInit)
	if r.Emphasis == (Emphasis{}) {
		r.Emphasis = Emphasis{1, 1}
	}
	if r.Replicates == 0 {
		r.Replicates = 1
	}
	if r.Walkback == 0 {
		r.Walkback = 1
	}
	if r.Features == 0 {
		r.Features = len(r.Columns)
	}
	if len(r.Shape) == 0 {
		r.Shape = []int{r.Features}
	}
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func (r *resolved) checkShape() error {
	if r.Features < 1 || r.Features > MaxParameters {
		return configErrorf("features", fmt.Sprintf("give the number of columns of the data, 1 to %d", MaxParameters), "%d features", r.Features)
	}
	if product(r.Shape).Cmp(big.NewInt(int64(r.Features))) != 0 {
		return configErrorf("shape", "its sizes must multiply to the number of features", "%v does not hold %d features", r.Shape, r.Features)
	}
	if len(r.Fields) == 0 {
		return nil
	}
	sum := 0
	for i, width := range r.Fields {
		if width < 1 || width > r.Features {
			return configErrorf("fields", "give each field at least 1 column and at most all", "field %d has %d columns of %d", i+1, width, r.Features)
		}
		sum += width
		if sum > r.Features {
			break
		}
	}
	if sum != r.Features {
		return configErrorf("fields", "their widths must add up to the number of features", "the fields do not cover %d features", r.Features)
	}
	return nil
}

// product multiplies without overflow; a size that is not positive gives 0.
func product(sizes []int) *big.Int {
	p := big.NewInt(1)
	for _, size := range sizes {
		p.Mul(p, big.NewInt(int64(max(size, 0))))
	}
	return p
}

func (r *resolved) checkNames() (err error) {
	if r.activation, err = parseActivation("activation", r.Activation); err != nil {
		return err
	}
	if r.code, err = parseActivation("code_activation", r.CodeActivation); err != nil {
		return err
	}
	r.decoder = r.activation
	if r.DecoderActivation != "" {
		if r.decoder, err = parseActivation("decoder_activation", r.DecoderActivation); err != nil {
			return err
		}
	}
	if r.norm, err = parseNorm(r.Norm); err != nil {
		return err
	}
	if r.init, err = parseInit(r.Init); err != nil {
		return err
	}
	if r.codes, err = ParseCodeDistribution(r.CodeDistribution); err != nil {
		return err
	}
	if !r.codes.Stochastic {
		r.CodeDistribution = "" // which files leave out
	}
	if r.corruption, err = ParseCorruption(r.Corruption); err != nil {
		return err
	}
	if r.likelihood, err = ParseLikelihood(r.Likelihood); err != nil {
		return err
	}
	return r.resolveNoise()
}

func (r *resolved) checkSizes() error {
	if len(r.Hidden) == 0 && r.Code == 0 {
		return configErrorf("hidden", "give at least one, or a code", "no hidden layer")
	}
	for i, width := range r.Hidden {
		if width < 1 {
			return configErrorf("hidden", "a layer has at least 1 unit", "layer %d has %d units", i+1, width)
		}
	}
	if r.Code < 0 {
		return configErrorf("code", "give its units, or 0 for the last hidden layer", "a code of %d units", r.Code)
	}
	if layers := len(r.encoderWidths()) + len(r.outward) + 1; layers > maxLayers {
		return configErrorf("hidden", fmt.Sprintf("the encoder and the decoder may have %d together", maxLayers), "%d layers", layers)
	}
	count := r.parameterCount()
	if count.Cmp(big.NewInt(MaxParameters)) > 0 {
		size := new(big.Int).Mul(count, big.NewInt(bytesPerFloat))
		key := "hidden"
		if r.Code > 0 && r.Code >= slices.Max(r.encoderWidths()) {
			key = "code"
		}
		return configErrorf(key, fmt.Sprintf("choose smaller layers: at most %d parameters", MaxParameters), "%s parameters (%s bytes)", count, size)
	}
	return nil
}

// encoderWidths returns the units of each encoder layer, the code last.
func (c *Config) encoderWidths() []int {
	if c.Code == 0 {
		return c.Hidden
	}
	return append(c.Hidden[:len(c.Hidden):len(c.Hidden)], c.Code)
}

// resolveDecoder finds the hidden layers of the decoder.
func (r *resolved) resolveDecoder() error {
	if r.DecoderHidden == DecoderMirrors {
		r.DecoderHidden = ""
	}
	if r.DecoderHidden == "" {
		widths := r.encoderWidths()
		r.outward = slices.Clone(widths[:max(len(widths)-1, 0)])
		slices.Reverse(r.outward)
		return nil
	}
	if r.Tied {
		return configErrorf("decoder_hidden", "give "+DecoderMirrors+", or untie the weights", "tied weights are those of a decoder that mirrors the encoder")
	}
	if r.DecoderHidden == DecoderBare {
		return nil
	}
	for text := range strings.SplitSeq(r.DecoderHidden, ",") {
		width, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || width < 1 {
			return configErrorf("decoder_hidden", fmt.Sprintf("give units such as 64,32, %s or %s", DecoderMirrors, DecoderBare), "%q is not a number of units", text)
		}
		r.outward = append(r.outward, width)
	}
	return nil
}

// parameterCount is exact, whatever the sizes.
func (r *resolved) parameterCount() *big.Int {
	total := new(big.Int)
	for _, c := range r.Columns {
		if c.Categories > 0 {
			total.Add(total, new(big.Int).Mul(big.NewInt(int64(c.Categories)+1), big.NewInt(int64(c.Embedding))))
		}
	}
	for _, l := range r.layers() {
		in, out := big.NewInt(int64(l.in)), big.NewInt(int64(l.out))
		if l.tied < 0 {
			total.Add(total, new(big.Int).Mul(in, out))
		}
		if !l.unbiased {
			total.Add(total, out)
		}
		if l.norm != normNone {
			total.Add(total, out.Lsh(out, 1))
		}
	}
	return total
}

func (r *resolved) checkCorruption() error {
	if !r.grouped() {
		return nil
	}
	table := Corruptions()
	for _, stage := range r.corruption {
		if !table[stage.Kind].ByField {
			return configErrorf("corruption", "use masking, span, swap, swap-rows or none, which destroy a field as a whole",
				"%s would break up the fields of several columns", stage.Kind)
		}
	}
	return nil
}

// grouped reports whether some field has several columns.
func (r *resolved) grouped() bool { return len(r.Fields) > 0 && len(r.Fields) < r.Features }

func (r *resolved) checkLikelihood() error {
	kind := r.likelihood.Kind
	if kind == device.GaussianLearned && r.Tied {
		return configErrorf("tied", "untie the weights or choose gaussian", "%s has two parameters a feature, which tied weights cannot give", kind)
	}
	if kind != device.Categorical {
		return nil
	}
	if len(r.Fields) == 0 {
		return configErrorf("likelihood", "declare the fields, or choose bernoulli", "%s needs columns grouped in fields", kind)
	}
	for i, width := range r.Fields {
		if width < 2 {
			return configErrorf("likelihood", "give every field at least 2 columns", "under %s, field %d of one column carries no information", kind, i+1)
		}
	}
	return nil
}

func (r *resolved) checkObjective() error {
	if !(r.Dropout >= 0 && r.Dropout <= maxDropout) {
		return configErrorf("dropout", fmt.Sprintf("it is a probability between 0 and %v", maxDropout), "dropout %v", r.Dropout)
	}
	if r.Replicates < 1 || r.Replicates > MaxReplicates {
		return configErrorf("replicates", fmt.Sprintf("choose 1 to %d", MaxReplicates), "%d replicates", r.Replicates)
	}
	e := r.Emphasis
	for _, w := range []float64{e.Destroyed, e.Untouched} {
		if !(w >= 0 && w <= maxEmphasis) {
			return configErrorf("emphasis", fmt.Sprintf("weights lie between 0 and %v", maxEmphasis), "weights %v and %v", e.Destroyed, e.Untouched)
		}
	}
	if e.Destroyed == e.Untouched {
		return nil
	}
	table := Corruptions()
	for _, stage := range r.corruption {
		if !table[stage.Kind].Selective {
			return configErrorf("emphasis", "use it with "+strings.Join([]string{"masking", "span", "salt-and-pepper", "swap", "swap-rows"}, ", ")+" only",
				"%s leaves no feature untouched to weigh the destroyed ones against", stage.Kind)
		}
	}
	return nil
}
