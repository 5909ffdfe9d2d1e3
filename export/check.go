package export

import (
	"context"
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/onnx"
	"gpudae/train"
)

// Tolerance is the largest Difference of a graph that is right.
const Tolerance = 1e-5

// Difference is the largest one between a graph's outputs and the model's own.
// A code's is relative to the largest of all codes, if that is above 1. A
// reconstruction's is in the scale of training, relative to the value there if
// that is above 1; what float32 cannot tell apart beside a column's offset is
// left out. An output that the graph lacks has 0.
type Difference struct {
	Reconstruction float64 `json:"reconstruction"`
	Code           float64 `json:"code"`
}

// Within reports whether neither is above Tolerance; NaN is.
func (d Difference) Within() bool { return d.Reconstruction <= Tolerance && d.Code <= Tolerance }

// Rows of examples that Check makes, and the numbers that a layer's output may
// have for all of them.
const (
	checkRows     = 16
	checkElements = 1 << 24
)

// Check computes an ONNX graph of the model beside the model on a device, for
// examples drawn uniformly between the columns' extremes.
func Check(ctx context.Context, dev device.Device, s *train.Saved, m *onnx.Model) (Difference, error) {
	x := examples(s)
	features := s.Schema.Features
	rows := len(x) / features
	theirs, err := onnx.Run(ctx, m, map[string]onnx.Tensor{Input: onnx.NewTensor(x, append([]int{rows}, s.Schema.Shape...)...)})
	if err != nil {
		return Difference{}, fmt.Errorf("computing the ONNX graph: %w", err)
	}
	code, reconstruction, err := own(ctx, dev, s, tensor.New(tensor.WithShape(rows, features), tensor.WithBacking(x)))
	if err != nil {
		return Difference{}, err
	}
	var d Difference
	if y, computed := theirs[Code]; computed {
		d.Code = codeDifference(y.Values, code)
	}
	if y, computed := theirs[Reconstruction]; computed {
		d.Reconstruction = reconstructionDifference(y.Values, reconstruction, &s.Scaler)
	}
	return d, nil
}

// own computes what gpudae itself makes of x, in the scale of the data.
func own(ctx context.Context, dev device.Device, s *train.Saved, x *tensor.Dense) (code, reconstruction []float32, err error) {
	z, err := s.Scaler.Apply(x)
	if err != nil {
		return nil, nil, err
	}
	net, _, err := s.Bind(dev, x.Shape()[0])
	if err != nil {
		return nil, nil, err
	}
	h, err := net.Encode(ctx, z)
	if err != nil {
		return nil, nil, err
	}
	r, err := net.Denoise(ctx, z)
	if err != nil {
		return nil, nil, err
	}
	if r, err = s.Scaler.Invert(r); err != nil {
		return nil, nil, err
	}
	return data.Float32s(h), data.Float32s(r), nil
}

// examples are rows in the scale of the data: one at the columns' least values,
// one at the greatest, the others between.
func examples(s *train.Saved) []float32 {
	widest := s.Schema.Features
	for _, l := range s.DAE.Layers() {
		widest = max(widest, l.Out)
	}
	rows := min(checkRows, max(1, checkElements/widest))
	x := make([]float32, rows*s.Schema.Features)
	key := philox.KeyOf(s.Config.Seed)
	for i := range x {
		row, column := i/s.Schema.Features, i%s.Schema.Features
		words := philox.Block(philox.Coordinates{Stream: philox.StreamChain, Row: uint32(row), Block: uint32(column / 4)}.Counter(), key)
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
