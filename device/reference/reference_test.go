package reference

import (
	"errors"
	"testing"

	"gpudae/device"
)

// TestAllocRefusesAbsurdSizes: a size that cannot be held is an error of the
// machine, not a panic.
func TestAllocRefusesAbsurdSizes(t *testing.T) {
	d := New()
	for _, n := range []int{1 << 60, memoryLimit/8 + 1} {
		var oom *device.OutOfMemoryError
		if _, err := d.Alloc(device.Float, n); !errors.As(err, &oom) {
			t.Fatalf("Alloc(%d) fails with %v", n, err)
		}
		if oom.Wanted < memoryLimit {
			t.Errorf("Alloc(%d): wanted %d bytes", n, oom.Wanted)
		}
	}
	if free := d.Info().MemoryFree; free != memoryLimit {
		t.Errorf("failed allocations took %d bytes", memoryLimit-free)
	}
}

// TestClosedDeviceReports: operations on a closed device are ignored and the
// failure is reported once asked for.
func TestClosedDeviceReports(t *testing.T) {
	d := New()
	m, err := d.Alloc(device.Float, 1)
	if err != nil {
		t.Fatal(err)
	}
	v := device.MatrixOf(m, 0, 1, 1)
	program, err := d.Record(func() { d.Combine(device.CombineArgs{Alpha: 1, A: v, Beta: 1, B: v, Dst: v}) })
	if err != nil {
		t.Fatal(err)
	}
	Float64s(v)[0] = 1
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := program(); !errors.Is(err, errClosed) {
		t.Errorf("program: %v", err)
	}
	if err := d.Sync(); !errors.Is(err, errClosed) {
		t.Errorf("Sync: %v", err)
	}
	if got := Float64s(v)[0]; got != 1 {
		t.Errorf("the operation ran: %g", got)
	}
}
