package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"gpudae/device"
	"gpudae/internal/roofline"
	"gpudae/internal/settings"
	"gpudae/kernels"
)

// predictionJSON is what bench --predict prints of a workload.
type predictionJSON struct {
	Workload string `json:"workload"`
	Layers   []int  `json:"layers"`
	Batch    int    `json:"batch"`
	roofline.Step
	SamplesPerS float64 `json:"predicted_samples_per_s"`
	Memory      int64   `json:"memory_bytes"` // the data set's included
	Assumptions string  `json:"assumptions"`
}

// gpuNamed is the row of the table of GPUs.
func gpuNamed(name string) (roofline.GPU, error) {
	var names []string
	for _, g := range roofline.GPUs() {
		if g.Name == name {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return roofline.GPU{}, usage("--gpu", "unknown GPU "+quoted(name), settings.Suggest(name, names, "")+"choose one of "+strings.Join(names, ", "))
}

// predictSteps prices the steps of workloads on a GPU that need not be here.
func (p *program) predictSteps(ctx context.Context, g roofline.GPU, class kernels.Class, chosen []workload, asJSON, launches bool) error {
	results := grid{{"workload", "nodes", "MFLOP", "MB moved", "predicted µs", "cached µs", "samples/s", "floor µs", "bound by"}}
	details := ""
	for _, w := range chosen {
		if w.class == kernels.Float32 { // no class of its own
			w.class = class
		}
		step, held, err := stepOn(ctx, g, w)
		if err != nil {
			return err
		}
		perSecond := 1e6 * float64(w.batch) / step.Micros
		if asJSON {
			text, err := json.Marshal(predictionJSON{w.name, w.widths(), w.batch, step, perSecond, held, roofline.Assumptions()})
			if err != nil {
				return err
			}
			if err := p.printText(string(text) + "\n"); err != nil {
				return err
			}
			continue
		}
		if launches {
			details += launchesText(w, step)
			continue
		}
		cached := "-" // does not stay in the cache
		if step.Cached > 0 {
			cached = fmt.Sprintf("%.1f", step.Cached)
		}
		results.add(w.name, fmt.Sprint(step.Nodes), fmt.Sprintf("%.1f", float64(step.FLOPs)/1e6), fmt.Sprintf("%.1f", float64(step.Bytes)/1e6),
			fmt.Sprintf("%.1f", step.Micros), cached, fmt.Sprintf("%.0f", perSecond), fmt.Sprintf("%.1f", step.Floor), string(step.Bound))
	}
	if asJSON {
		return nil
	}
	text := results.String()
	if launches {
		text = details
	}
	return p.printText(fmt.Sprintf("PREDICTED for %s in %s, never measured\n%s%s\n", g.Description, class, text, roofline.Assumptions()))
}

// launchesText is the table of a step's launches, for a person.
func launchesText(w workload, step roofline.Step) string {
	g := grid{{"kernel", "blocks", "threads", "registers", "shared", "resident", "occupancy", "waves", "efficiency", "filled", "MB", "optimiser", "µs", "bound by"}}
	for _, l := range step.Launches {
		row := []string{l.Kernel, fmt.Sprint(l.Blocks), "", "", "", "", "", "", ""}
		if o := l.Occupancy; o != nil {
			row = []string{l.Kernel, fmt.Sprint(l.Blocks), fmt.Sprint(o.Threads), fmt.Sprint(o.Registers), fmt.Sprint(o.Shared), fmt.Sprint(o.Resident),
				whole(o.Share), fmt.Sprintf("%.2f", o.Full), whole(o.Efficiency())}
		}
		g.add(append(row, whole(l.Filled), fmt.Sprintf("%.1f", float64(l.Bytes)/1e6), fmt.Sprintf("%.1f", float64(l.State)/1e6), fmt.Sprintf("%.1f", l.Micros), string(l.Bound))...)
	}
	return w.name + "\n" + indent(g.String())
}

// whole is a part of 1 in hundredths.
func whole(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

// stepOn counts and prices a step of a workload, and the bytes that it holds.
func stepOn(ctx context.Context, g roofline.GPU, w workload) (roofline.Step, int64, error) {
	counter := roofline.NewCounterOf(g, w.class, kernels.BigProducts())
	table := device.Table{Rows: workloadRows, Columns: w.features, Scale: 1}
	if !w.sparse {
		table.Float32 = []float32{} // its shape is enough
	}
	if _, err := newStepper(ctx, counter, w, table); err != nil {
		return roofline.Step{}, 0, err
	}
	one := roofline.OneKernel
	if w.noise != "" {
		one = roofline.OneCluster
	}
	launches := counter.Launches()
	graph := roofline.Predict(g, launches)
	graph.Cached = roofline.Cached(g, launches, counter.Touched())
	return one(g, w.class, graph, w.widths(), w.batch), counter.Held(), nil
}
