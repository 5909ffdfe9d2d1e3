//go:build cuda

package gpu_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/gpu"
)

// matrix is a view of 3×4 floats, 5 floats into its memory, that holds 0, 1, 2, ...
func matrix(t *testing.T, dev *gpu.Device) (device.View, []float32) {
	t.Helper()
	m, err := dev.Alloc(device.Float, 20)
	if err != nil {
		t.Fatal(err)
	}
	v, values := device.MatrixOf(m, 5, 3, 4), make([]float32, 12)
	for i := range values {
		values[i] = float32(i)
	}
	if err := dev.Upload(v, values); err != nil {
		t.Fatal(err)
	}
	return v, values
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onHost is what a tensor on the device holds.
func onHost(t *testing.T, x *tensor.Dense) []float32 {
	t.Helper()
	m, err := x.Engine().Accessible(x)
	must(t, err)
	return m.(*tensor.Dense).Data().([]float32)
}

// TestTensorIsTheView: the tensor of a view has its shape and its values, those
// too that operations write later, and says that Go cannot read them.
func TestTensorIsTheView(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	v, values := matrix(t, dev)
	x, err := dev.Tensor(v)
	must(t, err)
	if x.IsNativelyAccessible() || !x.IsManuallyManaged() || x.Engine().AllocAccessible() {
		t.Error("the tensor says that Go may read or free its memory")
	}
	if !x.Shape().Eq(tensor.Shape{3, 4}) || x.Dtype() != tensor.Float32 {
		t.Errorf("the tensor is %v of %v", x.Shape(), x.Dtype())
	}
	if got := onHost(t, x); !slices.Equal(got, values) {
		t.Errorf("the tensor holds %v, the view %v", got, values)
	}
	dev.Combine(device.CombineArgs{Alpha: 2, A: v, Dst: v})
	copied := tensor.New(tensor.WithShape(3, 4), tensor.Of(tensor.Float32))
	must(t, tensor.Copy(copied, x))
	for i, got := range copied.Data().([]float32) {
		if got != 2*values[i] {
			t.Fatalf("after an operation element %d of the tensor is %g, want %g", i, got, 2*values[i])
		}
	}
	// What package tensor would compute or print on the host it refuses.
	if text := fmt.Sprint(x); !strings.Contains(text, "Inacces") {
		t.Errorf("the tensor prints as %q", text)
	}
	if _, err := x.At(0, 0); err == nil {
		t.Error("package tensor looks at what it cannot read")
	}
	if _, err := tensor.Add(x, x); err == nil {
		t.Error("package tensor adds what it cannot read")
	}
	rows, err := x.Slice(tensor.S(1, 3))
	must(t, err)
	if rows.IsNativelyAccessible() {
		t.Error("a slice of the tensor says that Go may read it")
	}
	if got := onHost(t, rows.(*tensor.Dense)); len(got) != 8 || got[0] != 2*values[4] {
		t.Errorf("rows 1 and 2 of the tensor are %v", got)
	}
}

// TestTensorWrites: what the engine copies or fills into a tensor is in the view.
func TestTensorWrites(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	v, values := matrix(t, dev)
	x, err := dev.Tensor(v)
	must(t, err)
	inView := func(what string, want []float32) {
		t.Helper()
		got := make([]float32, 12)
		must(t, dev.Download(got, v))
		if !slices.Equal(got, want) {
			t.Errorf("after %s the view holds %v, want %v", what, got, want)
		}
	}
	e := dev.Engine()
	slices.Reverse(values)
	must(t, e.Memcpy(x, tensor.New(tensor.WithShape(3, 4), tensor.WithBacking(slices.Clone(values)))))
	inView("a copy from the host", values)
	must(t, e.Memset(x, float32(7)))
	inView("filling", slices.Repeat([]float32{7}, 12))
	e.Memclr(x)
	inView("clearing", make([]float32, 12))
	clone := x.Clone().(*tensor.Dense)
	must(t, e.Memset(clone, float32(3)))
	inView("filling a clone", make([]float32, 12))
	must(t, e.Memcpy(x, clone))
	inView("a copy on the device", slices.Repeat([]float32{3}, 12))
	if err := e.Memset(x, 7); err == nil {
		t.Error("a tensor of float32 was filled with an int")
	}
	host := tensor.New(tensor.WithShape(3, 4), tensor.Of(tensor.Float32))
	if err := e.Memcpy(host, host); err == nil {
		t.Error("the engine copies from host to host")
	}
	short := tensor.New(tensor.WithShape(11), tensor.Of(tensor.Float32))
	if err := e.Memcpy(x, short); err == nil {
		t.Error("11 elements were copied to 12")
	}
	must(t, dev.Sync())
}

// TestTensorMemory: tensors are allocated zeroed, from a pool where the device has
// them, and given back; those that are not go with the device.
func TestTensorMemory(t *testing.T) {
	for _, pools := range []int{1, 0} {
		t.Run(fmt.Sprintf("pools=%d", pools), func(t *testing.T) {
			cudatest.Set(t, "SOFTDRIVER_POOLS", pools)
			before := cudatest.Read(t).BytesAllocated
			dev := open(t, gpu.Options{})
			e, own := dev.Engine(), cudatest.Read(t).BytesAllocated
			x := tensor.New(tensor.WithShape(100, 30), tensor.Of(tensor.Float32), tensor.WithEngine(e))
			if x.IsNativelyAccessible() {
				t.Error("the tensor says that Go may read its memory")
			}
			if got := onHost(t, x); len(got) != 3000 || slices.ContainsFunc(got, func(v float32) bool { return v != 0 }) {
				t.Error("a fresh tensor is not zero")
			}
			waits := cudatest.Read(t).Synchronizations
			must(t, e.Free(x, 0))
			if got := cudatest.Read(t).Synchronizations; pools == 1 && got != waits {
				t.Error("giving memory back to the pool waited for the device")
			}
			must(t, dev.Sync())
			if now := cudatest.Read(t).BytesAllocated; now != own {
				t.Errorf("%d bytes are in use after Free, %d before the tensor", now, own)
			}
			if err := e.Free(x, 0); err == nil {
				t.Error("a tensor was given back twice")
			}
			if _, err := e.Alloc(3); err == nil {
				t.Error("3 bytes were allocated")
			}
			var memory *device.OutOfMemoryError
			if _, err := e.Alloc(1 << 50); !errors.As(err, &memory) || memory.Wanted != 1<<50 {
				t.Errorf("allocating 2^50 bytes: %v", err)
			}
			if _, err := e.Alloc(400); err != nil { // is left to Close
				t.Error(err)
			}
			must(t, dev.Close())
			if now := cudatest.Read(t).BytesAllocated; now != before {
				t.Errorf("%d bytes are in use after Close, %d before", now, before)
			}
		})
	}
}

// TestNoTensor: what is no matrix of floats is refused.
func TestNoTensor(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	if _, err := dev.Tensor(device.View{}); err == nil {
		t.Error("an absent view became a tensor")
	}
	words, err := dev.Alloc(device.Word, 4)
	must(t, err)
	if _, err := dev.Tensor(device.View{Memory: words, Rows: 2, Columns: 2}); err == nil {
		t.Error("words became a tensor of floats")
	}
}
