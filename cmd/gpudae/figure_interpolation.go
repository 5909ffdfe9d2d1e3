package main

import (
	"context"
	"fmt"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// Sizes of interpolations.
const (
	betweenSteps = 10 // from one code to the other
	betweenPairs = 8
)

// drawInterpolation draws the ways from one example to another in the space of
// codes: a row holds an example, what the decoder makes of the codes on the line
// from its code to that of another example, and that one.
func drawInterpolation(ctx context.Context, s *subject, path string) error {
	if err := s.checkImages("interpolation"); err != nil {
		return err
	}
	if s.saved.DAE.IsScoreModel() {
		return usage("figure interpolation", "the decoder of a score model reads the example beside its code, so there is none to decode between codes", "choose another kind")
	}
	net, _, err := s.saved.Bind(s.dev, inferenceBatch)
	if err != nil {
		return err
	}
	rows := rowNumbers(s.table.Rows, s.rows, examplesShown)
	pairs := s.pairsOf(rows, betweenPairs)
	if len(pairs) == 0 {
		return usage("figure interpolation", "there is a single example", "give more with --data")
	}
	features := s.info.Features
	var x []float32
	for _, pair := range pairs {
		for _, row := range pair {
			for j := range features {
				x = append(x, valueAt(s.table, row*features+j))
			}
		}
	}
	h, err := net.Encode(ctx, tensor.New(tensor.WithShape(2*len(pairs), features), tensor.WithBacking(x)))
	if err != nil {
		return err
	}
	width := s.saved.DAE.CodeWidth()
	between, err := net.Decode(ctx, tensor.New(tensor.WithShape(len(pairs)*(betweenSteps+1), width),
		tensor.WithBacking(codesBetween(data.Float32s(h), width, betweenSteps))))
	if err != nil {
		return err
	}
	var sheet []float32
	for i := range pairs {
		sheet = append(sheet, x[2*i*features:(2*i+1)*features]...)
		sheet = append(sheet, data.Float32s(between)[i*(betweenSteps+1)*features:(i+1)*(betweenSteps+1)*features]...)
		sheet = append(sheet, x[(2*i+1)*features:(2*i+2)*features]...)
	}
	if sheet, err = s.invert(sheet); err != nil {
		return err
	}
	captions := []string{"from"}
	for i := range betweenSteps + 1 {
		captions = append(captions, fmt.Sprintf("%d %%", i*100/betweenSteps))
	}
	return s.drawSheet(path, sheet, betweenSteps+3, append(captions, "to"))
}

// pairsOf pairs each of the rows with the next free one, of another class where
// classes are known.
func (s *subject) pairsOf(rows []int, most int) [][2]int {
	used := make([]bool, len(rows))
	var pairs [][2]int
	for i, from := range rows {
		for k := i + 1; k < len(rows) && !used[i] && len(pairs) < most; k++ {
			if !used[k] && (s.labels == nil || s.labels.Class[from] != s.labels.Class[rows[k]]) {
				used[i], used[k] = true, true
				pairs = append(pairs, [2]int{from, rows[k]})
			}
		}
	}
	return pairs
}

// codesBetween are the codes on the lines between each even row of codes and the
// next, at 0, 1/steps, ..., 1.
func codesBetween(codes []float32, width, steps int) []float32 {
	var list []float32
	for ; len(codes) >= 2*width; codes = codes[2*width:] {
		for i := range steps + 1 {
			part := float32(i) / float32(steps)
			for j := range width {
				list = append(list, (1-part)*codes[j]+part*codes[width+j])
			}
		}
	}
	return list
}
