package cpu_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"gpudae/cpu"
	"gpudae/device"
)

func TestNewRejectsThreadCounts(t *testing.T) {
	for _, threads := range []int{-1, 1 << 20} {
		if _, err := cpu.New(threads); err == nil {
			t.Errorf("%d threads: no error", threads)
		}
	}
}

func TestAllocRefusesWhatCannotFit(t *testing.T) {
	dev := open(t, 1)
	for _, n := range []int{1 << 42, math.MaxInt} {
		for _, kind := range []device.Type{device.Float, device.Word} {
			_, err := dev.Alloc(kind, n)
			var full *device.OutOfMemoryError
			if !errors.As(err, &full) {
				t.Errorf("%d elements: error %v, want *device.OutOfMemoryError", n, err)
			} else if full.Wanted < 1<<44 {
				t.Errorf("%d elements: %d bytes wanted", n, full.Wanted)
			}
		}
	}
}

func TestLoadObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dev := open(t, 1)
	for _, table := range []device.Table{
		{Rows: 2, Columns: 2, Float32: make([]float32, 4)}, {Rows: 2, Columns: 2, Uint8: make([]uint8, 4)},
	} {
		if data, err := dev.Load(ctx, table); !errors.Is(err, context.Canceled) || data != nil {
			t.Errorf("data %v, error %v, want none and %v", data, err, context.Canceled)
		}
	}
}

// TestClosedDeviceFails: a failure sticks, and everything that reports, reports it.
func TestClosedDeviceFails(t *testing.T) {
	dev, err := cpu.New(3)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dev.Alloc(device.Float, 4)
	if err != nil {
		t.Fatal(err)
	}
	view := device.MatrixOf(m, 0, 1, 4)
	program, err := dev.Record(func() { dev.Combine(device.CombineArgs{Alpha: 1, A: view, Dst: view}) })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	}
	_, allocErr := dev.Alloc(device.Float, 1)
	_, loadErr := dev.Load(context.Background(), device.Table{})
	_, recordErr := dev.Record(func() {})
	for what, err := range map[string]error{
		"sync": dev.Sync(), "program": program(), "upload": dev.Upload(view, make([]float32, 4)),
		"download": dev.Download(make([]float32, 4), view), "alloc": allocErr, "load": loadErr, "record": recordErr,
	} {
		if err == nil {
			t.Errorf("%s: no error after Close", what)
		}
	}
}

// TestWorkersWakeAfterParking leaves the workers idle until they park.
func TestWorkersWakeAfterParking(t *testing.T) {
	dev := open(t, 4)
	const n = 1 << 18
	x := upload(t, dev, 1, n, make([]float32, n))
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		dev.Activate(device.ActivateArgs{Act: device.Sigmoid, X: x, Y: x})
		dev.Combine(device.CombineArgs{Alpha: 2, A: x, Dst: x})
	}
	if v := download(t, dev, x); v[0] != v[n-1] {
		t.Errorf("the parts differ: %g and %g", v[0], v[n-1])
	}
}

func TestInfo(t *testing.T) {
	info := open(t, 2).Info()
	if info.Name != "cpu" || info.Threads != 2 || info.Description == "" || info.MemoryFree > info.MemoryTotal {
		t.Errorf("info %+v", info)
	}
}
