package kernels

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The count of issue_test.go for a step of a score net, in the block and of the scheduler that have most
// to issue.

// TestScoreIssue counts for the nets of score_issue.tsv.
func TestScoreIssue(t *testing.T) {
	file := os.Getenv("SCORE_NET_SASS")
	if file == "" {
		t.Skip("scripts/cuda-build runs this test with the disassembly of score_net.cu")
	}
	file = withBranches(t, file)
	table := "# Issue cycles of a step of a score net's cluster on sm_90, by static count (score_issue_test.go), written by scripts/cuda-build record.\nkernel\tlayers\tbatch\tcycles\tloops\ttensor\n"
	for _, kernel := range []ID{ScoreNetBF16x3, ScoreNetBF16} {
		regions := regionsOf(t, file, kernel.String())
		for _, n := range []scoreNetCount{
			{widths: []int{2, 128, 2}, batch: 512, passes: 1},
			{widths: []int{2, 128, 128, 2}, batch: 512, passes: 1},
			{widths: []int{2, 128, 128, 128, 2}, batch: 512, passes: 2},
		} {
			c := n.busiest(t, regions)
			table += fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\n", kernel, Hyphenated(n.widths), n.batch, c.cycles, c.loops, c.tensor)
		}
	}
	isRecorded(t, "score_issue.tsv", table)
}

var (
	indirect = regexp.MustCompile(`BRX [^\n]*BRANCH_TARGETS ([^"]*)[^\n]*;`)
	jumpsTo  = regexp.MustCompile(`\.L_x_\d+`)
)

