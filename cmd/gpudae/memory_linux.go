package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// resetPeakMemory starts the measurement of peakMemory anew, where the system
// allows it (proc(5), /proc/pid/clear_refs).
func resetPeakMemory() {
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // without it the peak is that of the process so far
}

// peakMemory is the largest resident size of the process since the reset, in bytes.
func peakMemory() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(status)) {
			if value, found := strings.CutPrefix(line, "VmHWM:"); found {
				kilobytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				if err == nil {
					return kilobytes << 10
				}
			}
		}
	}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return uint64(used.Maxrss) << 10
}
