package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"gpudae/internal/spelling"
)

// BuiltIn describes a data set that is always there.
type BuiltIn struct {
	Name        string
	Arguments   string // with their defaults, as after the name: "n=2000,noise=0.05,seed=42"; empty if there are none
	Description string
	Source      string // where it comes from, and the licence of data that are not generated

	open func(ctx context.Context, name, arguments string) (Dataset, error)
}

// List describes the built-in data sets.
func List() []BuiltIn { return builtIns() }

// builtIns is the table of built-in data sets: digits and the toys.
func builtIns() []BuiltIn {
	sets := []BuiltIn{{
		Name:        "digits",
		Description: "1,797 handwritten digits, 8x8 pixels",
		Source:      "Alpaydin and Kaynak 1998, UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0",
		open:        openDigits,
	}}
	for _, t := range toys() {
		sets = append(sets, t.builtIn())
	}
	return sets
}

//go:embed digits/digits.csv.gz
var digitsFile []byte // CC BY 4.0, see digits/ATTRIBUTION.md

// openDigits reads the embedded file: lines of 64 counts and the digit. The
// counts stay uint8.
func openDigits(ctx context.Context, name, arguments string) (Dataset, error) {
	if name != "digits" {
		return nil, &Error{Path: name, Problem: "digits takes no arguments", Remedy: `write "digits"`}
	}
	inflated, err := gzip.NewReader(bytes.NewReader(digitsFile))
	if err != nil {
		return nil, err
	}
	const height, width, most = 8, 8, 16
	t, err := newTable(&input{path: name, stream: bufio.NewReader(contextReader{ctx, inflated})})
	if err != nil {
		return nil, err
	}
	if err := t.read(Options{Header: HeaderNone, LabelColumn: "65"}); err != nil {
		return nil, err
	}
	values := make([]float32, t.values.values)
	kindOf(Float32).floats(values, t.values.block, binary.LittleEndian) // few enough to be in memory
	counts := make([]uint8, len(values))
	for i, v := range values {
		counts[i] = uint8(v)
	}
	digest := sha256.Sum256(digitsFile)
	info := Info{Name: name, Format: "built-in", Shape: []int{height, width}, Columns: pixelNames(height, width), Scale: 1.0 / most,
		SHA256: hex.EncodeToString(digest[:]), Licence: "CC BY 4.0: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49"}
	return newMemory(ctx, info, NewLabels(t.classes), counts, nil)
}

// nearest returns the built-in name that a word was probably meant to be, or
// nothing. Words that look like paths are left alone.
func nearest(word string) string {
	if strings.ContainsAny(word, `./\`) {
		return ""
	}
	var names []string
	for _, b := range builtIns() {
		names = append(names, b.Name)
	}
	return spelling.Nearest(word, names)
}
