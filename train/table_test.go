package train

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gpudae/device"
	"gpudae/model"
)

// mixedTable holds a number, a category that says much about it, and a bit; some
// numbers and categories are absent.
func mixedTable(rows int) device.Table {
	const stride = 8
	r := &device.Records{Stride: stride, Columns: []device.Column{{Cell: device.CellFloat32}, {Cell: device.CellUint8, Offset: 4}, {Cell: device.CellBit, Offset: 40}}}
	random := rand.New(rand.NewPCG(6, 7))
	for range rows {
		record := make([]byte, stride)
		code := random.IntN(3)
		x := float32(code-1) + 0.3*float32(random.NormFloat64())
		record[4] = byte(code + 1)
		if x > 0 {
			record[5] = 1
		}
		switch random.IntN(10) {
		case 0:
			x = float32(math.NaN())
		case 1:
			record[4] = 0
		}
		binary.LittleEndian.PutUint32(record, math.Float32bits(x))
		r.Bytes = append(r.Bytes, record...)
	}
	return device.Table{Rows: rows, Columns: 3, Records: r}
}

func mixedJob(t *testing.T, rows, epochs int) Job {
	t.Helper()
	job := folderJob(t, rows, epochs)
	job.Table, job.Scaler, job.Schema.Features = mixedTable(rows), nil, 0
	job.Model = newDAE(t, model.Config{Columns: []model.ColumnConfig{{Name: "x", Family: "gaussian"}, {Name: "code", Family: "categorical", Categories: 3},
		{Name: "positive", Family: "bernoulli"}}, Hidden: []int{12}, Activation: "tanh", Likelihood: "mixed", Corruption: "swap:0.3", Indicators: true, MaskHead: 0.2})
	job.Columns = json.RawMessage(`{"schema":1,"columns":["x","code","positive"]}`)
	return job
}

// TestTablesAreLearnt: a run ends far below the marginals that it starts from.
func TestTablesAreLearnt(t *testing.T) {
	job := mixedJob(t, 600, 40)
	r := mustRun(t, job)
	moments, err := job.Model.Moments(t.Context(), job.Table, r.Split.Training())
	if err != nil {
		t.Fatal(err)
	}
	start := job.Model.InitialParameters(1)
	job.Model.StartAtMeans(start, moments)
	marginals := &Saved{DAE: job.Model, Params: start, Config: job.Config}
	low, high := model.ColumnExtremes(job.Table)
	marginals.Scaler.Low, marginals.Scaler.High = low, high
	before, err := marginals.Evaluate(t.Context(), job.Device, job.Table, r.Split.Validation())
	if err != nil {
		t.Fatal(err)
	}
	if !(r.Best.ValNLL < before.NLL-0.7) {
		t.Errorf("NLL %v, the marginals have %v", r.Best.ValNLL, before.NLL)
	}
	if !math.IsNaN(r.Best.TrainNLL) || !(r.Best.ValLoss > r.Best.ValNLL) || !math.IsNaN(r.Best.ValPSNR) {
		t.Errorf("with a head for the mask the loss is no NLL: %+v", r.Best)
	}
}

// TestTablesAreResumed to the same bits, and only under the same schema.
func TestTablesAreResumed(t *testing.T) {
	job := mixedJob(t, 80, 4)
	want := mustRun(t, job)
	job.Dir = t.TempDir()
	if _, err := interrupt(t, job, 7); err == nil {
		t.Fatal("not interrupted")
	}
	job.Resume = true
	other := job
	other.Columns = json.RawMessage(`{"schema":1,"columns":[]}`)
	var config *model.ConfigError
	if _, err := Run(t.Context(), other); !errors.As(err, &config) || config.Key != "schema" {
		t.Errorf("under another schema: %v", err)
	}
	same(t, "a table", job, mustRun(t, job), want)
}

// TestSavedTablesKeepTheirSchema, and evaluate to the recorded loss.
func TestSavedTablesKeepTheirSchema(t *testing.T) {
	job := mixedJob(t, 80, 2)
	r := mustRun(t, job)
	saved, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(saved.Columns) != string(job.Columns) || saved.DAE.Config().Columns[1].Name != "code" {
		t.Errorf("schema %s, columns %+v", saved.Columns, saved.DAE.Config().Columns)
	}
	e, err := saved.Evaluate(t.Context(), job.Device, job.Table, r.Split.Validation())
	if err != nil || e.Loss != r.Best.ValLoss || e.NLL != r.Best.ValNLL {
		t.Errorf("%+v, %v; recorded %+v", e, err, r.Best)
	}
	if got := readFile(t, job.Dir+"/"+SchemaFile); !json.Valid([]byte(got)) || got[0] != '{' {
		t.Errorf("%s: %q", SchemaFile, got)
	}
	job.Columns = nil
	var config *model.ConfigError
	if _, err := Run(t.Context(), job); !errors.As(err, &config) || config.Key != "columns" {
		t.Errorf("without a schema: %v", err)
	}
}

// TestMeasure leaves nothing, and its parts add up.
func TestMeasure(t *testing.T) {
	job := mixedJob(t, 80, 3)
	p, err := Measure(t.Context(), job, 3)
	if err != nil {
		t.Fatal(err)
	}
	if left := names(t, job.Dir); len(left) > 0 {
		t.Errorf("files %v", left)
	}
	plan, err := NewPlan(job)
	if err != nil {
		t.Fatal(err)
	}
	epoch := p.StepSeconds*float64(plan.Training)/float64(plan.Batch) + p.Validation
	if p.Steps != 3 || !(p.StepSeconds > 0) || !(p.Validation > 0) || math.Abs(p.Epoch-epoch) > 1e-9 || math.Abs(p.Run-3*p.Epoch) > 1e-9 {
		t.Errorf("%+v, an epoch %v", p, epoch)
	}
}

func TestStepOfTablesAllocatesNothing(t *testing.T) {
	r, err := newRun(t.Context(), mixedJob(t, 200, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer r.folder.close()
	if err := r.setRates(0, nil, 1); err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(5, func() {
		if err := r.full(); err != nil {
			t.Error(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%g allocations in a step", allocations)
	}
}
