package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gpudae/device"
)

// ColumnConfig describes a column of a table of mixed columns: what its values
// are, not where they come from.
type ColumnConfig struct {
	Name       string `yaml:"name" json:"name"`
	Family     string `yaml:"family" json:"family"`                             // gaussian, bernoulli or categorical
	Categories int    `yaml:"categories,omitempty" json:"categories,omitempty"` // categorical: codes 0..Categories-1
	Embedding  int    `yaml:"embedding,omitempty" json:"embedding,omitempty"`   // categorical: width of a code's vector; 0: EmbeddingWidth
	Vectors    string `yaml:"vectors,omitempty" json:"vectors,omitempty"`       // categorical: name of the parameter that holds its vectors, which New sets
}

// MaxCategories bounds the codes of a column: they are 16-bit numbers, one of
// which stands for an absent value.
const MaxCategories = 1<<16 - 1

// Bounds of what a table's columns may ask for.
const (
	maxMaskHead     = 1e6
	maxColumnWeight = 1e6
)

// EmbeddingWidth is the default width of the vectors of so many categories,
// min(50, round(1.6·K^0.56)): fast.ai's rule for tables (Howard and Gugger 2020,
// chapter 9).
func EmbeddingWidth(categories int) int {
	return min(50, int(math.Round(1.6*math.Pow(float64(categories), 0.56))))
}

// tabular reports whether the columns of the data are mixed.
func (r *resolved) tabular() bool { return len(r.Columns) > 0 }

// checkColumns looks the families of a table's columns up, and refuses what has
// no meaning for them.
func (r *resolved) checkColumns() error {
	mixed := r.likelihood.Kind == device.Mixed
	switch {
	case mixed && !r.tabular():
		return configErrorf("likelihood", "describe the columns, or choose gaussian", "%s needs to know what each column is", device.Mixed)
	case !mixed && r.tabular():
		return configErrorf("likelihood", "choose mixed or mixed:learned", "%s has one family for all columns", r.likelihood)
	case !mixed:
		return r.checkPlainColumns()
	case len(r.Columns) != r.Features:
		return configErrorf("columns", "describe each column once", "%d columns of %d features", len(r.Columns), r.Features)
	case len(r.Shape) != 1:
		return configErrorf("shape", "leave it out", "the columns of a table have no shape such as %v", r.Shape)
	case len(r.Fields) > 0:
		return configErrorf("fields", "leave them out", "a categorical column is one unit already")
	case r.levels != nil:
		return configErrorf("objective", "choose "+ObjectiveNLL, "%s knows no categories", ObjectiveDSM)
	case r.Tied:
		return configErrorf("tied", "untie the weights", "a table's decoder puts out other numbers than its encoder takes")
	}
	r.families = make([]device.Family, len(r.Columns))
	for j := range r.Columns {
		if err := r.resolveColumn(j); err != nil {
			return err
		}
	}
	for j, name := range r.embeddingNames() {
		r.Columns[j].Vectors = name
	}
	return r.checkMaskHead()
}

// checkPlainColumns refuses what has a meaning for tables of mixed columns only.
func (r *resolved) checkPlainColumns() error {
	const remedy = "leave it out, or choose the likelihood mixed"
	switch {
	case r.Indicators:
		return configErrorf("indicators", remedy, "%s has no absent values to indicate", r.likelihood)
	case r.MaskHead != 0:
		return configErrorf("mask_head", remedy, "%s has no head for the mask", r.likelihood)
	}
	return nil
}

