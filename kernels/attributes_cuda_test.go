//go:build cuda

package kernels_test

import (
	"errors"
	"strings"
	"testing"

	"gpudae/cuda"
	"gpudae/kernels"
)

// TestAttributes: the device runs every kernel in blocks of the size with which it
// is launched, and an attribute that is set holds.
func TestAttributes(t *testing.T) {
	m := open(t)
	for id := range kernels.Count {
		f, err := m.context.Function(id.String())
		m.check(err)
		threads, err := m.context.Attribute(f, cuda.MaxThreads)
		m.check(err)
		if want := id.Kernel().Geometry.MostThreads(); threads < want {
			t.Errorf("%s runs in blocks of %d threads at most, and is launched with %d", id, threads, want)
		}
	}
	f, err := m.context.Function(kernels.Tick.String())
	m.check(err)
	for a, value := range map[cuda.FunctionAttribute]int{cuda.SharedCarveout: 50, cuda.MaxDynamicShared: 64 << 10} {
		m.check(m.context.SetAttribute(f, a, value))
		if got, err := m.context.Attribute(f, a); err != nil || got != value {
			t.Errorf("attribute %d is %d (%v), want %d", a, got, err, value)
		}
	}
	err = m.context.SetAttribute(f, cuda.MaxDynamicShared, 1<<20)
	var failed *cuda.Error
	if !errors.As(err, &failed) || failed.Call != "cuFuncSetAttribute" || !strings.HasPrefix(failed.With, "tick, ") || failed.Name != "CUDA_ERROR_INVALID_VALUE" {
		t.Errorf("a mebibyte of shared memory: %v", err)
	}
}
