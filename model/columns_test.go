package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gpudae/device"
	"gpudae/device/reference"
)

// mixedColumns has every family, and names that PyTorch would not take.
func mixedColumns() []ColumnConfig {
	return []ColumnConfig{
		{Name: "age", Family: "gaussian"},
		{Name: "pays de naissance", Family: "categorical", Categories: 4, Embedding: 3},
		{Name: "smokes", Family: "bernoulli"},
		{Name: "pays.de.naissance", Family: "categorical", Categories: 2, Embedding: 1},
		{Name: "weight", Family: "gaussian"},
		{Name: "国", Family: "categorical", Categories: 3},
	}
}

func mixedConfig() Config {
	return Config{Columns: mixedColumns(), Hidden: []int{6, 4}, Activation: "tanh", Likelihood: "mixed", Corruption: "swap:0.3"}
}

// mixedRows draws rows of the columns, a tenth of the cells absent.
func mixedRows(seed uint64, rows int, columns []ColumnConfig) []float32 {
	random := rand.New(rand.NewPCG(seed, 0))
	var values []float32
	for range rows {
		for _, c := range columns {
			x := float32(random.NormFloat64())
			switch c.Family {
			case "bernoulli":
				x = float32(random.IntN(2))
			case "categorical":
				x = float32(random.IntN(c.Categories))
			}
			if random.IntN(10) == 0 {
				x = float32(math.NaN())
			}
			values = append(values, x)
		}
	}
	return values
}

func TestGradientOfMixedColumns(t *testing.T) {
	cases := map[string]Config{}
	add := func(name string, change func(*Config)) {
		c := mixedConfig()
		change(&c)
		cases[name] = c
	}
	for _, likelihood := range []string{"mixed", "mixed:0.6", "mixed:learned", "mixed:learned,floor=0.3"} {
		for _, corruption := range []string{"none", "swap:0.4", "swap-rows:0.4", "masking:0.4", "span:rate=0.4,length=2", "swap:0.2+gaussian:0.3"} {
			for _, indicators := range []bool{false, true} {
				add(fmt.Sprintf("%s/%s/indicators=%t", likelihood, corruption, indicators), func(c *Config) {
					c.Likelihood, c.Corruption, c.Indicators = likelihood, corruption, indicators
				})
			}
		}
	}
	weights := []float64{1, 0.5, 2, 0, 1.5, 3}
	add("weights", func(c *Config) { c.ColumnWeights = weights })
	add("mask head", func(c *Config) { c.MaskHead = 0.7 })
	add("mask head, weights, emphasis", func(c *Config) { c.MaskHead, c.ColumnWeights, c.Emphasis = 2, weights, Emphasis{1, 0.2} })
	add("masked loss only", func(c *Config) { c.Corruption, c.Emphasis = "masking:0.4", Emphasis{1, 0} })
	add("effective rate", func(c *Config) { c.Corruption, c.Collisions = "swap:effective=0.3", []float64{0, 0.3, 0.5, 0.6, 0, 1} })
	add("one layer", func(c *Config) { c.Hidden = []int{3} })
	add("layer norm", func(c *Config) { c.Norm, c.Activation = "layer", "gelu" })
	add("batch norm and dropout", func(c *Config) { c.Norm, c.Dropout = "batch", 0.3 })
	add("replicates", func(c *Config) { c.Replicates, c.Dropout = 3, 0.2 })
	discrete := mixedColumns()[1:4] // what a chain draws of them stays put: see TestGradientOfWalkback
	add("walkback", func(c *Config) { c.Columns, c.Walkback, c.Indicators, c.Corruption = discrete, 3, true, "masking:0.3" })
	add("walkback and mask head", func(c *Config) { c.Columns, c.Walkback, c.MaskHead = discrete, 2, 0.5 })
	add("gaussian code", func(c *Config) { c.Code, c.CodeDistribution, c.MaskHead = 2, "gaussian", 0.5 })
	add("importance", func(c *Config) { c.Code, c.CodeDistribution, c.Importance = 2, "gaussian", 3 })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { checkGradient(t, c) })
	}
}

