package main

import (
	"context"
	"fmt"

	"gpudae/device"
	"gpudae/model"
	"gpudae/train"
)

// paceSteps is the number of steps that a dry run makes to say how long all of
// them would take.
const paceSteps = 10

// planJSON is what --dry-run prints with --json.
type planJSON struct {
	train.Plan
	Device     string         `json:"device"`
	Step       string         `json:"step,omitempty"` // how the device runs a step, if it says so
	Time       train.Pace     `json:"time"`
	Corruption corruptionJSON `json:"corruption"`
	Products   []productJSON  `json:"products,omitempty"` // of a step on a GPU
	Resident   *residentJSON  `json:"resident,omitempty"` // of a table of mixed columns
}

// productJSON is how a device computes an m×n product with sums of k terms.
type productJSON struct {
	Layer      string `json:"layer"`
	Product    string `json:"product"`
	M          int    `json:"m"`
	N          int    `json:"n"`
	K          int    `json:"k"`
	Arithmetic string `json:"arithmetic"` // tf32x3, tf32, bf16, or ffma: without tensor cores; cublaslt and its compute type
	Tile       int    `json:"tile"`       // rows and columns of a block's work; 0: that is cuBLASLt's affair
	Shares     int    `json:"shares"`     // blocks that share each sum; likewise
}

// productsText is the table for a person, empty without products.
func productsText(all []productJSON) string {
	if len(all) == 0 {
		return ""
	}
	g := grid{{"layer", "product", "m × n × k", "arithmetic", "tile", "shares"}}
	for _, p := range all {
		g.add(p.Layer, p.Product, fmt.Sprintf("%d × %d × %d", p.M, p.N, p.K), p.Arithmetic, known(p.Tile), known(p.Shares))
	}
	return "products of a step:\n" + indent(g.String())
}

// known is a number that is not always there.
func known(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// residentJSON is what of a table of mixed columns lies on the device.
type residentJSON struct {
	Columns      []residentColumn `json:"columns"`
	BytesPerRow  int              `json:"bytes_per_row"`
	Bytes        uint64           `json:"bytes"`
	BytesFloat32 uint64           `json:"bytes_float32"` // of a copy of one float32 a column
	BytesOneHot  uint64           `json:"bytes_one_hot"` // of one with a float32 a category
}

type residentColumn struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Cell       string `json:"cell"` // bit, uint8, uint16 or float32
	Bits       int    `json:"bits"`
	Values     int    `json:"values,omitempty"`     // of a dictionary
	Categories int    `json:"categories,omitempty"` // the unknown one included
}

// dry says what a run would take, and trains nothing: a few steps are measured.
func (r *trainRun) dry(ctx context.Context, job train.Job, plan train.Plan) error {
	out := planJSON{Plan: plan, Resident: r.resident()}
	var corruption *corruptionReport
	err := r.onDevice(plan, func(dev device.Device) (err error) {
		out.Device = dev.Info().Name
		out.Products = productsOf(dev, r.dae.Layers(), r.dae.Rows(model.Binding{Examples: plan.Batch, Training: true}))
		if corruption, err = measureCorruption(ctx, dev, r.data, r.dae); err != nil {
			return err
		}
		job.Device = dev
		if out.Time, err = train.Measure(ctx, job, paceSteps); err != nil {
			return err
		}
		if d, ok := dev.(interface{ RecordedAs() string }); ok {
			out.Step = d.RecordedAs()
		}
		return nil
	})
	if err != nil {
		return located(err, r.origins)
	}
	if r.options.json {
		out.Corruption = corruption.json()
		return r.printJSON(out)
	}
	text := r.planText(plan, out)
	if r.data.mixed != nil {
		text = r.data.mixed.describe() + out.Resident.String() + text + cappedText(r.dae)
	}
	return r.printText(text + productsText(out.Products) + corruption.String())
}

func (r *trainRun) planText(plan train.Plan, out planJSON) string {
	g := grid{}
	g.add("rows", fmt.Sprintf("%d to train, %d held out", plan.Training, plan.Held))
	g.add("steps", fmt.Sprintf("%d, %d an epoch of %d examples each", plan.Steps, plan.StepsPerEpoch, plan.Batch))
	g.add("parameters", parametersText(r.dae))
	g.add("memory", fmt.Sprintf("%s (data %s, model %s, optimiser %s; copies on the host %s)",
		fileSize(plan.Bytes.Total()), fileSize(plan.Bytes.Data), fileSize(plan.Bytes.Model), fileSize(plan.Bytes.Optimizer), fileSize(plan.Bytes.Host)))
	g.add("arithmetic", fmt.Sprintf("%.3g GFLOP an epoch", float64(plan.FLOPsPerEpoch)/1e9))
	g.add("optimizer", plan.Optimizer+", schedule "+plan.Schedule)
	if out.Step != "" {
		g.add("step", out.Step)
	}
	g.add("time", fmt.Sprintf("%s an epoch, %s in all if not stopped early: from %s measured now on %s (%.3g ms each)",
		duration(out.Time.Epoch), duration(out.Time.Run), count(out.Time.Steps, "step"), out.Device, 1000*out.Time.StepSeconds))
	return g.left()
}

// parametersText is the number of parameters, with that of the vectors of categories.
func parametersText(dae *model.DAE) string {
	text, vectors := fmt.Sprint(dae.ParameterCount()), 0
	for _, e := range dae.Embeddings() {
		vectors += (e.Categories + 1) * e.Width
	}
	if vectors > 0 {
		text += fmt.Sprintf(", %d of them in vectors of categories", vectors)
	}
	return text
}

// resident describes the rows of a table of mixed columns, nil for others.
func (r *trainRun) resident() *residentJSON {
	if r.data.mixed == nil {
		return nil
	}
	records, rows := r.data.table.Records, uint64(r.data.table.Rows)
	out := &residentJSON{BytesPerRow: records.Stride, Bytes: r.data.table.Size()}
	wide := 0
	for j, c := range records.Columns {
		config := r.dae.Config().Columns[j]
		bits := map[device.Cell]int{device.CellBit: 1, device.CellUint8: 8, device.CellUint16: 16, device.CellFloat32: 32}[c.Cell]
		out.Columns = append(out.Columns, residentColumn{Name: config.Name, Kind: string(kindOf(r.data.mixed.schema, j)), Cell: c.Cell.String(), Bits: bits,
			Values: len(c.Values), Categories: config.Categories})
		wide += max(config.Categories, 1)
	}
	out.BytesFloat32, out.BytesOneHot = 4*rows*uint64(len(records.Columns)), 4*rows*uint64(wide)
	return out
}

// String is the table for a person.
func (r *residentJSON) String() string {
	g := grid{{"column", "kind", "cell", "bits a row", "values"}}
	for _, c := range r.Columns {
		values := "-"
		switch {
		case c.Categories > 0:
			values = fmt.Sprintf("%d categories", c.Categories)
		case c.Values > 0:
			values = fmt.Sprint(c.Values)
		case c.Cell == device.CellBit.String():
			values = "2"
		}
		g.add(c.Name, c.Kind, c.Cell, fmt.Sprint(c.Bits), values)
	}
	return fmt.Sprintf("resident: %d bytes a row, %s in all; as float32 it would be %s, in one-hot form %s:\n", r.BytesPerRow, fileSize(r.Bytes),
		fileSize(r.BytesFloat32), fileSize(r.BytesOneHot)) + indent(g.String())
}
