//go:build ignore

// Samples judges what score models draw of the toy sets: by the squared maximum
// mean discrepancy to fresh data, beside two Parzen windows of the same training
// data, and beside other fresh data, which is as good as can be.
//
// usage: samples GPUDAE FOLDER TABLE.md SET...
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gpudae/data"
	"gpudae/twosample"
)

const (
	trained = 2000  // points to train on
	drawn   = 10000 // samples, and fresh points
	// The width of the kernel: where the sets are fine, the median distance would
	// hide what matters.
	bandwidth = 0.1
	// What is asked: this close to fresh data, and this many times closer than
	// the Parzen window of Scott's width.
	mostMMD   = 1e-3
	timesLess = 5
)

// recipe is how every set is trained.
const recipe = "--objective dsm --scale standard --hidden 128,128 --epochs 2000 --batch 512 " +
	"--lr 0.003 --schedule cosine --ema 0.999 --patience 0"

func main() {
	log.SetFlags(0)
	if len(os.Args) < 5 {
		log.Fatal("usage: samples GPUDAE FOLDER TABLE.md SET...")
	}
	ctx, failed := context.Background(), false
	var rows []string
	for _, set := range os.Args[4:] {
		r, err := judge(ctx, os.Args[1], os.Args[2], set)
		if err != nil {
			log.Fatalf("%s: %v", set, err)
		}
		rows = append(rows, r.row())
		fmt.Println(r.row())
		failed = failed || !r.holds()
	}
	if err := os.WriteFile(os.Args[3], []byte(page(rows)), 0o666); err != nil {
		log.Fatal(err)
	}
	if failed {
		log.Fatalf("samples are not within %g of fresh data, or not %d times closer than the Parzen window of Scott's width", mostMMD, timesLess)
	}
}

// result holds squared MMDs to fresh data.
type result struct {
	set         string
	floor, ours float64
	best, scott window
}

// window is a Parzen window with one width for both columns.
type window struct{ width, mmd float64 }

func judge(ctx context.Context, program, folder, set string) (result, error) {
	r := result{set: set}
	training, err := load(ctx, fmt.Sprintf("%s:n=%d", set, trained))
	if err != nil {
		return r, err
	}
	var fresh [2]twosample.Rows
	for i := range fresh {
		if fresh[i], err = load(ctx, fmt.Sprintf("%s:n=%d,seed=%d", set, drawn, 101+i)); err != nil {
			return r, err
		}
	}
	run, out := filepath.Join(folder, set), filepath.Join(folder, set+".npy")
	if err := do(program, append([]string{"train", fmt.Sprintf("%s:n=%d", set, trained), "-q", "-o", run}, strings.Fields(recipe)...)...); err != nil {
		return r, err
	}
	if err := do(program, "sample", run, "-q", "-n", fmt.Sprint(drawn), "-o", out); err != nil {
		return r, err
	}
	samples, err := load(ctx, out)
	if err != nil {
		return r, err
	}
	r.best.width, r.scott.width = bestWidth(training), scottWidth(training)
	for _, c := range []struct {
		of *float64
		x  twosample.Rows
	}{{&r.floor, fresh[1]}, {&r.ours, samples}, {&r.best.mmd, parzen(training, r.best.width)}, {&r.scott.mmd, parzen(training, r.scott.width)}} {
		m, err := twosample.MMD(ctx, c.x, fresh[0], twosample.Options{Bandwidth: bandwidth})
		if err != nil {
			return r, err
		}
		*c.of = m.Statistic
	}
	return r, nil
}

func load(ctx context.Context, name string) (twosample.Rows, error) {
	d, err := data.Open(ctx, name, data.Options{})
	if err != nil {
		return twosample.Rows{}, err
	}
	defer d.Close()
	x, err := data.Floats(ctx, d, 0, d.Info().Rows)
	if err != nil {
		return twosample.Rows{}, err
	}
	return twosample.Rows{Values: data.Float32s(x), Features: d.Info().Features}, nil
}