// TestVectorsOfUnusedCategoriesHaveNoGradient, and those of the absent value one
// where a cell is absent.
func TestVectorsOfUnusedCategoriesHaveNoGradient(t *testing.T) {
	columns := []ColumnConfig{{Name: "a", Family: "categorical", Categories: 3, Embedding: 2}, {Name: "b", Family: "gaussian"}}
	nan := float32(math.NaN())
	values := []float32{0, 1, 2, 2, nan, 3, 0, 4}
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			n := bound(t, dev, Config{Columns: columns, Hidden: []int{4}, Likelihood: "mixed", Corruption: "none"}, 4)
			n.Gradient(sourceOf(t, dev, values, 2, device.Clock{}), 4)
			g := download(t, dev, parameter(t, n, n.Grads, "encoder.embedding.a.weight"))
			for code, used := range []bool{true, false, true, true} {
				if got := g[2*code] != 0 && g[2*code+1] != 0; got != used {
					t.Errorf("code %d: gradient %v, used %t", code, g[2*code:2*code+2], used)
				}
			}
		})
	}
}

// TestAbsentCellsAreNoTargets: what the network says about an absent cell has no
// effect on the loss, and its output's gradient is 0.
func TestAbsentCellsAreNoTargets(t *testing.T) {
	values := mixedRows(3, 8, mixedColumns())
	for j := range mixedColumns() {
		for i := range 8 {
			values[i*6+j] = float32(math.NaN())
		}
		if j == 3 {
			break
		}
	}
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			for _, likelihood := range []string{"mixed", "mixed:learned"} {
				c := mixedConfig()
				c.Likelihood = likelihood
				n := bound(t, dev, c, 8)
				n.Gradient(sourceOf(t, dev, values, 6, device.Clock{}), 8)
				g := download(t, dev, parameter(t, n, n.Grads, "decoder.1.bias"))
				for j, column := range n.dae.tableColumns() {
					of := g[column.Param : column.Param+column.Params()]
					if zero := allZero(of); zero != (j < 4) {
						t.Errorf("%s: column %d, gradient %v", likelihood, j, of)
					}
				}
			}
		})
	}
}

// TestAbsentCellsAreNotCorrupted: x̃ is absent where x is, and its mask is 0;
// masking makes others absent.
func TestAbsentCellsAreNotCorrupted(t *testing.T) {
	values := mixedRows(5, 30, mixedColumns())
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			for _, corruption := range []string{"masking:1", "swap:1", "swap-rows:1", "span:1", "gaussian:1", "salt-and-pepper:1"} {
				c := mixedConfig()
				c.Corruption = corruption
				n := bound(t, dev, c, 30)
				corrupted, mask := corruptedAt(t, n, sourceOf(t, dev, values, 6, device.Clock{}), 30, device.Clock{})
				for i, x := range values {
					number := mixedColumns()[i%6].Family == "gaussian"
					additive := strings.HasPrefix(corruption, "gaussian") || strings.HasPrefix(corruption, "salt")
					switch {
					case absent(x) && (!absent(corrupted[i]) || mask[i] != 0):
						t.Fatalf("%s: absent cell %d became %v with mask %v", corruption, i, corrupted[i], mask[i])
					case absent(x):
					case additive && !number && (mask[i] != 0 || corrupted[i] != x):
						t.Fatalf("%s: cell %d of a column that is no number became %v from %v", corruption, i, corrupted[i], x)
					case !additive && mask[i] != 1:
						t.Fatalf("%s: cell %d has mask %v", corruption, i, mask[i])
					case (corruption == "masking:1" || corruption == "span:1") && !absent(corrupted[i]):
						t.Fatalf("%s: cell %d became %v", corruption, i, corrupted[i])
					}
				}
			}
		})
	}
}

