package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sample has every type, a scalar, an empty tensor, values at the edges of
// their types, and names that need escapes.
func sample() *File {
	return &File{
		Metadata: map[string]string{"format": "pt", "b": "2", "a": "<1> \"q\" \n é"},
		Tensors: map[string]Tensor{
			"encoder.0.weight": New([]int{2, 3}, []float32{1, -2.5, float32(math.Inf(1)), math.SmallestNonzeroFloat32, 0, math.MaxFloat32}),
			"double":           New([]int{2}, []float64{math.Pi, math.Inf(-1)}),
			"bytes":            New([]int{3}, []uint8{0, 7, 255}),
			"words":            New([]int{1, 2}, []uint32{1, math.MaxUint32}),
			"long":             New([]int{1}, []uint64{math.MaxUint64}),
			"signed":           New([]int{2}, []int64{math.MinInt64, math.MaxInt64}),
			"int":              New([]int{1}, []int32{math.MinInt32}),
			"scalar":           New(nil, []float32{4}),
			"empty":            New([]int{0, 5}, []float32{}),
			"é \"quoted\"":     New([]int{1}, []float32{9}),
		},
	}
}

func encode(t testing.TB, f *File) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, f); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(content []byte) (*File, error) {
	return Read(bytes.NewReader(content), int64(len(content)), "x.safetensors")
}

func TestRoundTrip(t *testing.T) {
	content := encode(t, sample())
	got, err := decode(content)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("read back %+v", got)
	}
	for range 5 { // maps are walked in another order each time
		if !bytes.Equal(encode(t, sample()), content) {
			t.Fatal("equal content gave different bytes")
		}
	}
	if n := binary.LittleEndian.Uint64(content); (n+8)%8 != 0 {
		t.Errorf("data start at byte %d", n+8)
	}
}

func TestAlignment(t *testing.T) {
	content := encode(t, sample())
	_, entries, err := parseHeader(content[8 : 8+binary.LittleEndian.Uint64(content)])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Offsets[0]%e.element.size != 0 {
			t.Errorf("%s of %d-byte elements starts at %d", e.name, e.element.size, e.Offsets[0])
		}
	}
}

