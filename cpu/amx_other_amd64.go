//go:build !linux

package cpu

// tilesGranted reports that the registers of AMX are not to be had on this system.
func tilesGranted() bool { return false }
