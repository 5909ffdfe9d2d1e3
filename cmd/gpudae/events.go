package main

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gpudae/model"
	"gpudae/tensorboard"
	"gpudae/train"
)

// Variables that stand for flags of train which are no settings.
const (
	noEventsVariable = "GPUDAE_NO_EVENTS"
	noReportVariable = "GPUDAE_NO_REPORT"
)

// histogramsAtMost bounds how many epochs of a run have histograms of the
// parameters, so that those of a long run stay small.
const histogramsAtMost = 100

// eventLog writes what TensorBoard shows of a run. A nil log writes nothing. The
// first failure is kept, and nothing is written after it: training goes on.
type eventLog struct {
	writer *tensorboard.Writer
	dae    *model.DAE
	every  int // epochs between histograms
	step   uint64
	err    error
}

// openEvents makes an event file in a run folder. at is the beginning of the run.
func openEvents(dir string, at time.Time, dae *model.DAE, epochs int) (*eventLog, error) {
	w, err := tensorboard.Create(dir, at)
	if err != nil {
		return nil, cannotWrite(dir, err)
	}
	return &eventLog{writer: w, dae: dae, every: max(1, epochs/histogramsAtMost)}, nil
}

func (l *eventLog) write(values ...tensorboard.Value) {
	if l.err == nil {
		l.err = l.writer.Write(time.Now(), l.step, values...)
	}
}

// epoch writes the numbers of an epoch, and in some the histograms of the weights
// at its end.
func (l *eventLog) epoch(row train.Row, weights []float32) {
	if l == nil || l.err != nil {
		return
	}
	l.step = row.Step
	var values []tensorboard.Value
	for _, s := range []struct {
		tag string
		v   float64
	}{
		{"loss/train", row.TrainLoss}, {"loss/val", row.ValLoss}, {"nll/train", row.TrainNLL}, {"nll/val", row.ValNLL}, {"kl/val", row.ValKL},
		{"mse/val", row.ValMSE}, {"psnr/val", row.ValPSNR}, {"optimizer/lr", row.LR}, {"optimizer/grad_norm", row.GradNorm},
		{"speed/samples_per_s", row.SamplesPerS}, {"epoch", float64(row.Epoch)},
	} {
		if !math.IsNaN(s.v) && !math.IsInf(s.v, 0) {
			values = append(values, tensorboard.Scalar(s.tag, s.v))
		}
	}
	if row.Epoch == 1 || row.Epoch%l.every == 0 {
		for _, p := range l.dae.Parameters() {
			values = append(values, tensorboard.Histogram("parameters/"+p.Name, weights[p.Offset:p.Offset+p.Len()]))
		}
	}
	l.write(values...)
}

// pictures writes figures of a run, PNG files, except for the curves, which are
// there as numbers.
func (l *eventLog) pictures(paths []string) error {
	if l == nil {
		return nil
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".png")
		if name == "curves" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return &failure{code: exitFailure, where: path, problem: openProblem(err), err: err}
		}
		config, err := png.DecodeConfig(bytes.NewReader(text))
		if err != nil {
			return &failure{code: exitFailure, where: path, problem: "not a PNG file", err: err}
		}
		l.write(tensorboard.Image("figures/"+name, config.Width, config.Height, text))
	}
	return nil
}

// close ends the file, and returns the first failure of all.
func (l *eventLog) close() error {
	if l == nil {
		return nil
	}
	err := l.writer.Close()
	if l.err != nil {
		err = l.err
	}
	if err != nil {
		return cannotWrite(l.writer.Path(), err)
	}
	return nil
}

// discard removes the file, of a run that has not begun.
func (l *eventLog) discard() {
	if l != nil {
		l.writer.Close()
		os.Remove(l.writer.Path())
	}
}
