package data

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// compressed packs content as the suffix says.
func compressed(t testing.TB, suffix string, content []byte) []byte {
	t.Helper()
	c, _ := compressionOf("a" + suffix)
	var out bytes.Buffer
	w, err := c.compress(&out)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// endless gives zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDecompressionStopsAtALimit(t *testing.T) {
	for _, c := range []struct{ size, most int64 }{{1, inflateAlways}, {inflateAlways / 128, 2 * inflateAlways}} {
		l := limitInflation(endless{}, "a.npy.gz", c.size)
		l.left = 1 << 16 // the rest of the limit, to be soon there
		n, err := io.Copy(io.Discard, l)
		var e *Error
		if !errors.As(err, &e) || n > 1<<16 || l.most != c.most || !strings.HasPrefix(err.Error(), "a.npy.gz: gives more than ") {
			t.Errorf("%d bytes, limit %d, error %v", n, l.most, err)
		}
	}
}

func TestZstd(t *testing.T) {
	text := []byte("a,b\n1,2\n3,4\n")
	if got := floats(t, open(t, save(t, "a.csv.zst", compressed(t, ".zst", text)), Options{})); len(got) != 4 || got[3] != 4 {
		t.Errorf("%v", got)
	}
	packed := compressed(t, ".zst", text)
	refused(t, "a.csv.zst", packed[:len(packed)-3], Options{}, "ends early")
	packed[len(packed)-1] ^= 1 // of the checksum
	refused(t, "a.csv.zst", packed, Options{}, "is a damaged zstd file")
	refused(t, "a.npy.zst", compressed(t, ".zst", nil), Options{}, "holds nothing but its compression")
	refused(t, "a.csv.zst", []byte("\x28\xb5\x2f\xfd\x04\xf8\x00\x00\x00"), Options{}, "")
}

func FuzzZstd(f *testing.F) {
	f.Add(compressed(f, ".zst", []byte("1,2\n3,4\n"))[4:])
	f.Add(compressed(f, ".zst", idxFile(0x08, []int{2}, []byte{1, 2}))[4:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		if _, err := Open(t.Context(), "-", Options{Standard: bytes.NewReader(append([]byte("\x28\xb5\x2f\xfd"), rest...))}); err != nil && !isDataError(err) {
			t.Fatalf("%T %v", err, err)
		}
	})
}
