// Package metric judges predictions against what came true: of classes accuracy,
// area under the ROC curve and log-loss, of numbers R² and the root mean squared
// error. All is computed in float64.
//
// The package must not know models, data sets or where predictions come from.
package metric

import (
	"cmp"
	"math"
	"slices"
)

// Classes are the metrics of predicted probabilities. A metric that the rows
// cannot give is NaN.
type Classes struct {
	Rows int
	// Accuracy is the share of rows whose most probable class, the first of equals,
	// is the true one.
	Accuracy float64
	// AUROC is the probability that a row of a class is given more of it than a row
	// of another (Hanley and McNeil 1982), ties counting half; for more than two
	// classes the plain mean over the classes of each against the rest. Classes
	// that no row, or every row, has are left out.
	AUROC float64
	// LogLoss is the mean of -ln p of the true class in nats, p at least 2⁻⁵² as
	// scikit-learn has it for float64.
	LogLoss float64
	// Confusion [true class][predicted class] counts rows.
	Confusion [][]int
}

// leastProbability bounds log-loss.
const leastProbability = 0x1p-52

// OfClasses judges probabilities [rows, classes], row-major, by the true class of
// each row.
func OfClasses(probabilities []float64, classes int, truth []int) Classes {
	m := Classes{Rows: len(truth), Confusion: make([][]int, classes)}
	for c := range m.Confusion {
		m.Confusion[c] = make([]int, classes)
	}
	for row, c := range truth {
		p := probabilities[row*classes : (row+1)*classes]
		best := 0
		for k, v := range p {
			if v > p[best] {
				best = k
			}
		}
		m.Confusion[c][best]++
		if best == c {
			m.Accuracy++
		}
		m.LogLoss -= math.Log(min(max(p[c], leastProbability), 1))
	}
	m.Accuracy /= float64(len(truth))
	m.LogLoss /= float64(len(truth))
	m.AUROC = macroAUROC(probabilities, classes, truth)
	return m
}

// macroAUROC is the mean over the classes.
func macroAUROC(probabilities []float64, classes int, truth []int) float64 {
	first := 0
	if classes == 2 {
		first = 1 // the other class gives the same area
	}
	sum, n := 0.0, 0
	scores, positive := make([]float64, len(truth)), make([]bool, len(truth))
	for c := first; c < classes; c++ {
		for row, k := range truth {
			scores[row], positive[row] = probabilities[row*classes+c], k == c
		}
		if area := AUROC(scores, positive); !math.IsNaN(area) {
			sum += area
			n++
		}
	}
	return sum / float64(n)
}

// AUROC is the area under the ROC curve of scores: the probability that that of a
// positive row is higher than that of another, ties counting half; NaN unless
// there are rows of both kinds. It is the Mann-Whitney statistic by the ranks.
func AUROC(scores []float64, positive []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(scores[i], scores[j]) })
	positives, ranks := 0.0, 0.0
	for first := 0; first < len(order); {
		last := first + 1
		for last < len(order) && scores[order[last]] == scores[order[first]] {
			last++
		}
		for _, row := range order[first:last] {
			if positive[row] {
				positives++
				ranks += float64(first+last+1) / 2 // the mean rank of equals, from 1
			}
		}
		first = last
	}
	others := float64(len(scores)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * others)
}

// Numbers are the metrics of predicted numbers.
type Numbers struct {
	Rows int
	R2   float64 // 1 - Σ(y-ŷ)²/Σ(y-ȳ)², ȳ being the mean of these rows; NaN where they do not vary
	RMSE float64 // √(Σ(y-ŷ)²/rows)
	MAE  float64 // mean of |y-ŷ|
}

// OfNumbers judges predictions by the true values of as many rows.
func OfNumbers(predicted, truth []float64) Numbers {
	m := Numbers{Rows: len(truth)}
	mean := 0.0
	for _, y := range truth {
		mean += y / float64(len(truth))
	}
	residual, total := 0.0, 0.0
	for i, y := range truth {
		d := y - predicted[i]
		residual += d * d
		total += (y - mean) * (y - mean)
		m.MAE += math.Abs(d) / float64(len(truth))
	}
	m.RMSE = math.Sqrt(residual / float64(len(truth)))
	m.R2 = math.NaN()
	if len(truth) > 0 && slices.Min(truth) < slices.Max(truth) {
		m.R2 = 1 - residual/total
	}
	return m
}
