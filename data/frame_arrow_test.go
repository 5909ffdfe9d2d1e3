package data

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	arrowarray "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
)

func TestArrowFrameReadsBack(t *testing.T) { readsBack(t, "a.arrow") }

// arrowStream writes batches of a column of words from a dictionary, one of large
// text and one of lists if asked for.
func arrowStream(t testing.TB, lists bool, options ...ipc.Option) []byte {
	t.Helper()
	mem := arrowmemory.NewGoAllocator()
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	fields := []arrow.Field{{Name: "word", Type: dictionary, Nullable: true}, {Name: "text", Type: arrow.BinaryTypes.LargeString, Nullable: true}, {Name: "small", Type: arrow.PrimitiveTypes.Uint16}}
	if lists {
		fields = append(fields, arrow.Field{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int8), Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(schema), ipc.WithAllocator(mem))...)
	b := arrowarray.NewRecordBuilder(mem, schema)
	for batch := range 2 {
		for row := range 3 {
			if row == 1 {
				b.Field(0).AppendNull()
			} else if err := b.Field(0).(*arrowarray.BinaryDictionaryBuilder).AppendString([]string{"é", "b"}[(row+batch)%2]); err != nil {
				t.Fatal(err)
			}
			b.Field(1).(*arrowarray.LargeStringBuilder).Append(strings.Repeat("x", 100*row))
			b.Field(2).(*arrowarray.Uint16Builder).Append(uint16(60000 + row))
			if lists {
				b.Field(3).AppendNull()
			}
		}
		record := b.NewRecordBatch()
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
		record.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestArrowStream(t *testing.T) {
	for name, options := range map[string][]ipc.Option{"plain": nil, "lz4": {ipc.WithLZ4()}, "zstd": {ipc.WithZstd()}} {
		f := openFrame(t, save(t, "a.arrows", arrowStream(t, false, options...)), Options{})
		for range 2 {
			blocks, err := readFrame(t.Context(), f, 2)
			if err != nil || len(blocks) != 4 || f.Info().Rows != 6 {
				t.Fatalf("%s: %d blocks, %+v, %v", name, len(blocks), f.Info(), err)
			}
			want := []Values{{Text: []string{"é", ""}, Absent: []bool{false, true}}, {Text: []string{"", strings.Repeat("x", 100)}}, {Integers: []int64{60000, 60001}}}
			if got := blocks[0].Columns; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v", name, got)
			}
			if got := blocks[2].Columns[0].Text[0]; got != "b" {
				t.Errorf("%s: the second batch starts with %q", name, got)
			}
			if err := f.Rewind(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestArrowNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.arrow")
	write(t, path, matrix(hardFloats, 3, 4), []string{"a", "b", "c", "d"})
	d := open(t, path, Options{LabelColumn: "d"})
	if info := d.Info(); info.Format != "arrow" || !reflect.DeepEqual(info.Columns, []string{"a", "b", "c"}) || info.Rows != 3 {
		t.Errorf("%+v", info)
	}
	sameRows(t, d, []float32{hardFloats[0], hardFloats[1], hardFloats[2], hardFloats[4], hardFloats[5], hardFloats[6], hardFloats[8], hardFloats[9], hardFloats[10]})
	if len(d.Labels().Class) != 3 {
		t.Error("no labels")
	}
	refused(t, "text.arrows", arrowStream(t, false), Options{}, "column 1 (word): holds texts, not numbers")
}

// TestFloatStore holds many numbers in a file.
func TestFloatStore(t *testing.T) {
	in := &input{path: "x", Close: func() error { return nil }}
	s := &floatStore{in: in}
	block := make([]float32, heldLongest/8)
	for i := range 3 {
		block[0] = float32(i)
		if err := s.append(block); err != nil {
			t.Fatal(err)
		}
	}
	if s.spool == nil {
		t.Fatal("all in memory")
	}
	d, err := s.dataset(t.Context(), Info{Name: "x", Shape: []int{len(block)}}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x, err := d.Read(t.Context(), 2, 1)
	if err != nil || Float32s(x)[0] != 2 || d.Info().Rows != 3 {
		t.Errorf("%v, %+v", err, d.Info())
	}
}

func TestArrowRefused(t *testing.T) {
	stream := arrowStream(t, false)
	path := filepath.Join(t.TempDir(), "a.arrow")
	write(t, path, matrix(hardFloats, 3, 4), nil)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(stream)
	copy(huge[4:], "\xFF\xFF\xFF\x7F")
	bomb := arrowStream(t, false, ipc.WithZstd())
	at := bytes.Index(bomb, []byte("\x28\xb5\x2f\xfd")) - 8
	copy(bomb[at:], "\x00\x00\x00\x00\x40\x00\x00\x00")
	for _, c := range []struct {
		file []byte
		want string
	}{
		{arrowStream(t, true), "column 4 (list): holds lists or records, not one value for each row"},
		{stream[:len(stream)/2], "ends early"},
		{file[:len(file)-9], "is a truncated Arrow file"},
		{huge, "exceeds limit"},
		{bomb, "asks for a buffer of 274877906944 bytes, more than the limit of 67108864"},
	} {
		f, err := OpenFrame(t.Context(), save(t, "a.arrow", c.file), Options{})
		if err == nil {
			_, err = readFrame(t.Context(), f, 10)
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func FuzzArrowFrame(f *testing.F) {
	f.Add(arrowStream(f, false))
	f.Add(arrowStream(f, true, ipc.WithLZ4()))
	f.Add(arrowStream(f, false, ipc.WithZstd()))
	path := filepath.Join(f.TempDir(), "a.arrow")
	if err := WriteFrame(f.Context(), path, NewFrame("x", mixedColumns(), mixedCells())); err != nil {
		f.Fatal(err)
	}
	f.Add(load(f, path))
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFrame(t, "a.arrow", content) })
}
