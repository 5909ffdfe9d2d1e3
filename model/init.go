package model

import (
	"math"
	"runtime"
	"sync"

	"gpudae/device"
	"gpudae/device/philox"
)

// InitInfo is a row of the table of weight initialisations. Biases start at 0,
// gains at 1; for the output layer of a run see StartAtMeans.
type InitInfo struct {
	Name    string
	Formula string
	Source  string
}

const autoInit = "auto"

// Initializations returns the table of initialisations.
func Initializations() []InitInfo {
	return []InitInfo{
		{autoInit, "he-uniform for relu, leaky-relu, elu, gelu, silu and softplus; glorot-uniform for the others, times 4 for sigmoid; a run starts with an output layer of 0, unless tied", "see the others; Zhang et al. 2019"},
		{"glorot-uniform", "U(-b, b), b = √(6/(in + out))", "Glorot and Bengio 2010, eq. 16"},
		{"glorot-normal", "N(0, 2/(in + out))", "Glorot and Bengio 2010, eq. 12"},
		{"he-uniform", "U(-b, b), b = √(6/in)", "He et al. 2015, eq. 10"},
		{"he-normal", "N(0, 2/in)", "He et al. 2015, eq. 10"},
		{"lecun-uniform", "U(-b, b), b = √(3/in)", "LeCun et al. 1998, section 4.6"},
		{"lecun-normal", "N(0, 1/in)", "LeCun et al. 1998, section 4.6"},
	}
}

// initializer draws weights with a variance of gain²·scale/fan.
type initializer struct {
	auto   bool
	normal bool
	fan    func(in, out int) float64
	scale  float64
}

func fanIn(in, _ int) float64        { return float64(in) }
func fanMean(in, out int) float64    { return (float64(in) + float64(out)) / 2 }
func glorot(normal bool) initializer { return initializer{normal: normal, fan: fanMean, scale: 1} }
func he(normal bool) initializer     { return initializer{normal: normal, fan: fanIn, scale: 2} }
func lecun(normal bool) initializer  { return initializer{normal: normal, fan: fanIn, scale: 1} }

func parseInit(name string) (initializer, error) {
	switch name {
	case autoInit:
		return initializer{auto: true}, nil
	case "glorot-uniform":
		return glorot(false), nil
	case "glorot-normal":
		return glorot(true), nil
	case "he-uniform":
		return he(false), nil
	case "he-normal":
		return he(true), nil
	case "lecun-uniform":
		return lecun(false), nil
	case "lecun-normal":
		return lecun(true), nil
	}
	var all []string
	for _, row := range Initializations() {
		all = append(all, row.Name)
	}
	return initializer{}, unknownName("init", "initialisation", name, all)
}

// sigmoidGain makes up for the slope ¼ of the logistic function at 0, as
// Glorot and Bengio's analysis assumes a slope of 1.
const sigmoidGain = 4

// forActivation resolves auto, and returns the gain that goes with it.
func (z initializer) forActivation(act device.Activation) (initializer, float64) {
	if !z.auto {
		return z, 1
	}
	switch act {
	case device.Identity, device.Tanh:
		return glorot(false), 1
	case device.Sigmoid:
		return glorot(false), sigmoidGain
	default:
		return he(false), 1
	}
}

// fill draws the weights w [out, in] of a layer. The weight from unit i to unit
// o is drawn at {Stream: StreamInit, Index: layer, Row: o, Block: i/4}, lane i
// mod 4, so a unit's weights do not depend on the number of units beside it, and
// all processors may draw.
func (z initializer) fill(w []float32, in, out int, act device.Activation, seed uint64, layer uint32) {
	rule, gain := z.forActivation(act)
	deviation := gain * math.Sqrt(rule.scale/rule.fan(in, out))
	shares := max(1, min(runtime.GOMAXPROCS(0), len(w)/drawsPerShare))
	var group sync.WaitGroup
	for share := range shares {
		lo, hi := share*out/shares, (share+1)*out/shares
		group.Go(func() { rule.fillRows(w, in, lo, hi, deviation, philox.KeyOf(seed), layer) })
	}
	group.Wait()
}

// drawsPerShare is the number of weights that are worth a goroutine.
const drawsPerShare = 1 << 16

// fillRows draws the weights of the units lo to hi.
func (z initializer) fillRows(w []float32, in, lo, hi int, deviation float64, key philox.Key, layer uint32) {
	unit := uniformUnit
	if z.normal {
		unit = normalUnit
	}
	for o := lo; o < hi; o++ {
		row := w[o*in : (o+1)*in]
		for i := 0; i < in; i += 4 {
			at := philox.Coordinates{Stream: philox.StreamInit, Index: layer, Row: uint32(o), Block: uint32(i / 4)}
			words := philox.Block(at.Counter(), key)
			for lane := range min(4, in-i) {
				row[i+lane] = float32(deviation * unit(words, lane))
			}
		}
	}
}

// fillVectors draws the vectors of a column's categories from N(0, 1), as
// PyTorch's Embedding does. Element i of the vector of code k is drawn at {Stream:
// StreamInit, Index: 255, Step: column+1, Row: k, Block: i/4}, lane i mod 4.
func fillVectors(vectors []float32, width, column int, seed uint64) {
	key := philox.KeyOf(seed)
	for i := range vectors {
		at := philox.Coordinates{Stream: philox.StreamInit, Index: maxLayers - 1, Step: uint32(column + 1), Row: uint32(i / width), Block: uint32(i % width / 4)}
		vectors[i] = philox.NormalLane(philox.Block(at.Counter(), key), i%width%4)
	}
}

// normalUnit and uniformUnit are draws with mean 0 and variance 1.
func normalUnit(words [4]uint32, lane int) float64 { return float64(philox.NormalLane(words, lane)) }
func uniformUnit(words [4]uint32, lane int) float64 {
	return math.Sqrt(3) * (2*float64(philox.Uniform(words[lane])) - 1)
}
