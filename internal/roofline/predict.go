package roofline

import (
	"fmt"
	"math"

	"gpudae/kernels"
)

// What is assumed beside the data sheet, until it has been measured.
const (
	nodeSeconds    = 1.3e-6  // from one dependent node of a graph to the next
	partSeconds    = 0.5e-6  // until a block has its part by an addition that it waits for, where blocks wait for others
	panelSeconds   = 0.09e-6 // in which a block adds 16 terms at least: a barrier, loads and products, which wait for each other
	ofTensor       = 0.6     // share of a tile's rate (kernels.Tile) which is reached of a tensor core's, through mma.sync
	copied         = 0.55    // share of a tensor core's rate where factors are copied to bfloat16 before
	byWarpgroup    = 0.78    // and wgmma multiplies them, while it does
	clusterBarrier = 500     // cycles in which a score net's blocks wait for each other
	clusterBytes   = 64      // that a block reads of what others have written, a cycle
)

// Assumptions is a line that a reader of a prediction should see.
func Assumptions() string {
	rates := func(alone bool) []any {
		var all []any
		for t := kernels.Small; t <= kernels.Large; t++ {
			all = append(all, 100*t.Rate(alone))
		}
		return all
	}
	return fmt.Sprintf("assumed, not measured: %.1f µs a graph node; ", nodeSeconds*1e6) +
		fmt.Sprintf("%.0f, %.0f and %.0f %% of a multiprocessor's float32 rate in tiles of 32, 64 and 128 where it has one block, ", rates(true)...) +
		fmt.Sprintf("%.0f, %.0f and %.0f %% where it has more, ", rates(false)...) +
		fmt.Sprintf("of its tensor cores' %.0f %% of that, %.0f %% of their rate with factors copied to bfloat16, %.0f %% by wgmma but for %.1f µs in which a tile of it leaves the registers, and no more than 16 terms in %.2f µs; ",
			100*ofTensor, 100*copied, 100*byWarpgroup, 1e6*kernels.WGMMA.Leave(GPUs()[0].clock()), 1e6*panelSeconds) +
		fmt.Sprintf("%.1f µs for blocks of %d×%d to add up the sums of four shares; ", 1e6*kernels.Medium.Meet(4, GPUs()[0].clock()), kernels.Medium.Side(), kernels.Medium.Side()) +
		fmt.Sprintf("%.1f µs for blocks to take their parts where some wait for others; ", 1e6*partSeconds) +
		fmt.Sprintf("every operand once through memory at its data sheet's rate, or, in the column cached µs, through the second-level cache at %d times that where all that a step touches fits %.0f %% of it, the optimiser's after the products of its block where a multiprocessor has one, and of the last round of blocks where it has more, but for what tiles of 32 and 64 read; ", cacheRate, 100*cachePart) +
		"a small net on 9.0 issues an instruction a cycle and waits for nothing; " +
		fmt.Sprintf("a score net so too, but for tensor cores at %.0f %% of their rate, %d cycles a barrier of its cluster, and %d bytes a cycle from the second-level cache to a block",
			100*ofTensor, clusterBarrier, clusterBytes)
}

// Bound is what a launch or a step waits for most.
type Bound string

const (
	ByNodes      Bound = "nodes"
	ByMemory     Bound = "memory"
	ByArithmetic Bound = "arithmetic"
	ByIssue      Bound = "issue" // of instructions
)

// Cost is the predicted time of one launch.
type Cost struct {
	Kernel  string  `json:"kernel"`
	Rows    int     `json:"rows"`
	Columns int     `json:"columns"`
	Blocks  int     `json:"blocks"`
	Waves   int     `json:"waves"`  // of blocks, one a multiprocessor at a time
	Filled  float64 `json:"filled"` // share of the multiprocessors that have work meanwhile
	FLOPs   int64   `json:"flops"`
	Bytes   int64   `json:"bytes"`
	State   int64   `json:"optimizer_bytes"` // of those, what the optimiser reads and writes
	Micros  float64 `json:"us"`              // the node's start included
	Bound   Bound   `json:"bound"`
	*Occupancy
}

// Step is the predicted time of a training step.
type Step struct {
	GPU      string  `json:"gpu"`
	Nodes    int     `json:"nodes"` // launches, each of which waits for the one before
	FLOPs    int64   `json:"flops"` // of matrix products
	Bytes    int64   `json:"bytes"` // read and written by all launches, each operand once
	Micros   float64 `json:"us"`
	Cached   float64 `json:"cached_us,omitempty"` // if the second-level cache holds what the step before has touched; 0 where it may not: see Cached
	Floor    float64 `json:"floor_us"`            // one node, the products at the data sheet's rate of their arithmetic or the parameters' traffic, whichever is more
	Bound    Bound   `json:"bound"`
	Launches []Cost  `json:"launches"`
}

