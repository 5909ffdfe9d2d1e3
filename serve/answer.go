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
// decimals that read back as the same float32.
func (op *Operation) answer(kind string, y *tensor.Dense) ([]byte, error) {
	values, rows := data.Float32s(y), y.Shape()[0]
	width := len(values) / rows
	for i, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, &problem{status: http.StatusUnprocessableEntity, row: i/width + 1,
				text: "the result leaves the range of float32; such a row is far from the data of training"}
		}
	}
	if kind == typeNPY {
		return npy(values, append([]int{rows}, op.Shape...)), nil
	}
	text := []byte(`{"rows":[`)
	for row := range slices.Chunk(values, width) {
		for i, v := range row {
			text = append(text, "[,"[min(i, 1)])
			text = strconv.AppendFloat(text, float64(v), 'g', -1, 32)
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

// npy is an array in NPY version 1.0.
func npy(values []float32, shape []int) []byte {
	var b bytes.Buffer
	if err := data.EncodeNPY(&b, shape, values); err != nil {
		panic(err) // of more dimensions than its header holds: no model has them
	}
	return b.Bytes()
}
