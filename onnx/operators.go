package onnx

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"gpudae/onnx/onnxpb"
)

// operator is a row of the table of operators.
type operator struct {
	inputs  int // how many, -1 for any number above 0
	compute func(a *arguments) (Tensor, error)
}

// arguments are what a node computes with.
type arguments struct {
	inputs     []Tensor
	attributes []*onnxpb.AttributeProto
}

// operators are those of opset 17 that are known, as far as Graph's users need
// them: an attribute that is not mentioned here has its default.
var operators = map[string]operator{
	"Add":                {2, elementwise2(func(a, b float64) float64 { return a + b })},
	"Sub":                {2, elementwise2(func(a, b float64) float64 { return a - b })},
	"Mul":                {2, elementwise2(func(a, b float64) float64 { return a * b })},
	"Div":                {2, elementwise2(func(a, b float64) float64 { return a / b })},
	"Identity":           {1, elementwise(func(a float64) float64 { return a })},
	"Relu":               {1, elementwise(func(a float64) float64 { return max(a, 0) })},
	"Sigmoid":            {1, elementwise(sigmoid)},
	"Tanh":               {1, elementwise(math.Tanh)},
	"Erf":                {1, elementwise(math.Erf)},
	"Exp":                {1, elementwise(math.Exp)},
	"Log":                {1, elementwise(math.Log)},
	"Sqrt":               {1, elementwise(math.Sqrt)},
	"Sin":                {1, elementwise(math.Sin)},
	"Neg":                {1, elementwise(func(a float64) float64 { return -a })},
	"Abs":                {1, elementwise(math.Abs)},
	"Sign":               {1, elementwise(func(a float64) float64 { return truth(a > 0) - truth(a < 0) })},
	"Floor":              {1, elementwise(math.Floor)},
	"Round":              {1, elementwise(math.RoundToEven)},
	"IsNaN":              {1, elementwise(func(a float64) float64 { return truth(math.IsNaN(a)) })},
	"GreaterOrEqual":     {2, elementwise2(func(a, b float64) float64 { return truth(a >= b) })},
	"Where":              {3, where},
	"ArgMax":             {1, argMax},
	"Gather":             {2, gather},
	LabelEncoder:         {1, labelEncoder},
	"Cast":               {1, cast},
	"Clip":               {3, clip},
	"ReduceSum":          {2, reduceSum},
	"Softplus":           {1, elementwise(func(a float64) float64 { return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) })},
	"LeakyRelu":          {1, belowZero(func(alpha, v float64) float64 { return alpha * v })},
	"Elu":                {1, belowZero(func(alpha, v float64) float64 { return alpha * math.Expm1(v) })},
	"Softmax":            {1, softmax},
	"LogSoftmax":         {1, logSoftmax},
	"Gemm":               {3, gemm},
	"LayerNormalization": {3, layerNormalization},
	"BatchNormalization": {5, batchNormalization},
	"Reshape":            {2, reshape},
	"Slice":              {4, slice},
	"Concat":             {-1, concat},
}

// Operators lists the operators that Run knows.
func Operators() []string { return slices.Sorted(maps.Keys(operators)) }

// attribute is that of a name, nil if there is none.
func (a *arguments) attribute(name string) *onnxpb.AttributeProto {
	for _, attribute := range a.attributes {
		if attribute.GetName() == name {
			return attribute
		}
	}
	return nil
}

// integer is the value of an attribute, which must be in the node.
func (a *arguments) integer(name string) (int, error) {
	attribute := a.attribute(name)
	if attribute.GetType() != onnxpb.AttributeProto_INT || attribute.GetI() != int64(int32(attribute.GetI())) {
		return 0, fmt.Errorf("no attribute %s", name)
	}
	return int(attribute.GetI()), nil
}

// float is the value of an attribute, which must be in the node.
func (a *arguments) float(name string) (float64, error) {
	attribute := a.attribute(name)
	if attribute.GetType() != onnxpb.AttributeProto_FLOAT {
		return 0, fmt.Errorf("no attribute %s", name)
	}
	return float64(attribute.GetF()), nil
}

func sigmoid(a float64) float64 { return 1 / (1 + math.Exp(-a)) }

func elementwise(f func(float64) float64) func(*arguments) (Tensor, error) {
	return func(a *arguments) (Tensor, error) {
		y, err := zeros(a.inputs[0].Shape...)
		for i := range y.Values {
			y.Values[i] = f(a.inputs[0].Values[i])
		}
		return y, err
	}
}

