package kernels

import (
	"bufio"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A static count of the cycles in which a scheduler of a multiprocessor issues the
// instructions of a step of SmallNetBF16x3: each instruction of the machine code times how
// often a net makes a warp run it. Where an instruction stands is told by the line table
// and the sources, whose loops, cases and conditions it is in; how often those are entered
// is this file's table. What a lane may or may not do counts as done, so the count is an upper
// bound of the code's own, but for loops that wait on data (draws of a permutation). It
// says nothing of waiting: for memory, barriers, or units that take an instruction of 32
// lanes in more than one cycle, such as tensor cores.

// TestIssue counts for the nets of issue.tsv, in the disassembly that scripts/cuda-build
// names, and compares; asked to, it writes the table. With -v it lists what each region takes of a scheduler.
func TestIssue(t *testing.T) {
	file := os.Getenv("SMALL_NET_SASS")
	if file == "" {
		t.Skip("scripts/cuda-build runs this test with the disassembly of small_net_tensor.cu")
	}
	regions := regionsOf(t, file, SmallNetBF16x3.String())
	table := "# Issue cycles of a step of a small net on sm_90, by static count (issue_test.go), written by scripts/cuda-build record.\nkernel\tlayers\tbatch\tcycles\ttensor\n"
	for _, n := range []issueNet{{layers: []int{64, 128, 16, 128, 64}, batch: 32}} {
		cycles, tensor := n.busiest(t, regions)
		table += fmt.Sprintf("%s\t%s\t%d\t%d\t%d\n", SmallNetBF16x3, Hyphenated(n.layers), n.batch, cycles, tensor)
		if cycles > mostIssue {
			t.Errorf("a step of %v at batch %d issues %d instructions a scheduler, more than %d", n.layers, n.batch, cycles, mostIssue)
		}
	}
	isRecorded(t, "issue.tsv", table)
}

// isRecorded compares a table with that of a file, which it writes first if asked to.
func isRecorded(t *testing.T, file, table string) {
	t.Helper()
	if os.Getenv("SMALL_NET_RECORD") != "" {
		if err := os.WriteFile(file, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if recorded := read(t, file); recorded != table {
		t.Errorf("%s has\n%s, the count is\n%s", file, recorded, table)
	}
}

// mostIssue is what the net of the benchmark may take, of the 17,550 cycles that 10 µs are at
// 1.755 GHz.
const mostIssue = 8_000

// region is where instructions stand: the loops and conditions around them, the outermost
// first, in the words of the sources; and how many they are.
type region struct {
	path          []string
	issue, tensor int
}

// instruction is one of the machine code, with the lines that it comes from: that of the
// innermost inlined function first.
type instruction struct {
	text  string
	lines []sourceLine
}

type sourceLine struct {
	file string
	line int
}

var (
	fileLine  = regexp.MustCompile(`//## File "([^"]*)", line (\d+)`)
	section   = regexp.MustCompile(`^\s*\.text\.(\w+)`)
	labelled  = regexp.MustCompile(`^\s*(\.L_x_\d+):`)
	encoded   = regexp.MustCompile(`^\s*/\*[0-9a-f]{4,}\*/\s+(.*?);`)
	target    = regexp.MustCompile("`\\((\\.L_x_\\d+)\\)")
	branches  = regexp.MustCompile(`\b(BRA|BRX|JMP|EXIT|RET)\b`)
	loop      = regexp.MustCompile(`^(for|while|do)\b`)
	construct = regexp.MustCompile(`^(?:\} )?(for|while|if|else|switch|case|default|do)\b`)
)

// regionsOf reads what nvdisasm -c -gi makes of a cubin with line numbers.
func regionsOf(t *testing.T, file, kernel string) []region {
	t.Helper()
	code, labels := disassembled(t, file, kernel)
	if len(code) < 1000 {
		t.Fatalf("%s has %d instructions of %s", file, len(code), kernel)
	}
	depth := loopDepths(code, labels)
	sources := map[string][][]string{}
	all := map[string]*region{}
	for i, in := range code {
		if depth[i] < 0 || strings.HasPrefix(in.text, "NOP") {
			continue
		}
		var path []string
		for _, at := range slices.Backward(in.lines) {
			around, ok := sources[at.file]
			if !ok {
				around = constructs(at.file)
				sources[at.file] = around
			}
			if at.line < len(around) {
				path = append(path, around[at.line]...)
			}
		}
		path = within(path, depth[i])
		key := strings.Join(path, " > ")
		if all[key] == nil {
			all[key] = &region{path: path}
		}
		all[key].issue++
		if strings.Contains(in.text, "HMMA") {
			all[key].tensor++
		}
	}
	var sorted []region
	for _, key := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, *all[key])
	}
	return sorted
}

// disassembled is the code of one kernel, and which instructions labels stand before.
func disassembled(t *testing.T, file, kernel string) ([]instruction, map[string]int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var code []instruction
	labels := map[string]int{}
	var lines []sourceLine
	within, goesOn := false, false
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		s := scanner.Text()
		if m := fileLine.FindStringSubmatch(s); m != nil {
			line, _ := strconv.Atoi(m[2])
			if !goesOn {
				lines = nil
			}
			lines, goesOn = append(lines, sourceLine{filepath.Base(m[1]), line}), true
			continue
		}
		goesOn = false
		if m := section.FindStringSubmatch(s); m != nil {
			within = m[1] == kernel
		}
		if !within {
			continue
		}
		if m := labelled.FindStringSubmatch(s); m != nil {
			labels[m[1]] = len(code)
		} else if m := encoded.FindStringSubmatch(s); m != nil {
			code = append(code, instruction{m[1], lines})
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return code, labels
}

// constructs are, for each line of a source, the loops and conditions that it is in, by
// indentation. Loops that are unrolled are left out: the machine code has their copies.
func constructs(file string) [][]string {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil // a header of the toolkit
	}
	type open struct {
		indent int
		head   string
	}
	var stack []open
	around := make([][]string, 1, 1000)
	unrolled := false
	for line := range strings.Lines(string(content)) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "#pragma unroll"):
			unrolled = text == "#pragma unroll"
		case text != "" && !strings.HasPrefix(text, "#") && !strings.HasPrefix(text, "//"):
			indent := len(line) - len(strings.TrimLeft(line, " "))
			closed := ""
			for len(stack) > 0 && stack[len(stack)-1].indent >= indent {
				closed, stack = stack[len(stack)-1].head, stack[:len(stack)-1]
			}
			if construct.MatchString(text) && !(unrolled && loop.MatchString(text)) {
				head := strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(text, "{"), "}"))
				if head == "else" {
					head += " of " + closed
				}
				stack = append(stack, open{indent, head})
			}
			unrolled = false
		}
		var heads []string
		for _, o := range stack {
			heads = append(heads, o.head)
		}
		around = append(around, heads)
	}
	return around
}

