package model

import (
	"math"

	"gpudae/device"
)

// Tally judges the columns of a table one by one, from what EvaluateEach hands
// over. Absent cells count nowhere. Beside the model stands the constant that
// knows nothing of a row: the column's marginal distribution in the training
// rows, of the same family, which Moments describe.
type Tally struct {
	columns []device.TableColumn
	sigma   float64
	floor   float64
	moments Moments
	sums    []cellSums
}

// ColumnEvaluation is how well a column is reconstructed: over all cells that
// are not absent, and over those that the corruption destroyed.
type ColumnEvaluation struct {
	All, Destroyed CellsEvaluation
}

// CellsEvaluation is a mean over N cells, NaN if there are none. MSE is that of
// numbers, in the scale of the model; Accuracy, of the other families, the
// fraction of cells whose most probable value is right. NLL is in nats.
type CellsEvaluation struct {
	N                                       int
	NLL, MSE, Accuracy                      float64
	BaselineNLL, BaselineMSE, BaselineRight float64 // of the column's mean or most frequent value
}

type cellSums struct{ all, destroyed sums }

type sums struct {
	n                            int
	nll, square, right           float64
	baseNLL, baseSquare, baseHit float64
}

// NewTally returns a tally of the columns of a table's model; the moments are
// those of the rows that it was trained on.
func NewTally(d *DAE, m Moments) *Tally {
	if !d.resolved.tabular() || len(m.Mean) != d.resolved.Features {
		panic("model: a tally of columns that are not those of a table")
	}
	l := d.resolved.likelihood
	return &Tally{columns: d.tableColumns(), sigma: float64(l.sigma()), floor: float64(l.floor()), moments: m, sums: make([]cellSums, d.resolved.Features)}
}

// Add counts a batch, as the callback of EvaluateEach.
func (t *Tally) Add(b Batch) error {
	for i, x := range b.Clean {
		if x != x {
			continue
		}
		j := i % b.Features
		cell := sums{n: 1, nll: float64(b.ByColumn[i]), baseNLL: t.constantNLL(j, float64(x))}
		switch c := t.columns[j]; c.Family {
		case device.FamilyGaussian, device.FamilyGaussianLearned:
			cell.square = square(float64(x) - float64(b.Reconstructed[i]))
			cell.baseSquare = square(float64(x) - t.moments.Mean[j])
		case device.FamilyBernoulli:
			cell.right = indicator((b.Reconstructed[i] > 0.5) == (x > 0.5))
			cell.baseHit = indicator((t.moments.Mean[j] > 0.5) == (x > 0.5))
		case device.FamilyCategorical:
			cell.right = indicator(b.Reconstructed[i] == x)
			cell.baseHit = indicator(t.moments.mode(j) == int(x))
		}
		t.sums[j].all.add(cell)
		if b.Mask[i] != 0 {
			t.sums[j].destroyed.add(cell)
		}
	}
	return nil
}

func (s *sums) add(c sums) {
	s.n += c.n
	s.nll += c.nll
	s.square += c.square
	s.right += c.right
	s.baseNLL += c.baseNLL
	s.baseSquare += c.baseSquare
	s.baseHit += c.baseHit
}

// Columns returns the result.
func (t *Tally) Columns() []ColumnEvaluation {
	list := make([]ColumnEvaluation, len(t.sums))
	for j, s := range t.sums {
		list[j] = ColumnEvaluation{s.all.mean(t.columns[j].Family), s.destroyed.mean(t.columns[j].Family)}
	}
	return list
}

func (s sums) mean(f device.Family) CellsEvaluation {
	n := float64(s.n)
	e := CellsEvaluation{s.n, s.nll / n, s.square / n, s.right / n, s.baseNLL / n, s.baseSquare / n, s.baseHit / n}
	if numeric(f) {
		e.Accuracy, e.BaselineRight = math.NaN(), math.NaN()
	} else {
		e.MSE, e.BaselineMSE = math.NaN(), math.NaN()
	}
	return e
}

func numeric(f device.Family) bool {
	return f == device.FamilyGaussian || f == device.FamilyGaussianLearned
}

// constantNLL is -log p of a value under the column's marginal: the start of a
// run, whose counts have half an event added.
func (t *Tally) constantNLL(j int, x float64) float64 {
	m, n := t.moments, float64(t.moments.count(j))
	switch c := t.columns[j]; c.Family {
	case device.FamilyGaussian:
		return gaussianNLL(x-m.Mean[j], t.sigma*t.sigma)
	case device.FamilyGaussianLearned:
		return gaussianNLL(x-m.Mean[j], max(m.Variance[j], 2*t.floor*t.floor))
	case device.FamilyBernoulli:
		p := (n*m.Mean[j] + pseudoCount) / (n + 2*pseudoCount)
		return -x*math.Log(p) - (1-x)*math.Log(1-p)
	default:
		return math.Log(n+pseudoCount*float64(c.Categories)) - math.Log(float64(m.Frequencies[j][int(x)])+pseudoCount)
	}
}

func gaussianNLL(d, variance float64) float64 {
	return 0.5*d*d/variance + 0.5*math.Log(2*math.Pi*variance)
}

func square(x float64) float64 { return x * x }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