// truth is a boolean as it is held here.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// cast rounds to float32, leaves float64 as it is, and cuts off what int64 has not.
func cast(a *arguments) (Tensor, error) {
	to, err := a.integer("to")
	if err != nil {
		return Tensor{}, err
	}
	switch Type(to) {
	case Float32:
		return elementwise(func(v float64) float64 { return float64(float32(v)) })(a)
	case Float64:
		return a.inputs[0], nil
	case Int64:
		return elementwise(math.Trunc)(a)
	}
	return Tensor{}, fmt.Errorf("to type %d, which is not known here", to)
}

// clip bounds x by two scalars.
func clip(a *arguments) (Tensor, error) {
	low, high := a.inputs[1].Values, a.inputs[2].Values
	if len(low) != 1 || len(high) != 1 {
		return Tensor{}, errors.New("bounds that are no scalars")
	}
	return elementwise(func(v float64) float64 { return min(max(v, low[0]), high[0]) })(a)
}

// reduceSum sums along the last axis, which stays with a size of 1: axes must
// be [-1].
func reduceSum(a *arguments) (Tensor, error) {
	x, axes := a.inputs[0], a.inputs[1].Values
	if len(axes) != 1 || axes[0] != -1 || len(x.Shape) == 0 {
		return Tensor{}, fmt.Errorf("axes %v of shape %v: only the last one, -1, is known here", axes, x.Shape)
	}
	last := len(x.Shape) - 1
	shape := append(slices.Clone(x.Shape[:last]), 1)
	y, err := zeros(shape...)
	for i := range y.Values {
		for _, v := range x.Values[i*x.Shape[last] : (i+1)*x.Shape[last]] {
			y.Values[i] += v
		}
	}
	return y, err
}

// belowZero is the identity but for negative numbers, which become below(alpha, v).
func belowZero(below func(alpha, v float64) float64) func(*arguments) (Tensor, error) {
	return func(a *arguments) (Tensor, error) {
		alpha, err := a.float("alpha")
		if err != nil {
			return Tensor{}, err
		}
		return elementwise(func(v float64) float64 {
			if v >= 0 {
				return v
			}
			return below(alpha, v)
		})(a)
	}
}

// lastAxis returns the size of the last dimension, which the attribute axis
// must name as -1.
func lastAxis(a *arguments) (int, error) {
	axis, err := a.integer("axis")
	shape := a.inputs[0].Shape
	if err == nil && (axis != -1 || len(shape) == 0) {
		err = fmt.Errorf("axis %d of shape %v: only the last one, -1, is known here", axis, shape)
	}
	if err != nil {
		return 0, err
	}
	return shape[len(shape)-1], nil
}

// logSoftmax: a - ln Σ exp(a) along the last axis.
func logSoftmax(a *arguments) (Tensor, error) {
	y, err := softmax(a)
	if err != nil {
		return y, err
	}
	n := y.Shape[len(y.Shape)-1]
	for from := 0; from < len(y.Values); from += n {
		x, p := a.inputs[0].Values[from:from+n], y.Values[from:from+n]
		most := argmaxOf(x)
		shift := x[most] - math.Log(p[most])
		for i, v := range x {
			p[i] = v - shift
		}
	}
	return y, nil
}

// argmaxOf is the first of the greatest.
func argmaxOf(x []float64) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// argMax is the index of the greatest element along the last axis, the first if
// several are equal; the axis stays with a size of 1.
func argMax(a *arguments) (Tensor, error) {
	n, err := lastAxis(a)
	if err != nil {
		return Tensor{}, err
	}
	x := a.inputs[0]
	if n == 0 {
		return Tensor{}, fmt.Errorf("shape %v", x.Shape)
	}
	y, err := zeros(append(slices.Clone(x.Shape[:len(x.Shape)-1]), 1)...)
	for i := range y.Values {
		y.Values[i] = float64(argmaxOf(x.Values[i*n : (i+1)*n]))
	}
	return y, err
}

// where takes x where the condition holds and y elsewhere, all of one shape but
// for constants of one element.
func where(a *arguments) (Tensor, error) {
	condition := a.inputs[0]
	element := func(t Tensor, i int) float64 { return t.Values[i%len(t.Values)] }
	for _, t := range a.inputs[1:] {
		if len(t.Values) != 1 && !slices.Equal(t.Shape, condition.Shape) {
			return Tensor{}, fmt.Errorf("shapes %v and %v", condition.Shape, t.Shape)
		}
	}
	y, err := zeros(condition.Shape...)
	for i := range y.Values {
		if y.Values[i] = element(a.inputs[2], i); condition.Values[i] != 0 {
			y.Values[i] = element(a.inputs[1], i)
		}
	}
	return y, err
}

