package data

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestTyped(t *testing.T) {
	content := "id,zip,n,x,flag,day,when,word,gap,big\n" +
		"1,007,3,0.5,true,2024-05-06,2024-05-06T07:08:09Z, a ,,12345678901234567890\n" +
		"2,123,NA,-1e3,FALSE,1969-12-31,1970-01-01 00:00:01,NA,?,1\n" +
		"3,1,-4, 7 ,,,2024-05-06T07:08:09.5+02:00,\"b,c\",,2\n"
	f := openFrame(t, save(t, "a.csv", []byte(content)), Options{})
	s, err := Summarise(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	want := []ColumnSummary{{"id", Integer, 0, 3}, {"zip", Text, 0, 3}, {"n", Integer, 1, 2}, {"x", Number, 0, 3}, {"flag", Boolean, 1, 2},
		{"day", Time, 1, 2}, {"when", Time, 0, 3}, {"word", Text, 1, 2}, {"gap", Text, 3, 0}, {"big", Text, 0, 3}}
	if !reflect.DeepEqual(s.Columns, want) || s.Rows != 3 || s.Numeric() {
		t.Errorf("%+v", s)
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := WriteFrame(t.Context(), path, Typed(f, s)); err != nil {
		t.Fatal(err)
	}
	cells, err := openFrame(t, path, Options{}).Next(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for c, v := range []Values{
		{Integers: []int64{1, 2, 3}},
		{Text: []string{"007", "123", "1"}},
		{Integers: []int64{3, 0, -4}, Absent: []bool{false, true, false}},
		{Numbers: []float64{0.5, -1000, 7}},
		{Booleans: []bool{true, false, false}, Absent: []bool{false, false, true}},
		{Times: []int64{19849 * nanosecondsADay, -nanosecondsADay, 0}, Absent: []bool{false, false, true}},
		{Times: []int64{1714979289e9, 1e9, 1714972089.5e9}},
		{Text: []string{" a ", "", "b,c"}, Absent: []bool{false, true, false}},
		{Text: []string{"", "", ""}, Absent: []bool{true, true, true}},
		{Text: []string{"12345678901234567890", "1", "2"}},
	} {
		if !reflect.DeepEqual(cells.Columns[c], v) {
			t.Errorf("column %s: %+v, want %+v", s.Columns[c].Name, cells.Columns[c], v)
		}
	}
}

// endlessFrame gives rows that are made as they are read.
type endlessFrame struct {
	Frame
	rows, next int
}

func (f *endlessFrame) Next(_ context.Context, max int) (*Cells, error) {
	n := min(max, f.rows-f.next)
	if n == 0 {
		return nil, io.EOF
	}
	cells := &Cells{Rows: n, Columns: []Values{{Text: make([]string, n)}, {Numbers: make([]float64, n)}, {Integers: make([]int64, n)}}}
	for i := range n {
		cells.Columns[0].Text[i] = fmt.Sprintf("%s %d", strings.Repeat("x", 600), f.next+i)
		cells.Columns[1].Numbers[i], cells.Columns[2].Integers[i] = float64(f.next+i)/3, int64(f.next+i)
	}
	f.next += n
	return cells, nil
}

func (f *endlessFrame) Close() error { return nil }

func (f *endlessFrame) Info() FrameInfo {
	return FrameInfo{Columns: []FrameColumn{{Name: "a", Type: Text}, {Name: "b", Type: Number}, {Name: "c", Type: Integer}}, Named: true, Rows: -1}
}

// measured notes how much of the heap is in use as rows go through it.
type measured struct {
	Frame
	blocks int
	peak   uint64
}

func (m *measured) Next(ctx context.Context, max int) (*Cells, error) {
	if m.blocks++; m.blocks%3 == 0 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		if stats.HeapAlloc > m.peak {
			m.peak = stats.HeapAlloc
		}
	}
	return m.Frame.Next(ctx, max)
}

// TestMemoryDoesNotGrow converts 54 MB of cells, from format to format, in
// a heap that is as large for a third of them.
func TestMemoryDoesNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	peak := func(rows int) map[string]uint64 {
		folder, peaks := t.TempDir(), map[string]uint64{}
		var from Frame = &endlessFrame{rows: rows}
		for _, name := range []string{"a.csv", "b.arrow", "c.parquet", "d.csv.zst"} {
			m := &measured{Frame: from}
			if err := WriteFrame(t.Context(), filepath.Join(folder, name), m); err != nil {
				t.Fatal(err)
			}
			peaks[name] = m.peak
			from.Close()
			var err error
			if from, err = OpenFrame(t.Context(), filepath.Join(folder, name), Options{}); err != nil {
				t.Fatal(err)
			}
		}
		from.Close()
		return peaks
	}
	few, many := peak(30_000), peak(90_000)
	for name := range few {
		room := uint64(24 << 20)                        // a buffer is full or it is not,
		if name == "c.parquet" || name == "d.csv.zst" { // and groups of rows of Parquet, written and read, are large ones
			room = 48 << 20
		}
		if many[name] > few[name]+room {
			t.Errorf("%s: %d bytes for 90,000 rows, %d for 30,000", name, many[name], few[name])
		}
	}
}
