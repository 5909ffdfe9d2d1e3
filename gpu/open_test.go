//go:build cuda

package gpu_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gpudae/cuda"
	"gpudae/cuda/cudatest"
	"gpudae/device"
	"gpudae/gpu"
)

// TestUnusable: where no device can run the kernels the error says why and what
// to do, and is of a type that the caller can recognise.
func TestUnusable(t *testing.T) {
	for _, c := range []struct {
		name, setting string
		value         int
		ordinal       int
		problem       string
	}{
		{"no device", "SOFTDRIVER_DEVICES", 0, 0, "sees no device"},
		{"ordinal", "SOFTDRIVER_DEVICES", 2, 2, "no CUDA device 2"},
		{"old driver", "SOFTDRIVER_VERSION", 12040, 0, "too old: it runs CUDA 12.4"},
		{"old device", "SOFTDRIVER_CAPABILITY", 75, 0, "compute capability 7.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cudatest.Set(t, c.setting, c.value)
			dev, err := gpu.New(c.ordinal, gpu.Options{})
			if err == nil {
				dev.Close()
				t.Fatal("the device opened")
			}
			var unavailable *cuda.UnavailableError
			if !errors.As(err, &unavailable) || !strings.Contains(unavailable.Problem, c.problem) || unavailable.Remedy == "" {
				t.Errorf("error %q, want one that says %q and a remedy", err, c.problem)
			}
		})
	}
}