// gather takes elements along the first axis, one for each index: axis has its default.
func gather(a *arguments) (Tensor, error) {
	x, index := a.inputs[0], a.inputs[1]
	if len(x.Shape) == 0 {
		return Tensor{}, errors.New("elements of a scalar")
	}
	y, err := zeros(slices.Concat(index.Shape, x.Shape[1:])...)
	if err != nil || len(index.Values) == 0 {
		return y, err
	}
	width := len(y.Values) / len(index.Values)
	for i, v := range index.Values {
		if v != math.Trunc(v) || v < 0 || v >= float64(x.Shape[0]) {
			return Tensor{}, fmt.Errorf("element %g of %d", v, x.Shape[0])
		}
		copy(y.Values[i*width:(i+1)*width], x.Values[int(v)*width:])
	}
	return y, nil
}

// labelEncoder looks texts up and gives integers, or the other way round; see
// Labels and Names.
func labelEncoder(a *arguments) (Tensor, error) {
	x := a.inputs[0]
	if x.Texts != nil {
		texts, codes, other := a.attribute("keys_strings").GetStrings(), a.attribute("values_int64s").GetInts(), a.attribute("default_int64")
		if len(texts) != len(codes) || other == nil {
			return Tensor{}, fmt.Errorf("%d integers of %d texts", len(codes), len(texts))
		}
		table := map[string]int64{}
		for i, text := range texts {
			table[string(text)] = codes[i]
		}
		y, err := zeros(x.Shape...)
		for i := range y.Values {
			code, known := table[x.Texts[i]]
			if !known {
				code = other.GetI()
			}
			y.Values[i] = float64(code)
		}
		return y, err
	}
	codes, texts, other := a.attribute("keys_int64s").GetInts(), a.attribute("values_strings").GetStrings(), a.attribute("default_string")
	if len(texts) != len(codes) || other == nil {
		return Tensor{}, fmt.Errorf("%d texts of %d integers", len(texts), len(codes))
	}
	table := map[float64]string{}
	for i, code := range codes {
		table[float64(code)] = string(texts[i])
	}
	y := Tensor{Shape: x.Shape, Texts: make([]string, len(x.Values))}
	for i, v := range x.Values {
		text, known := table[v]
		if !known {
			text = string(other.GetS())
		}
		y.Texts[i] = text
	}
	return y, nil
}

