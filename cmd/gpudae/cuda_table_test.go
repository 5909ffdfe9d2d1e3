//go:build cuda

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mixedRows is a table of numbers, whole numbers, categories, words for yes and no,
// and days, with a label that depends on them and with missing cells in the others.
func mixedRows(rows int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	cell := func(text string) string {
		if r.IntN(8) == 0 {
			return ""
		}
		return text
	}
	text := "age,income,city,smoker,joined,bought\n"
	for range rows {
		age, city := 18+r.IntN(60), r.IntN(3)
		income := 20 + float64(age) + 15*float64(city) + 5*r.NormFloat64()
		day := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(6000))
		smoker, bought := r.IntN(age) > 25, income+5*r.NormFloat64() > 80
		text += strings.Join([]string{cell(strconv.Itoa(age)), cell(strconv.FormatFloat(income, 'f', 1, 64)),
			cell([]string{"Århus", "Bern", "São Paulo"}[city]), cell(map[bool]string{true: "yes", false: "no"}[smoker]),
			cell(day.Format(time.DateOnly)), map[bool]string{true: "often", false: "never"}[bought]}, ",") + "\n"
	}
	return text
}

// testCUDATables: every verb that knows tables of mixed columns says on the GPU what
// it says on the CPU.
func testCUDATables(t *testing.T, p cudaProgram) {
	dir := deviceFolders(t)
	for name, content := range map[string]string{"table.csv": mixedRows(120, 1), "new.csv": mixedRows(24, 2) + "19,900,Oslo,yes,2001-02-03,never\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Training: rounding that dozens of steps add up, beside the oracle.
	const training = 1e-4
	small := []string{"--label", "bought", "--hidden", "16,8", "--batch", "16", "--epochs", "6"}
	train := func(run string, flags ...string) {
		t.Helper()
		p.ask(t, dir, "reference", training, []string{run + "/metrics.csv"}, append(append([]string{"train", "../table.csv", "-o", run}, small...), flags...)...)
	}
	train("impute", "--preset", "impute-draws")
	train("anomaly", "--preset", "anomaly")
	train("all", "--preset", "tabular", "--corruption", "swap-rows:0.2+span:rate=0.2,length=2", "--mask-head", "0.5", "--indicators")

	// What a trained model says: sums within a layer.
	const inference = 1e-5
	for _, run := range []string{"impute", "anomaly", "all"} {
		model := "../cuda/" + run
		p.ask(t, dir, "cpu", inference, nil, "eval", model, "../table.csv", "--split", "all")
		p.ask(t, dir, "cpu", inference, []string{run + ".denoised.csv"}, "denoise", model, "../new.csv", "-o", run+".denoised.csv")
		p.ask(t, dir, "cpu", inference, []string{run + ".codes.csv"}, "encode", model, "../new.csv", "--layer", "all", "-o", run+".codes.csv")
		p.ask(t, dir, "cpu", inference, []string{run + ".scores.csv"}, "anomaly", model, "../new.csv", "--fpr", "0.2", "-o", run+".scores.csv")
	}
	p.ask(t, dir, "cpu", inference, []string{"full.csv"}, "impute", "../cuda/impute", "../new.csv", "-o", "full.csv", "--overimpute", "0.2")
	p.ask(t, dir, "cpu", inference, []string{"drawn.1.csv", "drawn.2.csv"}, "impute", "../cuda/impute", "../new.csv", "-m", "2", "-o", "drawn.csv")

	// Stacks and predictors: trained, and asked.
	p.ask(t, dir, "cpu", training, []string{"stack/layer1/metrics.csv", "stack/layer2/metrics.csv"},
		"pretrain", "../table.csv", "--label", "bought", "--hidden", "16,8", "--corruption", "masking:0.2,gaussian:0.1", "--batch", "16", "--epochs", "4", "-o", "stack")
	p.ask(t, dir, "cpu", training, []string{"stack.csv"}, "encode", "stack", "../new.csv", "-o", "stack.csv")
	for _, run := range []string{"stack", "impute"} {
		model, tuned := "../cuda/"+run, run+".tuned"
		p.ask(t, dir, "cpu", training, []string{tuned + "/metrics.csv"}, "finetune", model, "../table.csv", "--label", "bought", "--val", "0.2", "--batch", "16", "--epochs", "4", "-o", tuned)
		p.ask(t, dir, "cpu", training, []string{tuned + ".csv"}, "predict", tuned, "../new.csv", "-o", tuned+".csv")
	}
}
