package devicetest

import (
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// TestReferencePasses: the suite finds nothing wrong with the reference.
func TestReferencePasses(t *testing.T) {
	Run(t, func(testing.TB) device.Device { return reference.New() })
}