// within cuts a path where the machine code is in fewer loops than the source: what is done
// before a loop carries its line, and a loop of one turn is none.
func within(path []string, depth int) []string {
	loops := 0
	for i, head := range path {
		if loop.MatchString(head) {
			if loops++; loops > depth {
				return path[:i]
			}
		}
	}
	return path
}

// loopDepths is, for each instruction, in how many loops of the machine code it is; -1 if
// it never runs but for operands that are hardly ever there: what calls a function (division
// and roots of extreme numbers) or where a warp goes that is not together (BRA.DIV, and what gathers it).
func loopDepths(code []instruction, labels map[string]int) []int {
	starts := map[int]bool{0: true}
	for _, at := range labels {
		starts[at] = true
	}
	for i, in := range code {
		if branches.MatchString(in.text) {
			starts[i+1] = true
		}
	}
	delete(starts, len(code))
	first := slices.Sorted(maps.Keys(starts))
	blockAt := map[int]int{}
	for b, at := range first {
		blockAt[at] = b
	}
	end := func(b int) int {
		if b+1 < len(first) {
			return first[b+1]
		}
		return len(code)
	}
	rare := func(b int) bool {
		return slices.ContainsFunc(code[first[b]:end(b)], func(in instruction) bool {
			return strings.Contains(in.text, "CALL") || strings.Contains(in.text, "WARPSYNC.COLLECTIVE")
		})
	}
	next := func(b int) []int {
		var to []int
		last := code[end(b)-1].text
		divided := strings.Contains(last, "BRA.DIV")
		if m := target.FindStringSubmatch(last); m != nil && strings.Contains(last, "BRA") && !divided {
			to = append(to, blockAt[labels[m[1]]])
		}
		if strings.Contains(last, "BRX") {
			for _, at := range labels {
				to = append(to, blockAt[at])
			}
		}
		conditional := strings.HasPrefix(last, "@") || divided || regexp.MustCompile(`BRA\S* !?U?P\d`).MatchString(last)
		if b+1 < len(first) && (conditional || !branches.MatchString(last)) {
			to = append(to, b+1)
		}
		return slices.DeleteFunc(to, rare)
	}
	loops := naturalLoops(len(first), next)
	depth := make([]int, len(code))
	for b := range first {
		d := -1
		if loops[b] != nil {
			d = len(loops[b])
		}
		for i := first[b]; i < end(b); i++ {
			depth[i] = d
		}
	}
	return depth
}

