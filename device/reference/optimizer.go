package reference

import (
	"math"

	"gpudae/device"
)

// state is one parameter with its moments.
type state struct{ theta, m, v float64 }

// hyper is what a rule needs besides the state and the gradient.
type hyper struct {
	t                     float64 // the step, counted from 1
	rate                  float64 // η
	beta1, beta2, epsilon float64
	decay                 float64 // λ of this parameter
	nesterov              bool
}

// rules holds, by kind, the update of one parameter by the gradient g.
var rules = [...]func(s state, g float64, h hyper) state{
	device.SGD:     sgd,
	device.Adam:    adam,
	device.AdamW:   adamW,
	device.RMSprop: rmsProp,
	device.Adagrad: adagrad,
}

// sgd: m ← βm + g, θ ← θ - ηm, or θ - η(g + βm) with Nesterov.
func sgd(s state, g float64, h hyper) state {
	s.m = h.beta1*s.m + g
	direction := s.m
	if h.nesterov {
		direction = g + h.beta1*s.m
	}
	s.theta -= h.rate * direction
	return s
}

// adam: θ ← θ - η·m̂/(√v̂ + ε).
func adam(s state, g float64, h hyper) state {
	s.m = h.beta1*s.m + (1-h.beta1)*g
	s.v = h.beta2*s.v + (1-h.beta2)*g*g
	m := s.m / (1 - math.Pow(h.beta1, h.t))
	v := s.v / (1 - math.Pow(h.beta2, h.t))
	s.theta -= h.rate * m / (math.Sqrt(v) + h.epsilon)
	return s
}

// adamW: θ ← θ - ηλθ, then Adam.
func adamW(s state, g float64, h hyper) state {
	s.theta -= h.rate * h.decay * s.theta
	return adam(s, g, h)
}

// rmsProp: v ← β₂v + (1-β₂)g², θ ← θ - ηg/(√v + ε).
func rmsProp(s state, g float64, h hyper) state {
	s.v = h.beta2*s.v + (1-h.beta2)*g*g
	s.theta -= h.rate * g / (math.Sqrt(s.v) + h.epsilon)
	return s
}

// adagrad: v ← v + g², θ ← θ - ηg/(√v + ε).
func adagrad(s state, g float64, h hyper) state {
	s.v += g * g
	s.theta -= h.rate * g / (math.Sqrt(s.v) + h.epsilon)
	return s
}
