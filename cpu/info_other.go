//go:build !linux

package cpu

import "runtime"

// cpuModel is the processor's name, of which only the architecture is known here.
func cpuModel() string { return runtime.GOARCH + " processor" }

// systemMemory returns zeros: the amounts are not known on this system.
func systemMemory() (total, free uint64) { return 0, 0 }
