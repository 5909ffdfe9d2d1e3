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
	l.writeLevels(&got)
	for _, k := range device.Codes() {
		l.writeCodes(&got, k)
	}
	for _, k := range device.Likelihoods() {
		l.writeFeatures(&got, k)
	}
	l.writeSpans(&got)
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
	l.d.Corrupt(device.CorruptArgs{Kind: k, Rate: philox.Threshold(0.4), Length: 2, Amount: 3, From: x, To: y, Mask: mask,
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

// drawn writes a line for each row of a view.
func drawn(to *bytes.Buffer, what string, v device.View) {
	for i := range v.Rows {
		fmt.Fprintf(to, "%s row %d:", what, i)
		for _, x := range Float64s(v)[i*v.Columns : (i+1)*v.Columns] {
			fmt.Fprintf(to, " %08x", math.Float32bits(float32(x)))
		}
		fmt.Fprintln(to)
	}
}

// writeLevels diffuses two replicates of two rows, and writes their levels.
func (l *lab) writeLevels(to *bytes.Buffer) {
	l.Helper()
	const rows, columns, levels = 4, 6, 100
	sigma, x, level := l.matrix(1, levels), l.matrix(rows, columns), l.words(make([]uint32, rows)...)
	for i := range Float64s(sigma) {
		Float64s(sigma)[i] = float64(i + 1)
	}
	l.d.Diffuse(device.DiffuseArgs{Sigma: sigma, From: x, To: x, Level: level, Seed: 1 << 63, Stream: philox.StreamTrain, Stage: 1, Replicates: 2,
		Index: l.words(5, 5, 9, 9, 0, 0, 1, 1), Clock: l.words(device.Clock{Step: 1<<32 + 17}.Words()...)})
	words := make([]uint32, rows)
	if err := l.d.DownloadWords(words, level); err != nil {
		l.Fatal(err)
	}
	fmt.Fprintf(to, "levels: %d\n", words)
	drawn(to, "diffused", x)
}

// writeCodes draws codes of two replicates of two rows, and writes their noise and
// what of them the roundings of a machine's exponential do not change.
func (l *lab) writeCodes(to *bytes.Buffer, k device.Code) {
	l.Helper()
	const rows, units = 4, 6
	noise, code := l.matrix(rows, units), l.matrix(rows, units)
	l.d.SampleCode(device.SampleCodeArgs{Kind: k, Temperature: 1, Params: l.matrix(rows, k.Width(units)), Noise: noise, Code: code, Seed: 1 << 63,
		Stream: philox.StreamCode, Stage: 1, Replicates: 2, Index: l.words(5, 5, 9, 9, 0, 0, 1, 1), Clock: l.words(device.Clock{Step: 17}.Words()...)})
	drawn(to, k.String()+" noise", noise)
	if k != device.CodeConcrete {
		drawn(to, k.String()+" code", code)
	}
}

// writeFeatures draws features of two replicates of two rows.
func (l *lab) writeFeatures(to *bytes.Buffer, k device.Likelihood) {
	l.Helper()
	const rows, columns = 4, 6
	out, table := l.matrix(rows, columns), device.TableColumns{}
	width := 0
	if k == device.Mixed {
		table = l.table(sixColumns())
		width = table.ParamWidth
	} else {
		width = k.Width(columns)
	}
	l.d.Draw(device.DrawArgs{Kind: k, Sigma: 0.5, Floor: 0.1, Fields: device.Fields{Count: 3, OfColumn: l.words(0, 0, 0, 1, 2, 2), Offsets: l.words(0, 3, 4, 6)},
		Table: table, Params: l.matrix(rows, width), Out: out, Seed: 1 << 63, Stream: philox.StreamDraw, Stage: 1, Replicates: 2,
		Index: l.words(5, 5, 9, 9, 0, 0, 1, 1), Clock: l.words(device.Clock{Step: 17}.Words()...)})
	drawn(to, k.String()+" draw", out)
}

// writeSpans masks runs of four fields, one column each, of which some are absent.
func (l *lab) writeSpans(to *bytes.Buffer) {
	l.Helper()
	const rows, columns = 4, 12
	x, mask := l.matrix(rows, columns), l.matrix(rows, columns)
	for i := range Float64s(x) {
		if Float64s(x)[i] = 1; i%5 == 0 {
			Float64s(x)[i] = math.NaN()
		}
	}
	l.d.Corrupt(device.CorruptArgs{Kind: device.CorruptSpan, Rate: device.SpanStart(0.4, 4), Length: 4, Absent: true, From: x, To: x, Mask: mask, Seed: 1 << 63,
		Replicates: 2, Index: l.words(5, 5, 9, 9, 0, 0, 1, 1), Clock: l.words(device.Clock{Step: 17}.Words()...)})
	drawn(to, "span of absent values", x)
	drawn(to, "its mask", mask)
}
