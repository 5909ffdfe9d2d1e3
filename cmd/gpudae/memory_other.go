//go:build !linux

package main

import "runtime"

// resetPeakMemory does nothing here.
func resetPeakMemory() {}

// peakMemory is what the Go runtime has obtained from the system, in bytes: it
// never gives addresses back, so that this is a peak.
func peakMemory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}
