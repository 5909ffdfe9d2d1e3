//go:build cuda

package gpu

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/device"
	"gpudae/kernels"
)

// launched is a kernel with the shape that it divides among its threads, or a product of cuBLASLt with that of its result.
type launched struct {
	id            kernels.ID
	rows, columns int
	library       bool // the latter
}

// name is the kernel's, or that of the library's function.
func (l launched) name() string {
	if l.library {
		return "cublasLtMatmul"
	}
	return l.id.String()
}

// String names the kernel and the shape.
func (l launched) String() string { return fmt.Sprintf("%s %d×%d", l.name(), l.rows, l.columns) }

// launch queues a kernel on a shape, with the words of the manifest, unless the
// shape is empty. After a failure it does nothing.
func (d *Device) launch(id kernels.ID, rows, columns int, words ...uint64) {
	d.flush()
	d.launchShared(id, rows, columns, id.Shared(), words...)
}

// launchShared is launch with so many bytes of dynamic shared memory.
func (d *Device) launchShared(id kernels.ID, rows, columns, shared int, words ...uint64) {
	if d.err != nil {
		return
	}
	if grid, _ := id.Launch(rows, columns); grid == 0 {
		return
	}
	l := launched{id: id, rows: rows, columns: columns}
	if d.recording != nil {
		d.recording.queue = append(d.recording.queue, queued{launched: l, shared: shared, words: slices.Clone(words)})
		return
	}
	d.queue(l, shared, words)
	d.watch(l)
}

// watch waits for what was queued last, if that is asked for, or keeps its name.
func (d *Device) watch(l launched) {
	if d.err != nil {
		return
	}
	if d.options.Blocking {
		if err := d.context.Synchronize(); err != nil {
			d.fail("kernel "+l.String(), err)
		}
	} else {
		d.suspects.add(l)
	}
}

// queue hands a launch to the driver. After a failure it does nothing.
func (d *Device) queue(l launched, shared int, words []uint64) {
	if d.err != nil {
		return
	}
	grid, block := l.id.Launch(l.rows, l.columns)
	if err := d.context.LaunchShared(d.functions[l.id], grid, block, shared, words...); err != nil {
		d.fail("kernel "+l.String(), err)
	}
}

// suspects are kernels of which one may turn out to have failed: the last single
// ones and those of programs.
type suspects struct {
	single   [32]launched
	count    int // of single ones, also those that were overwritten
	programs [2][]launched
}

func (s *suspects) add(l launched) {
	s.single[s.count%len(s.single)] = l
	s.count++
}

// addProgram keeps the last two different programs: a run has a step for whole
// minibatches and one for the rest of an epoch.
func (s *suspects) addProgram(p []launched) {
	if !same(s.programs[0], p) {
		s.programs[0], s.programs[1] = p, s.programs[0]
	}
}

func same(a, b []launched) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func (s *suspects) clear() { *s = suspects{} }

// String names them, each once, without their shapes.
func (s *suspects) String() string {
	var names []string
	for _, group := range [][]launched{s.single[:min(s.count, len(s.single))], s.programs[0], s.programs[1]} {
		for _, l := range group {
			if name := l.name(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// The words of a launch.

func integer(n int) uint64 { return uint64(int64(n)) }

func float(x float32) uint64 { return uint64(math.Float32bits(x)) }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// address is where a view starts, 0 where it is absent.
func address(v device.View) uint64 {
	if v.Memory == nil {
		return 0
	}
	return v.Memory.(*memory).word(v.Offset)
}

// wordAddress is where a run of words starts, 0 where it is absent.
func wordAddress(w device.Words) uint64 {
	if w.Memory == nil {
		return 0
	}
	return w.Memory.(*memory).word(w.Offset)
}
