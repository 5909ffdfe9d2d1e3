package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Row is the record of one epoch: a line of metrics.jsonl and metrics.csv. A
// value that does not exist is NaN, which is written as null and as an empty
// cell.
type Row struct {
	Epoch       int     // counted from 1
	Step        uint64  // optimiser steps made
	TrainNLL    float64 // TrainLoss, if the objective is a likelihood and no more
	ValNLL      float64 // mean -log p(x|h) of the validation rows in nats an example, if the objective is a likelihood
	ValMSE      float64 // mean squared error a feature of E[x|h]
	ValPSNR     float64 // 10·log₁₀(peak²/ValMSE) dB, the peak being the range of the data
	LR          float64 // learning rate of the epoch's last step
	GradNorm    float64 // root mean square over the epoch of the gradient's norm before clipping
	SamplesPerS float64 // examples trained per second, validation excluded
	Seconds     float64 // since the start of the run, validation included
	TrainLoss   float64 // mean loss of the epoch's examples while it ran, with emphasis and dropout if the model has them: nats an example for nll
	ValLoss     float64 // mean loss of the validation rows, which chooses the model: ValNLL + β·ValKL, or that of denoising score matching
	ValKL       float64 // mean divergence of q(h|x̃) from the prior, if the code is stochastic
	Skipped     int     // steps whose update was left out, see Config.SkipSpikes
}

// columns are the names in both files, in the order of Row's fields.
var columns = [...]string{"epoch", "step", "train_nll", "val_nll", "val_mse", "val_psnr", "lr", "grad_norm", "samples_per_s", "seconds", "train_loss", "val_loss", "val_kl", "skipped"}

// likelihoodColumns is the number of columns, the first of all, of files that
// knew no other objective than nll. Later files have that many or more.
const likelihoodColumns = 10

func (r Row) values() [len(columns)]float64 {
	return [...]float64{float64(r.Epoch), float64(r.Step), r.TrainNLL, r.ValNLL, r.ValMSE, r.ValPSNR, r.LR, r.GradNorm, r.SamplesPerS, r.Seconds, r.TrainLoss, r.ValLoss, r.ValKL, float64(r.Skipped)}
}

func rowOf(v []float64) Row {
	r := Row{Epoch: int(v[0]), Step: uint64(v[1]), TrainNLL: v[2], ValNLL: v[3], ValMSE: v[4], ValPSNR: v[5], LR: v[6], GradNorm: v[7], SamplesPerS: v[8], Seconds: v[9]}
	r.TrainLoss, r.ValLoss, r.ValKL = r.TrainNLL, r.ValNLL, math.NaN()
	if len(v) > likelihoodColumns {
		r.TrainLoss, r.ValLoss = v[10], v[11]
	}
	if len(v) > 12 {
		r.ValKL = v[12]
	}
	if len(v) > 13 {
		r.Skipped = int(v[13])
	}
	return r
}

// MarshalJSON writes the row with the names of metrics.jsonl.
func (r Row) MarshalJSON() ([]byte, error) {
	line := []byte{'{'}
	for i, v := range r.values() {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(append(line, '"'), columns[i]...), '"', ':')
		line = appendNumber(line, v, "null")
	}
	return append(line, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes; null becomes NaN.
func (r *Row) UnmarshalJSON(text []byte) error {
	var fields map[string]*float64
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("reading a row of metrics: %w", err)
	}
	var v []float64
	for i, name := range columns {
		p, found := fields[name]
		if !found && i >= likelihoodColumns {
			break
		}
		v = append(v, math.NaN())
		if p != nil {
			v[i] = *p
		}
	}
	if !(v[0] >= 0 && v[1] >= 0) || len(v) > 13 && !(v[13] >= 0) {
		return errors.New("a row of metrics without epoch or step")
	}
	*r = rowOf(v)
	return nil
}

// csv is the row as a line of metrics.csv.
func (r Row) csv() []byte {
	var line []byte
	for i, v := range r.values() {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendNumber(line, v, "")
	}
	return append(line, '\n')
}

// appendNumber appends the shortest decimal that reads back as v, or absent if
// v is not finite.
func appendNumber(line []byte, v float64, absent string) []byte {
	if !finite(v) {
		return append(line, absent...)
	}
	return strconv.AppendFloat(line, v, 'g', -1, 64)
}

// Best is the epoch of a history whose weights a run keeps. The history must not
// be empty.
func Best(history []Row) Row { return history[bestOf(history)] }

// bestOf returns the index of the epoch whose weights are kept: the first with
// the least validation loss, or the last epoch if nothing is held out; -1 if
// there is none.
func bestOf(history []Row) int {
	best := len(history) - 1
	for i := best - 1; i >= 0; i-- {
		if history[i].ValLoss <= history[best].ValLoss {
			best = i
		}
	}
	return best
}

// skipped sums the steps that were left out.
func skipped(history []Row) (steps int) {
	for _, row := range history {
		steps += row.Skipped
	}
	return steps
}

// stalled counts the epochs since the validation loss last fell by more than
// minDelta below its least value until then.
func stalled(history []Row, minDelta float64) int {
	best, epochs := math.Inf(1), 0
	for _, row := range history {
		epochs++
		if row.ValLoss < best-minDelta {
			best, epochs = row.ValLoss, 0
		}
	}
	return epochs
}
