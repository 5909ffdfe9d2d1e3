package tensorboard

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields in TensorFlow's event.proto, summary.proto and
// histogram.proto.
const (
	eventWallTime    = 1 // double, seconds since 1970
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary

	summaryValue = 1 // repeated Summary.Value

	valueTag       = 1 // string
	valueScalar    = 2 // float
	valueImage     = 4 // Summary.Image
	valueHistogram = 5 // HistogramProto

	imageHeight     = 1 // int32
	imageWidth      = 2 // int32
	imageColorspace = 3 // int32, the number of channels
	imageEncoded    = 4 // bytes

	histogramMin        = 1 // double
	histogramMax        = 2 // double
	histogramNum        = 3 // double
	histogramSum        = 4 // double
	histogramSumSquares = 5 // double
	histogramLimits     = 6 // repeated double, packed: the upper ends of the buckets
	histogramCounts     = 7 // repeated double, packed
)

const (
	fileVersion = "brain.Event:2"
	rgb         = 3
	buckets     = 40 // of a histogram
)

// Value is a named value of a step, as a message Summary.Value.
type Value struct{ message []byte }

// Scalar is a number.
func Scalar(tag string, v float64) Value {
	m := appendString(nil, valueTag, tag)
	m = protowire.AppendTag(m, valueScalar, protowire.Fixed32Type)
	return Value{protowire.AppendFixed32(m, math.Float32bits(float32(v)))}
}

// Image is a picture, encoded as PNG, of that many pixels.
func Image(tag string, width, height int, png []byte) Value {
	image := appendInt(nil, imageHeight, uint64(height))
	image = appendInt(image, imageWidth, uint64(width))
	image = appendInt(image, imageColorspace, rgb)
	image = appendBytes(image, imageEncoded, png)
	return Value{appendBytes(appendString(nil, valueTag, tag), valueImage, image)}
}

// Histogram is how the finite of some values are distributed, in buckets of equal
// width between the least and the greatest.
func Histogram(tag string, values []float32) Value {
	h := histogramOf(values)
	m := appendDouble(nil, histogramMin, h.min)
	m = appendDouble(m, histogramMax, h.max)
	m = appendDouble(m, histogramNum, h.num)
	m = appendDouble(m, histogramSum, h.sum)
	m = appendDouble(m, histogramSumSquares, h.sumSquares)
	m = appendDoubles(m, histogramLimits, h.limits)
	m = appendDoubles(m, histogramCounts, h.counts)
	return Value{appendBytes(appendString(nil, valueTag, tag), valueHistogram, m)}
}

// histogram is a message HistogramProto.
type histogram struct {
	min, max, num, sum, sumSquares float64
	limits, counts                 []float64
}

func histogramOf(values []float32) histogram {
	h := histogram{min: math.Inf(1), max: math.Inf(-1)}
	for _, value := range values {
		if v := float64(value); finite(v) {
			h.num++
			h.sum += v
			h.sumSquares += v * v
			h.min, h.max = min(h.min, v), max(h.max, v)
		}
	}
	switch {
	case h.num == 0:
		return histogram{limits: []float64{0}, counts: []float64{0}}
	case h.min == h.max:
		h.limits, h.counts = []float64{h.max}, []float64{h.num}
		return h
	}
	h.limits, h.counts = make([]float64, buckets), make([]float64, buckets)
	width := (h.max - h.min) / buckets
	for i := range h.limits {
		h.limits[i] = h.min + float64(i+1)*width
	}
	h.limits[buckets-1] = h.max
	for _, value := range values {
		if v := float64(value); finite(v) {
			h.counts[min(int((v-h.min)/width), buckets-1)]++
		}
	}
	return h
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// versionEvent is the first of every file.
func versionEvent(at time.Time) []byte {
	return appendString(appendDouble(nil, eventWallTime, seconds(at)), eventFileVersion, fileVersion)
}

func event(at time.Time, step uint64, values []Value) []byte {
	var summary []byte
	for _, v := range values {
		summary = appendBytes(summary, summaryValue, v.message)
	}
	m := appendDouble(nil, eventWallTime, seconds(at))
	m = appendInt(m, eventStep, step)
	return appendBytes(m, eventSummary, summary)
}

func seconds(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }

func appendDouble(m []byte, field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(m, field, protowire.Fixed64Type), math.Float64bits(v))
}

func appendDoubles(m []byte, field protowire.Number, list []float64) []byte {
	var packed []byte
	for _, v := range list {
		packed = protowire.AppendFixed64(packed, math.Float64bits(v))
	}
	return appendBytes(m, field, packed)
}

func appendInt(m []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

func appendBytes(m []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func appendString(m []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), v)
}
