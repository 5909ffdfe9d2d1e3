package kernels

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gpudae/device"
	"gpudae/device/philox"
	"gpudae/gpu/smallnet"
)

// definition matches an entry point: launch bound, name, parameters.
var definition = regexp.MustCompile(`extern "C" __global__ void (?:[A-Z_]+\(\d+\) )?__launch_bounds__\((\d+)(?:, \d+)?\) (\w+)\(([^)]*)\)`)

type entry struct {
	file       string
	bound      string
	parameters []Parameter
}

// entries reads the entry points from the .cu files.
func entries(t *testing.T) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	for _, file := range sources(t, "*.cu") {
		text := read(t, file)
		for _, m := range definition.FindAllStringSubmatch(text, -1) {
			e := entry{file: file, bound: m[1]}
			for declaration := range strings.SplitSeq(m[3], ",") {
				e.parameters = append(e.parameters, parameter(t, m[2], declaration))
			}
			all[m[2]] = e
		}
		if n := strings.Count(text, "__global__"); n != len(definition.FindAllString(text, -1)) {
			t.Errorf("%s has %d kernels, not all of the form that this test reads", file, n)
		}
	}
	return all
}

// parameter reads a declaration; every type must fill a word of 8 bytes.
func parameter(t *testing.T, kernel, declaration string) Parameter {
	t.Helper()
	fields := strings.FieldsFunc(strings.ReplaceAll(declaration, "__restrict__", " "), unicode.IsSpace)
	kind, name := strings.Join(fields[:len(fields)-1], " "), fields[len(fields)-1]
	switch {
	case strings.Contains(kind, "*"):
		return Parameter{Pointer, name}
	case kind == "int64_t":
		return Parameter{Int, name}
	case kind == "uint64_t":
		return Parameter{Uint, name}
	case kind == "Float":
		return Parameter{Float, name}
	}
	t.Errorf("%s: parameter %q is not a word of 8 bytes", kernel, strings.TrimSpace(declaration))
	return Parameter{}
}

