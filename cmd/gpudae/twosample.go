package main

import (
	"context"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"gpudae/data"
	"gpudae/twosample"
)

// Defaults and bounds of two-sample tests.
const (
	comparedRows     = 2000
	comparedMost     = 200_000 // without permutations
	permutations     = 499
	mostPermutations = 100_000
	twosampleSeed    = 42
)

func (p *program) twosampleCommand() *cli.Command {
	return &cli.Command{
		Name:      "twosample",
		Usage:     "test whether two sets of examples come from one distribution",
		ArgsUsage: "DATA DATA",
		Description: fmt.Sprintf(`Prints the energy distance (Székely and Rizzo 2004) and the squared maximum mean
discrepancy with a Gaussian kernel (Gretton et al. 2012), both as unbiased
estimates, which are zero on average where the distributions are equal, and P: the
share of permutations of the examples that give as much.

Permutations take time and memory in proportion to the square of the rows, of
%d in all at most; with --permutations 0 there are estimates only.

Examples:
  gpudae sample runs/moons -n 2000 -o samples.csv
  gpudae twosample samples.csv two-moons:n=2000,seed=7
  gpudae twosample a.npy b.npy --bandwidth 0.1 --permutations 0 --rows 20000`, twosample.MostTested),
		Flags: append(readingFlags(""),
			&cli.IntFlag{Name: "rows", Category: "Test", Usage: "`N` rows of each set at most, evenly spaced", Value: comparedRows},
			&cli.IntFlag{Name: "permutations", Category: "Test", Usage: "`N` permutations, 0 for none", Value: permutations},
			&cli.Float64Flag{Name: "bandwidth", Category: "Test", Usage: "`H` width of the kernel exp(-|x-y|²/2h²)", DefaultText: "the median distance"},
			&cli.BoolFlag{Name: "standardize", Category: "Test", Usage: "divide each column by its standard deviation over both sets"},
			&cli.Uint64Flag{Name: "seed", Category: "Test", Usage: "`N` of the permutations", Value: twosampleSeed},
			jsonFlag()),
		Action: p.twosample,
	}
}

func (p *program) twosample(c *cli.Context) error {
	if err := arguments(c, "DATA", "DATA"); err != nil {
		return err
	}
	rows, o, err := twosampleOptions(c)
	if err != nil {
		return err
	}
	var sets [2]twosample.Rows
	for i := range sets {
		if sets[i], err = p.someRows(c, c.Args().Get(i), rows); err != nil {
			return err
		}
	}
	if sets[0].Features != sets[1].Features {
		return &failure{code: exitData, where: c.Args().Get(1), problem: fmt.Sprintf("has %d features in an example, %s has %d", sets[1].Features, c.Args().Get(0), sets[0].Features),
			remedy: "give two sets of the same columns"}
	}
	if c.Bool("standardize") {
		standardize(sets)
	}
	return p.compare(c.Context, sets, o, c.Bool("json"))
}

func twosampleOptions(c *cli.Context) (rows int, o twosample.Options, err error) {
	rows = c.Int("rows")
	o = twosample.Options{Permutations: c.Int("permutations"), Seed: c.Uint64("seed")}
	most := comparedMost
	if o.Permutations > 0 {
		most = twosample.MostTested / 2
	}
	switch {
	case o.Permutations < 0 || o.Permutations > mostPermutations:
		err = usage("--permutations", fmt.Sprintf("%d is out of range", o.Permutations), fmt.Sprintf("give 0 to %d", mostPermutations))
	case rows < 2 || rows > most:
		err = usage("--rows", fmt.Sprintf("%d is out of range", rows), fmt.Sprintf("give 2 to %d, or with --permutations 0 up to %d", twosample.MostTested/2, comparedMost))
	case c.IsSet("bandwidth"):
		o.Bandwidth, err = positive(c, "bandwidth", "0.1")
	}
	return rows, o, err
}