// TestEffectiveSwapReachesItsRate: in columns of different entropy, the fraction
// of cells that change is what was asked for, or all that a swap can do.
func TestEffectiveSwapReachesItsRate(t *testing.T) {
	const rows, want = 20_000, 0.2
	columns := []ColumnConfig{{Name: "number", Family: "gaussian"}, {Name: "rare", Family: "bernoulli"},
		{Name: "common", Family: "categorical", Categories: 3, Embedding: 2}, {Name: "holes", Family: "categorical", Categories: 2, Embedding: 1}}
	random := rand.New(rand.NewPCG(8, 0))
	var values []float32
	for range rows {
		rare, common, holes := float32(0), float32(0), float32(random.IntN(2))
		if random.IntN(20) == 0 {
			rare = 1
		}
		if u := random.Float64(); u > 0.6 {
			common = float32(1 + random.IntN(2))
		}
		if random.IntN(2) == 0 {
			holes = float32(math.NaN())
		}
		values = append(values, float32(random.NormFloat64()), rare, common, holes)
	}
	dev := devices(t)["cpu"]
	src := sourceOf(t, dev, values, 4, device.Clock{})
	collisions, err := Collisions(context.Background(), device.Table{Rows: rows, Columns: 4, Float32: values}, src.Part, nil)
	if err != nil {
		t.Fatal(err)
	}
	for j, c := range []float64{0, 0.95*0.95 + 0.05*0.05, 0.6*0.6 + 2*0.2*0.2, 0.25} { // half of the donors are absent
		if math.Abs(collisions[j]-c) > 0.01 {
			t.Errorf("column %d: two cells are equal with probability %v, want %v", j, collisions[j], c)
		}
	}
	for _, kind := range []string{"swap", "swap-rows"} {
		d := mustNew(t, Config{Columns: columns, Hidden: []int{2}, Likelihood: "mixed", Corruption: kind + ":effective=0.2", Collisions: collisions})
		n, err := Bind(dev, d, Binding{Examples: 500})
		if err != nil {
			t.Fatal(err)
		}
		m, err := n.MeasureCorruption(t.Context(), src, rows)
		if err != nil {
			t.Fatal(err)
		}
		if capped := d.Capped(); !slices.Equal(capped, []int{1}) {
			t.Errorf("capped: %v, want column 1", capped)
		}
		for j, column := range m.Columns {
			expect := want
			if j == 1 {
				expect = 1 - collisions[1]
			}
			checkProportion(t, fmt.Sprintf("%s: changed cells of column %d", kind, j), column.Changed, expect, float64(column.Cells))
			checkProportion(t, "destroyed", column.Destroyed, column.Nominal, float64(column.Cells))
		}
		if cells := m.Columns[3].Cells; math.Abs(float64(cells)-rows/2) > 5*math.Sqrt(rows/4) {
			t.Errorf("%d of %d cells are counted where half are absent", cells, rows)
		}
	}
}

