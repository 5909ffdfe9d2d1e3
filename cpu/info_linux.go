package cpu

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// cpuModel is the processor's name as the kernel knows it.
func cpuModel() string {
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH + " processor"
}

// systemMemory returns the bytes of memory that this process may use in all
// and now: those of the machine, or of its control group if that has fewer.
func systemMemory() (total, free uint64) {
	total, free = kilobytes("MemTotal"), kilobytes("MemAvailable")
	limit, used := number("/sys/fs/cgroup/memory.max"), number("/sys/fs/cgroup/memory.current")
	if limit != math.MaxUint64 && used != math.MaxUint64 && limit < total {
		total = limit
		free = min(free, limit-min(used, limit))
	}
	return total, free
}

// procField returns the value of the first "name : value" line of a file.
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes reads a line of /proc/meminfo, in bytes; 0 if there is none.
func kilobytes(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(procField("/proc/meminfo", name), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// number reads a file that holds one number; MaxUint64 if it does not.
func number(path string) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}