// someRows reads a data set and takes rows of it, evenly spaced.
func (p *program) someRows(c *cli.Context, name string, limit int) (twosample.Rows, error) {
	reading := inputOptions{label: c.String("label"), header: auto}
	if c.IsSet("header") {
		reading.header = c.String("header")
	}
	if err := checkHeader(reading.header); err != nil {
		return twosample.Rows{}, err
	}
	d, err := p.open(c.Context, name, reading)
	if err != nil {
		return twosample.Rows{}, err
	}
	defer d.Close()
	info := d.Info()
	if info.Rows < 2 {
		return twosample.Rows{}, &failure{code: exitData, where: name, problem: "has a single row", remedy: "give two or more"}
	}
	r := twosample.Rows{Features: info.Features}
	kept := min(limit, info.Rows)
	for i := 0; i < kept; {
		from := i * info.Rows / kept
		block, err := data.Floats(c.Context, d, from, min(rowsAtATime, info.Rows-from))
		if err != nil {
			return r, err
		}
		values := data.Float32s(block)
		for ; i < kept; i++ {
			at := (i*info.Rows/kept - from) * info.Features
			if at >= len(values) {
				break
			}
			r.Values = append(r.Values, values[at:at+info.Features]...)
		}
	}
	return r, nil
}

// standardize divides the columns of both sets by their common deviation.
func standardize(sets [2]twosample.Rows) {
	features := sets[0].Features
	for j := range features {
		var sum, square, n float64
		for _, s := range sets {
			for k := j; k < len(s.Values); k += features {
				sum += float64(s.Values[k])
				n++
			}
		}
		for _, s := range sets {
			for k := j; k < len(s.Values); k += features {
				d := float64(s.Values[k]) - sum/n
				square += d * d
			}
		}
		deviation := math.Sqrt(square / n)
		if deviation == 0 {
			continue // a constant column adds nothing to a distance
		}
		for _, s := range sets {
			for k := j; k < len(s.Values); k += features {
				s.Values[k] = float32(float64(s.Values[k]) / deviation)
			}
		}
	}
}

// statisticJSON is one statistic of a comparison; P is null without permutations.
type statisticJSON struct {
	Statistic number  `json:"statistic"`
	P         number  `json:"p"`
	Null95    number  `json:"null_95"` // that 95 % of the permutations do not exceed
	Bandwidth *number `json:"bandwidth,omitempty"`
}

func (p *program) compare(ctx context.Context, sets [2]twosample.Rows, o twosample.Options, asJSON bool) error {
	energy, err := twosample.Energy(ctx, sets[0], sets[1], o)
	if err != nil {
		return err
	}
	mmd, err := twosample.MMD(ctx, sets[0], sets[1], o)
	if err != nil {
		return err
	}
	if asJSON {
		h := number(mmd.Bandwidth)
		return p.printJSON(map[string]any{"rows": []int{sets[0].Len(), sets[1].Len()}, "permutations": o.Permutations,
			"energy": statisticJSON{number(energy.Statistic), number(energy.P), number(null95(energy)), nil},
			"mmd2":   statisticJSON{number(mmd.Statistic), number(mmd.P), number(null95(mmd)), &h}})
	}
	g := grid{{"", "statistic", "P", "95 % of null"}}
	for _, row := range []struct {
		name string
		r    twosample.Result
	}{{"energy distance", energy}, {fmt.Sprintf("MMD², h = %s", number(mmd.Bandwidth)), mmd}} {
		g.add(row.name, number(row.r.Statistic).String(), number(row.r.P).short(), number(null95(row.r)).String())
	}
	return p.printText(g.String() + fmt.Sprintf("%d and %d rows, %s\n", sets[0].Len(), sets[1].Len(), count(o.Permutations, "permutation")))
}

// null95 is the 95th percentile of the null distribution, NaN without one.
func null95(r twosample.Result) float64 {
	if len(r.Null) == 0 {
		return math.NaN()
	}
	return r.Null[int(math.Ceil(0.95*float64(len(r.Null))))-1]
}