// naturalLoops is, for each block that is reached from block 0, the set of the heads of the loops that
// it is in; nil for others.
func naturalLoops(blocks int, next func(b int) []int) []map[int]bool {
	loops := make([]map[int]bool, blocks)
	before := make([][]int, blocks)
	active := make([]bool, blocks)
	var back [][2]int
	var visit func(b int)
	visit = func(b int) {
		loops[b], active[b] = map[int]bool{}, true
		for _, to := range next(b) {
			before[to] = append(before[to], b)
			if loops[to] == nil {
				visit(to)
			} else if active[to] {
				back = append(back, [2]int{b, to})
			}
		}
		active[b] = false
	}
	visit(0)
	for _, edge := range back {
		head := edge[1]
		loops[head][head] = true
		for todo := []int{edge[0]}; len(todo) > 0; {
			b := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !loops[b][head] {
				loops[b][head] = true
				todo = append(todo, before[b]...)
			}
		}
	}
	return loops
}

// issueNet is a net of ReLU layers and a gaussian likelihood, trained by Adam on float32 with gaussian
// noise, whose features are those of the data.
type issueNet struct {
	layers []int
	batch  int
}

// turn is what the counts of a region depend on: the warp, and within the loops over
// layers the layer.
type turn struct {
	warp, layer int
	backward    bool
}

const netHeld = 5 // kHeldTiles

func padded(extent int) int { return (extent + 15) / 16 * 16 }

// extents are those of a layer's weights.
func (n *issueNet) extents(l int) (columns, rows int) {
	return padded(n.layers[l]), padded(n.layers[l+1])
}

// units is the number that a product of this turn has, terms that of its sums.
func (n *issueNet) units(at turn) (units, terms int) {
	columns, rows := n.extents(at.layer)
	if at.backward {
		return columns, rows
	}
	return rows, columns
}

// steps is how many times 16 terms a product of this turn adds.
func (n *issueNet) steps(at turn) int {
	_, terms := n.units(at)
	return terms / 16
}

// wide is TensorProducts::wide.
func (n *issueNet) wide(at turn) int {
	units, _ := n.units(at)
	switch {
	case units < 64:
		return 1
	case padded(n.batch)%32 == 0:
		return 4
	}
	return 2
}

// others is the part of a warp's tiles that have other inputs than its tile before.
func (n *issueNet) others(warp int) float64 {
	tiles, others, before := 0, 0, -1
	first, inputs := 0, 0 // of the layer, among all
	for l := range len(n.layers) - 1 {
		columns, rows := n.extents(l)
		for t := range rows / 16 * columns / 16 {
			if (first+t)%netWarps != warp {
				continue
			}
			input := inputs + t%(columns/16)
			if tiles++; input != before {
				others++
			}
			before = input
		}
		first, inputs = first+rows/16*columns/16, inputs+columns/16
	}
	return float64(others) / float64(max(1, tiles))
}

// share is how many of n things that warps take in turn one warp has.
func share(n, warp int) float64 { return float64(max(0, (n-warp+netWarps-1)/netWarps)) }

