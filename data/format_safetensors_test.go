package data

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"reflect"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/internal/safetensors"
)

func safetensorsFile(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	err := safetensors.Write(&out, &safetensors.File{Tensors: map[string]safetensors.Tensor{
		"images": safetensors.New([]int{2, 1, 3}, []uint8{1, 2, 3, 4, 5, 6}),
		"long":   safetensors.New([]int{2, 2}, []int64{-1, 2, 3, 1 << 40}),
		"real":   safetensors.New([]int{1, 2}, []float64{0.5, 1e300}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSafetensors(t *testing.T) {
	content := safetensorsFile(t)
	for _, path := range []string{save(t, "a.safetensors", content)} {
		d := open(t, path+":images", Options{})
		if info := d.Info(); info.Element != Uint8 || !reflect.DeepEqual(info.Shape, []int{1, 3}) || info.Format != "safetensors" {
			t.Errorf("%+v", info)
		}
		sameRows(t, open(t, path+":long", Options{}), []float32{-1, 2, 3, 1 << 40})
	}
	refused(t, "a.safetensors", content, Options{}, "holds the tensors ", "choose one, as in ")
	refused(t, "a.safetensors", content[:len(content)-1], Options{}, "truncated")
	refused(t, "a.safetensors", []byte("\xff\xff\xff\xff\xff\xff\xff\x7f{}"), Options{}, "declares a header of")
	if _, err := Open(t.Context(), save(t, "a.safetensors", content)+":none", Options{}); !isDataError(err) {
		t.Errorf("error %v", err)
	}
}

func TestSafetensorsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	write(t, path, tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6})), nil)
	f, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values, err := safetensors.Values[float32](f, path, "data", 2, 3)
	if err != nil || values[5] != 6 {
		t.Errorf("%v, %v", values, err)
	}
	packed := save(t, "a.safetensors.gz", gzipped(t, load(t, path)))
	sameRows(t, open(t, packed, Options{}), values)
}

func FuzzSafetensors(f *testing.F) {
	content := safetensorsFile(f)
	f.Add(content[8:])
	f.Add([]byte(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}ab`))
	f.Fuzz(func(t *testing.T, rest []byte) {
		header := max(0, bytes.LastIndexByte(rest, '}')+1)
		fuzzOpen(t, append(binary.LittleEndian.AppendUint64(nil, uint64(header)), rest...), Options{})
	})
}
