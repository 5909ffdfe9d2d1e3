package train

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
)

// TestBeatsTheLinearFloorOfMNIST: no linear denoiser has a smaller error on the
// test images than linearFloor, the closed form that package baseline computes;
// a hidden layer of rectified units does after two passes.
func TestBeatsTheLinearFloorOfMNIST(t *testing.T) {
	const linearFloor = 0.010705 // MSE a pixel in [0, 1] under masking:0.25
	folder := os.Getenv("GPUDAE_TEST_DATA")
	if folder == "" {
		t.Skip("GPUDAE_TEST_DATA is not set")
	}
	images := func(name string) device.Table {
		d, err := data.Open(context.Background(), filepath.Join(folder, "mnist", name), data.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		all, err := data.Table(context.Background(), d, nil)
		if err != nil {
			t.Fatal(err)
		}
		return device.Table{Rows: all.Rows, Columns: all.Columns, Uint8: all.Uint8, Float32: all.Float32, Scale: all.Scale}
	}
	c := DefaultConfig()
	c.Epochs, c.LR, c.Schedule = 2, 2e-3, "cosine"
	job := Job{
		Device: newCPU(t, 0), Table: images("train-images-idx3-ubyte.gz"), Config: c, Dir: t.TempDir(),
		Model: newDAE(t, model.Config{Features: 784, Hidden: []int{512}, Corruption: "masking:0.25", Likelihood: "bernoulli"}),
	}
	mustRun(t, job)
	saved, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	test := images("t10k-images-idx3-ubyte.gz")
	e, err := saved.Evaluate(context.Background(), job.Device, test, device.Rows{Hi: test.Rows})
	if err != nil {
		t.Fatal(err)
	}
	if !(e.MSE < linearFloor) {
		t.Errorf("MSE %.6f on the test images, the linear floor is %.6f", e.MSE, linearFloor)
	}
	t.Logf("MSE %.6f, linear floor %.6f", e.MSE, linearFloor)
}
