package onnx

import "fmt"

// elementwise2 applies f to two tensors whose shapes are brought together as
// the specification says (Broadcasting.md): sizes are compared from the last
// one on, and one of 1, or one that is missing, is repeated.
func elementwise2(f func(a, b float64) float64) func(*arguments) (Tensor, error) {
	return func(a *arguments) (Tensor, error) {
		x, c := a.inputs[0], a.inputs[1]
		shape, ok := broadcast(x.Shape, c.Shape)
		if !ok {
			return Tensor{}, fmt.Errorf("shapes %v and %v", x.Shape, c.Shape)
		}
		y, err := zeros(shape...)
		if err != nil {
			return y, err
		}
		stepsX, stepsC := steps(x.Shape, shape), steps(c.Shape, shape)
		index, i, j := make([]int, len(shape)), 0, 0
		for k := range y.Values {
			y.Values[k] = f(x.Values[i], c.Values[j])
			for d := len(shape) - 1; d >= 0; d-- { // the next index, as an odometer counts
				index[d]++
				i, j = i+stepsX[d], j+stepsC[d]
				if index[d] < shape[d] {
					break
				}
				index[d] = 0
				i, j = i-shape[d]*stepsX[d], j-shape[d]*stepsC[d]
			}
		}
		return y, nil
	}
}

// broadcast is the shape that two shapes have in common.
func broadcast(a, b []int) (shape []int, ok bool) {
	shape = make([]int, max(len(a), len(b)))
	for d := 1; d <= len(shape); d++ {
		m, n := 1, 1
		if d <= len(a) {
			m = a[len(a)-d]
		}
		if d <= len(b) {
			n = b[len(b)-d]
		}
		if m != n && m != 1 && n != 1 {
			return nil, false
		}
		shape[len(shape)-d] = m
		if m == 1 {
			shape[len(shape)-d] = n
		}
	}
	return shape, true
}

// steps are the distances between elements of a tensor along the dimensions of
// the shape that it is brought to, 0 where it is repeated.
func steps(of, to []int) []int {
	all, step := make([]int, len(to)), 1
	for d := 1; d <= len(of); d++ {
		if size := of[len(of)-d]; size != 1 {
			all[len(to)-d] = step
			step *= size
		}
	}
	return all
}
