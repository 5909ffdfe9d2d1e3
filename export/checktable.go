package export

import (
	"context"
	"math"
	"slices"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device/philox"
	"gpudae/onnx"
	"gpudae/table"
)

// Shares of the cells of a table's examples: those that are missing, and those
// whose words are spelled in another way, if there is one, or unknown.
const missingShare, respelledShare, unknownShare = 0.15, 0.25, 0.1

// tableExamples makes rows of a table, one at the columns' least values, one at
// the greatest, and one of missing cells.
func (c *comparison) tableExamples() {
	columns := len(c.transforms)
	z, key := make([]float32, c.rows*columns), philox.KeyOf(c.saved.Config.Seed)
	for j := range c.transforms {
		t := &c.transforms[j]
		x := onnx.Tensor{Shape: []int{c.rows, 1}}
		for i := range c.rows {
			words := draw(key, i, j)
			u, how := float64(philox.Uniform(words[0])), float64(philox.Uniform(words[1]))
			switch i {
			case 0, 1:
				u, how = float64(i), 1
			case 2:
				how = 0
			}
			if number(t) {
				x.Values = append(x.Values, exampleNumber(t, u, how, c.saved.Scaler.Low[j], c.saved.Scaler.High[j]))
				z[i*columns+j] = modelValue(t, x.Values[i])
				continue
			}
			x.Texts = append(x.Texts, exampleText(t, u, how))
			z[i*columns+j] = modelCode(t, x.Texts[i])
		}
		c.inputs[Input+"."+t.Name] = x
	}
	c.z = tensor.New(tensor.WithShape(c.rows, columns), tensor.WithBacking(z))
}

// modelValue and modelCode are what the model knows of a cell: NaN of a missing one.
func modelValue(t *table.Transform, x float64) float32 {
	if math.IsNaN(x) {
		return float32(x)
	}
	return float32(t.Apply(x))
}

func modelCode(t *table.Transform, text string) float32 {
	if code := t.Code(text); code != t.Absent {
		return float32(code)
	}
	return float32(math.NaN())
}

// exampleNumber lies between the numbers of two z, if it is not missing, or at a
// knot of the scaling.
func exampleNumber(t *table.Transform, u, how float64, low, high float32) float64 {
	switch {
	case how < missingShare:
		return math.NaN()
	case how < 0.5 && t.Knots != nil:
		return t.Knots.Values[int(u*float64(len(t.Knots.Values)-1))]
	}
	return t.Invert(float64(low) + u*(float64(high)-float64(low)))
}

func exampleText(t *table.Transform, u, how float64) string {
	pick := func(texts []string) string { return texts[int(u*float64(len(texts)-1))] }
	switch absent := slices.Index(t.Codes, t.Absent); {
	case how < missingShare && absent >= 0:
		return t.Texts[absent]
	case how < missingShare+unknownShare:
		return "no such word"
	case how < missingShare+unknownShare+respelledShare && len(t.Texts) > 0:
		return pick(t.Texts)
	}
	return pick(t.Categories)
}

// cells compares what the graph puts out of each column with the parameters of
// p(x|h) that the model computes.
func (c *comparison) cells(ctx context.Context) (float64, error) {
	h, err := c.net.Encode(ctx, c.z)
	if err != nil {
		return 0, err
	}
	width := c.saved.DAE.OutputWidth()
	params := make([]float32, c.rows*width)
	if err := c.net.Emit(params, data.Float32s(h)); err != nil {
		return 0, err
	}
	theirs, err := c.run(ctx, nil)
	if err != nil {
		return 0, err
	}
	largest := 0.0
	for j, place := range c.saved.DAE.TableColumns() {
		t := &c.transforms[j]
		out, logP := theirs[Reconstruction+"."+t.Name], theirs[LogP+"."+t.Name]
		for i := range c.rows {
			a := params[i*width+place.Param:][:max(place.Categories, 1)]
			if number(t) {
				largest = max(largest, numberDifference(t, float64(a[0]), out.Values[i]))
				continue
			}
			names := append([]string{table.Unknown}, t.Categories...)
			if t.Kind == table.Binary {
				a, names = []float32{0, a[0]}, t.Categories
			}
			lacks := math.Inf(1)
			for k, name := range names { // a category may be called unknown, too
				if name == out.Texts[i] {
					lacks = min(lacks, shortfall(a, k))
				}
			}
			largest = max(largest, lacks, logDifference(a, logP.Values[i*len(a):(i+1)*len(a)]))
		}
	}
	return largest, nil
}

// numberDifference is how far, in the scale of training, the model's z is from
// the numbers that would have been written back as y.
func numberDifference(t *table.Transform, z, y float64) float64 {
	slack := 0x1p-48 * max(math.Abs(y), math.Abs(t.Offset)) // of float64
	if t.Knots != nil {                                     // of sums over all of them, which may lie hairs apart
		values := t.Knots.Values
		slack += 0x1p-38 * (values[len(values)-1] - values[0])
	}
	off := math.Abs(t.Rounding.Round(y) - y)
	if off <= slack {
		off = 0
	}
	x := min(max(t.Invert(z), t.Low), t.High)
	reach := slack + t.Rounding.Step/max(t.Rounding.Per, 1)/2
	nearest := min(max(x, y-reach), y+reach)
	return max(off/t.Scale, math.Abs(t.Apply(nearest)-t.Apply(x))/max(1, math.Abs(z)))
}

// logDifference is that of ln p from those of the logits a, relative above 1.
func logDifference(a []float32, theirs []float64) float64 {
	most, sum := float64(slices.Max(a)), 0.0
	for _, v := range a {
		sum += math.Exp(float64(v) - most)
	}
	largest := 0.0
	for k, v := range a {
		ours := float64(v) - most - math.Log(sum)
		largest = max(largest, math.Abs(theirs[k]-ours)/max(1, math.Abs(ours)))
	}
	return largest
}