func TestLargeTensorCrossesChunks(t *testing.T) {
	values := make([]float32, 2*chunk+1)
	for i := range values {
		values[i] = float32(i)
	}
	f, err := decode(encode(t, &File{Tensors: map[string]Tensor{"w": New([]int{len(values)}, values)}}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Values[float32](f, "x", "w")
	if err != nil || !reflect.DeepEqual(got, values) {
		t.Errorf("%d values, error %v", len(got), err)
	}
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := WriteFile(path, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("read back %+v, %v", got, err)
	}
	if _, err := ReadFile(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ReadFile(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

func TestValues(t *testing.T) {
	f := sample()
	if v, err := Values[float32](f, "m", "encoder.0.weight", 2, 3); err != nil || len(v) != 6 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := Values[uint8](f, "m", "bytes"); err != nil {
		t.Error(err)
	}
	for want, err := range map[string]error{
		`m: tensor "none": is missing`:                                 second(Values[float32](f, "m", "none")),
		`m: tensor "words": holds U32, not F32`:                        second(Values[float32](f, "m", "words")),
		`m: tensor "encoder.0.weight": has the shape [2 3], not [3 2]`: second(Values[float32](f, "m", "encoder.0.weight", 3, 2)),
		`m: tensor "encoder.0.weight": has the shape [2 3], not [6]`:   second(Values[float32](f, "m", "encoder.0.weight", 6)),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNewPanicsOnWrongCount(t *testing.T) {
	for _, shape := range [][]int{{2}, {-1}, {math.MaxInt, 2}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("shape %v was taken for one value", shape)
				}
			}()
			New(shape, []float32{1})
		}()
	}
}

// file builds a file of a header as it stands and data bytes of zeros.
func file(header string, data int) []byte {
	content := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(content, header...), make([]byte, data)...)
}

func TestRefused(t *testing.T) {
	good := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}  `
	if _, err := decode(file(good, 9)); err != nil {
		t.Fatal(err)
	}
	tensor := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty file":           {nil, "0 bytes long"},
		"no header":            {make([]byte, 7), "7 bytes long"},
		"zero header":          {make([]byte, 8), "does not start with {"},
		"header beyond file":   {binary.LittleEndian.AppendUint64(nil, 1), "header of 1 bytes"},
		"header of 2^63":       {append(binary.LittleEndian.AppendUint64(nil, 1<<63), make([]byte, 100)...), "header of 9223372036854775808 bytes"},
		"header over limit":    {append(binary.LittleEndian.AppendUint64(nil, maxHeaderLength+1), make([]byte, 100)...), "header of 100000001 bytes"},
		"leading space":        {file(" {}", 0), "start with {"},
		"not JSON":             {file("{]", 0), "not JSON"},
		"cut JSON":             {file(`{"a":{"dtype":"F32"`, 0), "not JSON"},
		"not UTF-8":            {file("{\"\xff\":1}", 0), "not UTF-8"},
		"text after":           {file(`{} {}`, 0), "3 bytes after"},
		"zeros after":          {file("{}\x00", 0), "bytes after"},
		"no object":            {file(`{"a":[]}`, 0), `"a": is described by [`},
		"null":                 {file(`{"a":null}`, 0), `"a": is described by`},
		"key missing":          {file(`{"a":{"dtype":"F32","shape":[]}}`, 4), "needs dtype"},
		"key unknown":          {file(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":{}}}`, 4), `unknown key "x"`},
		"key twice":            {file(`{"a":{"dtype":"F32","dtype":"U8","shape":[],"data_offsets":[0,4]}}`, 4), `key "dtype" twice`},
		"tensor twice":         {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `key "a" twice`},
		"tensor twice escaped": {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `key "a" twice`},
		"metadata twice":       {file(`{"__metadata__":{},"__metadata__":{}}`, 0), `key "__metadata__" twice`},
		"metadata key twice":   {file(`{"__metadata__":{"a":"1","a":"2"}}`, 0), `key "a" twice`},
		"metadata number":      {file(`{"__metadata__":{"a":1}}`, 0), "where a string"},
		"type unknown":         {file(tensor(`"BF16"`, "[1]", "[0,2]"), 2), `type "BF16"`},
		"type number":          {file(tensor("4", "[1]", "[0,4]"), 4), "where a string"},
		"shape object":         {file(tensor(`"F32"`, "{}", "[0,4]"), 4), "where an array"},
		"shape negative":       {file(tensor(`"F32"`, "[-1]", "[0,4]"), 4), "where a size"},
		"shape fraction":       {file(tensor(`"F32"`, "[1.0]", "[0,4]"), 4), "where a size"},
		"shape exponent":       {file(tensor(`"F32"`, "[1e0]", "[0,4]"), 4), "where a size"},
		"shape nested":         {file(tensor(`"F32"`, "[[1]]", "[0,4]"), 4), "where a size"},
		"shape of 2^64":        {file(tensor(`"F32"`, "[18446744073709551616]", "[0,0]"), 0), "where a size"},
		"product of 2^64":      {file(tensor(`"F32"`, "[4611686018427387904,4]", "[0,0]"), 0), "too large"},
		"bytes of 2^64":        {file(tensor(`"F32"`, "[4611686018427387904]", "[0,0]"), 0), "too large"},
		"terabyte":             {file(tensor(`"F32"`, "[250000000000]", "[0,1000000000000]"), 8), "truncated"},
		"three offsets":        {file(tensor(`"F32"`, "[1]", "[0,4,4]"), 4), "needs dtype"},
		"offsets reversed":     {file(tensor(`"F32"`, "[1]", "[4,0]"), 4), "has -4 bytes"},
		"offsets too long":     {file(tensor(`"F32"`, "[1]", "[0,8]"), 8), "has 8 bytes of data, but F32 of shape [1] takes 4"},
		"hole at start":        {file(tensor(`"F32"`, "[1]", "[4,8]"), 8), "starts at byte 4"},
		"hole":                 {file(strings.Replace(good, "[8,9]", "[9,10]", 1), 10), `"b": starts at byte 9`},
		"overlap":              {file(strings.Replace(good, "[8,9]", "[7,8]", 1), 8), `"b": starts at byte 7`},
		"truncated":            {file(good, 8), `"b": ends at byte 9 of the data, which has 8`},
		"trailing":             {file(good, 10), "has 1 bytes after the last tensor"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := decode(c.content)
			var problem *Error
			if f != nil || !errors.As(err, &problem) || problem.Path != "x.safetensors" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestEndsEarly reads a file that shrinks after its size was taken.
func TestEndsEarly(t *testing.T) {
	content := encode(t, sample())
	for n := range content {
		_, err := Read(bytes.NewReader(content[:n]), int64(len(content)), "x")
		if err == nil || err.Error() != "x: ends early" {
			t.Fatalf("%d bytes of %d: %v", n, len(content), err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	one := New([]int{1}, []float32{1})
	for want, f := range map[string]*File{
		"__metadata__":   {Tensors: map[string]Tensor{"__metadata__": one}},
		"name \"\\xff\"": {Tensors: map[string]Tensor{"\xff": one}},
		"metadata \"a\"": {Metadata: map[string]string{"a": "\xff"}},
	} {
		err := Write(new(bytes.Buffer), f)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// failing fails after some bytes.
type failing struct{ left int }

func (w *failing) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestWriteReportsFailure(t *testing.T) {
	content := encode(t, sample())
	for left := 0; left < len(content); left += 50 {
		if err := Write(&failing{left}, sample()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a failure after %d bytes: %v", left, err)
		}
	}
}

// FuzzRead feeds the reader any bytes: it must not panic, and what it accepts
// must survive a round trip.
func FuzzRead(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add(encode(f, &File{}))
	f.Add(file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} `, 8))
	f.Add(file(`{"__metadata__":{"a":"1"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1))
	f.Fuzz(func(t *testing.T, content []byte) {
		read, err := decode(content)
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Fatalf("an error of the wrong type: %v", err)
			}
			return
		}
		first := encode(t, read)
		again, err := decode(first)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if !bytes.Equal(encode(t, again), first) {
			t.Error("the round trip changed the content")
		}
	})
}