// Predict prices the launches of a step.
func Predict(g GPU, launches []Launch) Step {
	s := Step{GPU: g.Name, Nodes: len(launches)}
	times := map[Bound]float64{}
	var update int64
	var products float64 // seconds at the data sheet's rate
	table := g.resources()
	for _, l := range launches {
		c := cost(g, table, l)
		s.FLOPs, s.Bytes, s.Micros = s.FLOPs+c.FLOPs, s.Bytes+c.Bytes, s.Micros+c.Micros
		times[ByNodes] += 1e6 * nodeSeconds
		times[c.Bound] += c.Micros - 1e6*nodeSeconds
		update += l.State
		products += float64(c.FLOPs) / g.rate(l.Kernel.Class())
		s.Launches = append(s.Launches, c)
	}
	s.Bound = ByNodes
	for _, b := range []Bound{ByMemory, ByArithmetic} {
		if times[b] > times[s.Bound] {
			s.Bound = b
		}
	}
	s.Floor = 1e6 * (nodeSeconds + max(products, float64(update)/g.Memory))
	return s
}

// netSteps is how many steps of a small net package gpu makes in one launch, at most within an epoch.
const netSteps = 128

// OneKernel is the step of a net of those widths that package gpu makes one kernel of in a class, from
// the static count of its instructions (kernels.NetIssues), as if it waited for nothing;
// the step as a graph where there is no count for the GPU or the net.
func OneKernel(g GPU, class kernels.Class, graph Step, widths []int, batch int) Step {
	layers := kernels.Hyphenated(widths)
	for _, n := range kernels.NetIssues() {
		if g.Capability != "9.0" || n.Kernel != kernels.Net(class.On(g.version())).String() || n.Layers != layers || n.Batch != batch {
			continue
		}
		micros := 1e6 * (float64(n.Cycles)/g.clock() + nodeSeconds/netSteps)
		only := Cost{Kernel: n.Kernel, Rows: batch, Columns: widths[0], Blocks: 1, Waves: 1, Filled: 1 / float64(g.Multiprocessors),
			FLOPs: graph.FLOPs, Micros: micros, Bound: ByIssue, Occupancy: occupy(g, g.resources(), n.Kernel, 1, kernels.NetThreads, 0)}
		return Step{GPU: g.Name, Nodes: 1, FLOPs: graph.FLOPs, Micros: micros, Floor: micros, Bound: ByIssue, Launches: []Cost{only}}
	}
	return graph
}

// OneCluster is OneKernel of a score net's step (kernels.ScoreIssues).
func OneCluster(g GPU, class kernels.Class, graph Step, widths []int, batch int) Step {
	layers := kernels.Hyphenated(widths)
	kernel, ok := kernels.ScoreNet(class.On(g.version()))
	for _, n := range kernels.ScoreIssues() {
		if ok && g.Capability == "9.0" && n.Kernel == kernel.String() && n.Layers == layers && n.Batch == batch {
			return scoreNet(g, graph, n, widths)
		}
	}
	return graph
}

// scoreNet is the step of a score net, a cluster of blocks: what its busiest scheduler issues, where loops with
// products wait for tensor cores; what a block reads that others have written; and two barriers of the cluster.
func scoreNet(g GPU, graph Step, n kernels.ScoreIssue, widths []int) Step {
	const blocks, schedulers, multiplications = kernels.ClusterBlocks, 4, 16 * 8 * 16 // of a product
	perCycle := ofTensor * g.rate(kernels.BFloat16) / (2 * float64(schedulers*g.Multiprocessors) * g.clock())
	loops := max(float64(n.Loops), float64(n.Tensor)*multiplications/perCycle)
	read := 0
	for i, out := range widths[1:] {
		rows, columns := roundUp(out, 16), roundUp(widths[i], 16)
		read += 4*rows*columns + 4*rows*(columns+4) // all blocks' parts of an eighth of the gradient; weights
	}
	cycles := float64(n.Cycles-n.Loops) + loops + float64(read)/clusterBytes + 2*clusterBarrier
	micros := 1e6 * (cycles/g.clock() + nodeSeconds/netSteps)
	only := Cost{Kernel: n.Kernel, Rows: n.Batch, Columns: widths[0], Blocks: blocks, Waves: 1, Filled: blocks / float64(g.Multiprocessors),
		FLOPs: graph.FLOPs, Micros: micros, Bound: ByIssue, Occupancy: occupy(g, g.resources(), n.Kernel, blocks, kernels.NetThreads, 0)}
	return Step{GPU: g.Name, Nodes: 1, FLOPs: graph.FLOPs, Micros: micros, Floor: 1e6 * float64(n.Cycles) / g.clock(), Bound: ByIssue, Launches: []Cost{only}}
}

