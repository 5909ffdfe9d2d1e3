package devicetest

import (
	"math"

	"gpudae/device"
)

// The bounds. With u = 2⁻²⁴, half a unit in the last place of 1, one float32
// operation is exact to a factor of 1 ± u, and a sum of k products, in any
// order and fused or not, is within k·u·Σ|x||w| to first order (Higham,
// Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). The
// rounding errors of random data do not all point one way: the sum is within
// λ·√k·u·Σ|x||w| with probability above 1 - 2·exp(-λ²/2) (Higham and Mary, "A
// new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput.
// 2019), and λ = 8 leaves 3·10⁻¹⁴. The smaller of the two is asked for. The
// small counts added below leave room for second-order terms and for the
// operations around a sum. An elementary function may err by elementary units,
// as a polynomial of a few terms does, beside the error that its formula makes
// unavoidable: exp(a) - 1 near 0 cannot know more than the ulp of 1.
const (
	u          = 0x1p-24
	elementary = 16 * u
	tiny       = 0x1p-120 // denormal results may be flushed to zero
)

// sumBound bounds the relative error of a sum of n terms, of their magnitudes.
func sumBound(n float64) float64 { return (min(n, 8*math.Sqrt(n)) + 2) * u }

// dotBound bounds a sum of k products whose magnitudes sum to total.
func dotBound(k int, total float64) float64 { return sumBound(float64(k))*total + tiny }

// slopeBound is at least the largest |act'| of any kind (GELU: 1.129).
const slopeBound = 1.2

// activationBound bounds act at a, where it is y.
func activationBound(k device.Activation, a, y float64) float64 {
	scale := math.Abs(y)
	switch k {
	case device.ELU, device.Tanh, device.Softplus:
		scale++ // a difference of numbers near 1, or the logarithm of one
	case device.GELU:
		scale += math.Abs(a) // a times a difference of numbers near 1
	}
	return elementary*scale + tiny
}

// derivativeBound bounds act' of any kind, which is made of numbers near 1.
const derivativeBound = elementary

// sumAbs is Σ|x|.
func sumAbs(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Abs(float64(v))
	}
	return sum
}
