package devicetest

import (
	"fmt"
	"runtime"
	"testing"

	"gpudae/device"
)

// recorder is a test that keeps its failures to itself.
type recorder struct {
	testing.TB
	failures, logs []string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Logf(format string, a ...any) { r.logs = append(r.logs, fmt.Sprintf(format, a...)) }
func (r *recorder) Failed() bool                 { return len(r.failures) > 0 }
func (r *recorder) Errorf(format string, a ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, a...))
}
func (r *recorder) Fatal(a ...any) { r.Fatalf("%s", fmt.Sprint(a...)) }
func (r *recorder) Fatalf(format string, a ...any) {
	r.Errorf(format, a...)
	runtime.Goexit()
}

// recorded runs f with a recorder to its end.
func recorded(t *testing.T, f func(*recorder)) *recorder {
	r, done := &recorder{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

// failuresOf runs one check on a device and returns what it found.
func failuresOf(t *testing.T, name string, dev device.Device) []string {
	t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return recorded(t, func(r *recorder) { c.run(r, dev, 1, newCoverage()) }).failures
		}
	}
	t.Fatalf("the suite has no check %s", name)
	return nil
}
