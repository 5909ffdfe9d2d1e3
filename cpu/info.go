package cpu

import (
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// features lists the instruction sets that matter here.
func features() string {
	present := []string{runtime.GOARCH}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"AVX2", cpu.X86.HasAVX2}, {"FMA", cpu.X86.HasFMA}, {"AVX-512", cpu.X86.HasAVX512F},
		{"AVX512-BF16", cpu.X86.HasAVX512BF16}, {"AMX-BF16", cpu.X86.HasAMXBF16}, {"NEON", cpu.ARM64.HasASIMD},
	} {
		if f.has {
			present = append(present, f.name)
		}
	}
	return strings.Join(present, " ")
}