func (r *resolved) resolveColumn(j int) error {
	c := &r.Columns[j]
	kinds := []device.Family{device.FamilyGaussian, device.FamilyBernoulli, device.FamilyCategorical}
	family, ok := named(kinds, c.Family)
	if !ok {
		return unknownName("columns", fmt.Sprintf("family of column %q:", c.Name), c.Family, names(kinds))
	}
	categorical := family == device.FamilyCategorical
	switch {
	case !categorical && (c.Categories != 0 || c.Embedding != 0):
		return configErrorf("columns", "leave categories and embedding out", "column %q is %s and has %d categories", c.Name, family, c.Categories)
	case categorical && (c.Categories < 1 || c.Categories > MaxCategories):
		return configErrorf("columns", fmt.Sprintf("give it 1 to %d", MaxCategories), "column %q has %d categories", c.Name, c.Categories)
	case categorical && (c.Embedding < 0 || c.Embedding > MaxCategories):
		return configErrorf("columns", fmt.Sprintf("choose 1 to %d, or 0 for the default", MaxCategories), "an embedding of width %d of column %q", c.Embedding, c.Name)
	case categorical && c.Embedding == 0:
		c.Embedding = EmbeddingWidth(c.Categories)
	}
	if family == device.FamilyGaussian && r.likelihood.Learned {
		family = device.FamilyGaussianLearned
	}
	r.families[j] = family
	return nil
}

func (r *resolved) checkMaskHead() error {
	const key = "mask_head"
	switch {
	case !(r.MaskHead >= 0 && r.MaskHead <= maxMaskHead):
		return configErrorf(key, fmt.Sprintf("choose 0 to %g", maxMaskHead), "a weight %g of the mask's loss", r.MaskHead)
	case r.MaskHead == 0:
		return nil
	case r.Importance > 0:
		return configErrorf(key, "leave it out", "the loss of a mask gives no bound of importance")
	}
	table := Corruptions()
	for _, stage := range r.corruption {
		if !table[stage.Kind].Selective {
			return configErrorf(key, "use it with swap, swap-rows, masking, span or salt-and-pepper", "%s destroys every number, which leaves no mask to predict", stage.Kind)
		}
	}
	return nil
}

// checkLists checks the lists that have an element for each column or field.
func (r *resolved) checkLists() error {
	if n := len(r.ColumnWeights); n > 0 {
		if n != r.Features {
			return configErrorf("column_weights", "give one a column, or none", "%d weights of %d columns", n, r.Features)
		}
		for j, w := range r.ColumnWeights {
			if !(w >= 0 && w <= maxColumnWeight) {
				return configErrorf("column_weights", fmt.Sprintf("choose 0 to %g", maxColumnWeight), "a weight %g of column %d", w, j+1)
			}
		}
		if slices.Max(r.ColumnWeights) == 0 {
			return configErrorf("column_weights", "give one of them more than 0", "no column counts in the loss")
		}
		if r.Importance > 0 {
			return configErrorf("column_weights", "leave them out", "a weighted likelihood gives no bound of importance")
		}
		if r.levels != nil {
			return configErrorf("column_weights", "leave them out", "%s weighs noise levels, not columns", ObjectiveDSM)
		}
	}
	if n := len(r.Collisions); n > 0 {
		if n != r.fieldCount() {
			return configErrorf("collisions", "give one a field, or none", "%d probabilities of %d fields", n, r.fieldCount())
		}
		for f, p := range r.Collisions {
			if !(p >= 0 && p <= 1) {
				return configErrorf("collisions", "choose 0 to 1", "a probability %g of field %d", p, f+1)
			}
		}
	}
	for _, stage := range r.corruption {
		if stage.Effective && len(r.Collisions) == 0 {
			return configErrorf("corruption", "give collisions, or a nominal rate", "%s needs to know how often two values of a column are equal", Corruption{stage})
		}
	}
	return nil
}

// fieldCount is the number of units that masking and swap destroy as a whole.
func (r *resolved) fieldCount() int {
	if r.grouped() {
		return len(r.Fields)
	}
	return r.Features
}

