package export

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"gpudae/data"
	"gpudae/device/reference"
	"gpudae/onnx"
)

// TestExchange is one half of scripts/check/onnx: it writes a graph of every
// configuration with its inputs and with what the model itself makes of them,
// in float64, for another runtime to compute.
func TestExchange(t *testing.T) {
	folder := os.Getenv("GPUDAE_EXCHANGE")
	if folder == "" {
		t.Skip("GPUDAE_EXCHANGE is not set: run scripts/check/onnx/run")
	}
	ctx := context.Background()
	for name, config := range configurations() {
		for _, scaler := range []data.Scaler{unscaled(config.Features), standard(config.Features)} {
			s := savedModel(t, config, scaler)
			m, err := ONNX(s, Outputs{true, true})
			if err != nil {
				t.Fatal(err)
			}
			c, err := compare(reference.New(), s, m)
			if err != nil {
				t.Fatal(err)
			}
			sigma := c.noise()
			y, err := c.own(ctx, sigma)
			if err != nil {
				t.Fatal(err)
			}
			if y, err = s.Scaler.Invert(y); err != nil {
				t.Fatal(err)
			}
			h, err := c.net.Encode(ctx, c.z)
			if err != nil {
				t.Fatal(err)
			}
			content, err := onnx.Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join(folder, strings.NewReplacer(" ", "-", ",", "", ":", "-").Replace(name)+"-"+string(scaler.Kind))
			if err := os.WriteFile(base+".onnx", content, 0o600); err != nil {
				t.Fatal(err)
			}
			x := tensor.New(tensor.WithShape(append([]int{c.rows}, s.Schema.Shape...)...), tensor.WithBacking(examples(s)))
			arrays := []data.Array{{Name: "x", Values: x}, {Name: "reconstruction", Values: y}, {Name: "code", Values: h}}
			if sigma != nil {
				arrays = append(arrays, data.Array{Name: "sigma", Values: tensor.New(tensor.WithShape(c.rows, 1), tensor.WithBacking(sigma))})
			}
			if err := data.WriteNPZ(ctx, base+".npz", arrays); err != nil {
				t.Fatal(err)
			}
		}
	}
}
