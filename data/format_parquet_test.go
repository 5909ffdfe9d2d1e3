package data

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/brotli"
	"github.com/parquet-go/parquet-go/compress/gzip"
	"github.com/parquet-go/parquet-go/compress/lz4"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	parquetformat "github.com/parquet-go/parquet-go/format"
	"gorgonia.org/tensor"
)

// parquetFile writes rows, []T with T a struct.
func parquetFile[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type mixedRow struct {
	Z     int8     `parquet:"z"`
	A     uint32   `parquet:"a"`
	Big   uint64   `parquet:"big"`
	Long  int64    `parquet:"long,dict"`
	Bit   bool     `parquet:"bit"`
	Real  float64  `parquet:"real"`
	Short float32  `parquet:"short,dict"`
	Price int64    `parquet:"price,decimal(2:18)"`
	Gap   *float32 `parquet:"gap,optional"`
	Class string   `parquet:"class,dict"`
}

func mixedRows() []mixedRow {
	gap := float32(7)
	return []mixedRow{
		{-3, math.MaxUint32, 1 << 63, -5, true, 0.1, 1.5, 1234, &gap, "é"},
		{4, 1, 2, 6, false, -1e30, 2.5, -1, nil, "b"},
		{0, 0, 0, 0, true, 3, 1.5, 0, &gap, "b"},
	}
}

func TestParquet(t *testing.T) {
	nan := float32(math.NaN())
	path := save(t, "a.parquet", parquetFile(t, mixedRows(), parquet.MaxRowsPerRowGroup(2)))
	d := open(t, path, Options{Missing: true, LabelColumn: "class"})
	want := []float32{
		-3, math.MaxUint32, 1 << 63, -5, 1, 0.1, 1.5, 12.34, 7,
		4, 1, 2, 6, 0, -1e30, 2.5, -0.01, nan,
		0, 0, 0, 0, 1, 3, 1.5, 0, 7,
	}
	for _, n := range []int{1, 2, 3} { // also across the groups of rows, and back
		for from := 3 - n; from >= 0; from-- {
			x, err := d.Read(t.Context(), from, n)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range Float32s(x) {
				if w := want[from*9+i]; v != w && (v == v || w == w) {
					t.Errorf("rows %d+%d: value %d is %v, want %v", from, n, i, v, w)
				}
			}
		}
	}
	if info := d.Info(); !reflect.DeepEqual(info.Columns, []string{"z", "a", "big", "long", "bit", "real", "short", "price", "gap"}) || !reflect.DeepEqual(info.Classes, []string{"b", "é"}) {
		t.Errorf("%+v", info)
	}
	if l := d.Labels(); !reflect.DeepEqual(l.Class, []int32{1, 0, 0}) {
		t.Errorf("labels %v", l.Class)
	}
}

func TestParquetRefused(t *testing.T) {
	type list struct {
		A float32   `parquet:"a"`
		L []float32 `parquet:"l"`
	}
	type record struct {
		R struct {
			X float32 `parquet:"x"`
		} `parquet:"r"`
	}
	type when struct {
		T int64 `parquet:"t,timestamp"`
	}
	type reals struct {
		X float64 `parquet:"x"`
	}
	mixed := parquetFile(t, mixedRows())
	refused(t, "a.parquet", mixed, Options{}, "column 10 (class): holds text or bytes")
	refused(t, "a.parquet", mixed, Options{LabelColumn: "class"}, "row 2, column 9 (gap): the value is missing (null)")
	refused(t, "a.parquet", mixed, Options{LabelColumn: "none"}, "column none: there is no such column")
	refused(t, "a.parquet", parquetFile(t, []list{{1, []float32{2}}}), Options{}, "column 2 (l): holds lists or records")
	refused(t, "a.parquet", parquetFile(t, []record{{}}), Options{}, "column 1 (r): holds lists or records")
	refused(t, "a.parquet", parquetFile(t, []when{{1}}), Options{}, "column 1 (t): holds TIMESTAMP")
	refused(t, "a.parquet", parquetFile(t, []reals{{1}, {1e300}}), Options{}, "row 2, column 1 (x): the value is infinite or beyond the range of float32")
	refused(t, "a.parquet", parquetFile(t, []reals{}), Options{}, "has no rows")
	refused(t, "a.parquet", []byte("PAR1"), Options{}, "ends early")
	refused(t, "a.parquet", mixed[:len(mixed)-1], Options{}, "truncated")
	refused(t, "a.parquet", append(mixed[:len(mixed)-8:len(mixed)-8], "\xff\xff\xff\xffPAR1"...), Options{}, "truncated")
	refused(t, "a.parquet.gz", gzipped(t, mixed), Options{}, "compressed already")
}

// TestParquetWritten: groups of rows, order and nulls come back.
func TestParquetWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	nan := float32(math.NaN())
	write(t, path, matrix([]float32{1, nan, 3, 0.1, 5, 6}, 3, 2), []string{"z, \"é\"", "a"})
	d := open(t, path, Options{Missing: true})
	x := floats(t, d)
	if x[0] != 1 || x[1] == x[1] || x[3] != 0.1 || x[5] != 6 || !reflect.DeepEqual(d.Info().Columns, []string{"z, \"é\"", "a"}) {
		t.Errorf("%v %+v", x, d.Info())
	}
	bytes := tensor.New(tensor.WithShape(2, 1, 2), tensor.WithBacking([]uint8{0, 255, 3, 4}))
	write(t, path, bytes, nil)
	d = open(t, path, Options{})
	if x := floats(t, d); !reflect.DeepEqual(x, []float32{0, 255, 3, 4}) || !reflect.DeepEqual(d.Info().Columns, []string{"0", "1"}) {
		t.Errorf("%v %+v", x, d.Info())
	}
	err := Write(t.Context(), path, matrix([]float32{1, 2}, 1, 2), []string{"a", "a"})
	if err == nil || !strings.Contains(err.Error(), "column 2 (a): Parquet needs a name for each column, all different") {
		t.Errorf("error %v", err)
	}
}

