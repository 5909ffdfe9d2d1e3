package device

import (
	"math"

	"gpudae/device/philox"
)

// The columns of a table, and the operations between them and a network. A row
// of a table is one number a column: the value of a numeric column, 0 or 1 of a
// binary one, the code 0..Categories-1 of a categorical one, and NaN where the
// cell is absent. No one-hot matrix is ever made.

// Family is the distribution of a column under the Mixed likelihood. Its
// parameters are those of the likelihood of the same name in kind.go.
type Family uint8

const (
	// FamilyGaussian: a mean; σ is that of the operation's Sigma.
	FamilyGaussian Family = iota
	// FamilyGaussianLearned: [μ, s], v = exp(s) + Floor².
	FamilyGaussianLearned
	// FamilyBernoulli: a logit of the value 1.
	FamilyBernoulli
	// FamilyCategorical: a logit for each code.
	FamilyCategorical
	families
)

var familyNames = [families]string{"gaussian", "gaussian-learned", "bernoulli", "categorical"}

// String returns the name used in configuration files.
func (f Family) String() string { return familyNames[f] }

// Families returns every family.
func Families() []Family { return kinds(families) }

// NoIndicator is the Indicator of a column without one.
const NoIndicator = -1

// TableColumn places a column in a network's input and output.
type TableColumn struct {
	Family     Family
	Categories int // FamilyCategorical: the number of codes, at least 1
	Input      int // first column of Embed's output: one column, or Embedding for a categorical
	Embedding  int // categorical: the width of a code's vector, at least 1; else 0
	Vectors    int // categorical: where its vectors start among the parameters
	Indicator  int // column of Embed's output that is 1 where the value is absent and 0 elsewhere, or NoIndicator
	Param      int // first column of the likelihood's parameters
}

// Params is the number of the column's parameters under the Mixed likelihood.
func (c TableColumn) Params() int {
	switch c.Family {
	case FamilyGaussianLearned:
		return 2
	case FamilyCategorical:
		return c.Categories
	default:
		return 1
	}
}

// Inputs is the number of columns of Embed's output that hold the value.
func (c TableColumn) Inputs() int {
	if c.Family == FamilyCategorical {
		return c.Embedding
	}
	return 1
}

// VectorsLen is the number of parameters that the column's embedding takes: a
// matrix [Categories+1, Embedding], of which the last row is that of an absent
// value.
func (c TableColumn) VectorsLen() int {
	if c.Family == FamilyCategorical {
		return (c.Categories + 1) * c.Embedding
	}
	return 0
}

// TableColumnWords is the number of words that describe a column to a device:
// those of TableColumn in the order of its fields, and the number of vectors of
// the columns before it.
const TableColumnWords = 8

// TableColumns are the columns of a table as a device holds them. The zero
// TableColumns are absent.
type TableColumns struct {
	Count      int
	InputWidth int // columns of Embed's output
	ParamWidth int // columns of the Mixed likelihood's parameters
	Vectors    int // parameters up to the end of the last vector
	Codes      int // vectors of all columns: of each code, and of an absent value
	Words      Words
}

// IsZero reports whether there are no columns.
func (t TableColumns) IsZero() bool { return t.Count == 0 }

// NewTableColumns returns the description of columns and the words to upload to
// its Words, which the caller allocates. Values and indicators must fill
// Embed's output without a gap or an overlap, and the parameters theirs; if
// they do not it panics.
func NewTableColumns(columns []TableColumn) (TableColumns, []uint32) {
	t := TableColumns{Count: len(columns)}
	for _, c := range columns {
		t.InputWidth += c.Inputs()
		if c.Indicator != NoIndicator {
			t.InputWidth++
		}
		t.ParamWidth += c.Params()
		t.Vectors = max(t.Vectors, c.Vectors+c.VectorsLen())
	}
	inputs, params := make(cover, t.InputWidth), make(cover, t.ParamWidth)
	words := make([]uint32, 0, TableColumnWords*len(columns))
	for j, c := range columns {
		if c.Family >= families || (c.Family == FamilyCategorical) != (c.Categories > 0) || (c.Family == FamilyCategorical) != (c.Embedding > 0) ||
			c.Vectors < 0 || c.Vectors+c.VectorsLen() > math.MaxInt32 {
			panicf("table column %d: %+v", j, c)
		}
		if !inputs.take(c.Input, c.Inputs()) || c.Indicator != NoIndicator && !inputs.take(c.Indicator, 1) || !params.take(c.Param, c.Params()) {
			panicf("table column %d overlaps another or leaves a gap in %d inputs and %d parameters: %+v", j, t.InputWidth, t.ParamWidth, c)
		}
		words = append(words, uint32(c.Family), uint32(c.Categories), uint32(c.Input), uint32(c.Embedding), uint32(c.Vectors),
			uint32(int32(c.Indicator)), uint32(c.Param), uint32(t.Codes))
		if c.Family == FamilyCategorical {
			t.Codes += c.Categories + 1
		}
	}
	return t, words
}

