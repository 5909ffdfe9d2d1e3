package kernels

import (
	_ "embed"
	"fmt"
	"strings"
)

// What SmallNet is told lies in memory, as words of 8 bytes: those of
// the step, then NetLayers times those of a layer, then NetStages times those of a stage
// of the corruption. The structs of small_net.cuh are the same; a test compares them. After those
// a score net has the words of ScoreNetWords, the struct of score_net.cu.
const (
	NetLayers = 8
	NetStages = 4
)

const (
	netStep = "int rows, int batch, int features, int stride, int units, int tiles, int floats, int clean, int corrupted, int mask, int biases, int deltas, " +
		"pointer data, int bytes, float data_scale, int data_rows, int lo, int part, int split, uint split_seed, int shuffle, uint seed, int replicates, pointer clock, " +
		"int likelihood, float sigma, float destroyed, float untouched, pointer weights, float scale, float mean, " +
		"int rule, int nesterov, float beta1, float beta2, float epsilon, float weight_decay, int decayed, float clip, float decay, int guarded, " +
		"pointer rates, pointer spikes, float spike_limit, pointer params, pointer first, pointer second, pointer ema, pointer moments, " +
		"int examples, pointer values, pointer log, int entries, int layers, int stages"
	netLayer = "int in, int out, int columns, int rows, int act, int weight, int bias, int w, int x, int y, int tile, int unit"
	netStage = "int kind, uint seed, uint stream, uint stage, uint rate, pointer rates, float amount, int length, " +
		"pointer of_column, pointer continuous, pointer low, pointer high"
	scoreNet = "int levels, int extra, pointer sigma, pointer c_in, pointer embedding, pointer skip, pointer out, pointer weight, " +
		"uint seed, uint stream, uint stage, float scale, int passes, pointer exchange"
)

// Net is the kernel of small nets for products of a class.
func Net(c Class) ID {
	switch c {
	case Strict:
		return SmallNet
	case BFloat16:
		return SmallNetBF16
	}
	return SmallNetBF16x3
}

// ScoreNet is the kernel of score nets for products of a class; there is none for Strict.
func ScoreNet(c Class) (ID, bool) {
	if c == BFloat16 {
		return ScoreNetBF16, true
	}
	return ScoreNetBF16x3, c != Strict
}

// ScoreNetWords are the words of a score net beside those of a small net.
func ScoreNetWords() []Parameter { return parameters(scoreNet) }

// ScoreNetExchange is the number of floats of the memory through which the blocks of a score
// net's cluster hand each other gradients and weights: see Exchange of score_net.cu.
// weights is how many of them the weights take in shared memory.
func ScoreNetExchange(tiles, units, weights int) int {
	return ClusterBlocks*tiles*16*16 + weights + ClusterBlocks*units + 3*ClusterBlocks*netWarps + 2*ClusterBlocks
}

// NetTile is what the kernel of small nets rounds extents up to: its tiles are squares of
// so many weights.
func NetTile(c Class) int {
	if c == Strict {
		return 4
	}
	return 16
}

// NetMoments is the number of floats of the memory in which the kernel of small nets keeps
// the moments of so many tiles by rows of four: of a thread's tile, or of a warp's with its weights.
func NetMoments(c Class, tiles int) int {
	if c == Strict {
		return 2 * 16 * threads * blocks(tiles, threads)
	}
	return 3 * 8 * threads * blocks(tiles, netWarps)
}

// NetThreads is the size of the block of a small net.
const (
	NetThreads = threads
	netWarps   = NetThreads / 32
)

// NetIssue is a row of issue.tsv: the cycles in which the busiest scheduler of a multiprocessor issues
// an instruction of a step, and those of them that are products of tensor cores, by static
// count of the machine code for compute capability 9.0.
type NetIssue struct {
	Kernel         string
	Layers         string // their widths, joined by hyphens
	Batch          int
	Cycles, Tensor int
}

//go:embed issue.tsv
var issueTable string

// NetIssues lists the nets whose instructions are counted.
func NetIssues() []NetIssue {
	return rows("issue.tsv", issueTable, func(n *NetIssue) []any { return []any{&n.Kernel, &n.Layers, &n.Batch, &n.Cycles, &n.Tensor} })
}

// ScoreIssue is a row of score_issue.tsv: the cycles of NetIssue for a block of a score net's
// cluster, those of them in loops that have products of tensor cores, and such products.
type ScoreIssue struct {
	Kernel                string
	Layers                string
	Batch                 int
	Cycles, Loops, Tensor int
}

//go:embed score_issue.tsv
var scoreIssueTable string

// ScoreIssues lists the score nets whose instructions are counted.
func ScoreIssues() []ScoreIssue {
	return rows("score_issue.tsv", scoreIssueTable, func(n *ScoreIssue) []any {
		return []any{&n.Kernel, &n.Layers, &n.Batch, &n.Cycles, &n.Loops, &n.Tensor}
	})
}

// rows reads a table of counts, whose columns go to places.
func rows[Row any](file, table string, places func(*Row) []any) []Row {
	lines := strings.Split(strings.TrimSpace(table), "\n")[2:] // behind what the table is, and the names of its columns
	all := make([]Row, len(lines))
	for i, line := range lines {
		if _, err := fmt.Sscan(line, places(&all[i])...); err != nil {
			panicf("%s: %q: %v", file, line, err)
		}
	}
	return all
}

// Hyphenated is the name of a net in those tables, by its layers' widths.
func Hyphenated(widths []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(widths), " ", "-"), "[]")
}

// NetWords are the words of a small net, by name: those of the step, of a layer, of a
// stage.
func NetWords() (step, layer, stage []Parameter) {
	return parameters(netStep), parameters(netLayer), parameters(netStage)
}