// TestParquetDamaged changes every byte of a file; what is not refused still
// has its rows.
func TestParquetDamaged(t *testing.T) {
	type row struct {
		A float32 `parquet:"a,dict"`
		B *int64  `parquet:"b,optional,snappy"`
	}
	b := int64(9)
	content := parquetFile(t, []row{{1, &b}, {2, nil}, {3, &b}})
	for i := range content {
		for _, flip := range []byte{1, 0x80, 0xff} {
			damaged := bytes.Clone(content)
			damaged[i] ^= flip
			fuzzParquet(t, damaged)
		}
	}
}

// fuzzParquet opens content as a pipe: it must give rows or an *Error.
func fuzzParquet(t *testing.T, content []byte) {
	d, err := Open(t.Context(), "-", Options{Standard: bytes.NewReader(content), Missing: true})
	if err != nil {
		if !isDataError(err) {
			t.Fatalf("an error of the wrong type: %T %v", err, err)
		}
		return
	}
	defer d.Close()
	if _, err := d.Read(t.Context(), d.Info().Rows-1, 1); err != nil {
		t.Fatalf("the last row of %+v: %v", d.Info(), err)
	}
}

func FuzzParquet(f *testing.F) {
	type row struct {
		A float32 `parquet:"a,dict"`
		B *int64  `parquet:"b,optional,snappy"`
	}
	b := int64(9)
	f.Add(parquetFile(f, []row{{1, &b}, {2, nil}})[4:])
	f.Add(parquetFile(f, mixedRows())[4:])
	f.Fuzz(func(t *testing.T, rest []byte) { fuzzParquet(t, append([]byte(parquetMagic), rest...)) })
}

func isDataError(err error) bool { return errors.As(err, new(*Error)) }

// TestParquetPagesAreMeasured: what a header declares is compared with the file
// before anything is allocated for it.
func TestParquetPagesAreMeasured(t *testing.T) {
	for words, h := range map[string]parquetformat.PageHeader{
		"more than the 268435456 that are supported": {Type: parquetformat.DataPage, UncompressedPageSize: 1 << 30},
		"that the file has no room for":              {Type: parquetformat.DataPage, CompressedPageSize: 1 << 30},
		"more than the 67108864 that are supported": {Type: parquetformat.DictionaryPage, UncompressedPageSize: 1,
			DictionaryPageHeader: thrift.New(parquetformat.DictionaryPageHeader{NumValues: 9})},
	} {
		content, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
		if err != nil {
			t.Fatal(err)
		}
		in := &input{path: "a.parquet", file: bytes.NewReader(content), size: int64(len(content))}
		err = checkChunk(&parquetformat.ColumnMetaData{NumValues: 1, TotalCompressedSize: in.size}, in)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	in := &input{path: "a.parquet", size: 10}
	if err := checkChunk(&parquetformat.ColumnMetaData{NumValues: 1, TotalCompressedSize: 11}, in); err == nil || !strings.Contains(err.Error(), "is truncated") {
		t.Errorf("error %v", err)
	}
}

// TestParquetPagesInflateToWhatTheyDeclare: a page of any compression that gives
// more than its header says, or less, or is cut off, is refused before it is decoded.
func TestParquetPagesInflateToWhatTheyDeclare(t *testing.T) {
	const size = 1 << 20
	for _, codec := range []compress.Codec{&gzip.Codec{}, &zstd.Codec{}, &brotli.Codec{}, &snappy.Codec{}, &lz4.Codec{}} {
		page, err := codec.Encode(nil, make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		for declared, want := range map[int64]bool{size: true, size - 1: false, size + 1: false, 10: false} {
			if err := checkInflation(codec.CompressionCodec(), bytes.NewReader(page), declared); (err == nil) != want {
				t.Errorf("%s of %d bytes, declared %d: %v", codec, size, declared, err)
			}
		}
		if codec.CompressionCodec() == parquetformat.Snappy {
			continue // says its length first, and its decoder goes by that
		}
		if err := checkInflation(codec.CompressionCodec(), bytes.NewReader(page[:len(page)/2]), size); err == nil {
			t.Errorf("%s: half a page passes", codec)
		}
	}
}

// TestParquetBomb: a header that declares less than its page inflates to.
func TestParquetBomb(t *testing.T) {
	page, err := (&zstd.Codec{}).Encode(nil, make([]byte, 1<<24))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []parquetformat.PageType{parquetformat.DataPage, parquetformat.DataPageV2, parquetformat.DictionaryPage} {
		header, err := thrift.Marshal(new(thrift.CompactProtocol), &parquetformat.PageHeader{Type: kind, CompressedPageSize: int32(len(page)), UncompressedPageSize: 64})
		if err != nil {
			t.Fatal(err)
		}
		content := append(header, page...)
		in := &input{path: "a.parquet", file: bytes.NewReader(content), size: int64(len(content))}
		err = checkChunk(&parquetformat.ColumnMetaData{Codec: parquetformat.Zstd, NumValues: 1, TotalCompressedSize: in.size}, in)
		if err == nil || !strings.Contains(err.Error(), "does not decompress to the 64 bytes") {
			t.Errorf("%v: %v", kind, err)
		}
	}
}
