package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"gorgonia.org/tensor"

	"gpudae/data"
)

// answer is the body of a result y [rows, ...]: as NPY [rows, shape], as JSON
// {"rows": [[...], ...], "columns": [...]} with a flat row each, in the shortest
// decimals that read back as the same number.
func (op *Operation) answer(kind string, y *tensor.Dense) ([]byte, error) {
	if y.Dtype() == tensor.Float64 {
		return answerOf(op, kind, y.Data().([]float64), y.Shape()[0], 64)
	}
	return answerOf(op, kind, data.Float32s(y), y.Shape()[0], 32)
}

// answerOf is answer of numbers of so many bits.
func answerOf[T float32 | float64](op *Operation, kind string, values []T, rows, bits int) ([]byte, error) {
	width := len(values) / rows
	for i, v := range values {
		if f := float64(float32(v)); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, &problem{status: http.StatusUnprocessableEntity, row: i/width + 1,
				text: "the result leaves the range of float32; such a row is far from the data of training"}
		}
	}
	if kind == typeNPY {
		return npy(narrowed(values), append([]int{rows}, op.Shape...)), nil
	}
	text := []byte(`{"rows":[`)
	for row := range slices.Chunk(values, width) {
		for i, v := range row {
			text = append(text, "[,"[min(i, 1)])
			text = strconv.AppendFloat(text, float64(v), 'g', -1, bits)
		}
		text = append(text, "],"...)
	}
	text[len(text)-1] = ']'
	if op.Columns != nil {
		names, err := json.Marshal(op.Columns)
		if err != nil {
			return nil, fmt.Errorf("writing the answer: %w", err)
		}
		text = append(append(text, `,"columns":`...), names...)
	}
	return append(text, "}\n"...), nil
}

// narrowed are the numbers as float32.
func narrowed[T float32 | float64](values []T) []float32 {
	if narrow, ok := any(values).([]float32); ok {
		return narrow
	}
	narrow := make([]float32, len(values))
	for i, v := range values {
		narrow[i] = float32(v)
	}
	return narrow
}

// npy is an array in NPY version 1.0.
func npy(values []float32, shape []int) []byte {
	var b bytes.Buffer
	if err := data.EncodeNPY(&b, shape, values); err != nil {
		panic(err) // of more dimensions than its header holds: no model has them
	}
	return b.Bytes()
}
