package data

import (
	"context"
	"fmt"
	"slices"

	"gorgonia.org/tensor"
)

// memory is a data set whose values are held in memory; one of uint8 and
// float32 is set.
type memory struct {
	info    Info
	labels  *Labels
	uint8   []uint8
	float32 []float32
}

// newMemory completes the description of values and checks them.
func newMemory(ctx context.Context, info Info, labels *Labels, bytes []uint8, floats []float32) (Dataset, error) {
	d := &memory{info: info, labels: labels, uint8: bytes, float32: floats}
	d.info.Element = Float32
	if bytes != nil {
		d.info.Element = Uint8
	}
	d.info.Features = 1
	for _, size := range info.Shape {
		d.info.Features *= size
	}
	d.info.Rows = (len(bytes) + len(floats)) / d.info.Features
	if labels != nil {
		d.info.Classes = labels.Names
	}
	return d, d.info.setExtremes(ctx, d)
}

func (d *memory) Info() Info      { return d.info }
func (d *memory) Labels() *Labels { return d.labels }
func (d *memory) Close() error    { return nil }

func (d *memory) Read(ctx context.Context, from, n int) (*tensor.Dense, error) {
	if err := checkRange(ctx, d.info, from, n); err != nil {
		return nil, err
	}
	low, high := from*d.info.Features, (from+n)*d.info.Features
	if d.uint8 != nil {
		return matrix(slices.Clone(d.uint8[low:high]), n, d.info.Features), nil
	}
	return matrix(slices.Clone(d.float32[low:high]), n, d.info.Features), nil
}

// pixelNames names the pixels of an image "pixel_row_column", from 0.
func pixelNames(height, width int) []string {
	names := make([]string, 0, height*width)
	for y := range height {
		for x := range width {
			names = append(names, fmt.Sprintf("pixel_%d_%d", y, x))
		}
	}
	return names
}
