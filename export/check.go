package export

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/model"
	"gpudae/onnx"
	"gpudae/table"
	"gpudae/train"
)

// Tolerance is the largest Difference of a graph that is right.
const Tolerance = 1e-5

// Difference is the largest one between a graph's outputs and the model's own.
// A code's is relative to the largest of all codes, if that is above 1. A
// reconstruction's is in the scale of training, relative to the value there if
// that is above 1; what float32 cannot tell apart beside a column's offset is
// left out. That of a category is how much less probable the graph's is to the
// model than the most probable one, as a difference of logits, or that of its ln p.
// A prediction's is one of probabilities, or of the value in units of the scaled
// target. An output that the graph lacks has 0.
type Difference struct {
	Reconstruction float64 `json:"reconstruction"`
	Code           float64 `json:"code"`
	Prediction     float64 `json:"prediction,omitempty"`
}

// Within reports whether none is above Tolerance; NaN is.
func (d Difference) Within() bool {
	return d.Reconstruction <= Tolerance && d.Code <= Tolerance && d.Prediction <= Tolerance
}

// Rows of examples that Check makes, and the numbers that a layer's output may
// have for all of them.
const (
	checkRows     = 16
	checkElements = 1 << 24
)

// Verdict is what Verify found.
type Verdict struct {
	Difference             // from the model on the device
	Exact      *Difference // from the model in float64, where it was asked
}

// Right reports whether the graph says what the model does.
func (v Verdict) Right() bool { return v.Within() || v.Exact != nil && v.Exact.Within() }

// Verify is Check on a device and, where that finds more than Tolerance, on a
// device that computes in float64, which decides: sums of float32, or of
// bfloat16, lose more than that in models whose large numbers cancel.
func Verify(ctx context.Context, dev, exact device.Device, s *train.Saved, m *onnx.Model) (Verdict, error) {
	d, err := Check(ctx, dev, s, m)
	if err != nil || d.Within() {
		return Verdict{Difference: d}, err
	}
	e, err := Check(ctx, exact, s, m)
	return Verdict{d, &e}, err
}

// Check computes an ONNX graph of the model beside the model on a device, for
// examples drawn uniformly between the columns' extremes; of mixed columns some
// cells are missing, and some words are unknown.
func Check(ctx context.Context, dev device.Device, s *train.Saved, m *onnx.Model) (Difference, error) {
	var d Difference
	c, err := compare(dev, s, m)
	if err != nil {
		return d, err
	}
	outputs := m.Outputs()
	if slices.Contains(outputs, Code) {
		if d.Code, err = c.codes(ctx); err != nil {
			return d, err
		}
	}
	if !slices.ContainsFunc(outputs, func(name string) bool { return name != Code }) {
		return d, nil
	}
	switch {
	case s.DAE.IsPredictor():
		d.Prediction, err = c.predictions(ctx)
	case c.transforms != nil:
		d.Reconstruction, err = c.cells(ctx)
	default:
		d.Reconstruction, err = c.reconstructions(ctx)
	}
	return d, err
}

// comparison is a graph beside a model.
type comparison struct {
	saved      *train.Saved
	net        *model.Net
	graph      *onnx.Model
	transforms []table.Transform      // of mixed columns
	inputs     map[string]onnx.Tensor // but for σ, in the scale of the data
	z          *tensor.Dense          // the same as the model sees it
	rows       int

	outputs map[string]onnx.Tensor // of a graph without σ, once computed
}

// compare makes the examples and puts the model on the device.
func compare(dev device.Device, s *train.Saved, m *onnx.Model) (*comparison, error) {
	c := &comparison{saved: s, graph: m, rows: rowsOf(s), inputs: map[string]onnx.Tensor{}}
	var err error
	if c.transforms, err = transformsOf(s); err != nil {
		return nil, err
	}
	if c.net, _, err = s.Bind(dev, c.rows); err != nil {
		return nil, err
	}
	if c.transforms != nil {
		c.tableExamples()
		return c, nil
	}
	x := examples(s)
	c.inputs[Input] = onnx.NewTensor(x, append([]int{c.rows}, s.Schema.Shape...)...)
	c.z, err = s.Scaler.Apply(tensor.New(tensor.WithShape(c.rows, s.Schema.Features), tensor.WithBacking(x)))
	return c, err
}

// run computes the graph's outputs, under noise of sigma [rows].
func (c *comparison) run(ctx context.Context, sigma []float32) (map[string]onnx.Tensor, error) {
	if sigma == nil && c.outputs != nil {
		return c.outputs, nil
	}
	inputs := maps.Clone(c.inputs)
	if sigma != nil {
		inputs[Sigma] = onnx.NewTensor(sigma, c.rows, 1)
	}
	y, err := onnx.Run(ctx, c.graph, inputs)
	if err != nil {
		return nil, fmt.Errorf("computing the ONNX graph: %w", err)
	}
	c.outputs = y
	return y, nil
}

// output computes one of them.
func (c *comparison) output(ctx context.Context, name string, sigma []float32) ([]float64, error) {
	y, err := c.run(ctx, sigma)
	return y[name].Values, err
}

// codes compares the codes, those of a score model at its least noise.
func (c *comparison) codes(ctx context.Context) (float64, error) {
	h, err := c.net.Encode(ctx, c.z)
	if err != nil {
		return 0, err
	}
	sigma := c.noise()
	for i := range sigma {
		sigma[i] = float32(c.saved.DAE.NoiseLevels()[0])
	}
	theirs, err := c.output(ctx, Code, sigma)
	if err != nil {
		return 0, err
	}
	return codeDifference(theirs, data.Float32s(h)), nil
}

