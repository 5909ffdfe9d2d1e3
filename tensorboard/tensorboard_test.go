package tensorboard

import (
	"bytes"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFirstRecord compares the framing with the bytes with which every event file
// of TensorFlow starts: the length 24, its masked CRC, and, from the ninth byte of
// the content on, the version.
func TestFirstRecord(t *testing.T) {
	start := record(make([]byte, 24))[:12]
	if want := []byte{24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22}; !bytes.Equal(start, want) {
		t.Errorf("a record of 24 bytes starts with % x, want % x", start, want)
	}
	content := versionEvent(time.Unix(1, 500_000_000))
	want := append([]byte{0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x1a, 13}, fileVersion...) // wall time 1.5
	if !bytes.Equal(content, want) {
		t.Errorf("the first event is % x, want % x", content, want)
	}
}

// TestMaskedCRC is the check value of CRC-32C, e3069283, rotated and shifted.
func TestMaskedCRC(t *testing.T) {
	want := bits.RotateLeft32(0xe3069283, -15)
	if got := masked([]byte("123456789")) - maskDelta; got != want {
		t.Errorf("masked CRC less the delta is %08x, want %08x", got, want)
	}
}

func TestHistogram(t *testing.T) {
	values := []float32{-1, 0, 0.5, 3, float32(math.NaN()), float32(math.Inf(1))}
	h := histogramOf(values)
	if h.min != -1 || h.max != 3 || h.num != 4 || h.sum != 2.5 || h.sumSquares != 10.25 {
		t.Errorf("histogram %+v", h)
	}
	for i, limit := range h.limits {
		low := h.min
		if i > 0 {
			low = h.limits[i-1]
		}
		want := 0.0
		for _, v := range values {
			if v := float64(v); v >= low && (v < limit || i == buckets-1 && v == limit) {
				want++
			}
		}
		if h.counts[i] != want {
			t.Errorf("bucket %d from %g to %g holds %g, want %g", i, low, limit, h.counts[i], want)
		}
	}
	if one := histogramOf([]float32{2, 2}); len(one.counts) != 1 || one.counts[0] != 2 || one.limits[0] != 2 {
		t.Errorf("equal values: %+v", one)
	}
	if none := histogramOf(nil); none.num != 0 || len(none.limits) != 1 || none.min != 0 {
		t.Errorf("no values: %+v", none)
	}
}

// TestFilesOfOneSecond: files that are made at the same time have names of their
// own, in the order in which they were made.
func TestFilesOfOneSecond(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		w, err := Create(dir, time.Unix(7, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(time.Unix(8, 0), 3, Scalar("a", 1)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, Pattern))
	if err != nil || len(names) != 2 || filepath.Base(names[0]) != "events.out.tfevents.0000000007.gpudae" || names[1] != names[0]+".2" {
		t.Fatalf("files %v, %v", names, err)
	}
}

// TestWriteFails: a record that cannot be written is an error, and the file is as before.
func TestWriteFails(t *testing.T) {
	w, err := Create(t.TempDir(), time.Unix(7, 0))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	path := w.Path()
	w.file.Close()
	if err := w.Write(time.Unix(8, 0), 1, Scalar("a", 1)); err == nil {
		t.Error("writing to a closed file succeeded")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v", err)
	}
}
