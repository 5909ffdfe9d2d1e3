package reference

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gpudae/device"
	"gpudae/device/philox"
)

var update = flag.Bool("update", false, "rewrite testdata from what the code does now")

// TestDrawsAreTheRecordedOnes: which features a seed destroys, and by what, is
// part of the format of a run: a run is only resumed, and a figure only
// repeated, if it never changes. A deliberate change is recorded by
//
//	go test ./device/reference -run Recorded -update
func TestDrawsAreTheRecordedOnes(t *testing.T) {
	l := newLab(t)
	var got bytes.Buffer
	for _, k := range device.Corruptions() {
		l.writeDraws(&got, k)
	}
	l.writeDropout(&got)
	path := filepath.Join("testdata", "draws.txt")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := bytes.Split(got.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || !bytes.Equal(gotLines[i], wantLines[i]) {
			t.Fatalf("line %d of %s differs from what the code draws now", i+1, path)
		}
	}
}

// writeDraws corrupts a shuffled minibatch of two replicates and writes a line
// for each row: its number in the data set, and each feature's mask and value.
func (l *lab) writeDraws(to *bytes.Buffer, k device.Corruption) {
	l.Helper()
	const rows, columns, examples, replicates = 11, 6, 3, 2
	table := device.Table{Rows: rows, Columns: columns, Scale: 1.0 / 64}
	for i := range rows * columns {
		table.Uint8 = append(table.Uint8, uint8(i*37))
	}
	data, err := l.d.Load(context.Background(), table)
	if err != nil {
		l.Fatal(err)
	}
	const n = examples * replicates
	part := device.Rows{Lo: 2, Hi: rows, Split: true, Seed: 5}
	clock := l.words(device.Clock{Step: 1<<32 + 17, Epoch: 4, Cursor: 1}.Words()...)
	x, index := l.matrix(n, columns), l.words(make([]uint32, device.IndexWords(n))...)
	l.d.Gather(device.GatherArgs{Data: data, Part: part, Shuffle: true, Seed: 7, Replicates: replicates, Clock: clock, X: x, Index: index})
	y, mask := l.matrix(n, columns), l.matrix(n, columns)
	l.d.Corrupt(device.CorruptArgs{Kind: k, Rate: philox.Threshold(0.4), Amount: 3, From: x, To: y, Mask: mask,
		Low: l.matrix(1, columns, -1, -2, -3, -4, -5, -6), High: l.matrix(1, columns, 1, 2, 3, 4, 5, 6),
		Fields: device.Fields{Count: 4, OfColumn: l.words(0, 1, 1, 2, 2, 3), Offsets: l.words(0, 1, 3, 5, 6)},
		Seed:   1 << 63, Stream: philox.StreamTrain, Stage: 1, Replicates: replicates, Index: index, Clock: clock, Data: data, Part: part})
	numbers := make([]uint32, index.Len)
	if err := l.d.DownloadWords(numbers, index); err != nil {
		l.Fatal(err)
	}
	for i := range n {
		fmt.Fprintf(to, "%s row %d:", k, numbers[i])
		for j := range columns {
			at := i*columns + j
			fmt.Fprintf(to, " %g:%08x", Float64s(mask)[at], math.Float32bits(float32(Float64s(y)[at])))
		}
		fmt.Fprintln(to)
	}
}

// writeDropout drops units of two rows, and writes a line for each.
func (l *lab) writeDropout(to *bytes.Buffer) {
	l.Helper()
	const rows, units = 2, 10
	y := l.matrix(rows, units)
	for i := range Float64s(y) {
		Float64s(y)[i] = 1
	}
	l.d.Dropout(device.DropoutArgs{Rate: philox.Threshold(0.4), Keep: 1 / 0.6, Layer: 2, Seed: 1 << 63, Replicates: 1,
		Index: l.words(5, 9, 0, 1), Clock: l.words(device.Clock{Step: 17}.Words()...), X: y, Y: y})
	for i := range rows {
		fmt.Fprintf(to, "dropout row %d:", i)
		for j := range units {
			fmt.Fprintf(to, " %08x", math.Float32bits(float32(Float64s(y)[i*units+j])))
		}
		fmt.Fprintln(to)
	}
}
