//go:build cuda

package gpu

import "fmt"

// Recorded returns the last program that ran, kernel by kernel, once what waits is queued.
func (d *Device) Recorded() []string {
	d.flush()
	var names []string
	for _, l := range d.suspects.programs[0] {
		names = append(names, l.String())
	}
	return names
}

// Multiprocessors is what products are cut for.
func (d *Device) Multiprocessors() int { return d.info.Multiprocessors }

// Capability is the GPU's, by which float32 has its arithmetic.
func (d *Device) Capability() string { return fmt.Sprintf("%d.%d", d.info.Major, d.info.Minor) }
