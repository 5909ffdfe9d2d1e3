// Package twosample tells whether two sets of examples may have been drawn from
// one distribution: the energy distance and the maximum mean discrepancy, each
// with the distribution that it has under permutations of the examples, which
// is exact whatever the distribution of the data.
//
// The package is a leaf: it must not know models, samplers or files.
package twosample

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"gpudae/device/philox"
)

// Rows are examples, row-major.
type Rows struct {
	Values   []float32
	Features int
}

// Len is the number of examples.
func (r Rows) Len() int { return len(r.Values) / r.Features }

func (r Rows) row(i int) []float32 { return r.Values[i*r.Features : (i+1)*r.Features] }

// Limits of a comparison.
const (
	// MostTested bounds the examples of both sets together where there are
	// permutations: the matrix of their distances is kept in memory, 800 MB.
	MostTested = 20_000
	// medianRows bounds the examples whose distances the median is taken of.
	medianRows = 1000
)

// Options of a comparison.
type Options struct {
	Permutations int // of the examples, for the null distribution; 0 for none
	Seed         uint64
	// Bandwidth is the width h of the kernel exp(-|x-y|²/2h²) of MMD; 0 for the
	// median of the distances of the examples of both sets.
	Bandwidth float64
}

// Result of a comparison.
type Result struct {
	// Statistic is an unbiased estimate: zero on average, and of either sign,
	// where the distributions are equal.
	Statistic float64
	// P is the share of permutations whose statistic is at least as great, the
	// actual order being one of them; NaN without permutations. If the
	// distributions are equal, P(P ≤ α) ≤ α.
	P float64
	// Null holds the statistics under the permutations, in increasing order.
	Null []float64
	// Bandwidth of the kernel; 0 for the energy distance.
	Bandwidth float64
}

// Energy estimates the energy distance
//
//	2·E|x-y| - E|x-x'| - E|y-y'|
//
// of independent x, x' of the first and y, y' of the second distribution, which
// is zero only if the two are equal (Székely and Rizzo 2004).
func Energy(ctx context.Context, x, y Rows, o Options) (Result, error) {
	if err := check(x, y, o); err != nil {
		return Result{}, err
	}
	r, err := compare(ctx, x, y, o, func(square float64) float64 { return -math.Sqrt(square) })
	if err != nil {
		return Result{}, fmt.Errorf("energy distance: %w", err)
	}
	return r, nil
}

// MMD estimates the squared maximum mean discrepancy
//
//	E k(x,x') + E k(y,y') - 2·E k(x,y),  k(x,y) = exp(-|x-y|²/2h²)
//
// by the unbiased estimator of Gretton, Borgwardt, Rasch, Schölkopf and Smola
// 2012 (lemma 6), h as in their section 8 unless Options say otherwise.
func MMD(ctx context.Context, x, y Rows, o Options) (Result, error) {
	if err := check(x, y, o); err != nil {
		return Result{}, err
	}
	h := o.Bandwidth
	if h == 0 {
		if h = median(x, y); h == 0 {
			return Result{}, fmt.Errorf("maximum mean discrepancy: half of the examples are equal, so their median distance is no bandwidth")
		}
	}
	r, err := compare(ctx, x, y, o, func(square float64) float64 { return math.Exp(-square / (2 * h * h)) })
	if err != nil {
		return Result{}, fmt.Errorf("maximum mean discrepancy: %w", err)
	}
	r.Bandwidth = h
	return r, nil
}

func check(x, y Rows, o Options) error {
	switch {
	case x.Features < 1 || x.Features != y.Features:
		return fmt.Errorf("comparing examples of %d features with those of %d", x.Features, y.Features)
	case x.Len() < 2 || y.Len() < 2:
		return fmt.Errorf("comparing %d with %d examples: two of each are needed", x.Len(), y.Len())
	case o.Permutations < 0 || o.Permutations > 0 && x.Len()+y.Len() > MostTested:
		return fmt.Errorf("%d permutations of %d examples: at most %d can be permuted", o.Permutations, x.Len()+y.Len(), MostTested)
	case !(o.Bandwidth >= 0) || math.IsInf(o.Bandwidth, 1):
		return fmt.Errorf("a kernel of bandwidth %g", o.Bandwidth)
	}
	return nil
}

// squared is |x-y|².
func squared(x, y []float32) float64 {
	sum := 0.0
	for j, v := range x {
		d := float64(v) - float64(y[j])
		sum += float64(d * d)
	}
	return sum
}

// median is that of the distances of at most 1,000 examples, evenly spaced.
func median(x, y Rows) float64 {
	n := x.Len() + y.Len()
	kept := min(n, medianRows)
	at := func(i int) []float32 {
		if i = i * n / kept; i < x.Len() {
			return x.row(i)
		}
		return y.row(i - x.Len())
	}
	distances := make([]float64, 0, kept*(kept-1)/2)
	for i := range kept {
		for j := range i {
			distances = append(distances, squared(at(i), at(j)))
		}
	}
	slices.Sort(distances)
	return math.Sqrt(distances[len(distances)/2])
}

