//go:build cuda

package cuda_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"gpudae/cuda"
)

func open(t *testing.T) *cuda.Context {
	t.Helper()
	c, err := cuda.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// TestErrorSaysWhat: an error has the call, its argument, and the driver's name
// and words for it.
func TestErrorSaysWhat(t *testing.T) {
	c := open(t)
	_, err := c.Alloc(1 << 60)
	var failed *cuda.Error
	if !errors.As(err, &failed) || !failed.OutOfMemory() {
		t.Fatalf("allocating 2^60 bytes: %v", err)
	}
	if want := "cuMemAlloc(1152921504606846976 bytes): CUDA_ERROR_OUT_OF_MEMORY, "; !strings.HasPrefix(err.Error(), want) || len(err.Error()) == len(want) {
		t.Errorf("error %q does not begin with %q and end in words", err, want)
	}
	if err := c.Synchronize(); err != nil {
		t.Errorf("a refused allocation left the failure %v behind", err)
	}
}

// TestBadModule: what is no module is refused.
func TestBadModule(t *testing.T) {
	var failed *cuda.Error
	if err := open(t).Load([]byte("no fatbin")); !errors.As(err, &failed) || failed.Call != "cuModuleLoadData" {
		t.Errorf("loading nonsense: %v", err)
	}
}

// TestPinnedCopies: bytes go to the device and come back, in the order of the
// calls, from whatever goroutine.
func TestPinnedCopies(t *testing.T) {
	c := open(t)
	const n = 1000
	at, err := c.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	out, in := pinned(t, c, n), pinned(t, c, n)
	for i := range out.Bytes {
		out.Bytes[i] = byte(i * 7)
	}
	done := make(chan error)
	go func() {
		done <- errors.Join(out.CopyToDevice(at, n), c.Zero(at+8, 2), in.CopyFromDevice(at, n), in.Wait())
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(out.Bytes)
	clear(want[8:16])
	if !bytes.Equal(in.Bytes, want) {
		t.Error("the bytes came back changed")
	}
	if err := c.Free(at); err != nil {
		t.Error(err)
	}
}

// TestMapped: the device reads memory of the host where it lies, lent or allocated,
// and what is given back can be lent again.
func TestMapped(t *testing.T) {
	c := open(t)
	const n = 1000
	at, err := c.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]byte, n)
	for i := range memory {
		memory[i] = byte(i * 7)
	}
	in := pinned(t, c, n)
	expect := func(m *cuda.Mapped) {
		t.Helper()
		if err := errors.Join(c.Zero(at, n/4), c.Copy(at, m.At, n), in.CopyFromDevice(at, n), in.Wait()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(in.Bytes, memory) {
			t.Error("the device reads other bytes")
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		m, err := c.Map(memory)
		if err != nil {
			t.Fatal(err)
		}
		var failed *cuda.Error
		if _, err := c.Map(memory); !errors.As(err, &failed) || failed.Call != "cuMemHostRegister" {
			t.Errorf("lending the same memory twice: %v", err)
		}
		expect(m)
	}
	m, to, err := c.AllocMapped(n)
	if err != nil {
		t.Fatal(err)
	}
	copy(to, memory)
	expect(m)
	if err := c.Free(at); err != nil {
		t.Error(err)
	}
}

func pinned(t *testing.T, c *cuda.Context, n int) *cuda.Pinned {
	t.Helper()
	p, err := c.NewPinned(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close of pinned memory: %v", err)
		}
	})
	return p
}