// ratesOf are the rates of a stage by field, nil if all are the stage's own. A
// swap changes a value unless the donor's is equal, which has probability c:
// an effective rate e takes the nominal e/(1 - c), or 1 where that is not enough.
func (r *resolved) ratesOf(s Stage) []float64 {
	if !s.Effective {
		return nil
	}
	rates := make([]float64, len(r.Collisions))
	for f, c := range r.Collisions {
		rates[f] = 1
		if c < 1 {
			rates[f] = min(s.Amount/(1-c), 1)
		}
	}
	return rates
}

// NominalRates are the probabilities with which a field is destroyed, 1 - Π(1 -
// p) over the stages: one number if all fields have the same.
func (d *DAE) NominalRates() []float64 {
	r := d.resolved
	kept := []float64{1}
	for _, stage := range r.corruption {
		rates := r.ratesOf(stage)
		if rates == nil {
			rates = []float64{stage.rate()}
		}
		if len(rates) > len(kept) {
			kept = slices.Repeat(kept, len(rates))
		}
		for f := range kept {
			kept[f] *= 1 - rates[f%len(rates)]
		}
	}
	for f := range kept {
		kept[f] = 1 - kept[f]
	}
	return kept
}

// Capped lists the fields, counted from 0, in which a swap cannot reach its
// effective rate, even if it takes every value from another row.
func (d *DAE) Capped() []int {
	var fields []int
	for f, c := range d.resolved.Collisions {
		for _, stage := range d.resolved.corruption {
			if stage.Effective && stage.Amount > 1-c && !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// tableColumns places the columns: the values in their order, then the
// indicators. Vectors are the offsets of the embeddings.
func (r *resolved) tableColumns(vectors func(column int) int) []device.TableColumn {
	list := make([]device.TableColumn, len(r.Columns))
	input, param := 0, 0
	for j, c := range r.Columns {
		t := device.TableColumn{Family: r.families[j], Categories: c.Categories, Embedding: c.Embedding, Input: input, Indicator: device.NoIndicator, Param: param}
		if c.Categories > 0 {
			t.Vectors = vectors(j)
		}
		list[j] = t
		input += t.Inputs()
		param += t.Params()
	}
	if r.Indicators {
		for j := range list {
			list[j].Indicator = input + j
		}
	}
	return list
}

// inputWidth is the number of inputs of the first layer.
func (r *resolved) inputWidth() int {
	switch {
	case r.tabular():
		width := 0
		for _, c := range r.Columns {
			width += max(c.Embedding, 1)
		}
		if r.Indicators {
			width += len(r.Columns)
		}
		return width
	case r.levels != nil:
		return r.Features + r.levels.width()
	}
	return r.Features
}

// paramWidth is the number of parameters of p(x|h), those of the mask's head not
// included.
func (r *resolved) paramWidth() int {
	if !r.tabular() {
		return r.likelihood.Kind.Width(r.Features)
	}
	width := 0
	for j, c := range r.Columns {
		width += device.TableColumn{Family: r.families[j], Categories: c.Categories}.Params()
	}
	return width
}

// outputWidth is the number of outputs of the decoder.
func (r *resolved) outputWidth() int {
	if r.MaskHead > 0 {
		return r.paramWidth() + len(r.Columns)
	}
	return r.paramWidth()
}

// embeddingNames are those of the parameters of each column's vectors, empty for
// columns that have none: the columns' names with what PyTorch does not take in
// a name replaced, numbered where they come out the same.
func (r *resolved) embeddingNames() []string {
	list := make([]string, len(r.Columns))
	taken := map[string]bool{}
	for j, c := range r.Columns {
		if c.Categories == 0 {
			continue
		}
		base := plainName(c.Name, j)
		name := base
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", base, n)
		}
		taken[name] = true
		list[j] = "encoder.embedding." + name + ".weight"
	}
	return list
}

// plainName keeps the letters, digits and underscores of ASCII.
func plainName(name string, column int) string {
	plain := strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	if strings.Trim(plain, "_") == "" {
		return fmt.Sprintf("column_%d", column+1)
	}
	return plain
}
