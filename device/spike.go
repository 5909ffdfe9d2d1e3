package device

import "math"

// SpikeValues is the size of Spikes in device memory.
const SpikeValues = 3

// Pace of the running moments of Spikes.
const (
	SpikeWindow = 100 // losses of which the moments are mostly made
	SpikeSettle = 25  // losses before which none counts as a spike
)

// Spikes is what a device knows of the losses of earlier steps: their running
// mean and variance, each loss with the weight w = 1/min(count+1, SpikeWindow),
// so that they are those of all losses at first and forget exponentially later
// (Finch 2009, "Incremental calculation of weighted mean and variance"):
//
//	δ = loss - mean,  mean ← mean + wδ,  variance ← (1-w)(variance + wδ²)
//
// On a device it is a View [1, SpikeValues], written by Upload(view, s.Values()),
// read by Update and advanced by Tick. Each operation is rounded to float32, so
// that equal losses give equal bits on every device, the reference included.
type Spikes struct {
	Count    float32 // losses seen, at most SpikeWindow
	Mean     float32
	Variance float32
}

// Values returns the device's form.
func (s Spikes) Values() []float32 { return []float32{s.Count, s.Mean, s.Variance} }

// SpikesFromValues is the inverse of Values.
func SpikesFromValues(v []float32) Spikes { return Spikes{v[0], v[1], v[2]} }

// Exceeds reports whether a loss lies more than limit standard deviations above
// the mean, once there is a mean to speak of.
func (s Spikes) Exceeds(loss, limit float32) bool {
	delta := float32(loss - s.Mean)
	return s.Count >= SpikeSettle && delta > 0 && float32(delta*delta) > float32(float32(limit*limit)*s.Variance)
}

// Next is the state after a loss. One that exceeds the limit counts as one at
// the limit, so that a spike does not hide the next, and losses that stay high
// are soon no spikes. A loss that is not finite changes nothing.
func (s Spikes) Next(loss, limit float32) Spikes {
	if float32(loss-loss) != 0 {
		return s
	}
	delta := float32(loss - s.Mean)
	if s.Exceeds(loss, limit) {
		delta = float32(limit * float32(math.Sqrt(float64(s.Variance))))
	}
	n := min(s.Count+1, SpikeWindow)
	w := float32(1 / n)
	squares := float32(w * float32(delta*delta))
	return Spikes{
		Count:    n,
		Mean:     s.Mean + float32(w*delta),
		Variance: min(float32(float32(1-w)*float32(s.Variance+squares)), math.MaxFloat32),
	}
}