// softmax: exp(a)/Σ exp(a) along the last axis.
func softmax(a *arguments) (Tensor, error) {
	n, err := lastAxis(a)
	if err != nil {
		return Tensor{}, err
	}
	y, err := zeros(a.inputs[0].Shape...)
	for from := 0; from < len(y.Values); from += n {
		x, p := a.inputs[0].Values[from:from+n], y.Values[from:from+n]
		largest, sum := slices.Max(x), 0.0
		for i, v := range x {
			p[i] = math.Exp(v - largest)
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
	}
	return y, err
}

// gemm: Y = A·B + C or A·Bᵀ + C, for C a row. Each row of B is read once.
func gemm(a *arguments) (Tensor, error) {
	transposed, err := a.integer("transB")
	if err != nil {
		return Tensor{}, err
	}
	x, w, c := a.inputs[0], a.inputs[1], a.inputs[2]
	if len(x.Shape) != 2 || len(w.Shape) != 2 || len(c.Shape) != 1 || transposed&^1 != 0 {
		return Tensor{}, fmt.Errorf("shapes %v, %v and %v", x.Shape, w.Shape, c.Shape)
	}
	rows, in, out := x.Shape[0], w.Shape[0], w.Shape[1]
	if transposed == 1 {
		in, out = out, in
	}
	if x.Shape[1] != in || c.Shape[0] != out {
		return Tensor{}, fmt.Errorf("shapes %v, %v and %v", x.Shape, w.Shape, c.Shape)
	}
	y, err := zeros(rows, out)
	if err != nil {
		return y, err
	}
	for r := range rows {
		copy(y.Values[r*out:(r+1)*out], c.Values)
	}
	for i := range w.Shape[0] {
		b := w.Values[i*w.Shape[1] : (i+1)*w.Shape[1]]
		for r := range rows {
			if transposed == 1 {
				y.Values[r*out+i] += dot(x.Values[r*in:(r+1)*in], b)
			} else {
				addScaled(y.Values[r*out:(r+1)*out], x.Values[r*in+i], b)
			}
		}
	}
	return y, nil
}

func dot(a, b []float64) (sum float64) {
	for k, v := range a {
		sum += v * b[k]
	}
	return sum
}

// addScaled: y += scale·b.
func addScaled(y []float64, scale float64, b []float64) {
	for k, v := range b {
		y[k] += scale * v
	}
}

// layerNormalization: gain·(x-mean)/√(variance+ε) + shift along the last axis,
// the variance divided by the number of elements.
func layerNormalization(a *arguments) (Tensor, error) {
	n, err := lastAxis(a)
	if err != nil {
		return Tensor{}, err
	}
	epsilon, err := a.float("epsilon")
	if err != nil {
		return Tensor{}, err
	}
	gain, shift := a.inputs[1].Values, a.inputs[2].Values
	if len(gain) != n || len(shift) != n {
		return Tensor{}, fmt.Errorf("%d gains and %d shifts for %d units", len(gain), len(shift), n)
	}
	y, err := zeros(a.inputs[0].Shape...)
	for from := 0; from < len(y.Values); from += n {
		x := a.inputs[0].Values[from : from+n]
		mean, variance := 0.0, 0.0
		for _, v := range x {
			mean += v / float64(n)
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(n)
		}
		for i, v := range x {
			y.Values[from+i] = gain[i]*(v-mean)/math.Sqrt(variance+epsilon) + shift[i]
		}
	}
	return y, err
}

// batchNormalization: gain·(x-mean)/√(variance+ε) + shift, with the mean and
// the variance given for each unit.
func batchNormalization(a *arguments) (Tensor, error) {
	epsilon, err := a.float("epsilon")
	if err != nil {
		return Tensor{}, err
	}
	x := a.inputs[0]
	if len(x.Shape) != 2 {
		return Tensor{}, fmt.Errorf("shape %v", x.Shape)
	}
	for _, p := range a.inputs[1:] {
		if len(p.Values) != x.Shape[1] {
			return Tensor{}, fmt.Errorf("%d parameters for %d units", len(p.Values), x.Shape[1])
		}
	}
	gain, shift, mean, variance := a.inputs[1].Values, a.inputs[2].Values, a.inputs[3].Values, a.inputs[4].Values
	y, err := zeros(x.Shape...)
	for i := range y.Values {
		j := i % x.Shape[1]
		y.Values[i] = gain[j]*(x.Values[i]-mean[j])/math.Sqrt(variance[j]+epsilon) + shift[j]
	}
	return y, err
}

// reshape: a size of 0 stays as it is, and one of -1 is what is left.
func reshape(a *arguments) (Tensor, error) {
	x := a.inputs[0]
	shape := make([]int, len(a.inputs[1].Values))
	left, free := len(x.Values), -1
	for i, v := range a.inputs[1].Values {
		shape[i] = int(v)
		switch {
		case v == 0 && i < len(x.Shape):
			shape[i] = x.Shape[i]
		case v == -1 && free < 0:
			free = i
			continue
		case !(v >= 1 && v <= math.MaxInt32):
			return Tensor{}, fmt.Errorf("shape %v of %v", a.inputs[1].Values, x.Shape)
		}
		if shape[i] > 0 {
			left /= shape[i]
		}
	}
	if free >= 0 {
		shape[free] = left
	}
	if n, ok := elements(shape); !ok || n != len(x.Values) {
		return Tensor{}, fmt.Errorf("shape %v of %v", a.inputs[1].Values, x.Shape)
	}
	return Tensor{Shape: shape, Values: x.Values}, nil
}

// slice takes columns start to end of a matrix: axes must be [1].
func slice(a *arguments) (Tensor, error) {
	x := a.inputs[0]
	for _, v := range a.inputs[1:] {
		if len(v.Values) != 1 {
			return Tensor{}, errors.New("more than one axis")
		}
	}
	start, end, axis := int(a.inputs[1].Values[0]), int(a.inputs[2].Values[0]), a.inputs[3].Values[0]
	if len(x.Shape) != 2 || axis != 1 || start < 0 || end < start || end > x.Shape[1] {
		return Tensor{}, fmt.Errorf("columns %d to %d of axis %g of shape %v", start, end, axis, x.Shape)
	}
	y, err := zeros(x.Shape[0], end-start)
	for i := range x.Shape[0] {
		copy(y.Values[i*(end-start):(i+1)*(end-start)], x.Values[i*x.Shape[1]+start:])
	}
	return y, err
}

// concat puts matrices side by side: axis must be -1.
func concat(a *arguments) (Tensor, error) {
	if _, err := lastAxis(a); err != nil {
		return Tensor{}, err
	}
	rows, width := a.inputs[0].Shape[0], 0
	for _, x := range a.inputs {
		if len(x.Shape) != 2 || x.Shape[0] != rows {
			return Tensor{}, fmt.Errorf("a part of shape %v", x.Shape)
		}
		width += x.Shape[1]
	}
	y, err := zeros(rows, width)
	if err != nil {
		return y, err
	}
	at := 0
	for _, x := range a.inputs {
		for i := range rows {
			copy(y.Values[i*width+at:], x.Values[i*x.Shape[1]:(i+1)*x.Shape[1]])
		}
		at += x.Shape[1]
	}
	return y, err
}
