package main

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"gpudae/data"
	"gpudae/table"
	"gpudae/train"
)

// mixedPrepared is a small table of mixed columns, ready for a model.
func mixedPrepared(t *testing.T) *prepared {
	t.Helper()
	cells := &data.Cells{Rows: 12, Columns: make([]data.Values, 3)}
	for i := range cells.Rows {
		cells.Columns[0].Numbers = append(cells.Columns[0].Numbers, float64(i*i)/7)
		cells.Columns[0].Absent = append(cells.Columns[0].Absent, i == 5)
		cells.Columns[1].Text = append(cells.Columns[1].Text, []string{"red", "green", "blue"}[i%3])
		cells.Columns[2].Booleans = append(cells.Columns[2].Booleans, i%4 == 0)
	}
	frame := data.NewFrame("colours", []data.FrameColumn{{Name: "x", Type: data.Number}, {Name: "colour", Type: data.Text}, {Name: "flag", Type: data.Boolean}}, cells)
	schema, _, err := table.Infer(t.Context(), frame, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := defaultTable()
	c.Store = filepath.Join(t.TempDir(), "store")
	rows, err := storeRows(t.Context(), frame, schema, c, 1)
	if err != nil {
		t.Fatal(err)
	}
	in := &prepared{mixed: &mixedTable{schema: schema, store: rows}, split: train.Split{Rows: 12, Held: 2}}
	t.Cleanup(func() { in.close() })
	in.describeTable(frame.Info())
	return in
}

// TestSchemaMomentsAreThoseOfTheRows: the baseline of eval, which has no training
// rows at hand, is that of the rows that the schema was fitted on.
func TestSchemaMomentsAreThoseOfTheRows(t *testing.T) {
	in := mixedPrepared(t)
	in.split = train.Split{Rows: 12}
	c := defaultTrainSettings()
	if err := in.settle(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	dae, err := in.build(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := dae.Moments(t.Context(), in.table, in.split.Training())
	if err != nil {
		t.Fatal(err)
	}
	got := momentsOf(in.mixed.schema)
	for j := range want.Mean {
		numbers := want.Frequencies[j] == nil
		if numbers && (math.Abs(got.Mean[j]-want.Mean[j]) > 1e-6 || j == 0 && math.Abs(got.Variance[j]-want.Variance[j]) > 1e-5) {
			t.Errorf("column %d: mean %v and variance %v, want %v and %v", j, got.Mean[j], got.Variance[j], want.Mean[j], want.Variance[j])
		}
		if got.Counts[j] != want.Counts[j] || fmt.Sprint(got.Frequencies[j]) != fmt.Sprint(want.Frequencies[j]) {
			t.Errorf("column %d: %d values, %v; want %d, %v", j, got.Counts[j], got.Frequencies[j], want.Counts[j], want.Frequencies[j])
		}
	}
}

// TestBalanceMultipliesTheWeightsOfTheSchema.
func TestBalanceMultipliesTheWeightsOfTheSchema(t *testing.T) {
	in := mixedPrepared(t)
	c := defaultTrainSettings()
	c.Table.Balance = balanceMarginal
	if err := in.settle(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	balanced := c.Model.ColumnWeights
	in.mixed.schema.Columns[1].Weight = 3
	if err := in.settle(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	for j, w := range c.Model.ColumnWeights {
		want := balanced[j]
		if j == 1 {
			want *= 3
		}
		if math.Abs(w-want) > 1e-12 {
			t.Errorf("column %d weighs %v, want %v", j, w, want)
		}
	}
	c.Table.Balance = balanceNone
	if err := in.settle(t.Context(), &c, nil); err != nil || fmt.Sprint(c.Model.ColumnWeights) != "[1 3 1]" {
		t.Errorf("without balance the weights are %v, %v", c.Model.ColumnWeights, err)
	}
}

// TestEffectiveRatesOfNumbers: swap:effective works on plain columns too.
func TestEffectiveRatesOfNumbers(t *testing.T) {
	r := smallRun(t)
	c := *r.settings
	c.Model.Corruption = "swap:effective=0.1"
	if err := r.data.settle(t.Context(), &c, nil); err != nil {
		t.Fatal(err)
	}
	dae, err := r.data.build(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Model.Collisions) != 64 || len(dae.NominalRates()) != 64 || len(dae.Capped()) == 0 {
		t.Errorf("%d collisions, rates %v, capped %v", len(c.Model.Collisions), dae.NominalRates(), dae.Capped())
	}
	if text := cappedText(dae); text == "" {
		t.Error("pixels that hardly vary are not told")
	}
}
