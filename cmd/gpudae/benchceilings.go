package main

import (
	"context"
	"fmt"
	"time"

	"gpudae/device"
)

// Bounds of what is timed for --ceilings: it grows until a run takes long enough.
const (
	leastCopy, mostCopy = 1 << 18, 1 << 26 // numbers that are read and written
	leastSide, mostSide = 128, 4096        // of a matrix product
	longEnough          = 0.02             // seconds
	ceilingNodes        = 1000             // operations of a recorded program that do next to nothing
	ceilingSeconds      = 0.2              // in which runs of the last size are repeated
)

// ceilingsJSON is the best that a device does of each kind, as its own kernels have it.
type ceilingsJSON struct {
	Device      string  `json:"device"`
	Description string  `json:"description"`
	CopyGBPerS  float64 `json:"copy_gb_per_s"` // read and written
	GFLOPs      float64 `json:"sgemm_gflops"`
	NodeMicros  float64 `json:"node_us"` // of a recorded operation that waits for the one before
}

// ceilings measures what bounds every step on a device.
func (p *program) ceilings(ctx context.Context, o *benchOptions, asJSON bool) error {
	dev, err := openDevice(o.machine, o.origins, o.console.logf)
	if err != nil {
		return err
	}
	defer dev.Close()
	r := ceilingsJSON{Device: dev.Info().Name, Description: dev.Info().Description}
	perNumber, err := copyRate(ctx, dev)
	if err != nil {
		return err
	}
	perOperation, err := productRate(ctx, dev)
	if err != nil {
		return err
	}
	perNode, err := nodeSeconds(ctx, dev)
	if err != nil {
		return err
	}
	r.CopyGBPerS, r.GFLOPs, r.NodeMicros = 8/perNumber/1e9, 1/perOperation/1e9, 1e6*perNode
	if asJSON {
		return p.printJSON(r)
	}
	return p.printText(fmt.Sprintf("%s: copies %.1f GB/s, multiplies %.0f GFLOP/s, %.2f µs a recorded operation\n", r.Description, r.CopyGBPerS, r.GFLOPs, r.NodeMicros))
}

// copyRate is the time in which a number of a long vector is read and written.
func copyRate(ctx context.Context, dev device.Device) (float64, error) {
	return grown(leastCopy, mostCopy, longEnough, func(n int) (perNumber, seconds float64, err error) {
		v, err := vectors(dev, 2, 1, n)
		if err != nil {
			return 0, 0, err
		}
		seconds, err = fastestRun(ctx, dev, ceilingSeconds, func() error { dev.Combine(device.CombineArgs{Alpha: 1, A: v[0], Dst: v[1]}); return nil })
		return seconds / float64(n), seconds, err
	})
}

// productRate is the time of an operation of a large matrix product, of which a
// fused multiply-add is two.
func productRate(ctx context.Context, dev device.Device) (float64, error) {
	return grown(leastSide, mostSide, longEnough, func(n int) (perOperation, seconds float64, err error) {
		p, err := newSquare(dev, n)
		if err != nil {
			return 0, 0, err
		}
		seconds, err = fastestRun(ctx, dev, ceilingSeconds, func() error { dev.Dense(p.args); return nil })
		return seconds / p.operations(), seconds, err
	})
}

// square is a product of two square matrices.
type square struct {
	dev  device.Device
	args device.DenseArgs
}

func newSquare(dev device.Device, side int) (square, error) {
	v, err := vectors(dev, 3, side, side)
	if err != nil {
		return square{}, err
	}
	return square{dev, device.DenseArgs{X: v[0], W: v[1], Y: v[2]}}, nil
}

func (s *square) operations() float64 {
	side := float64(s.args.Y.Rows)
	return 2 * side * side * side
}

// grown doubles a size until what is made of it takes more than enough seconds, and
// returns that.
func grown[T any](least, most int, enough float64, of func(size int) (made T, seconds float64, err error)) (T, error) {
	for size := least; ; size *= 2 {
		made, seconds, err := of(size)
		if err != nil || 2*size > most || seconds > enough {
			return made, err
		}
	}
}

// nodeSeconds is the time of a recorded operation that waits for the one before it.
func nodeSeconds(ctx context.Context, dev device.Device) (float64, error) {
	tiny, err := vectors(dev, 1, 1, 1)
	if err != nil {
		return 0, err
	}
	program, err := dev.Record(func() {
		for range ceilingNodes {
			dev.Combine(device.CombineArgs{Alpha: 1, A: tiny[0], Dst: tiny[0]})
		}
	})
	if err != nil {
		return 0, err
	}
	seconds, err := fastestRun(ctx, dev, ceilingSeconds, program)
	return seconds / ceilingNodes, err
}

// vectors are n matrices of ones.
func vectors(dev device.Device, n, rows, columns int) ([]device.View, error) {
	ones := make([]float32, rows*columns)
	for i := range ones {
		ones[i] = 1
	}
	views := make([]device.View, n)
	for i := range views {
		memory, err := dev.Alloc(device.Float, len(ones))
		if err != nil {
			return nil, err
		}
		views[i] = device.MatrixOf(memory, 0, rows, columns)
		if err := dev.Upload(views[i], ones); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// fastestRun is the shortest time of a run and its end, of as many as fit the seconds.
func fastestRun(ctx context.Context, dev device.Device, seconds float64, run func() error) (float64, error) {
	best, spent := 0.0, 0.0
	for spent < seconds {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		if err := dev.Sync(); err != nil {
			return 0, err
		}
		took := time.Since(began).Seconds()
		if best == 0 || took < best {
			best = took
		}
		spent += took
	}
	return best, nil
}
