package table

import (
	"fmt"
	"slices"
	"strings"

	"gpudae/data"
)

// Kind says what a column holds, and so how a model sees it.
type Kind string

// The kinds.
const (
	Numeric     Kind = "numeric"     // a real number
	Integer     Kind = "integer"     // a whole number: as numeric, rounded when it is written back
	Binary      Kind = "binary"      // one of two values: 0 or 1
	Categorical Kind = "categorical" // a code: 0 for an unknown category, i+1 for Fit.Categories[i]
	Time        Kind = "time"        // a date or a moment: as numeric, in seconds since 1970
	Drop        Kind = "drop"        // not used; Column.Reason says why
)

// Kinds lists the kinds, for messages and documentation.
func Kinds() []Kind { return []Kind{Numeric, Integer, Binary, Categorical, Time, Drop} }

// scaled reports whether columns of the kind are numbers that have a scaling.
func (k Kind) scaled() bool { return k == Numeric || k == Integer || k == Time }

// Reason says why a column is dropped.
type Reason string

// The reasons.
const (
	ReasonIdentifier Reason = "identifier" // (nearly) every row has a value of its own, or the values count the rows
	ReasonConstant   Reason = "constant"   // every row has the same value, where it has one
	ReasonEmpty      Reason = "empty"      // no training row has a value
	ReasonUser       Reason = "user"       // a person said so
)

func reasons() []Reason {
	return []Reason{ReasonIdentifier, ReasonConstant, ReasonEmpty, ReasonUser}
}

// Scaling names a map from a number x to the model's z; see scaler.
type Scaling string

// The scalings. The statistics are those of the training rows.
const (
	Standard  Scaling = "standard"   // z = (x-μ)/s, s the standard deviation (or 1 if that is 0)
	MinMax    Scaling = "min-max"    // z = (x-low)/(high-low) (or x-low)
	GaussRank Scaling = "gauss-rank" // z = Φ⁻¹(mid-rank of x / n), between the knots of a table linearly (Jahrer 2017)
	None      Scaling = "none"       // z = x
)

// Scalings lists the scalings.
func Scalings() []Scaling { return []Scaling{Standard, MinMax, GaussRank, None} }

// Missing is the default list of texts that stand for a missing value, in any
// case of letters, blanks around them aside.
func Missing() []string { return []string{"", "NaN", "NA", "N/A", "null", "?", "None"} }

// Schema says what the columns of a table mean.
type Schema struct {
	Name     string // of the data that it was fitted to
	Rows     int    // of those data; 0: it is not fitted
	Training int    // rows of those that it was fitted on
	Missing  []string
	Limits   Limits
	Columns  []Column // in the order of the data
}

// Limits bound what is kept of a column.
type Limits struct {
	Values     int // distinct numbers counted exactly, and kept as codes of 16 bits at most: up to 65,535
	Categories int // the most common texts that are categories of their own: up to 65,534
	MinCount   int // a text that fewer training rows have is unknown
	Knots      int // of the table of a gauss-rank scaling
}

// The greatest limits: a code of 16 bits has 65,535 values beside the absent one,
// and one of those stands for unknown categories.
const (
	maxValues     = 1<<16 - 1
	maxCategories = 1<<16 - 2
	maxKnots      = 1 << 16
)

// DefaultLimits are the limits of a schema that says nothing else.
func DefaultLimits() Limits {
	return Limits{Values: maxValues, Categories: 10_000, MinCount: 2, Knots: 1024}
}

// Column is a column of a Schema. All but Fit may be edited.
type Column struct {
	Name    string
	Kind    Kind
	Reason  Reason        // of Drop
	Type    data.CellType // of the cells in the data that it was fitted to
	Scaling Scaling       // of Numeric, Integer and Time
	Weight  float64       // of the column's loss, beside the others'
	Bounds  *Bounds       // of what is written back; nil: the extremes of the training rows
	Missing []string      // nil: the schema's
	// Format is how the column is written as text: "0", "0.00" (two decimals),
	// "0.##" (at most two), "e" (as short as it goes) for numbers; see timeFormat for
	// times; empty for others.
	Format string
	Fit    *Fit // nil: it is not fitted
}

// Bounds are the least and the greatest number that is written back; nil: none.
// Those of times are in seconds since 1970.
type Bounds struct{ Low, High *float64 }

