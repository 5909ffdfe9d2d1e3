package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"gpudae/device"
	"gpudae/internal/atomicfile"
	quality "gpudae/metric"
	"gpudae/model"
	"gpudae/train"
)

// evaluationFile in a run folder is what finetune and pretrain print with --json.
const evaluationFile = "evaluation.json"

// judgement is how well a predictor does on some rows; what does not concern its
// task is left out.
type judgement struct {
	N        int     `json:"n"`
	Accuracy *number `json:"accuracy,omitempty"`
	AUROC    *number `json:"auroc,omitempty"`
	LogLoss  *number `json:"log_loss,omitempty"`
	R2       *number `json:"r2,omitempty"`
	RMSE     *number `json:"rmse,omitempty"`
	MAE      *number `json:"mae,omitempty"`
	// Confusion [true class][predicted class] counts rows.
	Confusion [][]int `json:"confusion,omitempty"`
}

// probabilities are those of all classes, from what a predictor puts out of a row.
func probabilities(t train.Target, out []float32) []float64 {
	if len(t.Classes) == 2 {
		p := float64(out[0])
		return []float64{1 - p, p}
	}
	all := make([]float64, len(out))
	for i, p := range out {
		all[i] = float64(p)
	}
	return all
}

// inUnits is a number that a predictor puts out, in the unit of its column.
func inUnits(t train.Target, out float32) float64 { return float64(out)*t.Scale + t.Offset }

// predictions collects what a predictor says of rows and what is true of them.
type predictions struct {
	target        train.Target
	probabilities []float64 // [rows, classes]
	classes       []int
	numbers       []float64
	truth         []float64 // of numbers
}

// addClass takes a row of a classifier.
func (p *predictions) addClass(out []float32, class int) {
	p.probabilities = append(p.probabilities, probabilities(p.target, out)...)
	p.classes = append(p.classes, class)
}

// addNumber takes a row of a regressor.
func (p *predictions) addNumber(out float32, y float64) {
	p.numbers, p.truth = append(p.numbers, inUnits(p.target, out)), append(p.truth, y)
}

// judge is the outcome.
func (p *predictions) judge() *judgement {
	value := func(v float64) *number { n := number(v); return &n }
	if p.target.Classes == nil {
		m := quality.OfNumbers(p.numbers, p.truth)
		return &judgement{N: m.Rows, R2: value(m.R2), RMSE: value(m.RMSE), MAE: value(m.MAE)}
	}
	m := quality.OfClasses(p.probabilities, len(p.target.Classes), p.classes)
	return &judgement{N: m.Rows, Accuracy: value(m.Accuracy), AUROC: value(m.AUROC), LogLoss: value(m.LogLoss), Confusion: m.Confusion}
}

// judgeRows judges a predictor on rows of a table with their targets.
func judgeRows(ctx context.Context, dev device.Device, saved *train.Saved, table, targets device.Table, rows device.Rows) (*judgement, error) {
	net, src, err := saved.Bind(dev, min(inferenceBatch, rows.Len()))
	if err != nil {
		return nil, err
	}
	if src.Data, err = dev.Load(ctx, table); err != nil {
		return nil, err
	}
	if src.Target, err = dev.Load(ctx, targets); err != nil {
		return nil, err
	}
	src.Part = rows
	all := &predictions{target: saved.Target}
	_, err = net.EvaluateTarget(ctx, src, func(b model.Predictions) error {
		for row := range b.Rows {
			out, y := b.Mean[row*b.Width:(row+1)*b.Width], b.Target[row*b.Width:(row+1)*b.Width]
			if saved.Target.Classes == nil {
				all.addNumber(out[0], inUnits(saved.Target, y[0]))
				continue
			}
			all.addClass(out, classOf(y))
		}
		return nil
	})
	return all.judge(), err
}

// classOf is the class that a row's target stands for.
func classOf(y []float32) int {
	if len(y) == 1 {
		return int(y[0])
	}
	for c, v := range y {
		if v == 1 {
			return c
		}
	}
	return 0
}

