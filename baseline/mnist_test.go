package baseline

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// The linear floors of MNIST, pixels in [0, 1]: the expected MSE, over all
// corruptions, of the best linear denoiser of the training images, on those and
// on the test images.
func TestLinearFloorsOfMNIST(t *testing.T) {
	folder := os.Getenv("GPUDAE_TEST_DATA")
	if folder == "" {
		t.Skip("GPUDAE_TEST_DATA is not set")
	}
	folder = filepath.Join(folder, "mnist")
	train := estimate(t, images(t, filepath.Join(folder, "train-images-idx3-ubyte.gz")))
	test := estimate(t, images(t, filepath.Join(folder, "t10k-images-idx3-ubyte.gz")))
	for _, c := range []struct {
		name            string
		corrupt         func(Joint) Joint
		closed          func() (Linear, error)
		onTrain, onTest float64
	}{
		{"gaussian 0.3", func(j Joint) Joint { return j.Gaussian(0.3) }, func() (Linear, error) { return Wiener(train, 0.3, 784) }, 0.012303, 0.012176},
		{"gaussian 0.5", func(j Joint) Joint { return j.Gaussian(0.5) }, func() (Linear, error) { return Wiener(train, 0.5, 784) }, 0.020055, 0.019833},
		{"masking 0.25", func(j Joint) Joint { return j.Masking(0.25) }, func() (Linear, error) { return Marginalized(train, 0.25) }, 0.010659, 0.010705},
		{"masking 0.5", func(j Joint) Joint { return j.Masking(0.5) }, func() (Linear, error) { return Marginalized(train, 0.5) }, 0.018689, 0.018708},
	} {
		t.Run(c.name, func(t *testing.T) {
			onTrain, onTest := c.corrupt(Uncorrupted(train, nil)), c.corrupt(Uncorrupted(test, nil))
			best, err := onTrain.Best()
			if err != nil {
				t.Fatal(err)
			}
			closed, err := c.closed()
			if err != nil {
				t.Fatal(err)
			}
			near(t, "MSE on the training images", onTrain.MSE(best), c.onTrain, 6e-7)
			near(t, "MSE on the test images", onTest.MSE(best), c.onTest, 6e-7)
			near(t, "MSE of the closed form", onTest.MSE(closed), onTest.MSE(best), 1e-9)
		})
	}
}

func images(t *testing.T, path string) Rows {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Magic, Count, Height, Width uint32 }
	if err := binary.Read(unpacked, binary.BigEndian, &header); err != nil {
		t.Fatal(err)
	}
	pixels, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	rows := Rows{Values: make([]float32, len(pixels)), Features: int(header.Height * header.Width)}
	for i, v := range pixels {
		rows.Values[i] = float32(v) / 255
	}
	if header.Magic != 0x803 || rows.Features != 784 || rows.Len() != int(header.Count) {
		t.Fatalf("%s: header %+v for %d pixels", path, header, len(pixels))
	}
	return rows
}
