package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gpudae/device"
	"gpudae/internal/atomicfile"
	"gpudae/train"
)

// sweepJSON is the file sweep.json, and what --json prints.
type sweepJSON struct {
	Sweep  string      `json:"sweep"`
	Method string      `json:"method"`
	Metric string      `json:"metric"`
	Best   *trialJSON  `json:"best"` // null while no trial has finished
	Trials []trialJSON `json:"trials"`
}

// trialJSON is a trial in it. Settings are those that are varied.
type trialJSON struct {
	Trial int    `json:"trial"`
	State state  `json:"state"` // empty: not ended
	Value number `json:"value"` // of the metric
	comparedRun
	Error string `json:"error,omitempty"`
}

// results are the trials so far; dir is put before the names of their runs.
func (s *search) results(dir string) sweepJSON {
	out := sweepJSON{Sweep: s.options.out, Method: string(s.config.Method), Metric: s.metric.name, Trials: []trialJSON{}}
	best := s.best()
	for _, t := range s.trials {
		r := trialJSON{Trial: t.number, State: t.state, Value: number(s.value(t))}
		r.ValLoss, r.ValMSE, r.SamplesPerS = number(math.NaN()), number(math.NaN()), number(math.NaN())
		if t.run != nil {
			r.comparedRun = *t.run
		}
		r.Run, r.Parameters, r.Settings = filepath.Join(dir, trialsFolder, t.name()), t.dae.ParameterCount(), map[string]string{}
		for _, a := range t.values {
			r.Settings[a.Key] = a.Value
		}
		if t.why != nil {
			r.Error = t.why.Error()
		}
		out.Trials = append(out.Trials, r)
		if t == best {
			out.Best = &out.Trials[len(out.Trials)-1]
		}
	}
	if out.Best != nil { // of a slice that no longer grows
		found := *out.Best
		out.Best = &found
	}
	return out
}

// best is the finished trial with the least value of the metric, nil if there is
// none.
func (s *search) best() *trial {
	var best *trial
	for _, t := range s.trials {
		if v := s.value(t); t.state == stateFinished && !math.IsNaN(v) && (best == nil || v < s.value(best)) {
			best = t
		}
	}
	return best
}

// writeResults writes what has come of the sweep so far.
func (s *search) writeResults() error {
	text, err := json.MarshalIndent(s.results(""), "", " ")
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	err = atomicfile.Write(filepath.Join(s.options.out, sweepJSONFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.options.out, sweepCSVFile), s.writeCSV)
}

// writeCSV has a line for each trial, in the order of their numbers.
func (s *search) writeCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	head := []string{"trial", "run", "state", "value", "val_loss", "val_mse", "best_epoch", "epochs", "samples_per_s", "parameters"}
	for _, d := range s.config.Varied {
		head = append(head, d.Key)
	}
	w.Write(append(head, "error"))
	cell := func(n number) string {
		if math.IsNaN(float64(n)) {
			return ""
		}
		return fmt.Sprint(float64(n))
	}
	for _, t := range s.results("").Trials {
		line := []string{fmt.Sprint(t.Trial), t.Run, string(t.State), cell(t.Value), cell(t.ValLoss), cell(t.ValMSE),
			fmt.Sprint(t.BestEpoch), fmt.Sprint(t.Epochs), cell(t.SamplesPerS), fmt.Sprint(t.Parameters)}
		for _, d := range s.config.Varied {
			line = append(line, t.Settings[d.Key])
		}
		w.Write(append(line, t.Error))
	}
	w.Flush()
	return w.Error()
}

// maxResults bounds the file of results that is read: a trial has less than a
// kilobyte.
const maxResults = 1 << 28

// readResults takes up the trials that have ended. Those of which nothing is
// recorded are looked at by training itself.
func (s *search) readResults() error {
	path := filepath.Join(s.options.out, sweepJSONFile)
	text, err := readAtMost(path, maxResults)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &failure{code: exitFailure, where: path, problem: openProblem(err), remedy: "make it readable", err: err}
	}
	var recorded sweepJSON
	if err := json.Unmarshal(text, &recorded); err != nil {
		return &failure{code: exitData, where: path, problem: "not the record of a sweep", remedy: "remove it: what has been trained is found without it", err: err}
	}
	for _, r := range recorded.Trials {
		if r.Trial < 1 || r.Trial > len(s.trials) {
			continue // of a time when there were more
		}
		t := s.trials[r.Trial-1]
		for _, a := range t.values {
			if r.Settings[a.Key] != a.Value {
				return usage(path, fmt.Sprintf("trial %d has %s %s there, and %s in %s", t.number, a.Key, r.Settings[a.Key], a.Value, sweepFile), "start another sweep for other settings")
			}
		}
		t.result = s.readResult(t, r)
	}
	return nil
}

// readAtMost reads a file that may be so long.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errors.New("too long")
	}
	return text, err
}

// readResult is what is recorded of a trial, if its run is still there.
func (s *search) readResult(t *trial, r trialJSON) result {
	run, err := readRun(s.dir(t))
	switch r.State {
	case stateFinished, statePaused, stateStopped:
		if err != nil || len(run.history) != r.Epochs { // it went on since: how far its model and checkpoint are, training itself finds out
			return result{}
		}
		return result{state: r.State, run: run}
	case stateDiverged:
		return result{state: r.State, run: run, why: errors.New(r.Error)}
	}
	return result{}
}

