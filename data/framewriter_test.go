package data

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// TestArrayOfUnknownLength writes the same bytes whether or not the number of rows is
// known at the start; a safetensors header may have more spaces.
func TestArrayOfUnknownLength(t *testing.T) {
	for _, name := range []string{"a.npy", "a.npy.gz", "a.npz", "a.idx", "a.idx.zst", "a.csv", "a.parquet", "a.safetensors", "a.safetensors.gz"} {
		folder := t.TempDir()
		known, unknown := filepath.Join(folder, "known"+name), filepath.Join(folder, "unknown"+name)
		write(t, known, matrix(hardFloats, 3, 4), nil)
		w, err := CreateArray(unknown, ArrayInfo{Rows: -1, Shape: []int{4}, Element: Float32})
		if err != nil {
			t.Fatal(err)
		}
		for row := range 3 {
			if err := w.Append(t.Context(), matrix(hardFloats[4*row:4*row+4], 1, 4)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(name, "safetensors") && !bytes.Equal(load(t, known), load(t, unknown)) {
			t.Errorf("%s: other bytes", name)
		}
		if got := floats(t, open(t, unknown, Options{})); !reflect.DeepEqual(got[:11], hardFloats[:11]) {
			t.Errorf("%s: %v", name, got)
		}
		w.Abort()
		if entries, _ := os.ReadDir(folder); len(entries) != 2 {
			t.Errorf("%s: files left: %v", name, entries)
		}
	}
}

func TestArrayAborted(t *testing.T) {
	for _, name := range []string{"a.npy", "a.npy.gz", "a.npz", "a.csv.zst", "a.parquet", "images/"} {
		folder := t.TempDir()
		info := ArrayInfo{Rows: -1, Shape: []int{2, 2}, Element: Uint8}
		w, err := CreateArray(filepath.Join(folder, name)+strings.Repeat("/", strings.Count(name, "/")), info)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(t.Context(), tensor.New(tensor.WithShape(1, 2, 2), tensor.WithBacking([]uint8{1, 2, 3, 4}))); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if entries, _ := os.ReadDir(folder); len(entries) != 0 {
			t.Errorf("%s: files left: %v", name, entries)
		}
	}
}

func TestImageFolder(t *testing.T) {
	for _, shape := range [][]int{{3, 2}, {3, 2, 3}} {
		pixels := make([]uint8, 4*product(shape))
		for i := range pixels {
			pixels[i] = uint8(i * 7)
		}
		folder := filepath.Join(t.TempDir(), "images")
		x := tensor.New(tensor.WithShape(append([]int{4}, shape...)...), tensor.WithBacking(pixels))
		write(t, folder+"/", x, nil)
		d := open(t, folder, Options{})
		got, err := d.Read(t.Context(), 0, 4)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(Uint8s(got), pixels) || !reflect.DeepEqual(d.Info().Shape, shape) {
			t.Errorf("%v, %v", d.Info().Shape, Uint8s(got))
		}
		if name := FileNames(d)(2); name != "000002" {
			t.Errorf("name %q", name)
		}
		if err := os.Rename(filepath.Join(folder, "000003.png"), filepath.Join(folder, "é.PNG")); err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(t.TempDir(), "again")
		if err := Convert(t.Context(), again+"/", open(t, folder, Options{})); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(load(t, filepath.Join(folder, "é.PNG")), load(t, filepath.Join(again, "é.png"))) {
			t.Error("other images")
		}
		err = Convert(t.Context(), again, open(t, folder, Options{}))
		if bad := (*Error)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "is a folder that is not empty") {
			t.Errorf("over images: %v", err)
		}
	}
	bad := filepath.Join(t.TempDir(), "x")
	if err := Write(t.Context(), bad+"/", matrix(hardFloats, 3, 4), nil); !errors.As(err, new(*Error)) {
		t.Errorf("floats as images: %v", err)
	}
	if _, err := os.Stat(bad); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder is left behind")
	}
}

