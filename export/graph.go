package export

import (
	"fmt"
	"math"
	"strings"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
	"gpudae/onnx"
	"gpudae/table"
	"gpudae/train"
)

// Names of an ONNX graph's inputs and outputs. Those of a table's columns have the
// column's name after a point: "x.age", "reconstruction.age", "log_p.town".
const (
	Input          = "x"
	Sigma          = "sigma" // of score models with several noise levels
	Reconstruction = "reconstruction"
	LogP           = "log_p" // of a table's categories
	Code           = "code"
	Class          = "class" // of predictors
	Probabilities  = "probabilities"
	Value          = "value"
)

// Outputs says what an ONNX graph computes: Reconstruction stands for what a
// predictor says of its target, too.
type Outputs struct{ Reconstruction, Code bool }

// Size is the least size of the ONNX file in bytes: its numbers.
func Size(d *model.DAE) int64 {
	const bytesPerFloat = 4
	return bytesPerFloat * (int64(d.ParameterCount()) + int64(d.BufferCount()))
}

// ONNX returns the graph of a model, preprocessing included: x [N, shape of an
// example] in the scale of the data to E[x|h] in the same shape and scale, and
// to the code h [N, units]. A score model of several noise levels has a second
// input, σ [N, 1]. A table of mixed columns has an input and an output [N, 1] for
// each, numbers of float64 and words, as they stand in the table; and of words the
// logarithms of their probabilities. A predictor puts out its class [N, 1] and the
// probabilities of all, or its value [N, 1].
func ONNX(s *train.Saved, out Outputs) (*onnx.Model, error) {
	transforms, err := transformsOf(s)
	if err != nil {
		return nil, err
	}
	b := &builder{Graph: onnx.NewGraph(Program), saved: s, weights: weightsOf(s), transforms: transforms}
	shape := append([]int{onnx.Batch}, s.Schema.Shape...)
	var x string
	if transforms != nil {
		x = b.embed()
	} else {
		x = b.rows(shape)
	}
	corrupted, conditioning := x, (*noise)(nil)
	if c := s.DAE.Conditioning(); c != nil {
		conditioning = b.noise(c)
		x = conditioning.condition(x)
	}
	layers := s.DAE.Layers()
	depth := len(s.DAE.EncoderWidths())
	var encoded []string
	for _, l := range layers[:depth] {
		x = b.layer(l, x)
		encoded = append(encoded, x)
	}
	x = b.code(x)
	h := x
	switch {
	case !out.Reconstruction:
	case s.DAE.IsPredictor():
		b.prediction(layers[depth:], encoded)
	default:
		for _, l := range layers[depth:] {
			x = b.layer(l, x)
		}
		b.reconstruction(x, corrupted, conditioning, shape)
	}
	if out.Code {
		b.Node(Code, "Identity", []string{h})
		b.Output(Code, codeDoc(s.DAE), onnx.Float32, onnx.Batch, s.DAE.CodeWidth())
	}
	about := onnx.About{Producer: Program, Version: s.Version,
		Doc: fmt.Sprintf("Denoising auto-encoder trained on %s under %s", s.Schema.Name, noiseName(s.DAE.Config()))}
	for _, p := range properties(s) {
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		about.Metadata = append(about.Metadata, onnx.Property{Key: Program + "." + p.key, Value: text})
	}
	return b.Model(about), nil
}

// rows declares the input of numbers, and brings it to rows in the scale of training.
func (b *builder) rows(shape []int) string {
	x := b.Input(Input, inputDoc(b.saved), onnx.Float32, shape...)
	if len(shape) > 2 {
		x = b.Node("rows", "Reshape", []string{x, b.Integers("rows.shape", 0, b.saved.Schema.Features)})
	}
	return b.scale(x)
}

// reconstruction puts out what the parameters a of p(x|h) say.
func (b *builder) reconstruction(a, corrupted string, conditioning *noise, shape []int) {
	switch {
	case b.transforms != nil:
		b.cells(a)
		return
	case conditioning != nil:
		a = conditioning.denoise(corrupted, a)
	default:
		a = b.mean(a)
	}
	b.reshaped(b.unscale(a), Reconstruction, shape)
	b.Output(Reconstruction, "E[x|h], in the scale of "+Input, onnx.Float32, shape...)
}

