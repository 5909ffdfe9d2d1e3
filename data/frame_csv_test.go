package data

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// openFrame opens a frame that must be right.
func openFrame(t testing.TB, path string, o Options) Frame {
	t.Helper()
	f, err := OpenFrame(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// readFrame reads what is left of a frame, a few rows at a time.
func readFrame(ctx context.Context, f Frame, max int) ([]*Cells, error) {
	var blocks []*Cells
	for {
		cells, err := f.Next(ctx, max)
		if err == io.EOF {
			return blocks, nil
		}
		if err != nil {
			return blocks, err
		}
		blocks = append(blocks, cells)
	}
}

// textRows are the rows of blocks of text.
func textRows(blocks []*Cells) [][]string {
	var rows [][]string
	for _, b := range blocks {
		for i := range b.Rows {
			row := make([]string, len(b.Columns))
			for c := range row {
				row[c] = b.Columns[c].Text[i]
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// sourceText puts a text together again.
func sourceText(info FrameInfo, blocks []*Cells) string {
	var b strings.Builder
	b.WriteString(info.Preamble)
	for _, block := range blocks {
		for i := range block.Rows {
			for c, column := range block.Raw.Columns {
				if c > 0 {
					b.WriteByte(info.Separator)
				}
				b.WriteString(column[i])
			}
			b.WriteString(block.Raw.Endings[i])
		}
	}
	return b.String()
}

func TestCSVFrame(t *testing.T) {
	for _, c := range []struct {
		name, content string
		columns       []string
		rows          [][]string
	}{
		{"a.csv", "name,age\nAnna,3\nBo,\n", []string{"name", "age"}, [][]string{{"Anna", "3"}, {"Bo", ""}}},
		{"b.csv", "\uFEFF\r\n\nname;note\r\n\"a;b\";\"say \"\"hi\"\"\"\r\n\r\n\"two\r\nlines\";é\r\n\r\n", []string{"name", "note"},
			[][]string{{"a;b", `say "hi"`}, {"two\r\nlines", "é"}}},
		{"c.tsv", "a,b\tc\n1,5\tx y\n", []string{"a,b", "c"}, [][]string{{"1,5", "x y"}}},
		{"d.csv", "1,2\n3,4", []string{"0", "1"}, [][]string{{"1", "2"}, {"3", "4"}}},
		{"e.csv", ",a\n0,x\n", []string{"", "a"}, [][]string{{"0", "x"}}},
		{"f.csv", "only\n\"\"\nx\r", []string{"only"}, [][]string{{""}, {"x"}}},
		{"g.csv", " a , b\n x , \n", []string{"a", "b"}, [][]string{{" x ", " "}}},
		{"h.csv", "a,b\n", []string{"a", "b"}, nil},
	} {
		for _, suffix := range []string{"", ".gz"} {
			raw := []byte(c.content)
			if suffix != "" {
				raw = gzipped(t, raw)
			}
			f := openFrame(t, save(t, c.name+suffix, raw), Options{Raw: true})
			for pass := range 2 {
				blocks, err := readFrame(t.Context(), f, 1+pass)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				info := f.Info()
				var names []string
				for _, column := range info.Columns {
					names = append(names, column.Name)
				}
				if !reflect.DeepEqual(names, c.columns) || info.Rows != len(c.rows) || info.Format != "csv" {
					t.Errorf("%s: %+v", c.name, info)
				}
				if got := textRows(blocks); !reflect.DeepEqual(got, c.rows) {
					t.Errorf("%s: rows %q, want %q", c.name, got, c.rows)
				}
				if got := sourceText(info, blocks); got != c.content {
					t.Errorf("%s: %q put together again, want %q", c.name, got, c.content)
				}
				if err := f.Rewind(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestCSVFrameFromPipe(t *testing.T) {
	content := "a,b\n" + strings.Repeat("x,1\n", 1000)
	f := openFrame(t, "-", Options{Standard: io.MultiReader(strings.NewReader(content[:99]), strings.NewReader(content[99:]))})
	for range 2 {
		blocks, err := readFrame(t.Context(), f, 300)
		if err != nil || len(textRows(blocks)) != 1000 {
			t.Fatalf("%d rows, %v", len(textRows(blocks)), err)
		}
		if err := f.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCSVFrameLongRows has rows that are longer than the buffer.
func TestCSVFrameLongRows(t *testing.T) {
	long := strings.Repeat("x\n", csvBuffer)
	content := "a,b\n" + strings.Repeat("1,2\n", 1000) + "3,\"" + long + "\"\n4,5\n"
	f := openFrame(t, save(t, "a.csv", []byte(content)), Options{Raw: true})
	blocks, err := readFrame(t.Context(), f, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if rows := textRows(blocks); len(rows) != 1002 || rows[1000][1] != long || rows[1001][1] != "5" {
		t.Errorf("%d rows", len(rows))
	}
	if sourceText(f.Info(), blocks) != content {
		t.Error("the text is not put together again")
	}
}

func TestCSVFrameRefused(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"a,b\nx,y\nz\n", "line 3: has 1 cells where line 1 has 2"},
		{"a,b\nx,\"y\nz\"\nx,y,z\n", "line 4: has 3 cells where line 1 has 2"},
		{"a,b\nx,y\nz,\"open\n\n", "line 3, column 2 (b): has a quotation mark that is not closed"},
		{"a,b\nx,y\nz,\"a\"b\n", "line 3, column 2 (b): has a misplaced quotation mark"},
		{"a,b\nx,y\nz,5\"\n", "line 3, column 2 (b): has a misplaced quotation mark"},
		{"a,b\nx,y\nz,caf\xE9\n", "line 3, column 2 (b): \"caf\\xe9\" is not UTF-8"},
		{"a,2\nx,y\n", "line 1: mixes numbers and text"},
		{"", "is empty"},
		{"\n\n", "has no rows"},
		{"\xFF\xFEa\x00", "UTF-16"},
	} {
		f, err := OpenFrame(t.Context(), save(t, "a.csv", []byte(c.content)), Options{})
		if err == nil {
			_, err = readFrame(t.Context(), f, 10)
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.content, err, c.want)
		}
	}
}

// memoryFrameOf opens a frame of a file's content.
func memoryFrameOf(t testing.TB, name string, content []byte, o Options) (Frame, error) {
	in := &input{path: name, name: name, Close: func() error { return nil }}
	if err := in.start(t.Context(), bytes.NewReader(content), int64(len(content))); err != nil {
		return nil, err
	}
	return openFrameFormat(t.Context(), in, o)
}

// encodingCSV reads a text by the standard library.
func encodingCSV(text string, separator byte) ([][]string, error) {
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, byteOrderMark)))
	reader.Comma = rune(separator)
	return reader.ReadAll()
}

// FuzzCSVFrame compares with encoding/csv, which makes LF of CR LF everywhere, and
// puts the text together again.
func FuzzCSVFrame(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n", "1;2\n3;4", "\uFEFFa\tb\r\n1\t2\r\n", "\"a\",\"b\"\n\"1\",2\n", "\"a\"\"b\",\"c\r\nd\"\n\n\r\n1,2\r", "\"\n", "a\n\"\"", "a\"b\n", "\r\n\ra\n", "a,\"b\"c\n"} {
		f.Add(text, uint8(1))
	}
	f.Fuzz(func(t *testing.T, text string, max uint8) {
		for _, format := range formats() {
			if format.magic != nil && format.magic([]byte(text)) {
				return
			}
		}
		frame, err := memoryFrameOf(t, "a.csv", []byte(text), Options{Header: HeaderNone, Raw: true})
		var blocks []*Cells
		if err == nil {
			defer frame.Close()
			blocks, err = readFrame(t.Context(), frame, 1+int(max))
		}
		got := textRows(blocks)
		if err != nil {
			if bad := (*Error)(nil); !errors.As(err, &bad) {
				t.Fatalf("error %v", err)
			}
			want, standard := encodingCSV(text, separatorOf([]byte(strings.TrimLeft(strings.TrimPrefix(text, byteOrderMark), "\r\n")), "a.csv"))
			if standard == nil && len(want) > 0 && utf8.ValidString(text) && !strings.Contains(text, "\x00") {
				t.Fatalf("error %v, but encoding/csv gives %q", err, want)
			}
			return
		}
		if whole := sourceText(frame.Info(), blocks); whole != text {
			t.Fatalf("%q put together again, want %q", whole, text)
		}
		want, err := encodingCSV(text, frame.Info().Separator)
		if err != nil {
			t.Fatalf("encoding/csv fails: %v", err)
		}
		for _, row := range got {
			for c := range row {
				row[c] = strings.ReplaceAll(row[c], "\r\n", "\n")
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("rows %q, want %q", got, want)
		}
	})
}

func BenchmarkCSVFrame(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("id,name,city,amount,rate,flag,when,count\n")
	for i := range 200_000 {
		text.WriteString(strings.Repeat("7", 1+i%6) + ",Person number " + strings.Repeat("x", i%7) + ",\"Newcastle, Tyne\",1234.56,0.0625,true,2024-05-06 07:08:09,12\n")
	}
	path := save(b, "a.csv", text.Bytes())
	b.Run("frame", func(b *testing.B) {
		b.SetBytes(int64(text.Len()))
		b.ReportAllocs()
		f := openFrame(b, path, Options{})
		for b.Loop() {
			for {
				if _, err := f.Next(b.Context(), 4096); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
			if err := f.Rewind(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-csv", func(b *testing.B) {
		b.SetBytes(int64(text.Len()))
		b.ReportAllocs()
		for b.Loop() {
			r := csv.NewReader(bytes.NewReader(text.Bytes()))
			for {
				if _, err := r.Read(); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