// TestGraphOfCopies: a graph runs nothing while it is recorded, and everything
// each time it is launched.
func TestGraphOfCopies(t *testing.T) {
	c := open(t)
	at, err := c.Alloc(8)
	if err != nil {
		t.Fatal(err)
	}
	out, in := pinned(t, c, 8), pinned(t, c, 8)
	copy(out.Bytes, "abcdefgh")
	if err := errors.Join(out.CopyToDevice(at, 8), out.Wait()); err != nil {
		t.Fatal(err)
	}
	graph, err := c.Capture(func() {
		if err := c.Zero(at, 1); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func() string {
		if err := errors.Join(in.CopyFromDevice(at, 8), in.Wait()); err != nil {
			t.Fatal(err)
		}
		return string(in.Bytes)
	}
	if got := read(); got != "abcdefgh" {
		t.Errorf("recording changed the memory to %q", got)
	}
	for range 2 {
		if err := graph.Launch(); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != "\x00\x00\x00\x00efgh" {
			t.Errorf("after the graph the memory holds %q", got)
		}
		if err := errors.Join(out.CopyToDevice(at, 8), out.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	if err := graph.Close(); err != nil {
		t.Error(err)
	}
}

// TestGraphUpdate: a recording of the same form puts its arguments into a graph,
// one of another form leaves the graph as it is.
func TestGraphUpdate(t *testing.T) {
	c := open(t)
	at, err := c.Alloc(12)
	if err != nil {
		t.Fatal(err)
	}
	zero := func(word cuda.Address) func() {
		return func() {
			if err := c.Zero(at+4*word, 1); err != nil {
				t.Error(err)
			}
		}
	}
	graph, err := c.Capture(zero(0))
	if err != nil {
		t.Fatal(err)
	}
	out, in := pinned(t, c, 12), pinned(t, c, 12)
	afterLaunch := func(want string) {
		t.Helper()
		copy(out.Bytes, "abcdefghijkl")
		if err := errors.Join(out.CopyToDevice(at, 12), graph.Launch(), in.CopyFromDevice(at, 12), in.Wait()); err != nil {
			t.Fatal(err)
		}
		if got := string(in.Bytes); got != want {
			t.Errorf("after the graph the memory holds %q, want %q", got, want)
		}
	}
	afterLaunch("\x00\x00\x00\x00efghijkl")
	if updated, err := graph.Update(zero(1)); err != nil || !updated {
		t.Fatalf("update: %t, %v", updated, err)
	}
	afterLaunch("abcd\x00\x00\x00\x00ijkl")
	if updated, err := graph.Update(func() { zero(0)(); zero(2)() }); err != nil || updated {
		t.Errorf("an update of another form: %t, %v", updated, err)
	}
	afterLaunch("abcd\x00\x00\x00\x00ijkl")
	var failed *cuda.Error
	if _, err := graph.Update(func() { c.Alloc(4) }); !errors.As(err, &failed) || failed.Call != "cuStreamEndCapture" {
		t.Errorf("an update that allocates: %v", err)
	}
	if err := graph.Close(); err != nil {
		t.Error(err)
	}
}

// TestDescribe: a device is described as the driver does.
func TestDescribe(t *testing.T) {
	if _, err := cuda.OpenDriver(); err != nil {
		t.Fatal(err)
	}
	info, err := cuda.Describe(0)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name == "" || info.Capability() < 50 || info.Multiprocessors < 1 || info.Memory == 0 || info.MaxShared < 48<<10 {
		t.Errorf("device %+v", info)
	}
	var failed *cuda.Error
	if _, err := cuda.Describe(1000); !errors.As(err, &failed) || failed.Error() != "cuDeviceGet(device 1000): CUDA_ERROR_INVALID_DEVICE, invalid device ordinal" {
		t.Errorf("a device that does not exist: %v", err)
	}
}

// TestTensorMap: a map is made of what the accelerator can read, and refused of what it cannot.
func TestTensorMap(t *testing.T) {
	c := open(t)
	at, err := c.Alloc(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Free(at)
	encoded, err := c.TensorMap(at, 100, 200, 400, 64)
	if err != nil || len(encoded) != cuda.TensorMapBytes {
		t.Errorf("%d bytes, %v", len(encoded), err)
	}
	for what, wrong := range map[string]func() ([]byte, error){
		"rows off 16 bytes":       func() ([]byte, error) { return c.TensorMap(at, 100, 200, 402, 64) },
		"an address off 16 bytes": func() ([]byte, error) { return c.TensorMap(at+4, 100, 200, 400, 64) },
		"boxes wider than 128":    func() ([]byte, error) { return c.TensorMap(at, 100, 200, 400, 128) },
	} {
		var failed *cuda.Error
		if _, err := wrong(); !errors.As(err, &failed) || failed.Call != "cuTensorMapEncodeTiled" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