// prediction puts out what a predictor says: its head is the sum of what its parts
// make of the encoder's layers, the last of them first.
func (b *builder) prediction(parts []model.Layer, encoded []string) {
	a := b.layer(parts[0], encoded[len(encoded)-1])
	for i, l := range parts[1:] {
		a = b.Node(l.Name+".sum", "Add", []string{a, b.layer(l, encoded[len(encoded)-2-i])})
	}
	t := &b.saved.Target
	if t.Classes == nil {
		y := b.by("target.multiplied", "Mul", b.wide("target", a), t.Scale, 1)
		b.Node(Value, "Add", []string{y, b.scalar("target.offset", t.Offset)})
		b.Output(Value, "expected value of "+targetName(t)+", in its unit", onnx.Float64, onnx.Batch, 1)
		return
	}
	if len(t.Classes) == 2 {
		yes := b.Node("target.yes", "Sigmoid", []string{a})
		no := b.Node("target.no", "Sub", []string{b.Constant("target.one", []float32{1}), yes})
		b.Node(Probabilities, "Concat", []string{no, yes}, onnx.Int("axis", -1))
	} else {
		b.Node(Probabilities, "Softmax", []string{a}, onnx.Int("axis", -1))
	}
	b.names(Class, b.Node("target.code", "ArgMax", []string{Probabilities}, onnx.Int("axis", -1)), 0, t.Classes, "", "most probable class of "+targetName(t))
	b.Output(Probabilities, "of "+quoted(t.Classes), onnx.Float32, onnx.Batch, len(t.Classes))
}

func targetName(t *train.Target) string {
	if t.Name == "" {
		return "the target"
	}
	return t.Name
}

func codeDoc(d *model.DAE) string {
	if d.CodeDistribution().Stochastic {
		return "the mean of q(h|x), " + d.CodeDistribution().String()
	}
	return "h = f(x)"
}

// noiseName is what a model was trained to remove.
func noiseName(c model.Config) string {
	if c.Score.Noise != "" {
		return c.Score.Noise
	}
	return c.Corruption
}

func inputDoc(s *train.Saved) string {
	doc := "examples, corrupted or not, in the scale of the data"
	if s.Schema.Element == data.Uint8 {
		doc += fmt.Sprintf(": 8-bit values times %v", s.Schema.Scale)
	}
	if s.Schema.Columns != nil {
		doc += ": " + strings.Join(s.Schema.Columns, ", ")
	}
	return doc
}

// builder adds the parts of a model to a graph; each takes a value's name and
// returns that of its result [N, units].
type builder struct {
	*onnx.Graph
	saved      *train.Saved
	weights    weights
	transforms []table.Transform // of mixed columns
}

// scale: (x - offset)/scale.
func (b *builder) scale(x string) string {
	if !scales(&b.saved.Scaler) {
		return x
	}
	high, low := b.offset("scale.offset")
	x = b.Node("scale.shift", "Sub", []string{x, high})
	if low != "" {
		x = b.Node("scale.shift_low", "Sub", []string{x, low})
	}
	return b.Node("scale.divide", "Div", []string{x, b.scaleFactor("scale.factor")})
}

// unscale: z·scale + offset.
func (b *builder) unscale(z string) string {
	if !scales(&b.saved.Scaler) {
		return z
	}
	high, low := b.offset("unscale.offset")
	z = b.Node("unscale.multiply", "Mul", []string{z, b.scaleFactor("unscale.factor")})
	if low != "" {
		z = b.Node("unscale.shift_low", "Add", []string{z, low})
	}
	return b.Node("unscale.shift", "Add", []string{z, high})
}

// offset is the scaler's offset as the sum of two constants of float32, since
// one would be too coarse for columns whose mean is many times their spread;
// x - high is exact there (Sterbenz 1974). low is empty where it is 0.
func (b *builder) offset(name string) (high, low string) {
	offsets := b.saved.Scaler.Offset
	first, rest := make([]float32, len(offsets)), make([]float32, len(offsets))
	exact := true
	for i, v := range offsets {
		first[i] = float32(v)
		rest[i] = float32(v - float64(first[i]))
		exact = exact && rest[i] == 0
	}
	high = b.Constant(name, first, len(first))
	if exact {
		return high, ""
	}
	return high, b.Constant(name+"_low", rest, len(rest))
}

func (b *builder) scaleFactor(name string) string {
	factors := make([]float32, len(b.saved.Scaler.Scale))
	for i, v := range b.saved.Scaler.Scale {
		factors[i] = float32(v)
	}
	return b.Constant(name, factors, len(factors))
}

// parameter is a tensor of the model under its own name, once.
func (b *builder) parameter(name string) string {
	a, first := b.weights[name]
	if first {
		b.Constant(name, a.values, a.shape...)
		delete(b.weights, name)
	}
	return name
}

// layer: dense → norm → activation.
func (b *builder) layer(l model.Layer, x string) string {
	weight, transposed := l.Name+".weight", 1
	if l.Tied != "" {
		weight, transposed = l.Tied+".weight", 0
	}
	bias := l.Name + ".bias"
	if _, biased := b.weights[bias]; !biased { // a part of a predictor's head but the first
		b.weights[bias] = array{[]int{l.Out}, make([]float32, l.Out)}
	}
	x = b.Node(l.Name+".dense", "Gemm", []string{x, b.parameter(weight), b.parameter(bias)}, onnx.Int("transB", transposed))
	gain, shift, name := l.Name+".norm.weight", l.Name+".norm.bias", l.Name+".norm"
	epsilon := onnx.Float("epsilon", model.NormEpsilon)
	switch l.Norm {
	case device.LayerNorm.String():
		x = b.Node(name, "LayerNormalization", []string{x, b.parameter(gain), b.parameter(shift)}, onnx.Int("axis", -1), epsilon)
	case device.BatchNorm.String():
		x = b.Node(name, "BatchNormalization", []string{x, b.parameter(gain), b.parameter(shift),
			b.parameter(l.Name + ".norm.running_mean"), b.parameter(l.Name + ".norm.running_var")}, epsilon)
	}
	return b.activation(l.Activation, l.Name+"."+l.Activation.String(), x)
}

