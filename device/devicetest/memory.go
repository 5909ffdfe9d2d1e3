package devicetest

import (
	"context"
	"errors"
	"math"
	"slices"

	"gpudae/device"
)

func memoryChecks() []check {
	return []check{
		{"Info", checkInfo},
		{"AllocZeroes", checkAllocZeroes},
		{"AllocRefusesAbsurdSizes", checkAllocRefuses},
		{"CopyKeepsBits", checkCopy},
		{"LoadKeepsShape", checkLoad},
		{"LoadHeedsContext", checkLoadContext},
	}
}

func checkInfo(r *rig) {
	info := r.dev.Info()
	if info.Name == "" || info.Description == "" {
		r.report("info %+v lacks a name or a description", info)
	}
	if info.MemoryFree > info.MemoryTotal && info.MemoryTotal != 0 {
		r.report("%d bytes free of %d", info.MemoryFree, info.MemoryTotal)
	}
}

// checkAllocZeroes: fresh memory holds zeros, also where memory of an earlier
// allocation might be handed out again.
func checkAllocZeroes(r *rig) {
	for _, n := range []int{1, 5, 1000, 4096} {
		m, err := r.dev.Alloc(device.Float, n)
		r.must(err)
		if m.Type() != device.Float || m.Len() != n {
			r.report("alloc of %d floats returned %d elements of type %d", n, m.Len(), m.Type())
		}
		got := r.normals(n, 1)
		r.must(r.dev.Download(got, device.MatrixOf(m, 0, 1, n)))
		if i := firstDifference(got, make([]float32, n)); i >= 0 {
			r.report("element %d of %d fresh floats is %g", i, n, got[i])
		}
		w, err := r.dev.Alloc(device.Word, n)
		r.must(err)
		if w.Type() != device.Word || w.Len() != n {
			r.report("alloc of %d words returned %d elements of type %d", n, w.Len(), w.Type())
		}
		words := slices.Repeat([]uint32{7}, n)
		r.must(r.dev.DownloadWords(words, device.WordsOf(w, 0, n)))
		if !slices.Equal(words, make([]uint32, n)) {
			r.report("%d fresh words are %v", n, words)
		}
	}
}

// checkAllocRefuses: what no machine can hold is an error of a type that the
// caller can recognise, and the device goes on working.
func checkAllocRefuses(r *rig) {
	for _, n := range []int{1 << 60, math.MaxInt, 1 << 45} {
		for _, kind := range []device.Type{device.Float, device.Word} {
			_, err := r.dev.Alloc(kind, n)
			var oom *device.OutOfMemoryError
			if !errors.As(err, &oom) {
				r.report("alloc of %d elements of type %d: error %v, want *OutOfMemoryError", n, kind, err)
			} else if oom.Device == "" || oom.Wanted < uint64(n) {
				r.report("alloc of %d elements of type %d: error %+v does not say who and how much", n, kind, *oom)
			}
		}
	}
	if err := r.dev.Sync(); err != nil {
		r.report("a refused allocation left the failure %v behind", err)
	}
	checkAllocZeroes(r)
}

// checkCopy: copies to and from parts of a memory keep every bit, NaN and
// denormal numbers included, and touch nothing else.
func checkCopy(r *rig) {
	const n = 1001
	all := r.normals(n, 1)
	copy(all, []float32{float32(math.Inf(1)), float32(math.NaN()), math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), math.MaxFloat32})
	m, err := r.dev.Alloc(device.Float, n)
	r.must(err)
	r.must(r.dev.Upload(device.MatrixOf(m, 0, 1, n), all))
	part := r.normals(12*7, 1)
	r.must(r.dev.Upload(device.MatrixOf(m, 13, 12, 7), part))
	copy(all[13:], part)
	got := make([]float32, n)
	r.must(r.dev.Download(got, device.MatrixOf(m, 0, n, 1)))
	if i := firstDifference(all, got); i >= 0 {
		r.report("element %d is %g, want %g", i, got[i], all[i])
	}
	r.must(r.dev.Download(part[:10], device.MatrixOf(m, 991, 2, 5)))
	if i := firstDifference(all[991:], part[:10]); i >= 0 {
		r.report("element %d of the last ten is %g, want %g", i, part[i], all[991+i])
	}
	checkCopyWords(r)
}

func checkCopyWords(r *rig) {
	const n = 101
	all := make([]uint32, n)
	for i := range all {
		all[i] = r.rng.Uint32()
	}
	m, err := r.dev.Alloc(device.Word, n)
	r.must(err)
	r.must(r.dev.UploadWords(device.WordsOf(m, 3, n-3), all[3:]))
	r.must(r.dev.UploadWords(device.WordsOf(m, 0, 3), all[:3]))
	got := make([]uint32, 50)
	r.must(r.dev.DownloadWords(got, device.WordsOf(m, 51, 50)))
	if !slices.Equal(got, all[51:]) {
		r.report("words 51 to 101 are %v, want %v", got, all[51:])
	}
}

func checkLoad(r *rig) {
	for _, bytes := range []bool{true, false} {
		data, err := r.dev.Load(r.Context(), r.table(11, 3, bytes))
		r.must(err)
		if rows, columns := data.Shape(); rows != 11 || columns != 3 {
			r.report("11×3 values (of one byte: %t) were loaded as %d×%d", bytes, rows, columns)
		}
	}
}

func checkLoadContext(r *rig) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	if _, err := r.dev.Load(ctx, r.table(100, 100, false)); !errors.Is(err, context.Canceled) {
		r.report("load under a cancelled context: error %v", err)
	}
	if err := r.dev.Sync(); err != nil {
		r.report("a cancelled load left the failure %v behind", err)
	}
}
