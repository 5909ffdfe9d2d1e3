package cpu_test

import (
	"fmt"
	"math"
	"testing"

	"gpudae/cpu"
	"gpudae/device"
	"gpudae/device/reference"
)

// TestGELUFarOut: beyond 1.8e19, whose square is infinite, GELU is still a or 0.
func TestGELUFarOut(t *testing.T) {
	x := []float32{2e19, -2e19, 1e20, -1e20, 3e38, -3e38, float32(math.Inf(1))}
	for _, name := range cpu.KernelNames() {
		t.Run(name, func(t *testing.T) {
			results := func(dev device.Device) (y, dx []float32) {
				ones := make([]float32, len(x))
				for i := range ones {
					ones[i] = 1
				}
				X, Y, DX := upload(t, dev, 1, len(x), x), upload(t, dev, 1, len(x), ones), upload(t, dev, 1, len(x), ones)
				dev.Activate(device.ActivateArgs{Act: device.GELU, X: X, Y: Y})
				dev.ActivateBackward(device.ActivateBackwardArgs{Act: device.GELU, X: X, DY: DX, DX: DX})
				return download(t, dev, Y), download(t, dev, DX)
			}
			got, gotDX := results(openWith(t, 1, name))
			want, wantDX := results(reference.New())
			for i := range x {
				if got[i] != want[i] {
					t.Errorf("GELU of %g is %g, want %g", x[i], got[i], want[i])
				}
				if gotDX[i] != wantDX[i] && wantDX[i] == wantDX[i] {
					t.Errorf("its derivative at %g is %g, want %g", x[i], gotDX[i], wantDX[i])
				}
			}
		})
	}
}

// TestLossOfGreatVariances: a log-variance s whose exp(s) is beyond float32 costs s/2 nats.
func TestLossOfGreatVariances(t *testing.T) {
	for _, name := range cpu.KernelNames() {
		for _, at := range [][2]float32{{1, float32(math.Inf(-1))}, {1, -80}, {1, 20}, {1, 86.9}, {1, 87.1}, {1, 89}, {1, 700}, {1e19, 88.5}, {1e25, 100}, {3e38, 177}, {3e38, 700}} {
			dev, e, s := openWith(t, 1, name), float64(at[0]), float64(at[1])
			p, loss, grads := upload(t, dev, 1, 2, []float32{at[0], at[1]}), upload(t, dev, 1, 1, []float32{0}), upload(t, dev, 1, 2, []float32{0, 0})
			dev.Likelihood(device.LikelihoodArgs{Kind: device.GaussianLearned, Sigma: 0.3, Scale: 1, Params: p, Target: upload(t, dev, 1, 1, []float32{0}), Losses: loss, DParams: grads})
			learned := math.Exp(s) // 0 at -∞
			v := 0.09 + learned
			square := e / v * e
			want, slope := 0.5*(math.Log(v)+square+math.Log(2*math.Pi)), 0.5*learned/v*(1-square)
			got, ds := float64(download(t, dev, loss)[0]), float64(download(t, dev, grads)[1])
			if !(math.Abs(got-want) <= 1e-5*math.Abs(want)) || !(math.Abs(ds-slope) <= 1e-5*max(math.Abs(slope), 0.5*square)) {
				t.Errorf("%s: the loss of a residual of %g with s = %g is %g with slope %g, want %g and %g", name, e, s, got, ds, want, slope)
			}
		}
	}
}

// TestBatchNormFarOut: LayerNorm of numbers of the same size is right.
func TestBatchNormFarOut(t *testing.T) {
	for _, name := range cpu.KernelNames() {
		for _, kind := range device.Normalizations() {
			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				result := func(dev device.Device) []float32 {
					v := func(x ...float32) device.View { return upload(t, dev, 1, len(x), x) }
					x := upload(t, dev, 2, 2, []float32{1e20, -1e20, -1e20, 1e20})
					y := upload(t, dev, 2, 2, make([]float32, 4))
					dev.Normalize(device.NormalizeArgs{Kind: kind, Training: true, Epsilon: 1e-5, Momentum: 0.1, X: x, Gain: v(1, 1), Bias: v(0, 0),
						RunningMean: v(0, 0), RunningVar: v(1, 1), Mean: v(0, 0), InvStd: v(0, 0), Y: y})
					return download(t, dev, y)
				}
				got, want := result(openWith(t, 1, name)), result(reference.New())
				for i := range want {
					if math.Abs(float64(got[i]-want[i])) > 1e-5 {
						t.Fatalf("%v, want %v", got, want)
					}
				}
			})
		}
	}
}
