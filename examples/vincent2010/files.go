package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	stdimage "image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"gpudae/data"
)

// readDigits reads the images and labels of MNIST, the training set and then the
// test set, from a folder with the four files as published.
func readDigits(ctx context.Context, folder string) ([]example, error) {
	var all []example
	for _, part := range []string{"train", "t10k"} {
		d, err := data.Open(ctx, filepath.Join(folder, part+"-images-idx3-ubyte.gz"), data.Options{Labels: filepath.Join(folder, part+"-labels-idx1-ubyte.gz")})
		if err != nil {
			return nil, err
		}
		examples, err := examplesOf(ctx, d)
		d.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, examples...)
	}
	return all, nil
}

func examplesOf(ctx context.Context, d data.Dataset) ([]example, error) {
	info := d.Info()
	if info.Features != pixels || info.Element != data.Uint8 || len(info.Classes) != len(digitNames) {
		return nil, fmt.Errorf("%s holds %d×%v, not images of 28×28 with ten classes", info.Path, info.Rows, info.Shape)
	}
	x, err := d.Read(ctx, 0, info.Rows)
	if err != nil {
		return nil, err
	}
	values, labels := data.Uint8s(x), d.Labels()
	examples := make([]example, info.Rows)
	for i := range examples {
		copy(examples[i].image[:], values[i*pixels:])
		examples[i].class = uint8(labels.Class[i])
	}
	return examples, nil
}

// draw makes n examples; from says with which digit to begin, and order visits
// each digit once before it comes again.
func (s *set) draw(random *rand.Rand, digits []example, order []int, from, n int) []example {
	all := make([]example, n)
	for i := range all {
		all[i] = s.generate(random, digits[order[(from+i)%len(order)]])
	}
	return all
}

// writeExamples writes images and classes in the format of MNIST.
func writeExamples(name string, all []example) error {
	images, classes := make([]byte, 0, len(all)*pixels), make([]byte, 0, len(all))
	for i := range all {
		images, classes = append(images, all[i].image[:]...), append(classes, all[i].class)
	}
	n := uint32(len(all))
	if err := writeIDX(name+"-images.idx.gz", []uint32{n, side, side}, images); err != nil {
		return err
	}
	return writeIDX(name+"-classes.idx.gz", []uint32{n}, classes)
}

func writeIDX(path string, shape []uint32, values []byte) error {
	return create(path, func(w io.Writer) error {
		packed := gzip.NewWriter(w)
		header := []byte{0, 0, 8, byte(len(shape))}
		for _, size := range shape {
			header = binary.BigEndian.AppendUint32(header, size)
		}
		if _, err := packed.Write(append(header, values...)); err != nil {
			return err
		}
		return packed.Close()
	})
}

func create(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	if err := write(w); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return file.Close()
}

// Sizes of a sheet.
const (
	sheetRows, sheetColumns = 6, 16
	zoom, gap               = 2, 4
)

// writeSheet draws the first examples.
func writeSheet(path string, all []example) error {
	cell := side*zoom + gap
	sheet := stdimage.NewGray(stdimage.Rect(0, 0, sheetColumns*cell+gap, sheetRows*cell+gap))
	for i := range sheet.Pix {
		sheet.Pix[i] = 90
	}
	for n := range min(len(all), sheetRows*sheetColumns) {
		top, left := gap+n/sheetColumns*cell, gap+n%sheetColumns*cell
		for y := range side * zoom {
			for x := range side * zoom {
				sheet.SetGray(left+x, top+y, color.Gray{Y: all[n].image[y/zoom*side+x/zoom]})
			}
		}
	}
	return create(path, func(w io.Writer) error { return png.Encode(w, sheet) })
}
