// Package impute judges and pools values that were filled in for missing ones:
// the errors of values that were hidden and filled in again, how often their
// intervals hold them, and estimates from several completed tables, pooled by
// Rubin's rules.
//
// The package is a leaf: it must not know models, tables or files.
package impute

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is that of one completed table: of a mean, say, with the square of its
// standard error.
type Estimate struct {
	Value, Variance float64
}

// Pooled is what several completed tables say together.
type Pooled struct {
	Value    float64 // mean of the estimates
	Within   float64 // mean of their variances
	Between  float64 // variance of the estimates
	Variance float64 // total: Within + (1 + 1/m)·Between
	DF       float64 // degrees of freedom; +Inf where nothing varies between tables and the sample has no size
	Low      float64 // interval that holds the true value with probability level
	High     float64
	// Missing is the fraction of the information about the value that is lost to
	// missing values.
	Missing float64
}

// Pool combines the estimates of m ≥ 2 completed tables by Rubin's rules (Rubin
// 1987, section 3.1), with the degrees of freedom that Barnard and Rubin (1999)
// give for samples whose complete data would leave complete of them (+Inf: a
// large sample). level is that of the interval, such as 0.95. It panics for
// fewer than two tables.
func Pool(estimates []Estimate, complete, level float64) Pooled {
	m := float64(len(estimates))
	if m < 2 {
		panic("impute: pooling needs two completed tables")
	}
	values, variances := make([]float64, len(estimates)), make([]float64, len(estimates))
	for i, e := range estimates {
		values[i], variances[i] = e.Value, e.Variance
	}
	var p Pooled
	p.Value, p.Between = stat.MeanVariance(values, nil)
	p.Within = stat.Mean(variances, nil)
	extra := (1 + 1/m) * p.Between
	p.Variance = p.Within + extra
	p.DF = degreesOfFreedom(m, extra, p.Variance, complete)
	if increase := extra / p.Within; extra > 0 {
		p.Missing = 1
		if !math.IsInf(increase, 1) {
			p.Missing = (increase + 2/(p.DF+3)) / (increase + 1)
		}
	}
	half := math.Sqrt(p.Variance) * quantileT(p.DF, (1+level)/2)
	p.Low, p.High = p.Value-half, p.Value+half
	return p
}

// degreesOfFreedom are those of Barnard and Rubin 1999, equation 3.
func degreesOfFreedom(m, extra, total, complete float64) float64 {
	if extra == 0 {
		return complete
	}
	lost := extra / total
	large := (m - 1) / (lost * lost)
	if math.IsInf(complete, 1) {
		return large
	}
	observed := (complete + 1) / (complete + 3) * complete * (1 - lost)
	return 1 / (1/large + 1/observed)
}

// quantileT is that of Student's distribution; of the normal one without end of
// degrees of freedom.
func quantileT(df, p float64) float64 {
	if math.IsInf(df, 1) {
		return distuv.UnitNormal.Quantile(p)
	}
	if !(df > 0) {
		return math.Inf(1)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// Numbers says how well hidden numbers of a column were filled in.
type Numbers struct {
	N        int     // hidden cells
	RMSE     float64 // of the filled in values
	MAE      float64
	NRMSE    float64 // RMSE over the standard deviation of the hidden values; NaN where they are all the same
	Mean     float64 // RMSE of the column's mean in their place
	Coverage float64 // fraction of the hidden values that lie in the interval of their draws; NaN without draws
	Width    float64 // mean width of those intervals
}

// JudgeNumbers compares hidden values with what was filled in, with the draws
// [hidden][m] from their distribution (nil: none), and with the mean of the
// column's other values. The interval of the draws runs from their (1-level)/2
// quantile to that above, as far as m draws can tell (Hyndman and Fan 1996,
// type 6, whose intervals hold a further draw with probability level).
func JudgeNumbers(truth, filled []float64, draws [][]float64, mean, level float64) Numbers {
	j := Numbers{N: len(truth), Coverage: math.NaN(), Width: math.NaN()}
	var square, absolute, ofMean float64
	for i, x := range truth {
		square += (filled[i] - x) * (filled[i] - x)
		absolute += math.Abs(filled[i] - x)
		ofMean += (mean - x) * (mean - x)
	}
	n := float64(len(truth))
	j.RMSE, j.MAE, j.Mean = math.Sqrt(square/n), absolute/n, math.Sqrt(ofMean/n)
	j.NRMSE = math.NaN()
	if spread := stat.PopStdDev(truth, nil); spread > 0 {
		j.NRMSE = j.RMSE / spread
	}
	if draws == nil {
		return j
	}
	held, width := 0.0, 0.0
	for i, x := range truth {
		low, high := Interval(draws[i], level)
		width += high - low
		if low <= x && x <= high {
			held++
		}
	}
	j.Coverage, j.Width = held/n, width/n
	return j
}

// Interval is the central interval of draws: order statistics at the positions
// p·(m+1), p = (1 ± level)/2, interpolated, and the extremes beyond them.
func Interval(draws []float64, level float64) (low, high float64) {
	sorted := slices.Sorted(slices.Values(draws))
	return orderStatistic(sorted, (1-level)/2), orderStatistic(sorted, (1+level)/2)
}

func orderStatistic(sorted []float64, p float64) float64 {
	at := p*float64(len(sorted)+1) - 1
	below := int(math.Floor(at))
	switch {
	case below < 0:
		return sorted[0]
	case below >= len(sorted)-1:
		return sorted[len(sorted)-1]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// Classes says how well hidden categories of a column were filled in.
type Classes struct {
	N        int     // hidden cells
	Accuracy float64 // of the filled in categories
	Mode     float64 // accuracy of the column's most frequent category in their place
	// Held is the mean fraction of draws that are the hidden category: the
	// probability that a single draw is right. NaN without draws.
	Held float64
}

// JudgeClasses compares hidden categories with what was filled in, with the draws
// [hidden][m] from their distribution (nil: none), and with the most frequent of
// the column's other cells.
func JudgeClasses(truth, filled []int, draws [][]int, mode int) Classes {
	j := Classes{N: len(truth), Held: math.NaN()}
	var right, ofMode, held float64
	for i, class := range truth {
		if filled[i] == class {
			right++
		}
		if mode == class {
			ofMode++
		}
		if draws == nil {
			continue
		}
		same := 0
		for _, d := range draws[i] {
			if d == class {
				same++
			}
		}
		held += float64(same) / float64(len(draws[i]))
	}
	n := float64(len(truth))
	j.Accuracy, j.Mode = right/n, ofMode/n
	if draws != nil {
		j.Held = held / n
	}
	return j
}