// TestBlockTooLarge: a device on which a kernel takes too many registers for its
// blocks does not open, and the error names the kernel.
func TestBlockTooLarge(t *testing.T) {
	cudatest.Set(t, "SOFTDRIVER_BLOCK", 128)
	dev, err := gpu.New(0, gpu.Options{})
	if err == nil {
		dev.Close()
		t.Fatal("the device opened")
	}
	if want := "kernel activate is launched with blocks of 256 threads"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

// TestLaterDevice: a device that is newer than the machine code in the fatbin
// takes the PTX.
func TestLaterDevice(t *testing.T) {
	cudatest.Set(t, "SOFTDRIVER_CAPABILITY", 130)
	dev := open(t, gpu.Options{})
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}

// TestSeveralDevices: each ordinal is a device of its own, and both can be in
// use at once.
func TestSeveralDevices(t *testing.T) {
	cudatest.Set(t, "SOFTDRIVER_DEVICES", 2)
	first := open(t, gpu.Options{})
	defer first.Close()
	second, err := gpu.New(1, gpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Info().Name != "cuda:0" || second.Info().Name != "cuda:1" {
		t.Errorf("the devices are %q and %q", first.Info().Name, second.Info().Name)
	}
	for range 2 {
		recordAndRun(t, first)
		recordAndRun(t, second)
	}
}

// TestNoMemoryWithinARecording: an allocation is refused there, and the recording
// goes on.
func TestNoMemoryWithinARecording(t *testing.T) {
	dev := open(t, gpu.Options{})
	defer dev.Close()
	v, values := matrix(t, dev)
	program, err := dev.Record(func() {
		if _, err := dev.Alloc(device.Float, 1<<20); err == nil {
			t.Error("memory was allocated")
		}
		if _, err := dev.Engine().Alloc(400); err == nil {
			t.Error("a tensor was allocated")
		}
		dev.Combine(device.CombineArgs{Alpha: 2, A: v, Dst: v})
	})
	must(t, err)
	must(t, program())
	got := make([]float32, len(values))
	must(t, dev.Download(got, v))
	if got[3] != 2*values[3] {
		t.Errorf("after the program the view holds %v", got)
	}
}

func recordAndRun(t *testing.T, dev *gpu.Device) {
	t.Helper()
	program, _ := recordStep(t, dev, digits(t, 60))
	if err := program(); err != nil {
		t.Error(err)
	}
	if err := dev.Sync(); err != nil {
		t.Error(err)
	}
}

// TestCloseReleasesEverything: neither device nor host memory stays behind.
func TestCloseReleasesEverything(t *testing.T) {
	before := cudatest.Read(t).BytesAllocated
	for range 3 {
		dev := open(t, gpu.Options{})
		recordAndRun(t, dev)
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if err := dev.Sync(); err == nil {
			t.Error("a closed device goes on working")
		}
	}
	if after := cudatest.Read(t).BytesAllocated; after != before {
		t.Errorf("%d bytes of device memory are in use after Close, %d before", after, before)
	}
}

// TestDataLargerThanTheDevice: where the device has no room for a data set, and for
// a model beside it, its rows stay in the host's memory, and a minibatch and its
// donors are read there; no other memory of the device is taken. So it is where the
// table's own memory cannot be lent.
func TestDataLargerThanTheDevice(t *testing.T) {
	const rows, columns, batch = 5000, 40, 16
	random := rand.New(rand.NewPCG(3, 4))
	r := &device.Records{Stride: 2 * columns, Bytes: make([]byte, rows*2*columns)}
	for i := range r.Bytes {
		r.Bytes[i] = byte(random.Uint32())
	}
	for j := range columns {
		r.Columns = append(r.Columns, device.Column{Cell: device.CellUint16, Offset: 2 * j})
	}
	floats := make([]float32, rows*columns)
	for i := range floats {
		floats[i] = random.Float32()
	}
	for name, table := range map[string]device.Table{
		"records": {Rows: rows, Columns: columns, Records: r},
		"bytes":   {Rows: rows, Columns: 2 * columns, Uint8: r.Bytes, Scale: 0.5},
		"floats":  {Rows: rows, Columns: columns, Float32: floats},
	} {
		for _, register := range []int{1, 0} {
			t.Run(fmt.Sprintf("%s, registered %d", name, register), func(t *testing.T) {
				want := minibatchOf(t, open(t, gpu.Options{}), table, batch, false)
				cudatest.Set(t, "SOFTDRIVER_MEMORY", 9<<18+ofSums)
				cudatest.Set(t, "SOFTDRIVER_REGISTER", register)
				before := cudatest.Read(t)
				got := minibatchOf(t, open(t, gpu.Options{}), table, batch, true)
				if moved := cudatest.Read(t).ToDevice - before.ToDevice; moved >= table.Size()/2 {
					t.Errorf("%d bytes were copied to the device, of a table of %d", moved, table.Size())
				}
				if i := firstDifference(got, want); i >= 0 {
					t.Errorf("element %d is %g, and %g of a table in the device's memory", i, got[i], want[i])
				}
			})
		}
	}
}

// minibatchOf gathers rows of a table, swaps some of their values, and closes the
// device.
func minibatchOf(t *testing.T, dev *gpu.Device, table device.Table, batch int, mapped bool) []float32 {
	t.Helper()
	data, err := dev.Load(t.Context(), table)
	must(t, err)
	wanted := uint64(0)
	if mapped {
		wanted = table.Size()
	}
	if got := dev.Info().Mapped; got != wanted {
		t.Errorf("%d bytes of a table of %d are in the host's memory", got, table.Size())
	}
	x, err := dev.Alloc(device.Float, 3*batch*table.Columns)
	must(t, err)
	words, err := dev.Alloc(device.Word, device.ClockWords+device.IndexWords(batch))
	must(t, err)
	at := func(i int) device.View {
		return device.MatrixOf(x, i*batch*table.Columns, batch, table.Columns)
	}
	clock, index := device.WordsOf(words, 0, device.ClockWords), device.WordsOf(words, device.ClockWords, device.IndexWords(batch))
	part := device.Rows{Lo: 100, Hi: table.Rows, Split: true, Seed: 9}
	dev.Gather(device.GatherArgs{Data: data, Part: part, Shuffle: true, Seed: 1, Replicates: 1, Clock: clock, X: at(0), Index: index})
	dev.Corrupt(device.CorruptArgs{Kind: device.CorruptSwap, Rate: 1 << 31, Absent: true, From: at(0), To: at(1), Mask: at(2), Seed: 1, Replicates: 1,
		Index: index, Clock: clock, Data: data, Part: part})
	all := make([]float32, x.Len())
	must(t, dev.Download(all, device.MatrixOf(x, 0, 1, x.Len())))
	must(t, dev.Close())
	return all
}