// Fit is what was measured of a column. Present, the moments, the quantiles and
// the counts of categories are of the training rows; Absent and Distinct, which
// say how a column can be stored, of all rows.
type Fit struct {
	Kind      Kind // that it was fitted as; another Column.Kind wants another fit
	Present   int  // cells of training rows that are not missing
	Absent    int  // missing cells
	Distinct  int  // different values
	Estimated bool // whether Distinct, Entropy and Collision are estimates, there being too many values to count

	Entropy   float64 // -Σ p ln p of the values present, in nats
	Collision float64 // Σ p²: how often two cells agree that are not missing

	Mean, Deviation, Low, High float64    // of numbers, in their units
	Quantiles                  *Quantiles // of GaussRank

	Categories []string // of Binary (two: 0, 1) and Categorical; the most common first
	Counts     []int    // of the training cells of each
	Unknown    int      // training cells of no category
}

// Quantiles are the knots of a gauss-rank scaling, both strictly increasing.
type Quantiles struct {
	Values          []float64 // x
	Scores          []float64 // z
	Mean, Deviation float64   // of the scores of the training cells
}

// Used returns the indices of the columns that are not dropped: the columns of
// a model.
func (s *Schema) Used() []int {
	var used []int
	for i := range s.Columns {
		if s.Columns[i].Kind != Drop {
			used = append(used, i)
		}
	}
	return used
}

// markers are the texts that stand for a missing value in a column.
func (s *Schema) markers(c *Column) []string {
	if c.Missing != nil {
		return c.Missing
	}
	return s.Missing
}

// fitted reports whether the fit is one of the column as it stands.
func (c *Column) fitted() bool {
	return c.Kind == Drop || c.Fit != nil && c.Fit.Kind == c.Kind && (c.Scaling != GaussRank || c.Fit.Quantiles != nil)
}

// CheckFitted fails with *data.Error if a column that is used is not fitted as
// it stands, or if none is used. where is the file's or the data's name.
func (s *Schema) CheckFitted(where string) error {
	for i := range s.Columns {
		if c := &s.Columns[i]; !c.fitted() {
			problem := fmt.Sprintf("is %s, but was not measured as that", article(string(c.Kind)))
			return &data.Error{Path: where, ColumnName: c.Name, Problem: problem, Remedy: "fit the schema to its data again: gpudae data schema DATA --schema FILE -o FILE"}
		}
	}
	if len(s.Used()) == 0 {
		return &data.Error{Path: where, Problem: "no column is left to learn from", Remedy: "give more rows, or set the kind of a column in the schema"}
	}
	return nil
}

// ModelColumn is what a model needs to know of a column.
type ModelColumn struct {
	Name       string
	Family     string  // gaussian, bernoulli or categorical
	Categories int     // of a categorical column, the unknown one included
	Weight     float64 // that a person gave it
	// Of the training rows, in the scale of the model: mean and deviation of a
	// gaussian column, the probability of 1 as the mean of a bernoulli one.
	Mean, Deviation float64
	Entropy         float64 // of the marginal, in nats; of a categorical column with unknown as one category
	Collision       float64 // Σ p² of the values that are not missing
	Absent          float64 // the fraction of missing values
}

// ModelColumns describes the columns of a model of the table. It panics if the
// schema is not fitted.
func (s *Schema) ModelColumns() []ModelColumn {
	var columns []ModelColumn
	for _, i := range s.Used() {
		c := &s.Columns[i]
		m := ModelColumn{Name: c.Name, Weight: c.Weight, Entropy: c.Fit.Entropy, Collision: c.Fit.Collision}
		if s.Rows > 0 {
			m.Absent = float64(c.Fit.Absent) / float64(s.Rows)
		}
		switch c.Kind {
		case Binary:
			m.Family = "bernoulli"
			m.Mean = float64(c.Fit.Counts[1]) / float64(max(c.Fit.Present, 1))
		case Categorical:
			m.Family, m.Categories = "categorical", len(c.Fit.Categories)+1
		default:
			m.Family = "gaussian"
			m.Mean, m.Deviation = newScaler(c).moments(c.Fit)
		}
		columns = append(columns, m)
	}
	return columns
}

// article puts a or an before a word.
func article(word string) string {
	if word != "" && strings.Contains("aeiou", word[:1]) {
		return "an " + word
	}
	return "a " + word
}

// clone returns a copy that shares nothing that is changed by fitting.
func (s *Schema) clone() *Schema {
	t := *s
	t.Columns = slices.Clone(s.Columns)
	return &t
}
