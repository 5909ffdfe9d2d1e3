package data

import (
	"archive/zip"
	"bytes"
	"os"
	"testing"
)

// npzFile archives members, name and content in turn.
func npzFile(t testing.TB, method uint16, members ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		m, err := w.CreateHeader(&zip.FileHeader{Name: members[i].(string), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(members[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestNPZ(t *testing.T) {
	x := npyFile(npyHeader("'<f4'", "False", "(2, 2)"), littleEndian(t, []float32{1, 2, 3, 4}))
	y := npyFile(npyHeader("'<f4'", "True", "(2, 2)"), littleEndian(t, []float32{5, 7, 6, 8}))
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		one := open(t, save(t, "one.npz", npzFile(t, method, "arr_0.npy", x)), Options{})
		if info := one.Info(); info.Format != "npz" || info.Rows != 2 {
			t.Errorf("%+v", info)
		}
		sameRows(t, one, []float32{1, 2, 3, 4})

		two := save(t, "two.npz", npzFile(t, method, "x.npy", x, "y.npy", y))
		sameRows(t, open(t, two+":x", Options{}), []float32{1, 2, 3, 4})
		sameRows(t, open(t, two+":y", Options{}), []float32{5, 6, 7, 8})
	}
}

// TestFilesStayOnTheDisk changes a file after it was opened: what is read must
// come from there, not from memory.
func TestFilesStayOnTheDisk(t *testing.T) {
	x := npyFile(npyHeader("'|i1'", "False", "(2, 2)"), []byte{1, 2, 3, 4})
	for name, content := range map[string][]byte{
		"a.npy": x,
		"a.npz": npzFile(t, zip.Store, "x.npy", x),
		"a.idx": idxFile(0x09, []int{2, 2}, []byte{1, 2, 3, 4}),
	} {
		path := save(t, name, content)
		d := open(t, path, Options{})
		content = bytes.Clone(content)
		content[bytes.Index(content, []byte{1, 2, 3, 4})+2] = 9
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		sameRows(t, d, []float32{1, 2, 9, 4})
	}
}

func TestNPZRefused(t *testing.T) {
	x := npyFile(npyHeader("'<f4'", "False", "(2, 2)"), littleEndian(t, []float32{1, 2, 3, 4}))
	refused(t, "none.npz", npzFile(t, zip.Store), Options{}, "holds no array")
	refused(t, "two.npz", npzFile(t, zip.Store, "x.npy", x, "y.npy", x), Options{}, "holds the arrays x, y", "two.npz:x")
	refused(t, "text.npz", npzFile(t, zip.Store, "x.txt", []byte("1,2")), Options{}, "text.npz:x.txt")
	refused(t, "magic.npz", []byte("not at all"), Options{}, "damaged ZIP")
	refused(t, "again.npz.gz", gzipped(t, npzFile(t, zip.Store, "x.npy", x)), Options{}, "decompress it first")
	refused(t, "key.npz", npzFile(t, zip.Store, "x.npy", x), Options{key: "z"}, `holds no array "z"; choose one of x`)
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		whole := npzFile(t, method, "x.npy", x)
		refused(t, "cut.npz", whole[:len(whole)-10], Options{}, "damaged ZIP")
		refused(t, "short.npz", npzFile(t, method, "x.npy", x[:len(x)-1]), Options{}, "short.npz:x: is truncated")
		refused(t, "long.npz", npzFile(t, method, "x.npy", append(bytes.Clone(x), 0)), Options{}, "long.npz:x: has bytes after")
		refused(t, "objects.npz", npzFile(t, method, "x.npy", npyFile(npyHeader("'|O'", "False", "(2,)"), nil)), Options{}, "Python objects")
	}
	stored := npzFile(t, zip.Store, "x.npy", x)
	stored[bytes.Index(stored, []byte(npyMagic))+len(x)-1] ^= 1 // the last element's last byte
	refused(t, "sum.npz", stored, Options{}, "cannot be read")
}

func FuzzNPZ(f *testing.F) {
	x := npyFile(npyHeader("'<f4'", "False", "(2, 2)"), littleEndian(f, []float32{1, 2, 3, 4}))
	f.Add(npzFile(f, zip.Store, "x.npy", x))
	f.Add(npzFile(f, zip.Deflate, "x.npy", x))
	f.Add(npzFile(f, zip.Store, "x.npy", x, "y.npy", x))
	f.Add(npzFile(f, zip.Store))
	f.Fuzz(func(t *testing.T, content []byte) {
		if isNPZ(content) {
			fuzzOpen(t, content, Options{})
		}
	})
}
