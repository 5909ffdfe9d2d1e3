package roofline

import (
	"math"

	"gpudae/kernels"
)

// multiprocessor is what blocks share, by compute capability (CUDA C++ Programming Guide,
// technical specifications of compute capabilities).
type multiprocessor struct {
	threads, blocks, shared int // at most; shared in bytes
}

const (
	warpThreads    = 32
	allRegisters   = 65536
	registerUnit   = 256  // registers are given to a warp in such units,
	warpUnit       = 4    // and to warps in fours, one a scheduler
	sharedUnit     = 128  // bytes
	sharedOfABlock = 1024 // bytes that the driver takes for itself
	kib            = 1024
)

func multiprocessorOf(capability string) (multiprocessor, bool) {
	m, ok := map[string]multiprocessor{
		"8.0":  {2048, 32, 164 * kib},
		"8.6":  {1536, 16, 100 * kib},
		"8.9":  {1536, 24, 100 * kib},
		"9.0":  {2048, 32, 228 * kib},
		"10.0": {2048, 32, 228 * kib},
		"12.0": {1536, 24, 100 * kib},
	}[capability]
	return m, ok
}

// resident is how many blocks of so many threads a multiprocessor holds at a time.
func (m multiprocessor) resident(threads int, r kernels.Resources) int {
	warps := roundUp(threads, warpThreads) / warpThreads
	n := min(m.blocks, m.threads/(warps*warpThreads), m.shared/roundUp(r.Shared+sharedOfABlock, sharedUnit))
	if r.Registers > 0 {
		ofRegisters := allRegisters / roundUp(r.Registers*warpThreads, registerUnit) / warpUnit * warpUnit
		n = min(n, ofRegisters/warps)
	}
	return n
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// Occupancy is how a launch fills a GPU.
type Occupancy struct {
	Threads   int     `json:"threads"`   // of a block
	Registers int     `json:"registers"` // of a thread
	Shared    int     `json:"shared"`    // bytes of a block
	Resident  int     `json:"resident"`  // blocks that a multiprocessor holds at a time
	Share     float64 `json:"occupancy"` // of the warps that a multiprocessor could hold, while it holds so many blocks
	Full      float64 `json:"full"`      // blocks, as a multiple of what all multiprocessors hold at a time
}

// Efficiency is the share of the places for blocks that are taken, of as many waves as it takes.
func (o Occupancy) Efficiency() float64 {
	return o.Full / math.Ceil(o.Full)
}

// occupy says how a launch of so many blocks fills a GPU; dynamic shared memory is counted where a kernel always
// takes the same. table has the GPU's kernels; it is nil for one that has not been compiled for it.
func occupy(g GPU, table map[string]kernels.Resources, kernel string, blocks, threads, dynamic int) *Occupancy {
	m, known := multiprocessorOf(g.Capability)
	r, compiled := table[kernel]
	if !known || !compiled {
		return nil
	}
	r.Shared += dynamic
	o := &Occupancy{Threads: threads, Registers: r.Registers, Shared: r.Shared, Resident: m.resident(threads, r)}
	o.Share = float64(o.Resident*roundUp(threads, warpThreads)) / float64(m.threads)
	o.Full = float64(blocks) / float64(o.Resident*g.Multiprocessors)
	return o
}