func TestImageFolderNamesTwice(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "in")
	write(t, folder+"/", tensor.New(tensor.WithShape(2, 1, 1), tensor.WithBacking([]uint8{1, 2})), nil)
	if err := os.Rename(filepath.Join(folder, "000001.png"), filepath.Join(folder, "000000.PNG")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := Convert(t.Context(), out+"/", open(t, folder, Options{})); err == nil || !strings.Contains(err.Error(), "000000.png twice") {
		t.Errorf("error %v", err)
	}
}

// mixedColumns and mixedCells are a table with every type of cell.
func mixedColumns() []FrameColumn {
	return []FrameColumn{{Name: "text, é", Type: Text}, {Name: "number", Type: Number}, {Name: "integer", Type: Integer},
		{Name: "boolean", Type: Boolean}, {Name: "time", Type: Time}, {Name: "date", Type: Time, Dates: true}}
}

func mixedCells() *Cells {
	return &Cells{Rows: 3, Columns: []Values{
		{Text: []string{"a,\"b\"", "", "two\r\nlines ☃"}, Absent: []bool{false, true, false}},
		{Numbers: []float64{0.1, -1e300, 0}, Absent: []bool{false, false, true}},
		{Integers: []int64{1<<63 - 1, 0, -7}, Absent: []bool{false, true, false}},
		{Booleans: []bool{true, false, false}, Absent: []bool{false, false, true}},
		{Times: []int64{1714978029123456789, 0, 0}, Absent: []bool{false, false, true}},
		{Times: []int64{19849 * nanosecondsADay, -nanosecondsADay, 0}, Absent: []bool{false, false, true}},
	}}
}

