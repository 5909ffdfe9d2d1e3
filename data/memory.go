package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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
	d.info.Features = product(info.Shape)
	d.info.Rows = (len(bytes) + len(floats)) / d.info.Features
	d.info.Classes = labels.classNames()
	return d, d.info.setExtremes(ctx, d)
}

// FromTensor makes a data set of x, [rows, features] of float32, whose examples
// have the given shape (nil: [features]). The values are copied and must be
// finite. It fails with *Error or the context's error.
func FromTensor(ctx context.Context, name string, x *tensor.Dense, shape []int) (Dataset, error) {
	values := slices.Clone(Float32s(x))
	if shape == nil {
		shape = []int{x.Shape()[1]}
	}
	if features := product(shape); features != x.Shape()[1] {
		panic(fmt.Sprintf("data: examples of shape %v in rows of %d", shape, x.Shape()[1]))
	}
	digest, err := digestOf(values)
	if err != nil {
		return nil, err
	}
	info := Info{Name: name, Format: "generated", Shape: slices.Clone(shape), Scale: 1, SHA256: digest}
	d, err := newMemory(ctx, info, nil, nil, values)
	if err != nil {
		return nil, err
	}
	if err := checkFinite(values, d.Info(), 0, false); err != nil {
		return nil, err
	}
	return d, nil
}

// digestOf is the SHA-256 of values, little-endian.
func digestOf(values []float32) (string, error) {
	digest := sha256.New()
	if err := binary.Write(digest, binary.LittleEndian, values); err != nil {
		return "", fmt.Errorf("computing the digest: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
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