// printPlan prints the trials of a sweep.
func (s *search) printPlan() error {
	type plannedJSON struct {
		Trial    int               `json:"trial"`
		Settings map[string]string `json:"settings"`
		train.Plan
	}
	planned := []plannedJSON{}
	head := []string{"trial", "parameters", "steps"}
	for _, d := range s.config.Varied {
		head = append(head, d.Key)
	}
	g := grid{head}
	for _, t := range s.trials {
		p := plannedJSON{t.number, map[string]string{}, t.plan}
		cells := []string{t.name(), fmt.Sprint(t.plan.Parameters), fmt.Sprint(t.plan.Steps)}
		for _, a := range t.values {
			p.Settings[a.Key] = a.Value
			cells = append(cells, a.Value)
		}
		planned = append(planned, p)
		g.add(cells...)
	}
	if s.options.json {
		return s.printJSON(map[string]any{"trials": planned})
	}
	return s.printText(g.String())
}

// report draws the losses, writes the keepsakes of the best trial and prints the
// results. It fails if a trial failed, or if all diverged.
func (s *search) report(ctx context.Context) error {
	if err := s.writeResults(); err != nil {
		return err
	}
	best := s.best()
	if best != nil {
		if s.options.page {
			if err := s.keepBest(ctx, best); err != nil {
				return err
			}
		}
		if err := s.draw(); err != nil {
			return err
		}
	}
	if err := s.print(best); err != nil {
		return err
	}
	failed, diverged := s.having(stateFailed), s.having(stateDiverged)
	switch {
	case len(failed) > 0:
		return &failure{code: exitFailure, where: s.options.out, problem: fmt.Sprintf("%d of %s failed, the first so: %v", len(failed), count(len(s.trials), "trial"), failed[0].why),
			remedy: "mend what they met, and go on with --resume", err: failed[0].why}
	case len(diverged) == len(s.trials):
		return &failure{code: exitDiverged, where: s.options.out, problem: "every trial diverged", remedy: "choose lower learning rates, or add clip: 1 to settings:"}
	case best == nil:
		return &failure{code: exitFailure, where: s.options.out, problem: "no trial has a " + s.metric.name, remedy: "choose another metric"}
	}
	return nil
}

// having are the trials in a state.
func (s *search) having(in state) []*trial {
	return slices.DeleteFunc(slices.Clone(s.trials), func(t *trial) bool { return t.state != in })
}

// keepBest writes figures, page and card of the best trial.
func (s *search) keepBest(ctx context.Context, t *trial) error {
	run, err := s.trainRun(ctx, t)
	if err != nil {
		return err
	}
	var corruption *corruptionReport
	err = run.onDevice(train.Plan{}, func(dev device.Device) error {
		corruption, err = measureCorruption(ctx, dev, run.data, run.dae)
		return err
	})
	if err != nil {
		return err
	}
	_, err = run.keep(ctx, t.run.history, corruption)
	return err
}

// ranked are the trials that have a model, the best first: those that were
// trained to the end before those that were stopped or diverged.
func (s *search) ranked() []*trial {
	trials := slices.DeleteFunc(slices.Clone(s.trials), func(t *trial) bool { return t.run == nil })
	unfinished := func(t *trial) int {
		if t.state == stateFinished {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(trials, func(a, b *trial) int {
		if d := unfinished(a) - unfinished(b); d != 0 {
			return d
		}
		return s.better(s.value(a), s.value(b))
	})
	return trials
}

// drawnTrials is how many courses a figure can have and be read.
const drawnTrials = 8

// draw draws the losses of the best trials.
func (s *search) draw() error {
	var runs []comparedRun
	ranked := s.ranked()
	for _, t := range ranked[:min(drawnTrials, len(ranked))] {
		run := *t.run
		run.Run = t.name() + ": " + t.title()
		runs = append(runs, run)
	}
	return drawComparison(filepath.Join(s.options.out, sweepFigure), runs)
}

// print prints the results, the best first.
func (s *search) print(best *trial) error {
	if s.options.json {
		return s.printJSON(s.results(s.options.out))
	}
	var keys []string
	for _, d := range s.config.Varied {
		keys = append(keys, d.Key)
	}
	values, states := map[string]string{}, map[string]string{}
	var runs []comparedRun
	for _, t := range s.ranked() {
		run := *t.run
		run.Run, run.Settings = s.dir(t), map[string]string{}
		for _, a := range t.values {
			run.Settings[a.Key] = a.Value
		}
		values[run.Run], states[run.Run] = number(s.value(t)).String(), string(t.state)
		runs = append(runs, run)
	}
	columns := comparisonColumns()
	if s.metric.name != "val_loss" && s.metric.name != "val_mse" {
		columns = slices.Insert(columns, 1, comparisonColumn{s.metric.name, func(r comparedRun) string { return values[r.Run] }})
	}
	if len(s.having(stateFinished)) < len(runs) {
		columns = append(columns, comparisonColumn{"state", func(r comparedRun) string { return states[r.Run] }})
	}
	text := ""
	if len(runs) > 0 {
		text = comparisonTable(runs, columns, keys).String()
	}
	for _, t := range slices.Concat(s.having(stateDiverged), s.having(stateFailed)) {
		text += fmt.Sprintf("trial %d (%s): %v\n", t.number, t.title(), t.why)
	}
	if best != nil {
		text += fmt.Sprintf("best: %s, %s %s (%s)\n", s.dir(best), s.metric.name, number(s.value(best)), best.title())
	}
	return s.printText(text)
}