func TestWriteFrameText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := WriteFrame(t.Context(), path, NewFrame("x", mixedColumns(), mixedCells())); err != nil {
		t.Fatal(err)
	}
	want := "\"text, é\",number,integer,boolean,time,date\n" +
		"\"a,\"\"b\"\"\",0.1,9223372036854775807,true,2024-05-06T06:47:09.123456789Z,2024-05-06\n" +
		",-1e+300,,false,1970-01-01T00:00:00Z,1969-12-31\n" +
		"\"two\r\nlines ☃\",,-7,,,\n"
	if got := string(load(t, path)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWriteFrameNumbers(t *testing.T) {
	cells := mixedCells()
	path := filepath.Join(t.TempDir(), "a.npy")
	err := WriteFrame(t.Context(), path, NewFrame("x", mixedColumns(), cells))
	if bad := (*Error)(nil); !errors.As(err, &bad) || bad.Column != 1 || bad.Path != path {
		t.Errorf("text in an array: %v", err)
	}
	cells.Columns = cells.Columns[1:]
	for _, name := range []string{"a.npy", "a.npz", "a.idx.gz", "a.safetensors"} {
		path := filepath.Join(t.TempDir(), name)
		if err := WriteFrame(t.Context(), path, NewFrame("x", mixedColumns()[1:], cells)); err != nil {
			t.Fatal(err)
		}
		frame := openFrame(t, path, Options{})
		if info := frame.Info(); info.Rows != 3 || len(info.Columns) != 5 || info.Columns[0] != (FrameColumn{Name: "0", Type: Number}) {
			t.Errorf("%s: %+v", name, info)
		}
		blocks, err := readFrame(t.Context(), frame, 2)
		if err != nil || len(blocks) != 2 {
			t.Fatal(len(blocks), err)
		}
		v := blocks[1].Columns
		if !v[0].IsAbsent(0) || v[1].Numbers[0] != -7 || blocks[0].Columns[0].Numbers[1] != -1e300 || blocks[0].Columns[2].Numbers[0] != 1 ||
			blocks[0].Columns[4].Numbers[0] != 19849*24*60*60 || blocks[0].Columns[0].Absent != nil {
			t.Errorf("%s: %+v %+v", name, blocks[0], blocks[1])
		}
	}
}

// TestPreserve writes a text byte for byte, but for the cells that are changed.
func TestPreserve(t *testing.T) {
	content := byteOrderMark + "a;\"b\"\r\n\"1\";x\r\n\r\n;\"y\"\"\"\r\n3;z"
	frame := openFrame(t, save(t, "a.csv", []byte(content)), Options{Raw: true})
	path := filepath.Join(t.TempDir(), "b.csv")
	w, err := CreateFrame(path, frame.Info().Columns)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Preserve(frame.Info()); err != nil {
		t.Fatal(err)
	}
	cells, err := frame.Next(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	cells.Raw.Columns[0][1] = QuoteCell("2;5", ';')
	if err := w.Append(t.Context(), cells); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, want := string(load(t, path)), strings.Replace(content, "\r\n;", "\r\n\"2;5\";", 1); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWriteFrameBare keeps a text without names without.
func TestWriteFrameBare(t *testing.T) {
	for _, content := range []string{"1;x y\n2;\n", "a;b\n1;x\n", "a\n\"\"\n"} {
		frame := openFrame(t, save(t, "a.csv", []byte(content)), Options{Header: HeaderNone})
		path := filepath.Join(t.TempDir(), "b.csv")
		if err := WriteFrame(t.Context(), path, frame); err != nil {
			t.Fatal(err)
		}
		if got, want := string(load(t, path)), strings.ReplaceAll(content, ";", ","); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestEncodeText: what is written into memory is what CreateFrame writes into a file,
// and OpenText reads what OpenFrame reads there, byte for byte where it is preserved.
func TestEncodeText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	frame := NewFrame("x", mixedColumns(), mixedCells())
	if err := WriteFrame(t.Context(), path, frame); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := EncodeText(&b, frame.Info(), mixedCells()); err != nil || b.String() != string(load(t, path)) {
		t.Errorf("%q, %v", b.String(), err)
	}
	for _, content := range []string{byteOrderMark + "\na;\"b\"\r\n\"1\";x\r\n\r\n;\"y\"\"\"\r\n3;z", "a\tb\n1\t\n", "1\n2\n", b.String()} {
		text, err := OpenText([]byte(content), Options{Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		file := openFrame(t, save(t, "b.csv", []byte(content)), Options{Raw: true})
		got, err := text.Next(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		want, err := file.Next(t.Context(), 10)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v, %v", content, got, want, err)
		}
		b.Reset()
		if err := EncodeText(&b, text.Info(), got); err != nil || b.String() != content {
			t.Errorf("%q became %q, %v", content, b.String(), err)
		}
	}
	// Whatever it looks like, it is text.
	for _, content := range []string{"", "\x1f\x8b\x08a", "PAR1\x00PAR1", "\x93NUMPY\x01\x00"} {
		var bad *Error
		if f, err := OpenText([]byte(content), Options{Header: HeaderNames}); !errors.As(err, &bad) {
			cells, err := f.Next(t.Context(), 1)
			if err == nil || !errors.As(err, &bad) && err != io.EOF {
				t.Errorf("%q: %v, %v", content, cells, err)
			}
		}
	}
}

// TestFinishedFilesAreNotThereYet: those that could be completed take their place
// together, or not at all.
func TestFinishedFilesAreNotThereYet(t *testing.T) {
	for _, name := range []string{"a.csv", "a.csv.gz", "a.parquet", "a.arrow", "a.npy"} {
		path := filepath.Join(t.TempDir(), name)
		w, err := CreateFrame(path, []FrameColumn{{Name: "x", Type: Number}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(t.Context(), &Cells{Rows: 2, Columns: []Values{{Numbers: []float64{1, 2}}}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there before Commit", name)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFrame(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if cells, err := f.Next(t.Context(), 5); err != nil || cells.Rows != 2 {
			t.Errorf("%s: %v, %v", name, cells, err)
		}
		f.Close()
	}
}
