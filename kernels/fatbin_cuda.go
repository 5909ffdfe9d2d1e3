//go:build cuda

package kernels

import (
	_ "embed"
	"fmt"
)

//go:embed gpudae.fatbin
var fatbin []byte

//go:embed gpudae.toolkit
var toolkit string

// Fatbin is what a driver loads: machine code and PTX, see Images. The caller
// must not change it.
func Fatbin() []byte { return fatbin }

// Toolkit is the version of the toolkit that made the fatbin, as the driver
// counts versions (13000 for 13.0). A driver of an older major version refuses
// the fatbin.
func Toolkit() (int, error) {
	var major, minor int
	if _, err := fmt.Sscanf(toolkit, "%d.%d", &major, &minor); err != nil {
		return 0, fmt.Errorf("kernels: toolkit version %q: %w", toolkit, err)
	}
	return 1000*major + 10*minor, nil
}