func do(program string, args ...string) error {
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("gpudae %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// bestWidth maximises the leave-one-out likelihood of a Parzen window with a
// Gaussian kernel (Duin 1976) over widths 15 % apart.
func bestWidth(x twosample.Rows) float64 {
	best, width := math.Inf(-1), 0.0
	for h := 0.005; h < 0.5; h *= 1.15 {
		sum := 0.0
		for i := range x.Len() {
			density := 0.0
			for j := range x.Len() {
				if i != j {
					dx, dy := float64(x.Values[2*i]-x.Values[2*j]), float64(x.Values[2*i+1]-x.Values[2*j+1])
					density += math.Exp(-(dx*dx + dy*dy) / (2 * h * h))
				}
			}
			sum += math.Log(density/(h*h) + math.SmallestNonzeroFloat64)
		}
		if sum > best {
			best, width = sum, h
		}
	}
	return width
}

// scottWidth is n^(-1/6) times the root mean variance of the two columns (Scott
// 1992), which suits a single Gaussian.
func scottWidth(x twosample.Rows) float64 {
	n, variance := float64(x.Len()), 0.0
	for j := range 2 {
		var sum, square float64
		for i := range x.Len() {
			v := float64(x.Values[2*i+j])
			sum, square = sum+v/n, square+v*v/n
		}
		variance += (square - sum*sum) / 2
	}
	return math.Sqrt(variance) * math.Pow(n, -1.0/6)
}

// parzen draws from the window: a training point and Gaussian noise.
func parzen(x twosample.Rows, h float64) twosample.Rows {
	random := rand.New(rand.NewPCG(1, 2))
	out := twosample.Rows{Features: 2}
	for range drawn {
		i := random.IntN(x.Len())
		for j := range 2 {
			out.Values = append(out.Values, x.Values[2*i+j]+float32(h*random.NormFloat64()))
		}
	}
	return out
}

// times is how much closer to fresh data the samples are than a window's; what
// chance leaves is the least that is believed.
func (r result) times(w window) float64 { return w.mmd / max(r.ours, math.Abs(r.floor)) }

func (r result) holds() bool { return r.ours <= mostMMD && r.times(r.scott) >= timesLess }

func (r result) row() string {
	return fmt.Sprintf("| %s | %.1f | **%.1f** | %.1f (%.3f) | %.1f | %.1f (%.3f) | %.1f |", r.set, 1e5*r.floor, 1e5*r.ours,
		1e5*r.best.mmd, r.best.width, r.times(r.best), 1e5*r.scott.mmd, r.scott.width, r.times(r.scott))
}

func page(rows []string) string {
	return fmt.Sprintf(`# Samples of score models

Written by `+"`scripts/check/samples docs/results/samples.md`"+`, which fails where samples are not within %g of fresh data, or not %d times
closer to it than those of a Parzen window of Scott's width. Squared maximum mean discrepancy, estimated without bias,
with a Gaussian kernel of width %g in the units of the data, between %d fresh points and as many

- other fresh points: what chance leaves;
- samples of a score model: gpudae sample, with its defaults, of what

      gpudae train SET:n=%d %s

  trained;
- draws from a Parzen window of the same %d points, of the width that leave-one-out likelihood chooses, and of Scott's,
  n^(-1/6) standard deviations.

All figures are multiples of 10⁻⁵, widths are in brackets, and "times" is how much closer to fresh data the samples are.

| set | fresh | samples | Parzen, best width | times | Parzen, Scott's width | times |
| --- | --- | --- | --- | --- | --- | --- |
%s

A window of the best width is a hard mark in the plane. The training points themselves, drawn again and again, are at
(1 − E k)/%d ≈ 50·10⁻⁵ from the distribution that they came from, and every model that remembers them is near that: such
a window, and a score model that is trained for as long as this.

## Digits

Samples of a score model of the embedded digits of 8 × 8 pixels, with the command of scripts/readme-figures:

![Samples of digits](../images/samples.png)

and some of them on their way from noise, each column with the contrast of the data:

![Noise becomes digits](../images/denoising.png)

## MNIST

Codes from the prior, h ~ N(0, I), decoded by a variational auto-encoder of two layers of 512 units and a code of 16, whose
held-out ln p(x) is at least −97.8 nats, a pixel's intensity taken for a probability; some minutes on two cores:

    gpudae data get mnist
    gpudae train mnist --preset vae --hidden 512,512 --epochs 30 -o runs/mnist
    gpudae figure runs/mnist samples -o docs/images/mnist.png

![Samples of MNIST](../images/mnist.png)
`, mostMMD, timesLess, bandwidth, drawn, trained, strings.Replace(recipe, "--batch", "\\\n        --batch", 1), trained, strings.Join(rows, "\n"), trained)
}
