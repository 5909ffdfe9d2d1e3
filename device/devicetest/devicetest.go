// Package devicetest is the conformance suite of package device, in the manner
// of testing/fstest: a device that passes Run computes what the contract says.
//
// Every operation runs with every kind (the suite ranges over the kinds of
// package device, so that a missing twin fails by its name) over many shapes,
// odd ones too, and is compared with package reference. Draws and minibatches
// must be equal bit for bit; sums and elementwise functions within a bound that
// comes from the arithmetic of float32 (see bound.go), not from experience.
// Around every operand lie guard elements that hold NaN, so that a write
// outside a view is seen and a read outside one poisons the result; outputs
// hold NaN before the call, so that an element that is not written is seen;
// inputs must be unchanged after the call; and every call is made twice and
// must give the same bits. Defects that auto-encoder programs are known to have
// shipped have a check each, named after what must be true.
//
// The random inputs are a function of a seed, which a failure prints:
//
//	GPUDAE_DEVICETEST_SEED=17 go test ./cpu
//
// replays it, and GPUDAE_DEVICETEST_SEED=random draws a new one. Statistical
// checks use seeds of their own and cannot fail by bad luck.
//
// The package must not know any device but the reference.
package devicetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// SeedVariable is the environment variable that replays a failure.
const SeedVariable = "GPUDAE_DEVICETEST_SEED"

// Run checks the device that open returns. Each check is a subtest, opens a
// device of its own and closes it; open may skip or fail the subtest.
func Run(t *testing.T, open func(testing.TB) device.Device) {
	seed := seedFromEnvironment(t)
	covered := newCoverage()
	all, ran := checks(), 0
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, open(t), seed, covered)
			ran++
		})
	}
	if ran == len(all) { // a filter on subtests covers less on purpose
		t.Run("Coverage", func(t *testing.T) {
			for _, name := range covered.missing() {
				t.Errorf("no check ran %s", name)
			}
		})
	}
}

// RunRounded checks the dense layers of a device that rounds the factors of their products:
// what an output is off beyond the bounds of Run is within bound of the reference's output by
// the norm of Frobenius, and every other property that Run asks of a call holds.
func RunRounded(t *testing.T, open func(testing.TB) device.Device, bound float64) {
	seed := seedFromEnvironment(t)
	for _, c := range denseChecks() {
		t.Run(c.name, func(t *testing.T) {
			rounded(c, bound).run(t, open(t), seed, newCoverage())
		})
	}
}

// rounded is the check with a bound of the norm of each output's error.
func rounded(c check, bound float64) check {
	return check{c.name, func(r *rig) {
		r.bound = bound
		c.body(r)
	}}
}

func seedFromEnvironment(tb testing.TB) uint64 {
	switch text := os.Getenv(SeedVariable); text {
	case "":
		return 1
	case "random":
		return rand.Uint64()
	default:
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			tb.Fatalf("%s: %v", SeedVariable, err)
		}
		return seed
	}
}

// check is one named property of a device.
type check struct {
	name string
	body func(*rig)
}

// checks lists the suite.
func checks() []check {
	var all []check
	for _, group := range [][]check{
		memoryChecks(), gatherChecks(), corruptChecks(), denseChecks(), activateChecks(), normalizeChecks(),
		dropoutChecks(), likelihoodChecks(), reduceChecks(), updateChecks(), tickChecks(), programChecks(),
		momentChecks(), defectChecks(), scoreChecks(), codeChecks(), drawChecks(), samplingChecks(), tableChecks(),
	} {
		all = append(all, group...)
	}
	return all
}

// run applies the check to a device, which it closes.
func (c check) run(tb testing.TB, dev device.Device, seed uint64, covered *coverage) {
	defer func() {
		if p := recover(); p != nil {
			tb.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err := dev.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if tb.Failed() {
			tb.Logf("replay with %s=%d", SeedVariable, seed)
		}
	}()
	c.body(&rig{TB: tb, dev: &counted{Device: dev, coverage: covered}, ref: reference.New(), rng: newRand(seed, c.name)})
}

// newRand returns a generator for a check, so that it draws the same numbers
// whether or not other checks ran before it.
func newRand(seed uint64, name string) *rand.Rand {
	hash := uint64(14695981039346656037) // FNV-1a
	for _, b := range []byte(name) {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, hash))
}

// rig is what a check works with.
type rig struct {
	testing.TB
	dev      device.Device // under test
	ref      *reference.Device
	rng      *rand.Rand
	bound    float64 // of the norm of an output's error, where it is not element by element
	failures int
}

// failuresShown limits what one check prints.
const failuresShown = 8

// report records a failure, and ends the check after a few.
func (r *rig) report(format string, args ...any) {
	r.Helper()
	r.Errorf(format, args...)
	r.failures++
	if r.failures == failuresShown {
		r.Fatalf("further failures are not shown")
	}
}

// must ends the check on an error that is no property under test.
func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// each returns a check for every kind, named "Operation/kind".
func each[K fmt.Stringer](operation string, kinds []K, body func(*rig, K)) []check {
	var all []check
	for _, k := range kinds {
		all = append(all, check{name: operation + "/" + k.String(), body: func(r *rig) { body(r, k) }})
	}
	return all
}
