package roofline

import (
	"testing"

	"gpudae/kernels"
)

// TestResident: blocks that a multiprocessor holds, worked out by hand from the limits of the
// programming guide and the units in which registers are given out.
func TestResident(t *testing.T) {
	for _, c := range []struct {
		capability string
		threads    int
		resources  kernels.Resources
		want       int
		limit      string
	}{
		{"8.0", 256, kernels.Resources{Registers: 32}, 8, "2048 threads"},
		{"8.6", 256, kernels.Resources{Registers: 32}, 6, "1536 threads"},
		{"8.0", 32, kernels.Resources{Registers: 16}, 32, "32 blocks"},
		{"8.6", 32, kernels.Resources{Registers: 16}, 16, "16 blocks"},
		{"8.9", 32, kernels.Resources{Registers: 16}, 24, "24 blocks"},
		{"9.0", 256, kernels.Resources{Registers: 128}, 2, "128·32 registers a warp: 16 warps"},
		{"9.0", 256, kernels.Resources{Registers: 129}, 1, "136·32 registers a warp: 15 warps, in fours 12"},
		{"8.0", 1024, kernels.Resources{Registers: 41}, 1, "48·32 registers a warp: 42 warps, in fours 40"},
		{"9.0", 128, kernels.Resources{Registers: 32, Shared: 24 * kib}, 9, "25 KiB of 228 each"},
		{"8.6", 128, kernels.Resources{Registers: 32, Shared: 24 * kib}, 4, "25 KiB of 100 each"},
		{"12.0", 128, kernels.Resources{Registers: 32, Shared: 1}, 12, "1536 threads: 1152 bytes each allow 88"},
		{"10.0", 256, kernels.Resources{Registers: 255}, 1, "256·32 registers a warp: 8 warps"},
	} {
		m, known := multiprocessorOf(c.capability)
		if !known {
			t.Fatalf("no limits for %s", c.capability)
		}
		if got := m.resident(c.threads, c.resources); got != c.want {
			t.Errorf("%s holds %d blocks of %d threads with %+v, want %d (%s)", c.capability, got, c.threads, c.resources, c.want, c.limit)
		}
	}
}

// TestEfficiency: the last wave is as long as the others.
func TestEfficiency(t *testing.T) {
	for full, want := range map[float64]float64{0.25: 0.25, 1: 1, 1.5: 0.75, 4: 1} {
		if got := (Occupancy{Full: full}).Efficiency(); got != want {
			t.Errorf("%g waves are %g of their places, want %g", full, got, want)
		}
	}
}

// TestLaunchesHaveAnOccupancy: each GPU of the table has limits, and kernels compiled for it.
func TestLaunchesHaveAnOccupancy(t *testing.T) {
	for _, g := range GPUs() {
		o := occupy(g, g.resources(), kernels.AdvanceU8.String(), g.Multiprocessors, 256, 0)
		if o == nil {
			t.Fatalf("%s: no occupancy of %s", g.Name, kernels.AdvanceU8)
		}
		if o.Registers < 16 || o.Resident < 1 || o.Share <= 0 || o.Share > 1 || o.Full*float64(o.Resident) != 1 {
			t.Errorf("%s: %+v", g.Name, *o)
		}
	}
}
