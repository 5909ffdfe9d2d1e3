package export

import (
	"fmt"
	"math"

	"gpudae/model"
	"gpudae/onnx"
)

// noise is how the graph of a score model depends on σ [N, 1], or [1, 1] for a
// model of a single level. All that is a function of σ alone is computed in
// float64, as the model does: the embedding's angles are too large for float32.
type noise struct {
	*builder
	*model.Conditioning
	sigma string // of float64
	root  string // √(σ² + σ_data²)
}

// noise declares the input σ, in the scale of training, or a constant in its place.
func (b *builder) noise(c *model.Conditioning) *noise {
	n := &noise{builder: b, Conditioning: c}
	if len(c.Levels) == 1 {
		n.sigma = b.Doubles("noise.sigma", c.Levels, 1, 1)
	} else {
		n.sigma = b.wide("noise.sigma", b.Input(Sigma, fmt.Sprintf("standard deviation of the noise of each example, in units of the scaled data, from %g to %g",
			c.Levels[0], c.Levels[len(c.Levels)-1]), onnx.Float32, onnx.Batch, 1))
	}
	square := b.Node("noise.variance", "Mul", []string{n.sigma, n.sigma})
	square = b.Node("noise.total", "Add", []string{square, b.Doubles("noise.data_variance", []float64{c.SigmaData * c.SigmaData})})
	n.root = b.Node("noise.root", "Sqrt", []string{square})
	return n
}

func (b *builder) wide(name, x string) string {
	return b.Node(name, "Cast", []string{x}, onnx.Int("to", int(onnx.Float64)))
}

func (b *builder) narrow(name, x string) string {
	return b.Node(name, "Cast", []string{x}, onnx.Int("to", int(onnx.Float32)))
}

// condition: [c_in·x̃ | cos | sin], c_in = 1/√(σ² + σ_data²).
func (n *noise) condition(x string) string {
	scaled := n.Node("noise.input", "Div", []string{x, n.narrow("noise.root_narrow", n.root)})
	if len(n.Frequencies) == 0 {
		return scaled
	}
	at := n.Node("noise.log", "Log", []string{n.sigma})
	if n.ByLevel {
		at = n.position(at)
	}
	angles := n.Node("noise.angles", "Mul", []string{at, n.Doubles("noise.frequencies", n.Frequencies, 1, len(n.Frequencies))})
	parts := []string{scaled}
	// cos a = sin(a + π/2): runtimes that have a sine in float64 may lack a cosine.
	turned := n.Node("noise.turned", "Add", []string{angles, n.Doubles("noise.quarter", []float64{math.Pi / 2})})
	for _, part := range []struct{ name, of string }{{"noise.cos", turned}, {"noise.sin", angles}} {
		wave := n.narrow(part.name+"_narrow", n.Node(part.name, "Sin", []string{part.of}))
		if len(n.Levels) == 1 { // a row for each example
			zero := n.Node(part.name+"_zero", "Mul", []string{n.columns(part.name+"_column", scaled, 0, 1), n.Constant(part.name+"_none", []float32{0})})
			wave = n.Node(part.name+"_rows", "Add", []string{zero, wave})
		}
		parts = append(parts, wave)
	}
	return n.Node("noise.conditioned", "Concat", parts, onnx.Int("axis", -1))
}

// position: the number of the level, Σ clip((ln σ - ln σ_l)/(ln σ_{l+1} - ln σ_l), 0, 1).
func (n *noise) position(log string) string {
	gaps := len(n.Levels) - 1
	if gaps == 0 {
		return n.Doubles("noise.position", []float64{0}, 1, 1)
	}
	starts, widths := make([]float64, gaps), make([]float64, gaps)
	for l := range gaps {
		starts[l] = math.Log(n.Levels[l])
		widths[l] = math.Log(n.Levels[l+1] / n.Levels[l])
	}
	p := n.Node("noise.from_levels", "Sub", []string{log, n.Doubles("noise.levels", starts, 1, gaps)})
	p = n.Node("noise.within_levels", "Div", []string{p, n.Doubles("noise.level_widths", widths, 1, gaps)})
	p = n.Node("noise.bounded", "Clip", []string{p, n.Doubles("noise.bound_low", []float64{0}), n.Doubles("noise.bound_high", []float64{1})})
	return n.Node("noise.position", "ReduceSum", []string{p, n.Integers("noise.position_axis", -1)})
}

// denoise: D = c_skip·x̃ + c_out·F, with the coefficients of model.Parameterizations.
func (n *noise) denoise(x, f string) string {
	switch n.Parameterization {
	case "edm", "v":
		ratio := n.Node("noise.data_ratio", "Div", []string{n.Doubles("noise.data", []float64{n.SigmaData}), n.root})
		skip := n.Node("noise.skip", "Mul", []string{ratio, ratio})
		out := n.Node("noise.out", "Mul", []string{n.sigma, ratio})
		if n.Parameterization == "v" {
			out = n.Node("noise.out_turned", "Neg", []string{out})
		}
		return n.blend(n.Node("noise.kept", "Mul", []string{x, n.narrow("noise.skip_narrow", skip)}), f, out)
	case "epsilon":
		return n.blend(x, f, n.Node("noise.out", "Neg", []string{n.sigma}))
	case "score":
		return n.blend(x, f, n.Node("noise.out", "Mul", []string{n.sigma, n.sigma}))
	case "x0":
		return f
	}
	panic("export: parameterisation " + n.Parameterization)
}

// blend: kept + out·F.
func (n *noise) blend(kept, f, out string) string {
	return n.Node("noise.denoised", "Add", []string{kept, n.Node("noise.correction", "Mul", []string{f, n.narrow("noise.out_narrow", out)})})
}
