package data

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// NewLabels numbers the classes of rows.
func NewLabels(classes []string) *Labels {
	index := map[string]int32{}
	for _, name := range classes {
		index[name] = 0
	}
	names := slices.SortedFunc(maps.Keys(index), compareClasses)
	for i, name := range names {
		index[name] = int32(i)
	}
	labels := &Labels{Class: make([]int32, len(classes)), Names: names}
	for row, name := range classes {
		labels.Class[row] = index[name]
	}
	return labels
}

// compareClasses orders numbers by value and before words.
func compareClasses(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), strings.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// classNames are the names of the classes, nil if there are no labels.
func (l *Labels) classNames() []string {
	if l == nil {
		return nil
	}
	return l.Names
}

// readLabels reads the classes of rows from a file of whole numbers, IDX or
// NPY. An empty path gives nil.
func readLabels(ctx context.Context, path string, rows int) (*Labels, error) {
	if path == "" {
		return nil, nil
	}
	in, err := openInput(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := detect(in)
	if err != nil {
		return nil, err
	}
	if f.array == nil {
		return nil, &Error{Path: path, Problem: "labels cannot be read from " + f.name, Remedy: "give them as IDX or NPY"}
	}
	a, err := f.array(in)
	if err != nil {
		return nil, err
	}
	if len(a.shape) != 1 || a.shape[0] != rows || a.kind.integers == nil {
		return nil, &Error{Path: path, Problem: fmt.Sprintf("holds %s, not a whole number for each of %d rows", a, rows),
			Remedy: "name the labels that belong to the data"}
	}
	raw := make([]byte, rows*a.kind.size)
	if _, err := a.bytes.ReadAt(raw, 0); err != nil {
		return nil, in.readError(err)
	}
	numbers := make([]int64, rows)
	a.kind.integers(numbers, raw, a.order)
	classes := make([]string, rows)
	for i, n := range numbers {
		classes[i] = strconv.FormatInt(n, 10)
	}
	return NewLabels(classes), nil
}
