// Package selftest answers, in seconds and without a test suite, whether a device
// computes what it should on this very machine: it runs every operation of package
// device, in every kind, on the device and on the reference, and compares what
// they leave.
//
// Small models that together have every kind of corruption, activation, norm,
// likelihood and optimiser are trained for some recorded steps and evaluated
// (cases.go); noise levels, stochastic codes and draws are computed each by itself
// (draws.go), and so are the operations on tables of mixed columns (table.go) and
// products of three sizes, since a device may choose its code by their shape
// (products.go). Package devicetest is the thorough suite: each operation by itself,
// with bounds from the arithmetic.
//
// The package must not know any device but the reference.
package selftest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/device"
	"gpudae/device/reference"
	"gpudae/model"
)

// Tolerance bounds the difference of two arrays that rounding to float32 may cause
// in a few steps, as a part of the largest magnitude in the reference's.
const Tolerance = 1e-4

// Report is the outcome of a self-test.
type Report struct {
	Arrays       int            // that were compared
	Worst        float64        // the largest relative difference
	WorstAt      string         // and where it was
	Disagreement []Disagreement // beyond what is allowed, the first of each check
	Allowed      float64        // relative difference
}

// Disagreement is a check whose results differ.
type Disagreement struct {
	Check      string  // the model or the product
	Array      string  // the first array that differs
	Difference float64 // relative to the largest magnitude in the array; +Inf where one has no finite value
}

// OK reports whether the device agrees with the reference.
func (r *Report) OK() bool { return len(r.Disagreement) == 0 }

// shown limits the disagreements that String names.
const shown = 3

// String is one line: how far the results are apart, or what disagrees.
func (r *Report) String() string {
	if r.OK() {
		return fmt.Sprintf("%d arrays agree with the reference, relative difference %.1e at most (%s)", r.Arrays, r.Worst, r.WorstAt)
	}
	var parts []string
	for _, d := range r.Disagreement[:min(shown, len(r.Disagreement))] {
		parts = append(parts, fmt.Sprintf("%s: %s differ by %.1e", d.Check, d.Array, d.Difference))
	}
	if more := len(r.Disagreement) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("disagrees with the reference (%.0e is allowed): %s", r.Allowed, strings.Join(parts, ", "))
}

// Run tests a device. Its error is one of the device, such as
// *device.OutOfMemoryError, or the context's.
func Run(ctx context.Context, dev device.Device) (*Report, error) {
	return run(ctx, dev, checks(), Tolerance)
}

// RunProducts tests the products of dense layers, alone and in the training of the first of
// the small models and of score models, of a device that rounds their factors, so that a relative difference of
// allowed is no error.
func RunProducts(ctx context.Context, dev device.Device, allowed float64) (*Report, error) {
	all := trainings()[:1]
	for _, c := range cases() {
		if c.config.Objective == model.ObjectiveDSM {
			all = append(all, check{c.String(), c.train})
		}
	}
	return run(ctx, dev, append(all, products(deep())...), allowed)
}

func run(ctx context.Context, dev device.Device, checks []check, allowed float64) (*Report, error) {
	r := &Report{Allowed: allowed}
	for _, check := range checks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.run(ctx, dev, check); err != nil {
			return nil, fmt.Errorf("%s: %w", check.name, err)
		}
	}
	return r, nil
}

// check is a computation whose results are compared.
type check struct {
	name string
	body func(context.Context, device.Device) ([]array, error)
}

// array is one result on the host.
type array struct {
	name   string
	values []float32
}

func checks() []check {
	return slices.Concat(trainings(), drawings(), tables(), products(thin()), products(deep()))
}

// trainings are the models of the table.
func trainings() []check {
	var all []check
	for _, c := range cases() {
		all = append(all, check{c.String(), c.train})
	}
	return all
}

// run makes a check on the device and on a reference of its own, whose memory is
// then free again.
func (r *Report) run(ctx context.Context, dev device.Device, c check) error {
	got, err := c.body(ctx, dev)
	if err != nil {
		return err
	}
	oracle := reference.New()
	defer oracle.Close()
	want, err := c.body(ctx, oracle)
	if err != nil {
		return err
	}
	r.compare(c.name, got, want)
	return nil
}

func (r *Report) compare(check string, got, want []array) {
	agrees := true
	for i, w := range want {
		r.Arrays++
		difference := relative(got[i].values, w.values)
		if r.WorstAt == "" || difference > r.Worst {
			r.Worst, r.WorstAt = difference, check+": "+w.name
		}
		if difference > r.Allowed && agrees {
			agrees = false
			r.Disagreement = append(r.Disagreement, Disagreement{check, w.name, difference})
		}
	}
}

// relative is max|got - want| / max|want|, +Inf where a value is not finite.
func relative(got, want []float32) float64 {
	var apart, scale float64
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		apart, scale = max(apart, d), max(scale, math.Abs(float64(w)))
	}
	if apart == 0 {
		return 0
	}
	return apart / scale
}

// download appends a view's elements, unless it is absent.
func download(all []array, dev device.Device, name string, v device.View) ([]array, error) {
	if v.IsZero() {
		return all, nil
	}
	values := make([]float32, v.Len())
	if err := dev.Download(values, v); err != nil {
		return nil, err
	}
	return append(all, array{name, values}), nil
}