// TableColumnsOf is the inverse of NewTableColumns, for devices.
func TableColumnsOf(words []uint32) []TableColumn {
	columns := make([]TableColumn, len(words)/TableColumnWords)
	for j := range columns {
		columns[j] = TableColumnOf(words, j)
	}
	return columns
}

// TableColumnOf reads column j from the words of NewTableColumns.
func TableColumnOf(words []uint32, j int) TableColumn {
	w := words[j*TableColumnWords : (j+1)*TableColumnWords]
	return TableColumn{Family: Family(w[0]), Categories: int(w[1]), Input: int(w[2]), Embedding: int(w[3]), Vectors: int(w[4]),
		Indicator: int(int32(w[5])), Param: int(w[6])}
}

// cover says which columns of a matrix are taken.
type cover []bool

// take marks columns, and reports whether all were there and free.
func (c cover) take(from, n int) bool {
	if from < 0 || from+n > len(c) {
		return false
	}
	for j := from; j < from+n; j++ {
		if c[j] {
			return false
		}
		c[j] = true
	}
	return true
}

// Check panics if the words are not those of the columns.
func (t TableColumns) Check() {
	if t.Count < 1 || t.Words.Len != t.Count*TableColumnWords {
		panicf("%d table columns in %d words", t.Count, t.Words.Len)
	}
}

// EmbedArgs makes the network's input of a table's rows: of a numeric or binary
// column the value, or 0 where it is absent; of a categorical column the vector
// of its code, or the last vector where it is absent; and in a column's
// Indicator 1 where the value is absent and 0 where it is not. A code that is
// not a whole number in 0..Categories-1 is an error of the program, with no
// defined result.
type EmbedArgs struct {
	Table  TableColumns
	X      View // [rows, Table.Count]
	Params View // [1, parameters], which hold the vectors
	Y      View // out [rows, Table.InputWidth]
}

// Check panics if the arguments do not fit together.
func (a *EmbedArgs) Check() {
	a.Table.Check()
	if a.X.Columns != a.Table.Count || a.Y.Columns != a.Table.InputWidth || a.X.Rows != a.Y.Rows || a.Params.Len() < a.Table.Vectors {
		panicf("embed %s of %d columns by %s to %s, for inputs of %d and %d parameters", shape(a.X), a.Table.Count, shape(a.Params),
			shape(a.Y), a.Table.InputWidth, a.Table.Vectors)
	}
}

// EmbedBackwardArgs computes the gradient of Embed by its vectors: that of a
// vector is the sum of DY at the column's place over the rows that used it, in
// the order of the rows, so that it repeats bit for bit; 0 where no row did. It
// sets the elements of Grads that are vectors, and leaves the others alone.
type EmbedBackwardArgs struct {
	Table TableColumns
	X     View // [rows, Table.Count], as given to Embed
	DY    View // [rows, Table.InputWidth]
	Grads View // in and out [1, parameters]
}

// Check panics if the arguments do not fit together.
func (a *EmbedBackwardArgs) Check() {
	a.Table.Check()
	if a.X.Columns != a.Table.Count || a.DY.Columns != a.Table.InputWidth || a.X.Rows != a.DY.Rows || a.Grads.Len() < a.Table.Vectors {
		panicf("embed backward of %s by %s of %d columns to %s, for inputs of %d and %d parameters", shape(a.DY), shape(a.X), a.Table.Count,
			shape(a.Grads), a.Table.InputWidth, a.Table.Vectors)
	}
}

// RateWord is a probability in the form of CorruptArgs.Rates: the event happens
// at a word w if the RateWord r is not 0 and w ≤ r, so that 0 never and 1 always
// happens; else it is exact to within 2⁻³².
func RateWord(p float64) uint32 {
	switch t := philox.Threshold(p); {
	case t == 0:
		return 0
	default:
		return uint32(max(t-1, 1))
	}
}

// SpanStart is the Rate of CorruptSpan that destroys each field with
// probability p by runs of so many fields: the threshold of
// q = 1 - (1-p)^(1/length), the probability that a run starts.
func SpanStart(p float64, length int) uint64 {
	return philox.Threshold(-math.Expm1(math.Log1p(-p) / float64(length)))
}