// activation: see model.Activations for the formulas.
func (b *builder) activation(kind device.Activation, name, x string) string {
	switch kind {
	case device.Identity:
		return x
	case device.ReLU:
		return b.Node(name, "Relu", []string{x})
	case device.LeakyReLU:
		return b.Node(name, "LeakyRelu", []string{x}, onnx.Float("alpha", device.LeakySlope))
	case device.ELU:
		return b.Node(name, "Elu", []string{x}, onnx.Float("alpha", 1))
	case device.GELU: // a·½(1 + erf(a/√2))
		y := b.Node(name+".scaled", "Mul", []string{x, b.Constant(name+".root", []float32{math.Sqrt2 / 2})})
		y = b.Node(name+".erf", "Erf", []string{y})
		y = b.Node(name+".shifted", "Add", []string{y, b.Constant(name+".one", []float32{1})})
		y = b.Node(name+".gated", "Mul", []string{x, y})
		return b.Node(name, "Mul", []string{y, b.Constant(name+".half", []float32{0.5})})
	case device.SiLU:
		return b.Node(name, "Mul", []string{x, b.Node(name+".gate", "Sigmoid", []string{x})})
	case device.Sigmoid:
		return b.Node(name, "Sigmoid", []string{x})
	case device.Tanh:
		return b.Node(name, "Tanh", []string{x})
	case device.Softplus:
		return b.Node(name, "Softplus", []string{x})
	}
	panic(fmt.Sprintf("export: activation %s", kind))
}

// code: h, or its mean, from the output of the encoder, which for a stochastic
// code are the parameters of q(h|x̃): of a gaussian its means and the logarithms
// of its variances, of the others the logits of probabilities.
func (b *builder) code(a string) string {
	const name = "code.mean"
	q := b.saved.DAE.CodeDistribution()
	switch {
	case !q.Stochastic:
		return a
	case q.Kind == device.CodeGaussian:
		return b.columns(name, a, 0, b.saved.DAE.CodeWidth())
	default:
		return b.Node(name, "Sigmoid", []string{a})
	}
}

// mean: E[x|h] from the parameters of p(x|h).
func (b *builder) mean(a string) string {
	const name = "mean"
	features := b.saved.Schema.Features
	switch kind := b.saved.DAE.Likelihood().Kind; kind {
	case device.Bernoulli:
		return b.Node(name, "Sigmoid", []string{a})
	case device.Gaussian:
		return a
	case device.GaussianLearned: // the second half are the variances' logarithms
		return b.columns(name, a, 0, features)
	case device.Categorical:
		return b.softmaxByField(name, a)
	case device.Poisson:
		return b.Node(name, "Exp", []string{a})
	default:
		panic(fmt.Sprintf("export: likelihood %s", kind))
	}
}

// columns: those from start up to end.
func (b *builder) columns(name, a string, start, end int) string {
	return b.Node(name, "Slice", []string{a, b.Integers(name+".start", start), b.Integers(name+".end", end), b.Integers(name+".axis", 1)})
}

// softmaxByField handles successive fields of one width together, as the rows
// of [N, fields, width].
func (b *builder) softmaxByField(name, a string) string {
	fields, features := b.saved.DAE.Config().Fields, b.saved.Schema.Features
	var parts []string
	start := 0
	for from := 0; from < len(fields); {
		count := 1
		for from+count < len(fields) && fields[from+count] == fields[from] {
			count++
		}
		width, part, p := fields[from], fmt.Sprintf("%s.fields%d", name, from), a
		end := start + count*width
		if end-start < features {
			p = b.columns(part+".columns", p, start, end)
		}
		p = b.Node(part+".split", "Reshape", []string{p, b.Integers(part+".split_shape", 0, count, width)})
		p = b.Node(part+".softmax", "Softmax", []string{p}, onnx.Int("axis", -1))
		parts = append(parts, b.Node(part, "Reshape", []string{p, b.Integers(part+".shape", 0, count*width)}))
		from, start = from+count, end
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return b.Node(name, "Concat", parts, onnx.Int("axis", -1))
}

// reshaped gives rows the shape of the input, under that name.
func (b *builder) reshaped(x, name string, shape []int) {
	if len(shape) == 2 {
		b.Node(name, "Identity", []string{x})
		return
	}
	sizes := append([]int{0}, shape[1:]...)
	b.Node(name, "Reshape", []string{x, b.Integers(name+".shape", sizes...)})
}
