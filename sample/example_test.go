package sample_test

import (
	"context"
	"fmt"
	"log"
	"math"

	"gpudae/sample"
)

// normal is the posterior mean of data from N(0, s²I), known in closed form: what a
// score model learns from examples.
type normal struct {
	features int
	s        float64
}

func (n normal) gain(sigma float64) float64 { return n.s * n.s / (n.s*n.s + sigma*sigma) }

func (n normal) Features() int { return n.features }

func (n normal) DenoiseAt(_ context.Context, dst, x []float32, sigma float64) error {
	for i, v := range x {
		dst[i] = float32(n.gain(sigma) * float64(v))
	}
	return nil
}

func (n normal) PullBackAt(ctx context.Context, dst, _, v []float32, sigma float64) error {
	return n.DenoiseAt(ctx, dst, v, sigma)
}

// Heun follows the probability flow from noise to samples.
func ExampleHeun() {
	ctx := context.Background()
	d := normal{features: 2, s: 0.5}
	levels, err := sample.KarrasLevels(20, 0.002, 40, 7)
	if err != nil {
		log.Fatal(err)
	}
	start, err := sample.StartAt(ctx, d, 0, 4000, levels[0], 1)
	if err != nil {
		log.Fatal(err)
	}
	x, err := sample.Heun(ctx, sample.Descent{Denoiser: d, Levels: levels, Start: start})
	if err != nil {
		log.Fatal(err)
	}
	var squares float64
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	fmt.Printf("standard deviation %.1f\n", math.Sqrt(squares/float64(len(x))))
	// Output: standard deviation 0.5
}

// LogLikelihood integrates the divergence of the flow.
func ExampleLogLikelihood() {
	logs, err := sample.LogLikelihood(context.Background(), normal{features: 1, s: 0.5}, []float32{0, 1},
		sample.Flow{SigmaMin: 0.001, SigmaMax: 50, Steps: 100})
	if err != nil {
		log.Fatal(err)
	}
	for i, x := range []float64{0, 1} {
		exact := -0.5*(x/0.5)*(x/0.5) - math.Log(0.5) - 0.5*math.Log(2*math.Pi)
		fmt.Printf("ln p(%g) = %.3f by the flow, %.3f exactly\n", x, logs[i], exact)
	}
	// Output:
	// ln p(0) = -0.226 by the flow, -0.226 exactly
	// ln p(1) = -2.226 by the flow, -2.226 exactly
}