// reconstructions compares them, each row of a score model at a noise of its own.
func (c *comparison) reconstructions(ctx context.Context) (float64, error) {
	sigma := c.noise()
	theirs, err := c.output(ctx, Reconstruction, sigma)
	if err != nil {
		return 0, err
	}
	ours, err := c.own(ctx, sigma)
	if err != nil {
		return 0, err
	}
	if ours, err = c.saved.Scaler.Invert(ours); err != nil {
		return 0, err
	}
	return reconstructionDifference(theirs, data.Float32s(ours), &c.saved.Scaler), nil
}

// own is what the model itself makes of the examples.
func (c *comparison) own(ctx context.Context, sigma []float32) (*tensor.Dense, error) {
	if sigma == nil {
		return c.net.Denoise(ctx, c.z)
	}
	z := data.Float32s(c.z)
	d := make([]float32, len(z))
	columns := len(z) / c.rows
	for i, s := range sigma {
		row := func(values []float32) []float32 { return values[i*columns : (i+1)*columns] }
		if err := c.net.DenoiseAt(ctx, row(d), row(z), float64(s)); err != nil {
			return nil, err
		}
	}
	return tensor.New(tensor.WithShape(c.rows, columns), tensor.WithBacking(d)), nil
}

// noise is a σ for each row of a score model that takes one: from the least to
// the greatest level, in equal ratios; otherwise nil.
func (c *comparison) noise() []float32 {
	conditioning := c.saved.DAE.Conditioning()
	if conditioning == nil || len(conditioning.Levels) == 1 {
		return nil
	}
	least, greatest := conditioning.Levels[0], conditioning.Levels[len(conditioning.Levels)-1]
	sigma := make([]float32, c.rows)
	for i := range sigma {
		sigma[i] = float32(least * math.Pow(greatest/least, float64(i)/float64(max(1, c.rows-1))))
	}
	return sigma
}

// rowsOf is the number of examples.
func rowsOf(s *train.Saved) int {
	widest := s.Schema.Features
	for _, l := range s.DAE.Layers() {
		widest = max(widest, l.Out)
	}
	return min(checkRows, max(1, checkElements/widest))
}

// examples are rows in the scale of the data: one at the columns' least values,
// one at the greatest, the others between.
func examples(s *train.Saved) []float32 {
	rows := rowsOf(s)
	x := make([]float32, rows*s.Schema.Features)
	key := philox.KeyOf(s.Config.Seed)
	for i := range x {
		row, column := i/s.Schema.Features, i%s.Schema.Features
		words := draw(key, row, column/4)
		u := philox.Uniform(words[column%4])
		switch row {
		case 0:
			u = 0
		case 1:
			u = 1
		}
		low, high := s.Scaler.Low[column], s.Scaler.High[column]
		z := float64(low) + float64(u)*(float64(high)-float64(low))
		if scales(&s.Scaler) {
			z = z*s.Scaler.Scale[column] + s.Scaler.Offset[column]
		}
		x[i] = float32(z)
	}
	return x
}

// draw is a block of random words of a row.
func draw(key philox.Key, row, block int) [4]uint32 {
	return philox.Block(philox.Coordinates{Stream: philox.StreamChain, Row: uint32(row), Block: uint32(block)}.Counter(), key)
}

// predictions compares what a predictor and its graph say.
func (c *comparison) predictions(ctx context.Context) (float64, error) {
	prediction, err := c.net.Predict(ctx, c.z)
	if err != nil {
		return 0, err
	}
	theirs, err := c.run(ctx, nil)
	if err != nil {
		return 0, err
	}
	t, ours, largest := &c.saved.Target, data.Float32s(prediction), 0.0
	for i := range c.rows {
		if t.Classes == nil {
			y := float64(ours[i])
			largest = max(largest, math.Abs((theirs[Value].Values[i]-t.Offset)/t.Scale-y)/max(1, math.Abs(y)))
			continue
		}
		p := ours[i*t.Width() : (i+1)*t.Width()]
		if len(p) == 1 {
			p = []float32{1 - p[0], p[0]}
		}
		for k := range p {
			largest = max(largest, math.Abs(theirs[Probabilities].Values[i*len(p)+k]-float64(p[k])))
		}
		largest = max(largest, shortfall(p, slices.Index(t.Classes, theirs[Class].Texts[i])))
	}
	return largest, nil
}

// shortfall is by how much an element falls short of the greatest, infinitely if
// there is none of that index.
func shortfall(values []float32, index int) float64 {
	if index < 0 {
		return math.Inf(1)
	}
	return float64(slices.Max(values)) - float64(values[index])
}

func codeDifference(theirs []float64, ours []float32) float64 {
	largest, unit := 0.0, 1.0
	for i, v := range ours {
		unit = max(unit, math.Abs(float64(v)))
		largest = max(largest, math.Abs(theirs[i]-float64(v)))
	}
	return largest / unit
}

// roundings of float32 that adding the offset to a value costs, relative to it,
// on both sides.
const roundings = 4 * 0x1p-24

func reconstructionDifference(theirs []float64, ours []float32, s *data.Scaler) float64 {
	largest := 0.0
	for i, v := range ours {
		offset, scale := 0.0, 1.0
		if column := i % len(s.Low); scales(s) {
			offset, scale = s.Offset[column], s.Scale[column]
		}
		y := float64(v)
		difference := math.Abs(theirs[i]-y) - roundings*math.Abs(offset)
		largest = max(largest, difference/max(scale, math.Abs(y-offset)))
	}
	return largest
}
