package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpudae/data"
	"gpudae/device"
)

// mixed is a table of every kind of column, with missing cells in most of them.
func mixed(rows int) data.Frame {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"north", "south", "östlich", `the "west"`, "a;b"}
	var lines []string
	for range rows {
		lines = append(lines, strings.Join([]string{
			fmt.Sprintf("%.3f", random.NormFloat64()*1e3),
			maybe(random, fmt.Sprint(random.IntN(300))),
			fmt.Sprint(random.IntN(2)),
			maybe(random, []string{"no", "yes"}[random.IntN(2)]),
			maybe(random, words[random.IntN(len(words))]),
			maybe(random, fmt.Sprintf("2024-%02d-%02d %02d:%02d", 1+random.IntN(12), 1+random.IntN(28), random.IntN(24), random.IntN(60))),
			fmt.Sprintf("%d", random.IntN(70_000)),
			fmt.Sprintf("word %d", random.IntN(400)),
			fmt.Sprint(random.IntN(2)),
		}, ","))
	}
	return texts("real,count,bit,answer,place,when,many,word,flag", lines...)
}

func maybe(random *rand.Rand, cell string) string {
	if random.IntN(5) == 0 {
		return []string{"", "NA", " ? "}[random.IntN(3)]
	}
	return cell
}

func cellsOf(s *Store) (names string) {
	for _, c := range s.Records().Columns {
		names += c.Cell.String() + " "
	}
	return strings.TrimSpace(names)
}

// What is encoded and decoded is what was there: texts, categories, integers and
// times exactly, real numbers to their decimals.
func TestDecodeOfEncode(t *testing.T) {
	for _, scaling := range Scalings() {
		t.Run(string(scaling), func(t *testing.T) {
			frame := mixed(5000)
			s, _ := infer(t, frame, Options{Scaling: scaling})
			store := encoded(t, frame, s, StoreOptions{})
			if want := "uint16 uint16 bit uint8 uint8 uint16 uint16 uint16 bit"; cellsOf(store) != want {
				t.Errorf("cells %s, not %s", cellsOf(store), want)
			}
			if want := 6*2 - 2 + 2 + 1; store.Records().Stride > want+1 {
				t.Errorf("a record of %d bytes", store.Records().Stride)
			}
			checkCells(t, frame, s, decoded(t, s, store))
		})
	}
}

