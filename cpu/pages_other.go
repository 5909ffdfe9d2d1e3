//go:build !linux

package cpu

// adviseLargePage has no counterpart on this system.
func adviseLargePage([]float32) {}
