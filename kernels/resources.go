package kernels

import (
	_ "embed"
	"strconv"
	"strings"
)

// Resources are what ptxas says a kernel takes: registers of a thread, and bytes of a block's
// static shared memory.
type Resources struct{ Registers, Shared int }

//go:embed resources.tsv
var resourceTable string

// ResourcesOn returns those of the kernels, by name, in the machine code for an architecture
// such as 90, or 90a; it is empty if there is none.
func ResourcesOn(sm int) map[string]Resources {
	lines := strings.Split(strings.TrimSpace(resourceTable), "\n")[1:] // the first says what the table is
	place := -1
	for i, name := range strings.Split(lines[0], "\t") {
		if strings.TrimSuffix(name, "a") == "registers sm_"+strconv.Itoa(sm) {
			place = i
		}
	}
	all := map[string]Resources{}
	if place < 0 {
		return all
	}
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		registers, err := strconv.Atoi(cells[place])
		shared, wrong := strconv.Atoi(cells[1])
		if err != nil || wrong != nil {
			panicf("resources.tsv, line %d: %q", i+3, line)
		}
		all[cells[0]] = Resources{registers, shared}
	}
	return all
}
