package reference

import (
	"math"

	"gpudae/device"
)

// activation is a nonlinearity y = value(a). The derivative is a function of a
// where the kind NeedsInput, and of y otherwise.
type activation struct {
	value      func(a float64) float64
	derivative func(from float64) float64
}

var activations = [...]activation{
	device.Identity:  {identity, identityDerivative},
	device.ReLU:      {relu, reluDerivative},
	device.LeakyReLU: {leakyReLU, leakyReLUDerivative},
	device.ELU:       {elu, eluDerivative},
	device.GELU:      {gelu, geluDerivative},
	device.SiLU:      {silu, siluDerivative},
	device.Sigmoid:   {sigmoid, sigmoidDerivative},
	device.Tanh:      {math.Tanh, tanhDerivative},
	device.Softplus:  {softplus, softplusDerivative},
}

func identity(a float64) float64         { return a }
func identityDerivative(float64) float64 { return 1 }

func relu(a float64) float64 { return max(a, 0) }

func reluDerivative(y float64) float64 {
	if y > 0 {
		return 1
	}
	return 0
}

func leakyReLU(a float64) float64 {
	if a > 0 {
		return a
	}
	return device.LeakySlope * a
}

func leakyReLUDerivative(y float64) float64 {
	if y > 0 {
		return 1
	}
	return device.LeakySlope
}

func elu(a float64) float64 {
	if a > 0 {
		return a
	}
	return math.Expm1(a)
}

// eluDerivative: exp a = y + 1 below zero.
func eluDerivative(y float64) float64 {
	if y > 0 {
		return 1
	}
	return y + 1
}

// normalCDF is Φ, normalPDF is φ, of the standard normal distribution.
func normalCDF(a float64) float64 { return math.Erfc(-a/math.Sqrt2) / 2 }
func normalPDF(a float64) float64 { return math.Exp(-a*a/2) / math.Sqrt(2*math.Pi) }

func gelu(a float64) float64           { return a * normalCDF(a) }
func geluDerivative(a float64) float64 { return normalCDF(a) + a*normalPDF(a) }

func silu(a float64) float64 { return a * sigmoid(a) }

func siluDerivative(a float64) float64 {
	s := sigmoid(a)
	return s + a*s*(1-s)
}

// sigmoid never takes the exponential of a positive number.
func sigmoid(a float64) float64 {
	if a < 0 {
		e := math.Exp(a)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-a))
}

func sigmoidDerivative(y float64) float64 { return y * (1 - y) }

func tanhDerivative(y float64) float64 { return 1 - y*y }

// softplus is ln(1 + exp a) without overflow.
func softplus(a float64) float64 { return max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }

// softplusDerivative: the logistic function of a is 1 - exp(-y).
func softplusDerivative(y float64) float64 { return -math.Expm1(-y) }