// withBranches is a copy of a disassembly with a branch to each target that it lists of an indirect
// one, which issue_test.go takes to go anywhere, and what is behind it to be in loops that it is not in.
func withBranches(t *testing.T, file string) string {
	t.Helper()
	text := indirect.ReplaceAllStringFunc(read(t, file), func(branch string) string {
		var all []string
		for _, to := range jumpsTo.FindAllString(branch, -1) {
			all = append(all, "@P0 BRA `("+to+");")
		}
		all[len(all)-1] = strings.TrimPrefix(all[len(all)-1], "@P0 ")
		return strings.Join(all, "\n        /*0000*/                   ")
	})
	to := filepath.Join(t.TempDir(), "branches.sass")
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// scoreNetCount is a score net of ReLU layers with noise levels and no embedding, trained by
// Adam on float32, whose rows of a block go in so many passes.
type scoreNetCount struct {
	widths        []int
	batch, passes int
}

// place is where in a step a warp is: in the loops over layers, the layer.
type place struct {
	warp, layer int
	backward    bool
}

const scorePieces = 5 // kHeldPieces

// rows is how many a block has in a pass, with padding in whole fragments.
func (n *scoreNetCount) rows() int {
	return (blocks(blocks(n.batch, ClusterBlocks), n.passes) + 15) / 16 * 16
}

// layer gives the extents of a layer's weights, with padding.
func (n *scoreNetCount) layer(l int) (columns, rows int) {
	return (n.widths[l] + 15) / 16 * 16, (n.widths[l+1] + 15) / 16 * 16
}

// sum adds up what layers have.
func (n *scoreNetCount) sum(of func(columns, rows int) int) int {
	total := 0
	for l := range len(n.widths) - 1 {
		total += of(n.layer(l))
	}
	return total
}

// product gives the extents of a layer's product: how many units, and terms of their sums.
func (n *scoreNetCount) product(at place) (units, terms int) {
	columns, rows := n.layer(at.layer)
	if at.backward {
		return columns, rows
	}
	return rows, columns
}

// wide is Products::wide.
func (n *scoreNetCount) wide(at place) int {
	units, _ := n.product(at)
	switch fragments := units / 16 * n.rows() / (8 * netWarps); {
	case fragments >= 8 && n.rows()%64 == 0:
		return 8
	case fragments >= 4 && n.rows()%32 == 0:
		return 4
	case fragments >= 2:
		return 2
	}
	return 1
}

// turns is how many of n things one of so many that take them in turn has.
func turns(n, one, of int) float64 { return float64(max(0, (n-one+of-1)/of)) }

// threadTurns is the same of a warp's threads, of those of a block.
func threadTurns(n, warp int) float64 { return float64(max(0, (n-warp*32+threads-1)/threads)) }

// tilesAtOnce is how many tiles hand_out takes together.
func (n *scoreNetCount) tilesAtOnce(layer int) int {
	columns, _ := n.layer(layer)
	return 2 - columns/16%2
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// scoreRules says how often what a head begins is entered each time that what is around it is. The first that matches counts; a
// condition of which there is none is taken to hold, a loop of which there is none is an error.
var scoreRules = []struct {
	head  string
	times func(n *scoreNetCount, at place) float64
}{
	{`^for .*step < steps`, func(*scoreNetCount, place) float64 { return 1 }},
	{`^for .*pass < score.net.passes`, func(n *scoreNetCount, _ place) float64 { return float64(n.passes) }},
	{`^if \(score.net.passes > 1`, func(n *scoreNetCount, _ place) float64 { return yes(n.passes > 1) }},
	{`^if \(adds`, func(n *scoreNetCount, _ place) float64 { return 1 - 1/float64(n.passes) }},
	{`^if \(score.net.extra|^if \(n.bytes`, func(*scoreNetCount, place) float64 { return 0 }},
	{`^for .*threadIdx.x; i < n.rows`, func(n *scoreNetCount, at place) float64 { return threadTurns(n.rows(), at.warp) }},
	{`^(do|while \(i >= p.n\);)$`, func(*scoreNetCount, place) float64 { return 2 }}, // as in issueRules
	{`^for .*t < rows \* \(\(features`, func(n *scoreNetCount, at place) float64 {
		return threadTurns(n.rows()*blocks(n.widths[0], elementsOfQuad), at.warp)
	}},
	{`^for .*threadIdx.x % kWarp; i < int\(n.batch`, func(n *scoreNetCount, _ place) float64 { return math.Ceil(float64(n.rows()) / 32) }},
	{`^for .*j < features; j \+= kNetWarps`, func(n *scoreNetCount, at place) float64 { return turns(n.widths[0], at.warp, netWarps) }},
	{`^if \(wide == 8`, func(n *scoreNetCount, at place) float64 { return yes(n.wide(at) == 8) }},
	{`^if \(wide == 4`, func(n *scoreNetCount, at place) float64 { return yes(n.wide(at) == 4) }},
	{`^if \(wide == 2`, func(n *scoreNetCount, at place) float64 { return yes(n.wide(at) == 2) }},
	{`^if \(wide == 1`, func(n *scoreNetCount, at place) float64 { return yes(n.wide(at) == 1) }},
	{`^for .*t = warp\(\); t < int\(l\.`, func(n *scoreNetCount, at place) float64 {
		units, _ := n.product(at)
		return turns(units/16*(n.rows()/(8*n.wide(at))), at.warp, netWarps)
	}},
	{`^for .*k < depth`, func(n *scoreNetCount, at place) float64 { _, terms := n.product(at); return float64(terms / 16) }},
	{`^if \(last`, func(n *scoreNetCount, at place) float64 { return yes(at.layer == len(n.widths)-2) }},
	{`^if \(act == kReLU`, func(n *scoreNetCount, at place) float64 { return yes(at.backward || at.layer < len(n.widths)-2) }},
	{`^else if \(act != kIdentity|^if \(keeps`, func(*scoreNetCount, place) float64 { return 0 }},
	{`^if \(l > 0`, func(_ *scoreNetCount, at place) float64 { return yes(at.layer > 0) }},
	{`^if \(odd`, func(n *scoreNetCount, at place) float64 { return yes(n.tilesAtOnce(at.layer) == 1) }},
	{`^if \(!odd`, func(n *scoreNetCount, at place) float64 { return yes(n.tilesAtOnce(at.layer) == 2) }},
	{`^for .*tile = int\(l.tile`, func(n *scoreNetCount, at place) float64 {
		columns, rows := n.layer(at.layer)
		return turns(columns*rows/256/n.tilesAtOnce(at.layer), at.warp, netWarps)
	}},
	{`^for .*i < batch; i \+= 16`, func(n *scoreNetCount, _ place) float64 { return float64(n.rows() / 16) }},
	{`^if \(first\) mma|^if \(first && lane`, func(n *scoreNetCount, at place) float64 { // of a row of tiles
		columns, _ := n.layer(at.layer)
		return float64(16*n.tilesAtOnce(at.layer)) / float64(columns)
	}},
	{`^if \(j < mine`, func(n *scoreNetCount, at place) float64 { // of those that are held, in block 0
		tiles := n.sum(func(c, r int) int { return c * r / 256 })
		return turns(2*tiles, at.warp*ClusterBlocks, ClusterBlocks*netWarps) / scorePieces
	}},
	{`^for .*u = threadIdx.x; u < `, func(n *scoreNetCount, at place) float64 {
		return threadTurns(n.sum(func(_, r int) int { return r }), at.warp)
	}},
	{`^for .*done < left`, func(n *scoreNetCount, at place) float64 {
		return math.Ceil(threadTurns(n.sum(func(c, r int) int { return r * (c + 4) / 4 }), at.warp) / 4)
	}},
	{`^if \(threadIdx.x == 0`, func(_ *scoreNetCount, at place) float64 { return yes(at.warp == 0) }},
	{`^if \(threadIdx.x == kNetThreads - 1`, func(_ *scoreNetCount, at place) float64 { return yes(at.warp == netWarps-1) }},
	{`^if \((first\)|change.ema|!Plain|n.spikes)|^else of if \(rule.plain`, func(*scoreNetCount, place) float64 { return 0 }},
}

// often is how often a step runs what has such a path.
func (n *scoreNetCount) often(t *testing.T, path []string, at place) float64 {
	t.Helper()
	if len(path) == 0 {
		return 1
	}
	layers, sum := len(n.widths)-1, 0.0
	switch head := path[0]; {
	case head == "for (int l = 0; l < n.layers; ++l)":
		for l := range layers {
			sum += n.often(t, path[1:], place{at.warp, l, false})
		}
		return sum
	case head == "for (int l = int(n.layers) - 1; l >= 0; --l)":
		for l := range layers {
			sum += n.often(t, path[1:], place{at.warp, l, true})
		}
		return sum
	default:
		for _, r := range scoreRules {
			if regexp.MustCompile(r.head).MatchString(head) {
				if once := r.times(n, at); once > 0 {
					return once * n.often(t, path[1:], at)
				}
				return 0
			}
		}
		if loop.MatchString(head) {
			t.Errorf("nobody says how often a step runs %q", head)
		}
		return n.often(t, path[1:], at)
	}
}

// count is what a scheduler issues in a step: in all, in loops that have products of tensor cores, and
// such products.
type count struct{ cycles, loops, tensor int }

// busiest is issueNet.busiest.
func (n *scoreNetCount) busiest(t *testing.T, regions []region) count {
	t.Helper()
	var most count
	for scheduler := range 4 {
		var all, loops, products float64
		for _, r := range regions {
			if len(r.path) == 0 || !strings.Contains(r.path[0], "step < steps") {
				continue
			}
			for warp := scheduler; warp < netWarps; warp += 4 {
				issued := n.often(t, r.path, place{warp: warp}) * float64(r.issue)
				all += issued
				if r.tensor > 0 {
					loops, products = loops+issued, products+issued*float64(r.tensor)/float64(r.issue)
				}
			}
		}
		if int(all) > most.cycles {
			most = count{int(all), int(loops), int(products)}
		}
	}
	return most
}
