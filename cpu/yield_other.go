//go:build !linux

package cpu

// yieldProcessor has no counterpart on this system.
func yieldProcessor() {}