// line adds the judgement to a table under the heads of judgementHeads.
func (j *judgement) line(g *grid, name string) {
	if j == nil {
		return
	}
	if j.Accuracy != nil {
		g.add(name, fmt.Sprint(j.N), percent(float64(*j.Accuracy)), fmt.Sprintf("%.4f", float64(*j.AUROC)), fmt.Sprintf("%.4f", float64(*j.LogLoss)))
		return
	}
	g.add(name, fmt.Sprint(j.N), fmt.Sprintf("%.4f", float64(*j.R2)), j.RMSE.String(), j.MAE.String())
}

func judgementHeads(t train.Target) []string {
	if t.Classes == nil {
		return []string{"", "rows", "R²", "RMSE", "MAE"}
	}
	return []string{"", "rows", "accuracy", "AUROC", "log-loss"}
}

// finetuneJSON is what --json prints.
type finetuneJSON struct {
	Run         string       `json:"run"`
	Model       string       `json:"model"`
	Data        string       `json:"data"`
	Device      string       `json:"device"`
	Task        string       `json:"task"`
	Classes     []string     `json:"classes,omitempty"`
	Layer       string       `json:"layer"`
	Freeze      bool         `json:"freeze"`
	Reason      train.Reason `json:"reason"`
	Epochs      int          `json:"epochs"`
	BestEpoch   int          `json:"best_epoch"`
	Steps       uint64       `json:"steps"`
	Parameters  int          `json:"parameters"`
	Seconds     number       `json:"seconds"`
	SamplesPerS number       `json:"samples_per_s"`
	TrainLoss   number       `json:"train_loss"`
	ValLoss     number       `json:"val_loss"`
	Val         *judgement   `json:"val,omitempty"`
	Test        *judgement   `json:"test,omitempty"`
}

// report judges the best model and prints the result.
func (r *finetuneRun) report(ctx context.Context, result *train.Result) error {
	saved, err := train.LoadPredictor(r.options.out)
	if err != nil {
		return err
	}
	out := finetuneJSON{Run: r.options.out, Model: r.settings.From, Data: r.in.info.Name, Task: taskClassify, Classes: r.target.Classes, Layer: r.settings.Layer, Freeze: r.settings.Freeze,
		Reason: result.Reason, Epochs: result.Epochs, BestEpoch: result.Best.Epoch, Steps: result.Steps, Parameters: r.dae.ParameterCount(),
		Seconds: number(result.Seconds), SamplesPerS: number(result.SamplesPerS), TrainLoss: number(result.Best.TrainLoss), ValLoss: number(result.Best.ValLoss)}
	if r.target.Classes == nil {
		out.Task = taskRegress
	}
	t := r.task(train.Plan{})
	err = t.onDevice(train.Job{}, func(dev device.Device) (err error) {
		out.Device = dev.Info().Name
		if result.Split.Held > 0 {
			targets, err := targetsOf(r.target, r.in)
			if err != nil {
				return err
			}
			if out.Val, err = judgeRows(ctx, dev, saved, r.in.table, targets, result.Split.Validation()); err != nil {
				return err
			}
		}
		if r.test == nil {
			return nil
		}
		targets, err := targetsOf(r.target, r.test)
		if err != nil {
			return err
		}
		out.Test, err = judgeRows(ctx, dev, saved, r.test.table, targets, device.Rows{Hi: r.test.table.Rows})
		return err
	})
	if err != nil {
		return err
	}
	if err := writeEvaluation(r.options.out, out); err != nil {
		return err
	}
	if r.options.json {
		return r.printJSON(out)
	}
	return r.printText(r.summary(result, &out))
}

// writeEvaluation keeps what is printed with the run.
func writeEvaluation(dir string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the evaluation: %w", err)
	}
	return atomicfile.Write(filepath.Join(dir, evaluationFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// summary is the result for a person.
func (r *finetuneRun) summary(result *train.Result, out *finetuneJSON) string {
	text := outcome(result)
	g := grid{judgementHeads(r.target)}
	out.Val.line(&g, "validation")
	out.Test.line(&g, "test")
	if len(g) > 1 {
		text += indent(g.String())
	} else {
		text += fmt.Sprintf("no rows held out; training loss %s an example\n", number(result.Last.TrainLoss))
	}
	return text + "run: " + r.options.out + "\n"
}