// sums are those of a kernel over the pairs within x, within y, and between.
type sums struct{ xx, yy, xy float64 }

// statistic is the unbiased estimate from n and m examples.
func (s sums) statistic(n, m int) float64 {
	a, b := float64(n), float64(m)
	return 2*s.xx/(a*(a-1)) + 2*s.yy/(b*(b-1)) - 2*s.xy/(a*b)
}

// compare computes the statistic of a kernel of the squared distance.
func compare(ctx context.Context, x, y Rows, o Options, kernel func(square float64) float64) (Result, error) {
	n, m := x.Len(), y.Len()
	both := Rows{slices.Concat(x.Values, y.Values), x.Features}
	t := &table{size: n + m, total: make([]float64, n+m)}
	if o.Permutations > 0 {
		t.rows = make([][]float32, n+m)
	}
	within := make([]sums, n+m) // of pairs (i, j), i < j
	err := parallel(ctx, n+m, func(i int) {
		var s sums
		var row []float32
		if t.rows != nil {
			row = make([]float32, n+m-i-1)
		}
		for j := i + 1; j < n+m; j++ {
			k := kernel(squared(both.row(i), both.row(j)))
			switch {
			case j < n:
				s.xx += k
			case i < n:
				s.xy += k
			default:
				s.yy += k
			}
			if row != nil {
				row[j-i-1] = float32(k)
			}
		}
		if within[i] = s; row != nil {
			t.rows[i] = row
		}
	})
	if err != nil {
		return Result{}, err
	}
	var all sums
	for _, s := range within {
		all.xx, all.yy, all.xy = all.xx+s.xx, all.yy+s.yy, all.xy+s.xy
	}
	r := Result{Statistic: all.statistic(n, m), P: math.NaN()}
	if o.Permutations == 0 {
		return r, nil
	}
	return r, t.test(ctx, &r, n, o)
}

// table holds the kernel of all pairs: rows[i][j-i-1] for i < j.
type table struct {
	size  int
	rows  [][]float32
	total []float64 // over all partners of an example
}

// test fills in the null distribution and P. The statistic that it is compared
// with is that of the table, whose entries are rounded as those under the
// permutations are.
func (t *table) test(ctx context.Context, r *Result, n int, o Options) error {
	for i, row := range t.rows {
		for j, k := range row {
			t.total[i] += float64(k)
			t.total[i+1+j] += float64(k)
		}
	}
	actual := make([]float64, t.size)
	for i := range n {
		actual[i] = 1
	}
	observed := t.statistic(actual, n)
	r.Null = make([]float64, o.Permutations)
	key := philox.KeyOf(o.Seed)
	err := parallel(ctx, o.Permutations, func(p int) { r.Null[p] = t.statistic(shuffled(actual, uint32(p), key), n) })
	if err != nil {
		return err
	}
	slices.Sort(r.Null)
	below, _ := slices.BinarySearch(r.Null, observed)
	r.P = float64(1+o.Permutations-below) / float64(1+o.Permutations)
	return nil
}

// statistic is that of the n examples with membership 1 against those with 0.
// Since every example's total is known, the pairs within the first set suffice.
func (t *table) statistic(membership []float64, n int) float64 {
	var s sums
	everything, first := 0.0, 0.0
	for i, row := range t.rows {
		everything += t.total[i] / 2
		if membership[i] == 0 {
			continue
		}
		first += t.total[i]
		others := membership[i+1:]
		sum := 0.0
		for j, k := range row {
			sum += float64(float64(k) * others[j])
		}
		s.xx += sum
	}
	s.xy = first - 2*s.xx
	s.yy = everything - s.xx - s.xy
	return s.statistic(n, t.size-n)
}

// shuffled is permutation p of the memberships (Fisher and Yates).
func shuffled(membership []float64, p uint32, key philox.Key) []float64 {
	list := slices.Clone(membership)
	at := philox.Coordinates{Stream: philox.StreamPermutation, Step: p}
	var words [4]uint32
	for i := range list {
		if i%4 == 0 {
			at.Block = uint32(i / 4)
			words = philox.Block(at.Counter(), key)
		}
		j := i + int(philox.Below(words[i%4], uint32(len(list)-i)))
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// parallel calls do for 0, ..., n-1 on all processors; each call writes its own
// result, so that their order does not matter.
func parallel(ctx context.Context, n int, do func(i int)) error {
	workers := min(n, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n && ctx.Err() == nil; i += workers {
				do(i)
			}
		})
	}
	group.Wait()
	return ctx.Err()
}