// checkCells compares decoded cells with those of the frame.
func checkCells(t *testing.T, frame data.Frame, s *Schema, got map[string][]string) {
	t.Helper()
	if err := frame.Rewind(); err != nil {
		t.Fatal(err)
	}
	cells, err := frame.Next(context.Background(), math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	missing := newMarkers(Missing())
	for j, c := range frame.Info().Columns {
		wrong := 0
		for i, want := range cells.Columns[j].Text {
			if want = strings.TrimSpace(want); missing.has(want) {
				want = "<absent>"
			}
			if g := got[c.Name][i]; g != want && !equalNumbers(g, want) && wrong < 3 {
				wrong++
				t.Errorf("column %s, row %d: %q became %q", c.Name, i+1, want, g)
			}
		}
	}
}

func equalNumbers(a, b string) bool {
	x, _, ok := parseNumber(a)
	y, _, both := parseNumber(b)
	return ok && both && x == y
}

// The records are the same bytes at any number of threads, in memory and in
// files of any size, and a store is read back as it was written.
func TestRecordsAreTheSame(t *testing.T) {
	frame := mixed(150_000)
	s, _ := infer(t, frame, Options{})
	want := encoded(t, frame, s, StoreOptions{Threads: 1})
	if cellsOf(want) != "float32 uint16 bit uint8 uint8 float32 uint16 uint16 bit" {
		t.Errorf("cells %s", cellsOf(want))
	}
	same := func(name string, got *Store) {
		t.Helper()
		if got.Rows() != want.Rows() || !bytes.Equal(got.Records().Bytes, want.Records().Bytes) {
			t.Errorf("%s: other records", name)
		}
		for j, c := range got.Records().Columns {
			if w := want.Records().Columns[j]; c.Cell != w.Cell || c.Offset != w.Offset || !slices.Equal(c.Values, w.Values) || (c.Values == nil) != (w.Values == nil) {
				t.Errorf("%s: column %d is another", name, j)
			}
		}
		low, high := got.ColumnExtremes()
		wantLow, wantHigh := want.ColumnExtremes()
		if !slices.Equal(low, wantLow) || !slices.Equal(high, wantHigh) {
			t.Errorf("%s: other extremes", name)
		}
	}
	same("three threads", encoded(t, frame, s, StoreOptions{Threads: 3}))

	identified := hashed{frame, "abc"}
	folder := filepath.Join(t.TempDir(), "cache", "records")
	same("files", encoded(t, identified, s, StoreOptions{Folder: folder, ShardBytes: 1}))
	shards, err := filepath.Glob(filepath.Join(folder, "*.records"))
	if err != nil || len(shards) != 3 {
		t.Errorf("150,000 rows are in %d files: %v", len(shards), err)
	}
	opened, err := OpenStore(context.Background(), folder, s, "abc")
	if err != nil {
		t.Fatal(err)
	}
	same("files read back", opened)
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	unread := unreadable{identified}
	same("files used again", encoded(t, unread, s, StoreOptions{Folder: folder}))

	wider := *s
	wider.Rows = 10 // as if it were of other data, so that the memory is found to be too small
	same("memory, then files", encoded(t, identified, &wider, StoreOptions{Folder: filepath.Join(t.TempDir(), "r"), Memory: want.Bytes() / 2}))
	left, err := filepath.Glob(filepath.Join(filepath.Dir(folder), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// hashed is a frame of data with a checksum, and of unknown length.
type hashed struct {
	data.Frame
	sum string
}

func (f hashed) Info() data.FrameInfo {
	info := f.Frame.Info()
	info.SHA256, info.Rows = f.sum, -1
	return info
}

// unreadable is a frame that must not be read.
type unreadable struct{ data.Frame }

func (unreadable) Next(context.Context, int) (*data.Cells, error) { panic("read") }

func TestDamagedStores(t *testing.T) {
	frame := hashed{mixed(70_000), "abc"}
	s, _ := infer(t, frame, Options{})
	other := *s
	other.Columns = slices.Clone(s.Columns)
	other.Columns[0].Weight = 2
	write := func(name string, change func([]byte) []byte) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			path := filepath.Join(folder, name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(content), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, folder string)
		schema *Schema
		sum    string
		want   string
	}{
		{"a bit of the records", write("00000.records", flip), s, "abc", "checksum differs"},
		{"cut off", write("00001.records", func(b []byte) []byte { return b[:len(b)-1] }), s, "abc", "were written"},
		{"longer", write("00001.records", func(b []byte) []byte { return append(b, 0) }), s, "abc", "were written"},
		{"a bit of the index", write(indexName, flip), s, "abc", indexName},
		{"a file that is gone", func(t *testing.T, folder string) { os.Remove(filepath.Join(folder, "00000.records")) }, s, "abc", "00000.records"},
		{"no index", func(t *testing.T, folder string) { os.Remove(filepath.Join(folder, indexName)) }, s, "abc", "no index"},
		{"another schema", func(*testing.T, string) {}, &other, "abc", "another schema"},
		{"other data", func(*testing.T, string) {}, s, "def", "other data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "records")
			if err := encoded(t, frame, s, StoreOptions{Folder: folder, ShardBytes: 1}).Close(); err != nil {
				t.Fatal(err)
			}
			c.damage(t, folder)
			store, err := OpenStore(context.Background(), folder, c.schema, c.sum)
			if err == nil {
				store.Close()
			}
			wantError(t, err, folder, c.want, "encode the data again")
			if _, err := os.Stat(filepath.Join(folder, indexName)); err != nil {
				return
			}
			encoded(t, hashed{frame.Frame, c.sum}, c.schema, StoreOptions{Folder: folder, ShardBytes: 1}).Close()
			again, err := OpenStore(context.Background(), folder, c.schema, c.sum)
			if err != nil {
				t.Fatalf("encoded again: %v", err)
			}
			again.Close()
		})
	}
	for _, others := range [][]string{{"thesis.tex"}, {"thesis.tex", indexName}} {
		t.Run("a folder of other things", func(t *testing.T) {
			folder := t.TempDir()
			for _, name := range others {
				if err := os.WriteFile(filepath.Join(folder, name), nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Encode(context.Background(), frame, s, StoreOptions{Folder: folder})
			wantError(t, err, folder, "other things")
			if _, err := os.Stat(filepath.Join(folder, "thesis.tex")); err != nil {
				t.Error(err)
			}
		})
	}
}

// A failure in the midst of encoding leaves no file.
func TestFailedEncodingLeavesNothing(t *testing.T) {
	lines := repeat(70_000, "1", "2", "3")
	s, _ := infer(t, column(lines...), Options{})
	lines[200_000] = "four"
	parent := t.TempDir()
	_, err := Encode(context.Background(), column(lines...), s, StoreOptions{Folder: filepath.Join(parent, "records"), ShardBytes: 1})
	wantError(t, err, "row 200001", "column 1 (x)", `"four" is not a number`)
	if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// unindexable is a frame at whose end, in the folder that is being written beside the
// records' own, no index can be written.
type unindexable struct {
	data.Frame
	parent string
}

func (f unindexable) Next(ctx context.Context, most int) (*data.Cells, error) {
	cells, err := f.Frame.Next(ctx, most)
	if err != io.EOF {
		return cells, err
	}
	unfinished, err := filepath.Glob(filepath.Join(f.parent, ".*"))
	if err != nil || len(unfinished) != 1 {
		return nil, fmt.Errorf("unfinished: %v, %v", unfinished, err)
	}
	if err := os.MkdirAll(filepath.Join(unfinished[0], indexName, "full"), 0o777); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// Nor does one at its end.
func TestUnfinishedEncodingLeavesNothing(t *testing.T) {
	frame := column(repeat(100, "1", "2", "3")...)
	s, _ := infer(t, frame, Options{})
	parent := t.TempDir()
	store, err := Encode(context.Background(), unindexable{frame, parent}, s, StoreOptions{Folder: filepath.Join(parent, "records")})
	if store != nil || err == nil || !strings.Contains(err.Error(), indexName) {
		t.Errorf("a store %v, the error %v", store, err)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Data with more values, with missing cells or with other words than those that
// the schema was fitted to.
func TestDataUnlikeThoseOfTheSchema(t *testing.T) {
	fitted := texts("n,m,b,c,k", "1,1.5,0,red,5", "2,2.5,1,red,6", "3,3.5,1,blue,7", "4,4.5,0,blue,9", "5,5.5,0,grey,5", "6,5.5,0,grey,5")
	s, _ := infer(t, fitted, Options{})
	var lines []string
	for i := range 400 {
		lines = append(lines, fmt.Sprintf("%s,%d.5,extra,%s,%d,%s", []string{"red", "blue", "green"}[i%3], i, []string{"0", "1", ""}[i%3], i*200, []string{"1", "0", "maybe", "1.0"}[i%4]))
	}
	frame := texts("c,m,new,gone,n,b", lines...)
	store := encoded(t, frame, s, StoreOptions{})
	if cellsOf(store) != "uint16 uint16 uint8 uint8 uint8" {
		t.Errorf("cells %s", cellsOf(store))
	}
	got := decoded(t, s, store)
	if want := []string{"red", "blue", Unknown, "red"}; !slices.Equal(got["c"][:4], want) {
		t.Errorf("c is %v", got["c"][:4])
	}
	if want := []string{"1", "0", "<absent>", "1"}; !slices.Equal(got["b"][:4], want) {
		t.Errorf("b is %v", got["b"][:4])
	}
	if got["k"][0] != "<absent>" || got["n"][1] != "6" { // 200 is beyond what was seen
		t.Errorf("k is %v, n is %v", got["k"][0], got["n"][1])
	}
	for _, want := range []string{"the data lack k", "left out: new, gone", "column c: 133 cells", `"green", are taken as an unknown category`, "column b: 100 cells", "are taken as missing"} {
		wantNotice(t, store.Notices, want)
	}
	low, high := store.ColumnExtremes()
	if !(low[0] < 0) || !(high[0] > 50) || low[4] == low[4] {
		t.Errorf("extremes %v, %v", low, high)
	}
	_, err := Encode(context.Background(), texts("x,y", "1,2"), s, StoreOptions{})
	wantError(t, err, "none of the columns", "n, m, b, c, k")
}

func TestNastyTables(t *testing.T) {
	for name, cells := range map[string][]string{
		"unicode and quotes":    repeat(3, "naïve", `"`, "日本", "a\tb", "new\nline", "x,y", "🙂"),
		"missing everywhere":    append(repeat(10, "", "NA"), "1.5", "2.5", "9.5"),
		"whole numbers to 2^24": {fmt.Sprint(1 << 24), fmt.Sprint(1<<24 - 1), "0", "5"},
		"negative zero":         {"-0.0", "1.0", "2.0", "0.0"},
		"small numbers":         {"1e-300", "2e-300", "5e-300"},
		"old dates":             {"0001-01-01", "9999-12-31", "1582-10-15"},
	} {
		t.Run(name, func(t *testing.T) {
			frame := column(cells...)
			s, _ := infer(t, frame, Options{})
			store := encoded(t, frame, s, StoreOptions{})
			checkCells(t, frame, s, decoded(t, s, store))
		})
	}
}

// Columns with no training value, tables of one row: nothing is left, and that
// is told.
func TestNothingToLearnFrom(t *testing.T) {
	for _, frame := range []data.Frame{texts("a,b", "1,x"), texts("a,b", ",", "NA,?")} {
		s, notices := infer(t, frame, Options{})
		if len(notices) != 2 {
			t.Errorf("notices %v", notices)
		}
		_, err := Encode(context.Background(), frame, s, StoreOptions{})
		wantError(t, err, "no column is left")
	}
}

// float32 holds whole numbers up to 2^24 of the range; beyond that they come
// back to the nearest that it has.
func TestWholeNumbersBeyondFloat32(t *testing.T) {
	for _, c := range []struct {
		cells []string
		step  float64 // to which they are right
		note  string
	}{
		{[]string{"16777217", "0", "33554433", "5"}, 4, ""},
		{[]string{"9007199254740993", "1", "3", "7"}, 1 << 30, "beyond 2^53 are rounded"},
		{[]string{"123456789012345678901234567890", "-5", "12"}, 1e23, "beyond 2^53 are rounded"},
	} {
		frame := column(c.cells...)
		s, notices := infer(t, frame, Options{})
		if c.note != "" {
			wantNotice(t, notices, c.note)
		}
		for i, text := range decoded(t, s, encoded(t, frame, s, StoreOptions{}))["x"] {
			got, _, _ := parseNumber(text)
			want, _, _ := parseNumber(c.cells[i])
			near(t, c.cells[i], got, want, c.step)
		}
	}
}

// Cells of types come back as they were, where float32 can hold them.
func TestDecodeOfEncodeOfTypedCells(t *testing.T) {
	const n = 200
	cells := &data.Cells{Rows: n, Columns: []data.Values{
		{Numbers: make([]float64, n)}, {Integers: make([]int64, n), Absent: make([]bool, n)}, {Booleans: make([]bool, n)},
		{Times: make([]int64, n)}, {Text: make([]string, n), Absent: make([]bool, n)}, {Integers: make([]int64, n)},
	}}
	for i := range n {
		cells.Columns[0].Numbers[i] = float64(i*i%97) / 8
		cells.Columns[1].Integers[i], cells.Columns[1].Absent[i] = int64(i*i%1000-500), i%7 == 0
		cells.Columns[2].Booleans[i] = i%3 == 0
		cells.Columns[3].Times[i] = int64(i*i%300) * day * 1e9
		cells.Columns[4].Text[i], cells.Columns[4].Absent[i] = []string{"x", "y", "z"}[i%3], i%5 == 0
		cells.Columns[5].Integers[i] = int64(i % 4)
	}
	names := []data.FrameColumn{{Name: "f", Type: data.Number}, {Name: "i", Type: data.Integer}, {Name: "b", Type: data.Boolean}, {Name: "t", Type: data.Time}, {Name: "s", Type: data.Text}, {Name: "c", Type: data.Integer}}
	frame := formatted{data.NewFrame("f", names, cells), "parquet"}
	s, _ := infer(t, frame, Options{})
	s.Columns[5].Kind, s.Columns[5].Scaling = Categorical, ""
	s, _ = infer(t, frame, Options{Schema: s})
	store := encoded(t, frame, s, StoreOptions{})
	d, err := s.NewDecoder(true)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Columns(); !slices.Equal(got, names) {
		t.Fatalf("columns %v, not %v", got, names)
	}
	got := d.Decode(values(store))
	for j := range names {
		want := &cells.Columns[j]
		for i := range n {
			if got.Columns[j].IsAbsent(i) != want.IsAbsent(i) {
				t.Fatalf("column %d, row %d: absent %v", j, i, want.IsAbsent(i))
			}
			if want.IsAbsent(i) {
				continue
			}
			if g, w := textOf(&got.Columns[j], i), textOf(want, i); g != w && !(j == 0 && math.Abs(got.Columns[0].Numbers[i]-want.Numbers[i]) < 1e-6) {
				t.Errorf("column %d, row %d: %s became %s", j, i, w, g)
			}
		}
	}
}

// Whole numbers of a text become integers of a typed file if those hold them.
func TestWholeNumbersThatNoIntegerHolds(t *testing.T) {
	frame := texts("small,large,huge", "1,9000000000000000000,40000000000000000000", "2,5,50000000000000000000", "4,6,60000000000000000000", "2,6,60000000000000000000")
	s, _ := infer(t, frame, Options{})
	store := encoded(t, frame, s, StoreOptions{})
	d, err := s.NewDecoder(true)
	if err != nil {
		t.Fatal(err)
	}
	cells := d.Decode(values(store))
	for j, want := range []data.CellType{data.Integer, data.Integer, data.Number} {
		if got := d.Columns()[j].Type; s.Columns[j].Kind != Integer || got != want {
			t.Errorf("column %d is %s and is written as %v, not %v", j, s.Columns[j].Kind, got, want)
		}
	}
	for i, want := range []float64{4e19, 5e19, 6e19} {
		near(t, "a huge number", cells.Columns[2].Numbers[i], want, want*1e-5)
	}
}

// An Encoder gives the numbers that a Store holds.
func TestEncoderAgreesWithStore(t *testing.T) {
	frame := mixed(3000)
	s, _ := infer(t, frame, Options{Scaling: GaussRank})
	want := values(encoded(t, frame, s, StoreOptions{}))
	e, err := s.NewEncoder(frame.Info())
	if err != nil {
		t.Fatal(err)
	}
	if err := frame.Rewind(); err != nil {
		t.Fatal(err)
	}
	cells, err := frame.Next(context.Background(), 3000)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 3000*e.Width())
	if err := e.Encode(cells, 0, got); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if math.Float32bits(got[i]+0) != math.Float32bits(want[i]+0) {
			t.Fatalf("number %d is %v, not %v", i, got[i], want[i])
		}
	}
}

func TestBounds(t *testing.T) {
	low, high := 2.5, 30.0
	for _, c := range []struct {
		bounds *Bounds
		want   []string
	}{
		{nil, []string{"1", "40"}},
		{&Bounds{}, []string{"-984", "1024"}},
		{&Bounds{Low: &low, High: &high}, []string{"3", "30"}},
	} {
		s, _ := infer(t, column("1", "40", "20", "19"), Options{Scaling: None})
		s.Columns[0].Bounds = c.bounds
		d, err := s.NewDecoder(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Decode([]float32{-984.2, 1024.4}).Columns[0].Text; !slices.Equal(got, c.want) {
			t.Errorf("within %v: %v, not %v", c.bounds, got, c.want)
		}
	}
}

// A store of many rows is laid out as device.Records demands, whatever its cells.
func TestPlaces(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		cells := make([]device.Cell, 1+random.IntN(20))
		for j := range cells {
			cells[j] = device.Cell(random.IntN(len(device.Cells())))
		}
		columns, stride := place(cells)
		records := device.Records{Stride: stride, Columns: columns, Bytes: make([]byte, 3*stride)}
		records.Check(3, len(cells))
		want := make([][]uint32, len(cells))
		for j, c := range cells {
			limit := map[device.Cell]uint32{device.CellBit: 2, device.CellUint8: 256, device.CellUint16: 1 << 16, device.CellFloat32: 1 << 20}[c]
			want[j] = []uint32{random.Uint32N(limit), random.Uint32N(limit), random.Uint32N(limit)}
			write(records.Bytes, stride, &columns[j], want[j], 0, 3)
		}
		for j, c := range cells {
			for i, content := range want[j] {
				value := float32(content) - 1
				switch {
				case c == device.CellBit:
					value++
				case c == device.CellFloat32:
					value = math.Float32frombits(content)
				case content == 0:
					value = absent
				}
				if got := records.At(i, j); got != value && (got == got || value == value) {
					t.Fatalf("cells %v: row %d, column %d is %v, not %v", cells, i, j, got, value)
				}
			}
		}
	}
}

// TestEncoderOf: an encoder made of another is like one that is made anew, and the
// two do not count each other's cells.
func TestEncoderOf(t *testing.T) {
	schema, _ := infer(t, mixed(300), Options{})
	first, err := schema.NewEncoder(mixed(1).Info())
	if err != nil {
		t.Fatal(err)
	}
	frame := texts("place,real,extra,when", "nowhere,1.5,x,2024-01-02 03:04", "north,?,y,")
	cells, err := frame.Next(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	made, err := first.Of(frame.Info())
	if err != nil {
		t.Fatal(err)
	}
	anew, err := schema.NewEncoder(frame.Info())
	if err != nil {
		t.Fatal(err)
	}
	got, want := make([]float32, 2*made.Width()), make([]float32, 2*made.Width())
	if err := errors.Join(made.Encode(cells, 0, got), anew.Encode(cells, 0, want)); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("number %d: %v, want %v", i, got[i], want[i])
		}
	}
	if fmt.Sprint(made.Notices()) != fmt.Sprint(anew.Notices()) || !slices.Equal(made.Places(), anew.Places()) {
		t.Errorf("%v at %v, want %v at %v", made.Notices(), made.Places(), anew.Notices(), anew.Places())
	}
	if len(first.Notices()) != 0 || first.Places()[0] != 0 {
		t.Errorf("the first one changed: %v at %v", first.Notices(), first.Places())
	}
	if _, err := first.Of(texts("a,b", "1,2").Info()); err == nil {
		t.Error("a frame with none of the columns")
	}
}