// cost prices one launch.
func cost(g GPU, table map[string]kernels.Resources, l Launch) Cost {
	blocks, threads := l.Kernel.Launch(l.Rows, l.Columns)
	waves := (blocks + g.Multiprocessors - 1) / g.Multiprocessors
	arithmetic, filled := productSeconds(g, l)
	if filled == 0 {
		filled = float64(blocks) / float64(waves*g.Multiprocessors)
	}
	c := Cost{Kernel: l.Kernel.String(), Rows: l.Rows, Columns: l.Columns, Blocks: blocks, Waves: waves, Filled: filled,
		FLOPs: l.FLOPs, Bytes: l.Read + l.Written, State: l.State, Occupancy: occupy(g, table, l.Kernel.String(), blocks, threads, l.Kernel.Shared())}
	memory := float64(c.Bytes-l.Partial) / g.Memory
	busy := max(arithmetic+late(g, l, c), memory)
	if l.Waits {
		busy += partSeconds
	}
	if l.Shares > 1 { // whose sums are still in the second-level cache
		busy += l.Kernel.Tile().Meet(l.Shares, g.clock())
	}
	c.Micros = 1e6 * (nodeSeconds + busy)
	switch {
	case busy < nodeSeconds:
		c.Bound = ByNodes
	case arithmetic > memory:
		c.Bound = ByArithmetic
	default:
		c.Bound = ByMemory
	}
	return c
}

// late is the time of a launch's bytes of the optimiser that go beside no products. Where a multiprocessor holds one block those of
// each block follow its products; where it holds several, those of one go beside the products of others, but in the last of
// the rounds in which multiprocessors are filled, where all blocks come to an end together. Tiles up to 64 have asked for what they read
// when they begin, so that writing is left.
func late(g GPU, l Launch, c Cost) float64 {
	if l.FLOPs == 0 {
		return 0
	}
	rounds := 1.0
	if c.Occupancy != nil && c.Resident > 1 {
		rounds = max(1, math.Ceil(c.Full))
	}
	state := l.State
	if _, big := l.Kernel.Engine(); !big && l.Kernel.Tile() <= kernels.Medium {
		state /= 2
	}
	return float64(state) / g.Memory / rounds
}

// tileOf is how many elements a block of a product makes, and what share it reaches of the rate that the
// data sheet gives for the arithmetic, alone on a multiprocessor or among others.
func tileOf(id kernels.ID, alone bool) (elements int, efficiency float64) {
	if e, ok := id.Engine(); ok {
		m, n := e.Tile()
		if e == kernels.WGMMA {
			return m * n, byWarpgroup
		}
		return m * n, copied
	}
	tile := id.Tile()
	efficiency = tile.Rate(alone)
	if id.Class() != kernels.Strict {
		efficiency *= ofTensor
	}
	return tile.Side() * tile.Side(), efficiency
}

// productSeconds is the time of a launch's tiles, each of which costs what a whole one does,
// and the share of the multiprocessors that are busy meanwhile: a multiprocessor takes
// one tile after the other, in the order of the blocks, and none in less than its panels take.
// Both are 0 without products.
func productSeconds(g GPU, l Launch) (seconds, filled float64) {
	if l.FLOPs == 0 {
		return 0, 0
	}
	elements, efficiency := tileOf(l.Kernel, kernels.Alone(g.Multiprocessors, l.Products[:]...))
	rate := g.rate(l.Kernel.Class()) / float64(g.Multiprocessors) * efficiency
	if e, big := l.Kernel.Engine(); big && e == kernels.WGMMA {
		return stayingSeconds(g, l, 2*float64(elements)/rate)
	}
	span, total, longest := kernels.Span(g.Multiprocessors, l.Products[:]...), 0, 0
	for _, r := range l.Products {
		total += r.Blocks * r.Terms
		if r.Blocks > 0 {
			longest = max(longest, r.Terms)
		}
	}
	seconds = max(2*float64(elements*span)/rate, float64((longest+15)/16)*panelSeconds)
	return seconds, float64(total) / float64(span*g.Multiprocessors)
}

// stayingSeconds is productSeconds of blocks that stay and take one tile after the other: while one leaves the registers, panels of
// the next come, and nothing is multiplied. A term takes so many seconds.
func stayingSeconds(g GPU, l Launch, term float64) (seconds, filled float64) {
	leave := kernels.WGMMA.Leave(g.clock())
	terms, tiles := kernels.Turns(g.Multiprocessors, l.Products[:]...)
	total := 0.0
	for _, r := range l.Products {
		total += float64(r.Blocks) * (float64(r.Terms)*term + leave)
	}
	seconds = float64(terms)*term + float64(tiles)*leave
	return seconds, total / (seconds * float64(g.Multiprocessors))
}
