package cpu

import "math"

// The functions below round once, from float64.

func exp(x float32) float32   { return float32(math.Exp(float64(x))) }
func expm1(x float32) float32 { return float32(math.Expm1(float64(x))) }
func tanh(x float32) float32  { return float32(math.Tanh(float64(x))) }

// sigmoid is 1/(1 + exp(-x)).
func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// softplus is ln(1 + exp x).
func softplus(x float32) float32 {
	return float32(math.Max(float64(x), 0) + math.Log1p(math.Exp(-math.Abs(float64(x)))))
}

// normalCDF is Φ(x), without cancellation for negative x.
func normalCDF(x float32) float32 { return float32(0.5 * math.Erfc(-float64(x)/math.Sqrt2)) }

// normalDensity is φ(x).
func normalDensity(x float32) float32 {
	return float32(math.Exp(-0.5*float64(x)*float64(x)) / math.Sqrt(2*math.Pi))
}

// finite reports whether x is neither infinite nor NaN.
func finite(x float32) bool { return x-x == 0 }