func sources(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManifestMatchesSources(t *testing.T) {
	inText := entries(t)
	for id := range Count {
		k := id.Kernel()
		e, ok := inText[k.Entry]
		if !ok {
			t.Errorf("%s is in the manifest and in no .cu file", k.Entry)
			continue
		}
		delete(inText, k.Entry)
		if e.file != k.File {
			t.Errorf("%s is in %s, the manifest says %s", k.Entry, e.file, k.File)
		}
		if !slices.Equal(e.parameters, k.Parameters) {
			t.Errorf("%s takes\n%v, the manifest says\n%v", k.Entry, e.parameters, k.Parameters)
		}
		if want := fmt.Sprint(k.Geometry.MostThreads()); e.bound != want {
			t.Errorf("%s is bound to %s threads, its geometry has %s", k.Entry, e.bound, want)
		}
	}
	for name := range inText {
		t.Errorf("%s is in %s and not in the manifest", name, inText[name].file)
	}
}

// TestKindsMatchDevice compares the enumerations of kinds.cuh and the numbers
// of philox.cuh with those of Go.
func TestKindsMatchDevice(t *testing.T) {
	text := read(t, "kinds.cuh")
	compare(t, text, "Activation", names(device.Activations()))
	compare(t, text, "Likelihood", names(device.Likelihoods()))
	compare(t, text, "Optimizer", names(device.Optimizers()))
	compare(t, text, "Reduction", names(device.Reductions()))
	corruptions := names(device.Corruptions())
	for i, name := range corruptions {
		corruptions[i] = "corrupt" + name
	}
	compare(t, text, "Corruption", corruptions)
	codes := names(device.Codes())
	for i, name := range codes {
		codes[i] = "code" + name // the plain names are likelihoods
	}
	compare(t, text, "Code", codes)
	families := names(device.Families())
	for i, name := range families {
		families[i] = "family" + name // the plain names are likelihoods
	}
	compare(t, text, "Family", families)
	cells := names(device.Cells())
	for i, name := range cells {
		cells[i] = "cell" + name
	}
	compare(t, read(t, "dataset.cuh"), "CellType", cells)
	if want := fmt.Sprintf("kTableColumnWords = %d;", device.TableColumnWords); !strings.Contains(read(t, "table.cuh"), want) {
		t.Errorf("table.cuh does not say %s", want)
	}
	if want := fmt.Sprintf("kNoIndicator = %d;", device.NoIndicator); !strings.Contains(read(t, "table.cuh"), want) {
		t.Errorf("table.cuh does not say %s", want)
	}
	generator := read(t, "philox.cuh")
	for name, stream := range map[string]philox.Stream{"Dropout": philox.StreamDropout, "Permutation": philox.StreamPermutation, "Split": philox.StreamSplit} {
		if want := fmt.Sprintf("kStream%s = %d", name, stream); !strings.Contains(generator, want) {
			t.Errorf("philox.cuh does not say %s", want)
		}
	}
	if want := fmt.Sprintf("kSpikeWindow = %d.0f, kSpikeSettle = %d.0f", device.SpikeWindow, device.SpikeSettle); !strings.Contains(read(t, "spikes.cuh"), want) {
		t.Errorf("spikes.cuh does not say %s", want)
	}
	if want := fmt.Sprintf("kLeakySlope = %vf", device.LeakySlope); !strings.Contains(read(t, "activation.cuh"), want) {
		t.Errorf("activation.cuh does not say %s", want)
	}
	if got := (device.Clock{Step: 1 | 2<<32, Epoch: 3, Cursor: 4, Index: 5}).Words(); !slices.Equal(got[:5], []uint32{1, 2, 3, 4, 5}) {
		t.Errorf("a clock's words are %v, word.cuh counts otherwise", got)
	}
}

// TestNetWordsMatchSource compares the words of a small net with the structs that read
// them, and the bounds of its arrays with those of package smallnet.
func TestNetWordsMatchSource(t *testing.T) {
	text := read(t, "small_net.cuh")
	step, layer, stage := NetWords()
	compareStruct(t, text, "SmallNet", step)
	compareStruct(t, text, "NetLayer", layer)
	compareStruct(t, text, "NetStage", stage)
	want := fmt.Sprintf("kNetThreads = %d, kNetRows = %d, kNetLayers = %d, kNetStages = %d;", threads, smallnet.MostRows, smallnet.MostLayers, smallnet.MostStages)
	if !strings.Contains(text, want) || NetLayers != smallnet.MostLayers || NetStages != smallnet.MostStages {
		t.Errorf("small_net.cuh does not say %s", want)
	}
	if want := fmt.Sprintf("kHeldTiles = %d, kNetTiles = %d;", netHeld, smallnet.MostTiles); !strings.Contains(read(t, "small_net_tensor.cu"), want) {
		t.Errorf("small_net_tensor.cu does not say %s", want)
	}
	cluster := read(t, "score_net.cu")
	compareStruct(t, cluster, "ScoreNet", ScoreNetWords())
	pieces := smallnet.MostClusterTiles * 2 / (ClusterBlocks * netWarps)
	if want := fmt.Sprintf("kBlocks = %d, kHeldPieces = %d, kMostTiles = %d;", ClusterBlocks, pieces, smallnet.MostClusterTiles); !strings.Contains(cluster, want) {
		t.Errorf("score_net.cu does not say %s", want)
	}
	if want := fmt.Sprintf("_CLUSTER(%d) __launch_bounds__(%d, 1) score_net_bf16x3(", ClusterBlocks, threads); !strings.Contains(read(t, "score_net.cu"), want) {
		t.Errorf("score_net.cu does not say %s", want)
	}
}

// TestStageWordsMatchSource compares the words of a stage with the struct that reads them.
func TestStageWordsMatchSource(t *testing.T) {
	compareStruct(t, read(t, "advance.cuh"), "NoiseStage", StageWords())
	compareStruct(t, read(t, "apply.cuh"), "UpdateRule", RuleWords())
	compareStruct(t, read(t, "advance.cuh"), "ParameterCopy", CopyWords())
}

// compareStruct wants a struct of words, whose members come first, to have these.
func compareStruct(t *testing.T, text, name string, want []Parameter) {
	t.Helper()
	m := regexp.MustCompile(`(?s)\nstruct ` + name + ` \{\n(.*?)\n(?:  NetLayer layer|\n  __device__|\};)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no struct %s", name)
	}
	var got []Parameter
	for line := range strings.SplitSeq(m[1], "\n") {
		if !strings.HasPrefix(line, "  //") {
			got = append(got, parameter(t, name, strings.TrimSuffix(line, ";")))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("struct %s has\n%v, Go writes\n%v", name, got, want)
	}
}

// names spells kinds as kinds.cuh does: salt-and-pepper as saltandpepper.
func names[K fmt.Stringer](kinds []K) []string {
	var all []string
	for _, k := range kinds {
		all = append(all, strings.ReplaceAll(k.String(), "-", ""))
	}
	return all
}

func compare(t *testing.T, text, enumeration string, want []string) {
	t.Helper()
	m := regexp.MustCompile(`enum ` + enumeration + ` \{([^}]*)\}`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no enum %s", enumeration)
	}
	var got []string
	for name := range strings.SplitSeq(m[1], ",") {
		got = append(got, strings.ToLower(strings.TrimPrefix(strings.TrimSpace(name), "k")))
	}
	if !slices.Equal(got, want) {
		t.Errorf("enum %s is %v, package device has %v", enumeration, got, want)
	}
}

// TestChoicesHaveTheirKernels: a product's kernel says its class and its tile, and is
// launched accordingly.
func TestChoicesHaveTheirKernels(t *testing.T) {
	names := map[Product]string{DenseNT: "dense_nt", DenseNN: "dense_nn", BackwardNN: "dense_backward_nn", BackwardNT: "dense_backward_nt"}
	for _, p := range Products() {
		for _, class := range Classes() {
			for tile := Small; tile <= Large; tile++ {
				want, geometry := fmt.Sprintf("%s_%s_%d", names[p], class.Arithmetic(), tile.Side()), Parts32
				if class == Strict {
					want = fmt.Sprintf("%s_%d", names[p], tile.Side())
				}
				if class == Strict && p < BackwardNN {
					geometry = Tiles32
				}
				id := Choice{Class: class, Tile: tile}.Kernel(p)
				if id.Class() != class || id.Tile() != tile || id.String() != want || id.Kernel().Geometry != geometry+Geometry(tile) {
					t.Errorf("%s with geometry %d, want %s", id, id.Kernel().Geometry, want)
				}
			}
		}
	}
}

// TestClassOnGPUs: only float32 depends on the GPU, and it alone may become strict.
func TestClassOnGPUs(t *testing.T) {
	for capability, tensor := range map[[2]int]bool{{8, 0}: true, {8, 6}: false, {8, 9}: false, {9, 0}: true, {10, 0}: true, {10, 3}: true, {11, 0}: false, {12, 0}: false} {
		for _, class := range Classes() {
			want := class
			if class == Float32 && !tensor {
				want = Strict
			}
			if got := class.On(capability[0], capability[1]); got != want {
				t.Errorf("%s on %v is %s, want %s", class, capability, got, want)
			}
		}
	}
}

// TestCubins compares the manifest with the parameter tables of the machine
// code that scripts/cuda-build has made, whose folder it names.
func TestCubins(t *testing.T) {
	folder := os.Getenv("GPUDAE_CUBINS")
	if folder == "" {
		t.Skip("GPUDAE_CUBINS is not set: scripts/cuda-build sets it")
	}
	cubins := sources(t, filepath.Join(folder, "*.cubin"))
	for _, file := range cubins {
		f, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for id := range Count {
			checkParameters(t, file, f, id.Kernel())
		}
	}
}

// checkParameters wants as many parameters as the manifest has, of 8 bytes each.
func checkParameters(t *testing.T, file string, f *elf.File, k Kernel) {
	t.Helper()
	section := f.Section(".nv.info." + k.Entry)
	if section == nil {
		t.Errorf("%s has no kernel %s", file, k.Entry)
		return
	}
	info, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	sizes := parameterSizes(info)
	if len(sizes) != len(k.Parameters) {
		t.Errorf("%s: %s takes %d parameters, the manifest says %d", file, k.Entry, len(sizes), len(k.Parameters))
	}
	for ordinal := range k.Parameters {
		if sizes[ordinal] != 8 {
			t.Errorf("%s: parameter %d of %s has %d bytes", file, ordinal, k.Entry, sizes[ordinal])
		}
	}
}

// parameterSizes reads the attributes EIATTR_KPARAM_INFO of a .nv.info section:
// an attribute has a format and a number (a byte each), and a value of two
// bytes, which for format 4 is the size of what follows.
func parameterSizes(info []byte) map[int]int {
	const sized, parameterInfo = 4, 0x17
	sizes := map[int]int{}
	for len(info) >= 4 {
		format, attribute, size := info[0], info[1], int(binary.LittleEndian.Uint16(info[2:]))
		info = info[4:]
		if format != sized {
			continue
		}
		if attribute == parameterInfo {
			sizes[int(binary.LittleEndian.Uint16(info[4:]))] = int(binary.LittleEndian.Uint32(info[8:]) >> 18)
		}
		info = info[size:]
	}
	return sizes
}

// TestEveryKernelHasItsResources: the table says of each kernel what it takes on each architecture, so that
// a launch has an occupancy wherever it is predicted.
func TestEveryKernelHasItsResources(t *testing.T) {
	for _, sm := range []int{80, 86, 89, 90, 100, 120} {
		table := ResourcesOn(sm)
		for id := range Count {
			if r, ok := table[id.String()]; !ok || r.Registers == 0 {
				t.Errorf("sm_%d: kernels/resources.tsv has no registers of %s; run scripts/cuda-build record", sm, id)
			}
		}
		if len(table) != int(Count) {
			t.Errorf("sm_%d: kernels/resources.tsv has %d kernels, the manifest %d", sm, len(table), Count)
		}
	}
}