func (n *issueNet) total(of func(columns, rows int) int) int {
	sum := 0
	for l := range len(n.layers) - 1 {
		sum += of(n.extents(l))
	}
	return sum
}

// rule says how often what a head begins is entered each time that what is around it is.
type rule struct {
	head  string // a regular expression
	times func(n *issueNet, at turn) float64
}

func often(times float64) func(*issueNet, turn) float64 {
	return func(*issueNet, turn) float64 { return times }
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func widthIs(w int) func(*issueNet, turn) float64 {
	return func(n *issueNet, at turn) float64 { return oneIf(n.wide(at) == w) }
}

// issueRules: the first whose head matches counts. A condition of which there is none is
// taken to hold; a loop of which there is none is an error.
var issueRules = func() []rule {
	rows := func(n *issueNet, at turn) float64 { return math.Ceil(float64(n.batch) / 32) }
	batch := func(n *issueNet, at turn) float64 { return math.Ceil(float64(padded(n.batch)) / 32) }
	return []rule{
		{`^for .*step < steps`, often(1)},
		{`^for .*g < n.stages`, often(1)},
		{`^case kCorruptGaussian`, often(1)},
		{`^case kCorrupt|^case k(Bernoulli|Poisson|GaussianLearned)|^if \(s.net.bytes|^if \(n.bytes`, often(0)},
		{`^for .*first < features; first \+= kNetWarps \* 4`, func(n *issueNet, at turn) float64 { return share((n.layers[0]+3)/4, at.warp) }},
		{`^for .*first < features; first \+= 4 \* kNetWarps`, func(n *issueNet, at turn) float64 { return math.Ceil(float64(n.layers[0]) / (4 * netWarps)) }},
		{`^for .*j < end`, often(4)},
		{`^if \(j == first`, often(0.25)},
		{`^for .*thread % kWarp; i < rows`, rows},
		{`^for .*(thread % kWarp|lane\(\)); i < batch`, batch},
		{`^for .*j < features; j \+= kNetWarps`, func(n *issueNet, at turn) float64 { return share(n.layers[0], at.warp) }},
		{`^case 4: (for|back)ward_tiles`, widthIs(4)},
		{`^case 2: (for|back)ward_tiles`, widthIs(2)},
		{`^default: (for|back)ward_tiles`, widthIs(1)},
		{`^for .*t = warp\(\); t < (work|wide)`, func(n *issueNet, at turn) float64 {
			units, _ := n.units(at)
			return share(units/16*(padded(n.batch)/(8*n.wide(at))), at.warp)
		}},
		{`^if \(steps == 1`, func(n *issueNet, at turn) float64 { return oneIf(n.steps(at) == 1) }},
		{`^else if \(steps % 4 == 0`, func(n *issueNet, at turn) float64 { return oneIf(n.steps(at)%4 == 0) }},
		{`^for .*steps -= 4`, func(n *issueNet, at turn) float64 { return float64(n.steps(at)/4 - 1) }},
		{`^else of else if \(steps`, func(n *issueNet, at turn) float64 { return oneIf(n.steps(at) > 1 && n.steps(at)%4 > 0) }},
		{`^for .*; steps > 0; --steps`, func(n *issueNet, at turn) float64 { return float64(n.steps(at)) }},
		{`^for .*item < features / 4 \* pairs`, func(n *issueNet, at turn) float64 {
			return math.Ceil(float64(n.layers[0]/4*padded(n.batch)/2) / (32 * netWarps))
		}},
		{`^if \(!(drawn|products.has_loss)`, often(0)},
		{`^if \(x_place != kept`, func(n *issueNet, at turn) float64 { return n.others(at.warp) }},
		{`^else of if \(Batch == 32`, often(0)},
		{`^else of if \(act == kReLU`, func(n *issueNet, at turn) float64 { return oneIf(!at.backward) }},
		{`^else of else if \(last`, func(n *issueNet, at turn) float64 { return oneIf(at.layer < len(n.layers)-2) }},
		{`^else if \(last`, often(0)},
		{`^if \(Batch == 32|^if \(.*->batch == 32`, often(1)},
		{`^if \(last && whole_loss`, func(n *issueNet, at turn) float64 { return oneIf(at.layer == len(n.layers)-2) }},
		{`^if \(act == kReLU`, func(n *issueNet, at turn) float64 { return oneIf(at.backward || at.layer < len(n.layers)-2) }},
		{`^(else )?if \(act != kIdentity|^if \(keeps`, often(0)},
		{`^if \(j < mine`, func(n *issueNet, at turn) float64 {
			return min(1, share(n.total(func(c, r int) int { return c * r / 256 }), at.warp)/netHeld)
		}},
		{`^for .*j = kHeldTiles; j < mine`, func(n *issueNet, at turn) float64 {
			return max(0, share(n.total(func(c, r int) int { return c * r / 256 }), at.warp)-netHeld)
		}},
		{`^for .*i < batch\(\); i \+= 16`, func(n *issueNet, at turn) float64 { return float64(padded(n.batch) / 16) }},
		{`^for .*u = warp\(\) \* 16`, func(n *issueNet, at turn) float64 {
			return share(n.total(func(c, r int) int { return r / 16 }), at.warp)
		}},
		{`^if \(threadIdx.x == 2 \* kWarp`, func(n *issueNet, at turn) float64 { return oneIf(at.warp == 2) }},
		{`^if \(thread == kNetThreads - 1`, func(n *issueNet, at turn) float64 { return oneIf(at.warp == netWarps-1) }},
		{`^for .*3 \* kWarp.*i < n.rows`, func(n *issueNet, at turn) float64 { return oneIf((at.warp+3)%netWarps*32 < n.batch) }},
		{`^(do|while \(i >= p.n\);)$`, often(2)}, // a walk within twice to four times what is permuted
		{`^if \((first\)|change.ema|!Plain|n.spikes|Two|!applied|mask|weights|n.clip|replicates)|^else of if \(rule.plain`, often(0)},
	}
}()

// ofStep says that a region is in the loop over steps, of the code for 32 rows.
func ofStep(r region) bool {
	return len(r.path) > 1 && strings.Contains(r.path[0], "batch == 32") && strings.Contains(r.path[1], "step < steps")
}

// busiest is the sum over regions for the scheduler that issues most, and the tensor products
// among it. Warp w is scheduler w mod 4's.
func (n issueNet) busiest(t *testing.T, regions []region) (issue, tensor int) {
	t.Helper()
	rules := make([]*regexp.Regexp, len(issueRules))
	for i, r := range issueRules {
		rules[i] = regexp.MustCompile(r.head)
	}
	var times func(path []string, at turn) float64
	times = func(path []string, at turn) float64 {
		if len(path) == 0 {
			return 1
		}
		sum := 0.0
		switch head := path[0]; {
		case head == "for (int l = 0; l < layers; ++l)":
			for l := range len(n.layers) - 1 {
				sum += times(path[1:], turn{at.warp, l, false})
			}
			return sum
		case strings.HasPrefix(head, "for (int l = layers - 1; l > 0"):
			for l := len(n.layers) - 2; l > 0; l-- {
				sum += times(path[1:], turn{at.warp, l, true})
			}
			return sum
		default:
			for i, r := range rules {
				if r.MatchString(head) {
					if once := issueRules[i].times(&n, at); once > 0 {
						return once * times(path[1:], at)
					}
					return 0
				}
			}
			if loop.MatchString(head) {
				t.Errorf("nobody says how often a step runs %q", head)
			}
			return times(path[1:], at)
		}
	}
	for scheduler := range 4 {
		var all, products float64
		for _, r := range regions {
			if !ofStep(r) {
				continue
			}
			for warp := scheduler; warp < netWarps; warp += 4 {
				k := times(r.path, turn{warp: warp})
				all, products = all+k*float64(r.issue), products+k*float64(r.tensor)
			}
		}
		if int(all) > issue {
			issue, tensor = int(all), int(products)
		}
	}
	for _, r := range regions {
		if !ofStep(r) {
			continue
		}
		k := times(r.path, turn{warp: 0}) + times(r.path, turn{warp: 4})
		t.Logf("%7.0f %5d x %6.1f  %s", k*float64(r.issue), r.issue, k, strings.Join(r.path[2:], " > "))
	}
	return issue, tensor
}
