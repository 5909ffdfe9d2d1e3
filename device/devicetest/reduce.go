package devicetest

import (
	"math"

	"gpudae/device"
)

func reduceChecks() []check {
	return append(each("Reduce", device.Reductions(), checkReduce), check{"Combine", checkCombine})
}

func checkReduce(r *rig, k device.Reduction) {
	for _, shape := range append(shapes[:], [2]int{3, 4097}, [2]int{1, 70001}, [2]int{513, 65}) {
		for _, perRow := range []bool{false, true} {
			r.reduceTrial(k, shape[0], shape[1], perRow)
		}
	}
}

func (r *rig) reduceTrial(k device.Reduction, rows, columns int, perRow bool) {
	t := r.trial("reduce %s of %d×%d, per row %t", k, rows, columns, perRow)
	x := t.in("X", rows, columns, r.normals(rows*columns, 1))
	var y *operand
	if k == device.SumSquaredDifference {
		y = t.in("Y", rows, columns, r.normals(rows*columns, 1))
	}
	sums, terms := rows, columns
	if !perRow {
		sums, terms = 1, rows*columns
	}
	out := t.out("out", sums, 1)
	t.run(func(s side) {
		s.Reduce(device.ReduceArgs{Kind: k, PerRow: perRow, X: s.v(x), Y: s.v(y), Out: s.v(out)})
	})
	t.within(out, func(i int) float64 {
		if k != device.Sum { // every term is positive, and is rounded up to three times
			return dotBound(terms+3, out.want()[i])
		}
		return dotBound(terms, sumAbs(x.before[i*terms:(i+1)*terms]))
	})
}

// checkCombine: operands of any layout, absent ones, and a result in place of
// either.
func checkCombine(r *rig) {
	for _, shape := range shapes {
		for _, present := range []string{"AB", "A", "B", ""} {
			for _, alias := range []string{"", "A", "B"} {
				r.combineTrial(shape, present, alias)
			}
		}
	}
}

func (r *rig) combineTrial(shape [2]int, present, alias string) {
	t := r.trial("combine %v of %q into %q", shape, present, alias)
	n := shape[0] * shape[1]
	operands := map[string]*operand{}
	for _, name := range present {
		operands[string(name)] = t.in(string(name), shape[0], shape[1], r.normals(n, 1))
	}
	dst := operands[alias]
	if dst == nil {
		dst = t.out("Dst", 1, n)
	}
	dst.output = true
	a, b := operands["A"], operands["B"]
	alpha, beta := float32(r.rng.NormFloat64()), float32(r.rng.NormFloat64())
	t.run(func(s side) {
		s.Combine(device.CombineArgs{Alpha: alpha, Beta: beta, A: s.v(a), B: s.v(b), Dst: s.v(dst)})
	})
	t.within(dst, func(i int) float64 {
		bound := 0.0
		if a != nil {
			bound += math.Abs(float64(alpha) * float64(a.before[i]))
		}
		if b != nil {
			bound += math.Abs(float64(beta) * float64(b.before[i]))
		}
		return 3 * u * bound
	})
}
