package data

import (
	"errors"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/brotli"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/lz4"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

type cellRow struct {
	Text  string    `parquet:"text,dict"`
	Note  *string   `parquet:"note,optional"`
	Small int8      `parquet:"small"`
	Big   uint64    `parquet:"big"`
	Flag  bool      `parquet:"flag"`
	Real  float64   `parquet:"real"`
	Short float32   `parquet:"short"`
	Price int64     `parquet:"price,decimal(2:18)"`
	Day   int32     `parquet:"day,date"`
	When  time.Time `parquet:"when,timestamp(microsecond)"`
	Code  string    `parquet:"code,enum"`
	ID    [16]byte  `parquet:"id,uuid"`
	Bytes []byte    `parquet:"bytes"`
}

func TestParquetFrame(t *testing.T) {
	note := "é, \"x\"\n"
	rows := []cellRow{
		{"a", &note, -3, 1 << 63, true, math.NaN(), 0.1, 1234, -1, time.Unix(-1, 500_000).UTC(), "k", [16]byte{1, 15: 2}, []byte("☃")},
		{"b", nil, 4, 2, false, -1e30, 2.5, -1, 19849, time.Unix(1714978029, 0).UTC(), "l", [16]byte{}, nil},
		{"a", nil, 0, 0, true, 3, 1.5, 0, 0, time.Unix(0, 0).UTC(), "k", [16]byte{}, nil},
	}
	f := openFrame(t, save(t, "a.parquet", parquetFile(t, rows, parquet.MaxRowsPerRowGroup(2))), Options{})
	info := f.Info()
	if info.Rows != 3 || !info.Named || info.Columns[6] != (FrameColumn{Name: "short", Type: Number, Single: true}) || info.Columns[8] != (FrameColumn{Name: "day", Type: Time, Dates: true}) {
		t.Errorf("%+v", info)
	}
	want := []Values{
		{Text: []string{"a", "b", "a"}},
		{Text: []string{note, "", ""}, Absent: []bool{false, true, true}},
		{Integers: []int64{-3, 4, 0}},
		{Numbers: []float64{1 << 63, 2, 0}},
		{Booleans: []bool{true, false, true}},
		{Numbers: []float64{0, -1e30, 3}, Absent: []bool{true, false, false}},
		{Numbers: []float64{float64(float32(0.1)), 2.5, 1.5}},
		{Numbers: []float64{12.34, -0.01, 0}},
		{Times: []int64{-nanosecondsADay, 19849 * nanosecondsADay, 0}},
		{Times: []int64{-1e9 + 500_000, 1714978029e9, 0}},
		{Text: []string{"k", "l", "k"}},
		{Text: []string{"01000000-0000-0000-0000-000000000002", "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"}},
		{Text: []string{"☃", "", ""}},
	}
	for range 2 {
		cells, err := f.Next(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for c, v := range cells.Columns {
			if !reflect.DeepEqual(v, want[c]) {
				t.Errorf("column %s: %+v, want %+v", info.Columns[c].Name, v, want[c])
			}
		}
		if _, err := f.Next(t.Context(), 10); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		if err := f.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestParquetFrameReadsBack writes every type of cell, in several groups of rows.
func TestParquetFrameReadsBack(t *testing.T) { readsBack(t, "a.parquet") }

// readsBack writes every type of cell and reads the same.
func readsBack(t *testing.T, name string) {
	t.Helper()
	want := mixedCells()
	path := filepath.Join(t.TempDir(), name)
	if err := WriteFrame(t.Context(), path, NewFrame("x", mixedColumns(), want)); err != nil {
		t.Fatal(err)
	}
	f := openFrame(t, path, Options{})
	if got := f.Info().Columns; !reflect.DeepEqual(got, mixedColumns()) {
		t.Errorf("columns %+v", got)
	}
	got, err := f.Next(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for c := range want.Columns {
		if !reflect.DeepEqual(got.Columns[c], want.Columns[c]) {
			t.Errorf("column %d: %+v, want %+v", c, got.Columns[c], want.Columns[c])
		}
	}
}

func TestParquetFrameRefused(t *testing.T) {
	type list struct {
		A int64
		L []string
	}
	type late struct {
		T time.Time `parquet:"when,timestamp(millisecond)"`
	}
	type odd struct {
		B []byte `parquet:"b"`
	}
	for _, c := range []struct {
		file []byte
		want string
	}{
		{parquetFile(t, []list{{1, []string{"x"}}}), "column 2 (L): holds lists or records, not one value for each row"},
		{parquetFile(t, []late{{time.Unix(0, 0)}, {time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}), "row 2, column 1 (when): the time is not within the years 1678 to 2261"},
		{parquetFile(t, []odd{{[]byte{0xFF}}}), "row 1, column 1 (b): the text is not UTF-8"},
		{parquetFile(t, []odd{{[]byte("x")}})[:40], "is a truncated Parquet file"},
	} {
		f, err := OpenFrame(t.Context(), save(t, "a.parquet", c.file), Options{})
		if err == nil {
			_, err = readFrame(t.Context(), f, 10)
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// fuzzFrame reads a damaged file, which may fail but only as an *Error.
func fuzzFrame(t *testing.T, name string, content []byte) {
	t.Helper()
	f, err := memoryFrameOf(t, name, content, Options{})
	if err == nil {
		defer f.Close()
		_, err = readFrame(t.Context(), f, 7)
	}
	if bad := (*Error)(nil); err != nil && !errors.As(err, &bad) {
		t.Fatalf("error %T: %v", err, err)
	}
}

func FuzzParquetFrame(f *testing.F) {
	note := "x"
	f.Add(parquetFile(f, []cellRow{{Text: "a", Note: &note}, {Text: "b"}}))
	f.Add(parquetFile(f, []cellRow{{Text: "a", Note: &note}, {Text: "b"}}, parquet.DataPageVersion(1), parquet.MaxRowsPerRowGroup(1)))
	for _, codec := range []compress.Codec{&gzip.Codec{}, &zstd.Codec{}, &brotli.Codec{}, &snappy.Codec{}, &lz4.Codec{}} {
		f.Add(parquetFile(f, []cellRow{{Text: "a", Note: &note}, {Text: "b"}}, parquet.Compression(codec)))
	}
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFrame(t, "a.parquet", content) })
}