// TestCollisionsOfFields counts a one-hot field as one value.
func TestCollisionsOfFields(t *testing.T) {
	table := device.Table{Rows: 4, Columns: 3, Float32: []float32{1, 0, 5, 1, 0, 6, 0, 1, 5, 1, 0, 5}}
	got, err := Collisions(context.Background(), table, device.Rows{Hi: 4}, []int{2, 1})
	if err != nil || math.Abs(got[0]-6./12) > 1e-12 || math.Abs(got[1]-6./12) > 1e-12 {
		t.Errorf("%v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Collisions(ctx, table, device.Rows{Hi: 4}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

// TestMixedRunStartsAtTheMarginals: the first loss is that of the columns'
// marginals, which the tally gives as its baseline, and balanced weights count
// every column the same.
func TestMixedRunStartsAtTheMarginals(t *testing.T) {
	const rows = 3000
	values := mixedRows(9, rows, mixedColumns())
	table := device.Table{Rows: rows, Columns: 6, Float32: values}
	part := device.Rows{Hi: rows}
	for _, likelihood := range []string{"mixed", "mixed:0.8", "mixed:learned"} {
		for _, head := range []float64{0, 1} {
			c := mixedConfig()
			c.Likelihood, c.MaskHead, c.Corruption = likelihood, head, "masking:0.25"
			d := mustNew(t, c)
			m, err := d.Moments(t.Context(), table, part)
			if err != nil {
				t.Fatal(err)
			}
			dev := reference.New()
			n, err := Bind(dev, d, Binding{Examples: 500})
			if err != nil {
				t.Fatal(err)
			}
			params := d.InitialParameters(1)
			d.StartAtMeans(params, m)
			if err := n.SetParameters(params, nil); err != nil {
				t.Fatal(err)
			}
			tally := NewTally(d, m)
			e, err := n.EvaluateEach(t.Context(), sourceOf(t, dev, values, 6, device.Clock{}), tally.Add)
			if err != nil {
				t.Fatal(err)
			}
			nll, baseline := 0.0, 0.0
			for j, column := range tally.Columns() {
				nll += column.All.NLL * float64(column.All.N) / rows
				baseline += column.All.BaselineNLL * float64(column.All.N) / rows
				if math.Abs(column.All.NLL-column.All.BaselineNLL) > 1e-4 {
					t.Errorf("%s: column %d starts at %v, its marginal has %v", likelihood, j, column.All.NLL, column.All.BaselineNLL)
				}
				if column.Destroyed.N == 0 || column.Destroyed.N >= column.All.N {
					t.Errorf("column %d: %d of %d cells destroyed", j, column.Destroyed.N, column.All.N)
				}
			}
			if math.Abs(e.NLL-nll) > 1e-9 || math.Abs(nll-baseline) > 1e-3 {
				t.Errorf("%s: NLL %v, by column %v, marginals %v", likelihood, e.NLL, nll, baseline)
			}
			mask := 0.0
			if head > 0 { // the mask's entropy, of the cells that are not absent
				for _, column := range tally.Columns() {
					mask += float64(column.All.N) / rows * (entropy(0.25) + entropy(0.75))
				}
			}
			if math.Abs(e.Loss-e.NLL-mask) > 0.02 {
				t.Errorf("%s: loss %v, NLL %v, expected %v for the mask", likelihood, e.Loss, e.NLL, mask)
			}
		}
	}
}

func TestBalancedWeights(t *testing.T) {
	d := mustNew(t, Config{Columns: []ColumnConfig{{Name: "n", Family: "gaussian"}, {Name: "b", Family: "bernoulli"},
		{Name: "c", Family: "categorical", Categories: 4}, {Name: "k", Family: "categorical", Categories: 2}}, Hidden: []int{2}, Likelihood: "mixed"})
	w := d.BalancedWeights(Moments{Rows: 100, Mean: []float64{0, 0.5, 0, 0}, Variance: []float64{1, 0.25, 0, 0},
		Frequencies: [][]int{nil, nil, {25, 25, 25, 25}, {100, 0}}})
	mean := 0.0
	for _, x := range w {
		mean += x / 4
	}
	if math.Abs(mean-1) > 1e-12 || math.Abs(w[0]*0.5-w[1]*math.Ln2) > 1e-12 || math.Abs(w[1]*math.Ln2-w[2]*math.Log(4)) > 1e-12 ||
		math.Abs(w[3]*leastBalanced-w[0]*0.5) > 1e-12 {
		t.Errorf("weights %v", w)
	}
}

// TestMixedEvaluationDoesNotDependOnTheMinibatch: bit for bit, on each device.
func TestMixedEvaluationDoesNotDependOnTheMinibatch(t *testing.T) {
	c := mixedConfig()
	c.Norm, c.Dropout, c.MaskHead, c.Indicators, c.Corruption = "batch", 0.3, 1, true, "masking:0.2+swap:0.2"
	for name, dev := range devices(t) {
		t.Run(name, func(t *testing.T) {
			src := sourceOf(t, dev, mixedRows(1, 40, mixedColumns()), 6, device.Clock{})
			src.Part = device.Rows{Lo: 2, Hi: 39, Split: true, Seed: 1}
			var want string
			for i, examples := range []int{1, 2, 7, 16, 37, 64} {
				got, err := bound(t, dev, c, examples).Evaluate(t.Context(), src)
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprintf("%b", []any{got.N, got.Loss, got.NLL, got.KL, got.MSE})
				if i == 0 {
					want = text
				}
				if text != want || got.N != 37 || !math.IsNaN(got.PSNR) {
					t.Errorf("minibatches of %d give %+v, of 1 %s", examples, got, want)
				}
			}
		})
	}
}

// TestEmbeddingNames: valid in PyTorch, and unique.
func TestEmbeddingNames(t *testing.T) {
	d := mustNew(t, mixedConfig())
	var got []string
	for _, e := range d.Embeddings() {
		got = append(got, e.Parameter)
	}
	want := []string{"encoder.embedding.pays_de_naissance.weight", "encoder.embedding.pays_de_naissance_2.weight", "encoder.embedding.column_6.weight"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if width := d.Embeddings()[2].Width; width != EmbeddingWidth(3) || d.Config().Columns[5].Embedding != width {
		t.Errorf("a default width of %d, want %d", width, EmbeddingWidth(3))
	}
	for k, want := range map[int]int{1: 2, 2: 2, 10: 6, 42: 13, 1000: 50, 65535: 50} {
		if got := EmbeddingWidth(k); got != want {
			t.Errorf("%d categories: width %d, want %d", k, got, want)
		}
	}
}

func TestBadColumnsAreRefused(t *testing.T) {
	if _, err := New(mixedConfig()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		key    string
		text   string
	}{
		"no columns":            {func(c *Config) { c.Columns, c.Features = nil, 6 }, "likelihood", "describe the columns"},
		"another likelihood":    {func(c *Config) { c.Likelihood = "gaussian" }, "likelihood", "mixed:learned"},
		"too few columns":       {func(c *Config) { c.Features = 7 }, "columns", "6 columns of 7 features"},
		"shape":                 {func(c *Config) { c.Shape = []int{2, 3} }, "shape", "leave it out"},
		"fields":                {func(c *Config) { c.Fields = []int{6} }, "fields", "one unit already"},
		"tied":                  {func(c *Config) { c.Tied = true }, "tied", "untie"},
		"score matching":        {func(c *Config) { c.Objective, c.Corruption, c.Score.Noise = "dsm", "none", "edm" }, "likelihood", "dsm"},
		"family":                {func(c *Config) { c.Columns[0].Family = "gausian" }, "columns", `did you mean "gaussian"`},
		"categories of numbers": {func(c *Config) { c.Columns[0].Categories = 3 }, "columns", "leave categories"},
		"no categories":         {func(c *Config) { c.Columns[1].Categories = 0 }, "columns", "1 to 65535"},
		"too many categories":   {func(c *Config) { c.Columns[1].Categories = 65536 }, "columns", "1 to 65535"},
		"embedding":             {func(c *Config) { c.Columns[1].Embedding = -1 }, "columns", "width -1"},
		"mask head":             {func(c *Config) { c.MaskHead = -1 }, "mask_head", "-1"},
		"mask of all":           {func(c *Config) { c.MaskHead, c.Corruption = 1, "gaussian:1" }, "mask_head", "no mask to predict"},
		"head of importance":    {func(c *Config) { c.MaskHead, c.Code, c.CodeDistribution, c.Importance = 1, 2, "gaussian", 2 }, "mask_head", "no bound"},
		"weights":               {func(c *Config) { c.ColumnWeights = []float64{1} }, "column_weights", "1 weights of 6"},
		"negative weight":       {func(c *Config) { c.ColumnWeights = []float64{1, 1, 1, 1, 1, -1} }, "column_weights", "-1"},
		"no weight":             {func(c *Config) { c.ColumnWeights = make([]float64, 6) }, "column_weights", "no column counts"},
		"collisions":            {func(c *Config) { c.Collisions = []float64{1} }, "collisions", "1 probabilities of 6"},
		"no probability":        {func(c *Config) { c.Collisions = []float64{1, 1, 1, 1, 1, 1.5} }, "collisions", "1.5"},
		"effective":             {func(c *Config) { c.Corruption = "swap:effective=0.1" }, "corruption", "collisions"},
		"indicators of numbers": {func(c *Config) { *c = Config{Features: 2, Hidden: []int{2}, Likelihood: "gaussian", Indicators: true} }, "indicators", "mixed"},
		"head of numbers":       {func(c *Config) { *c = Config{Features: 2, Hidden: []int{2}, Likelihood: "gaussian", MaskHead: 1} }, "mask_head", "mixed"},
		"parameters":            {func(c *Config) { c.Columns[1].Categories, c.Columns[1].Embedding = 65535, 65535 }, "hidden", "parameters"},
	} {
		t.Run(name, func(t *testing.T) {
			config := mixedConfig()
			config.Columns = slices.Clone(config.Columns)
			c.change(&config)
			_, err := New(config)
			var refused *ConfigError
			if !errors.As(err, &refused) || refused.Key != c.key || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want one of %s with %q", err, c.key, c.text)
			}
		})
	}
}

// TestMixedBytes: what Bytes counts is what Bind allocates.
func TestMixedBytes(t *testing.T) {
	c := mixedConfig()
	c.Indicators, c.MaskHead, c.ColumnWeights = true, 1, []float64{1, 1, 1, 1, 1, 1}
	c.Corruption, c.Collisions = "swap:effective=0.1", make([]float64, 6)
	for _, training := range []bool{false, true} {
		dev := &countingDevice{Device: reference.New()}
		d, b := mustNew(t, c), Binding{Examples: 5, Training: training}
		if _, err := Bind(dev, d, b); err != nil {
			t.Fatal(err)
		}
		if got := d.Bytes(b); got != 4*dev.elements {
			t.Errorf("training %t: %d bytes, %d elements allocated", training, got, dev.elements)
		}
	}
}
