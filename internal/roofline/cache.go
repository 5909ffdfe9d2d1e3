package roofline

import (
	"cmp"
	"reflect"
	"slices"

	"gpudae/device"
	"gpudae/gpu/fuse"
)

// cacheRate is what is assumed, not measured, of the second-level cache: so many times the memory's rate. An A100's is 3.5 times by its
// white paper (5,120 bytes a cycle, at 1.41 GHz 7.2 TB/s); of the others NVIDIA gives none.
const cacheRate = 2

// cachePart is the part of the second-level cache that what a step touches may fill. Each of the two partitions of an A100's or an H100's
// serves half of the multiprocessors, and may hold a copy of what lies in the other.
const cachePart = 0.5

// Cached is the predicted time of a step, in microseconds, if the second-level cache still holds what the step before has touched, and so
// brings every operand; 0 where so many bytes may not stay in it.
func Cached(g GPU, launches []Launch, touched int64) float64 {
	if float64(touched) > cachePart*float64(g.Cache) {
		return 0
	}
	g.Memory *= cacheRate
	return Predict(g, launches).Micros
}

// span is a run of elements of a memory.
type span struct{ begin, end int }

// touched is the size of what a program's operations read or write, each element once. A gradient that goes nowhere is not touched.
func touched(p *fuse.Plan, operations []any) int64 {
	spans, size := map[device.Memory][]span{}, int64(0)
	take := func(m device.Memory, offset, n int) {
		if m != nil {
			spans[m] = append(spans[m], span{offset, offset + n})
		}
	}
	applied := p.End != nil && p.End.Applied
	for _, o := range operations {
		fields := reflect.ValueOf(o)
		for i := range fields.NumField() {
			switch v := fields.Field(i).Interface().(type) {
			case device.View:
				if !applied || v.Memory != p.End.Update.Grads.Memory || !inside(v, p.End.Update.Grads) {
					take(v.Memory, v.Offset, v.Len())
				}
			case device.Words:
				take(v.Memory, v.Offset, v.Len)
			}
		}
		if g, ok := o.(device.GatherArgs); ok {
			size += int64(g.X.Rows) * int64(g.Data.(*dataset).stride)
		}
	}
	for _, s := range spans {
		slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
		end := 0
		for _, r := range s {
			size += 4 * int64(max(r.end-max(r.begin, end), 0))
			end = max(end, r.end)
		}
	}
	return size
}

// inside reports whether a view of the same memory lies within another.
func inside(v, of device.View) bool {
	return v.Offset >= of.Offset && v.Offset+v.Len() <= of.Offset+of.Len()
}

// partialSums is the size of the memory through which blocks share sums, one launch after the other.
func partialSums(launches []Launch) int64 {
	most := int64(0)
	for _, l := range launches {
		most = max(most, l.Partial/2)
	}
	return most
}
