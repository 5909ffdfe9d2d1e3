package export

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"gpudae/cpu"
	"gpudae/data"
	"gpudae/device/reference"
	"gpudae/model"
	"gpudae/onnx"
	"gpudae/table"
	"gpudae/train"
)

// people is a table of every kind of column, some with names that a graph has
// for values of its own.
func people() data.Frame {
	names := []string{"age", "town", "code", "since", "columns.0.known", "height", "when", "unknown"}
	random := rand.New(rand.NewPCG(1, 2))
	const rows = 60
	cells := &data.Cells{Rows: rows, Columns: make([]data.Values, len(names))}
	info := make([]data.FrameColumn, len(names))
	for j, name := range names {
		info[j] = data.FrameColumn{Name: name, Type: data.Text}
	}
	for range rows {
		row := []string{fmt.Sprint(random.IntN(80)), []string{"Rome", "Oslo", "São Paulo", "unknown"}[random.IntN(4)], []string{"10", "20", "30"}[random.IntN(3)],
			fmt.Sprintf("2001-%02d-%02d", 1+random.IntN(12), 1+random.IntN(28)), []string{"no", "yes"}[random.IntN(2)],
			fmt.Sprintf("%.2f", 1.7+0.1*random.NormFloat64()), fmt.Sprintf("2020-01-%02d %02d:30+02:00", 1+random.IntN(28), random.IntN(24)),
			fmt.Sprintf("%.4e", random.NormFloat64()*1e-7)}
		for j, cell := range row {
			if random.IntN(8) == 0 {
				cell = "NA"
			}
			cells.Columns[j].Text = append(cells.Columns[j].Text, cell)
		}
	}
	return data.NewFrame("people.csv", info, cells)
}

// savedTable is a model of people with random weights.
func savedTable(t *testing.T, scaling table.Scaling, c model.Config) *train.Saved {
	t.Helper()
	ctx, frame := context.Background(), people()
	schema, _, err := table.Infer(ctx, frame, table.Options{Scaling: scaling})
	if err != nil {
		t.Fatal(err)
	}
	schema.Columns[2] = table.Column{Name: "code", Kind: table.Categorical, Weight: 1}
	if schema, _, err = table.Infer(ctx, frame, table.Options{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	for _, m := range schema.ModelColumns() {
		c.Columns = append(c.Columns, model.ColumnConfig{Name: m.Name, Family: m.Family, Categories: m.Categories})
	}
	c.Features = len(c.Columns)
	if c.Likelihood == "" {
		c.Likelihood = "mixed"
	}
	s := savedModel(t, c, data.Scaler{Kind: data.ScaleNone})
	for j, tr := range schema.Transforms() {
		low, high := float32(0), float32(1)
		if number(&tr) {
			fit := schema.Columns[schema.Used()[j]].Fit
			low, high = float32(tr.Apply(fit.Low)), float32(tr.Apply(fit.High))
		}
		s.Scaler.Low, s.Scaler.High = append(s.Scaler.Low, low), append(s.Scaler.High, high)
	}
	s.Columns = schema.JSON()
	return s
}

func tableConfigurations() map[string]model.Config {
	all := map[string]model.Config{
		"plain":             {Hidden: []int{7, 5}},
		"indicators":        {Hidden: []int{7}, Indicators: true},
		"learned, mask":     {Hidden: []int{7}, Likelihood: "mixed:learned", MaskHead: 0.5, Corruption: "masking:0.2", Indicators: true},
		"layer norm, code":  {Hidden: []int{7}, Code: 3, CodeActivation: "identity", Norm: "layer", Activation: "tanh"},
		"batch norm":        {Hidden: []int{7, 5}, Norm: "batch", Dropout: 0.2},
		"stochastic code":   {Hidden: []int{7}, Code: 3, CodeDistribution: "gaussian", CodeActivation: "identity"},
		"decoder of others": {Hidden: []int{7, 5}, DecoderActivation: "gelu"},
	}
	return all
}

// TestTableGraphComputesWhatTheModelDoes, from cells to cells: with all kinds of
// columns, missing cells and unknown words, in float64 and on the CPU.
func TestTableGraphComputesWhatTheModelDoes(t *testing.T) {
	dev, err := cpu.New(1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for name, c := range tableConfigurations() {
		for _, scaling := range table.Scalings() {
			if name != "plain" && scaling != table.Standard {
				continue
			}
			t.Run(name+", "+string(scaling), func(t *testing.T) {
				s := savedTable(t, scaling, c)
				m := encoded(t, s, Outputs{true, true})
				if d, err := Check(context.Background(), reference.New(), s, m); err != nil || !(d.Reconstruction <= 1e-6 && d.Code <= 1e-6) {
					t.Errorf("difference %+v, %v", d, err)
				}
				if v, err := Verify(context.Background(), dev, reference.New(), s, m); err != nil || !v.Right() {
					t.Errorf("on the CPU %+v, %v", v, err)
				}
			})
		}
	}
}

// The cells of a row go in and come out as Encoder and Decoder have them.
func TestTableGraphIsThatOfEncoderAndDecoder(t *testing.T) {
	ctx := context.Background()
	for _, scaling := range []table.Scaling{table.Standard, table.GaussRank} {
		s := savedTable(t, scaling, model.Config{Hidden: []int{7}, Indicators: true})
		schema, err := table.ParseSchema("", s.Columns)
		if err != nil {
			t.Fatal(err)
		}
		frame := people()
		cells, err := frame.Next(ctx, 60)
		if err != nil {
			t.Fatal(err)
		}
		cells.Columns[1].Text[0], cells.Columns[4].Text[0] = "Paris", "FALSE"
		encoder, err := schema.NewEncoder(frame.Info())
		if err != nil {
			t.Fatal(err)
		}
		decoder, err := schema.NewDecoder(false)
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float32, cells.Rows*encoder.Width())
		if err := encoder.Encode(cells, 0, z); err != nil {
			t.Fatal(err)
		}
		net, _, err := s.Bind(reference.New(), cells.Rows)
		if err != nil {
			t.Fatal(err)
		}
		y, err := net.Denoise(ctx, matrixOf(z, encoder.Width()))
		if err != nil {
			t.Fatal(err)
		}
		want := decoder.Decode(data.Float32s(y))

		inputs := map[string]onnx.Tensor{}
		for j, tr := range schema.Transforms() {
			x := onnx.Tensor{Shape: []int{cells.Rows, 1}}
			for i := range cells.Rows {
				if text := cells.Columns[j].Text[i]; number(&tr) {
					x.Values = append(x.Values, numberOf(t, text))
				} else {
					x.Texts = append(x.Texts, text)
				}
			}
			inputs[Input+"."+tr.Name] = x
		}
		got, err := onnx.Run(ctx, encoded(t, s, Outputs{Reconstruction: true}), inputs)
		if err != nil {
			t.Fatal(err)
		}
		for j, tr := range schema.Transforms() {
			out := got[Reconstruction+"."+tr.Name]
			for i := range cells.Rows {
				text, wanted := "", want.Columns[j].Text[i]
				if number(&tr) {
					text = schema.Columns[j].Text(out.Values[i])
				} else {
					text = out.Texts[i]
				}
				// Seven digits tell the reconstructions of float32 and of float64 apart.
				last := schema.Columns[j].Format == "e" && math.Abs(numberOf(t, text)/numberOf(t, wanted)-1) < 2e-6
				if text != wanted && !last {
					t.Errorf("%s, %s: row %d is %q, want %q", scaling, tr.Name, i, text, wanted)
				}
			}
		}
	}
}

// What the network gets of a number, and the number of what it says, are those of
// Encoder and Decoder to the last bit, at the knots of a scaling, between and
// beyond them.
func TestNumbersAreScaledToTheLastBit(t *testing.T) {
	for _, scaling := range table.Scalings() {
		s := savedTable(t, scaling, model.Config{Hidden: []int{2}})
		schema, err := table.ParseSchema("", s.Columns)
		if err != nil {
			t.Fatal(err)
		}
		decoder, err := schema.NewDecoder(false)
		if err != nil {
			t.Fatal(err)
		}
		for j, tr := range schema.Transforms() {
			if !number(&tr) || tr.Kind == table.Time {
				continue
			}
			var x, z []float64
			for u := -0.5; u <= 1.5; u += 1.0 / 64 {
				x, z = append(x, tr.Low+u*(tr.High-tr.Low)), append(z, float64(float32(8*u-4)))
			}
			if tr.Knots != nil {
				x = append(x, tr.Knots.Values...)
			}
			encoder, err := schema.NewEncoder(data.FrameInfo{Columns: []data.FrameColumn{{Name: tr.Name, Type: data.Number}}})
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float32, len(x)*encoder.Width())
			if err := encoder.Encode(&data.Cells{Rows: len(x), Columns: []data.Values{{Numbers: x}}}, 0, want); err != nil {
				t.Fatal(err)
			}
			b := &builder{Graph: onnx.NewGraph("test")}
			b.Output(b.narrow("scaled", b.scaled("in", b.Input("x", "", onnx.Float64, onnx.Batch, 1), &tr)), "", onnx.Float32, onnx.Batch, 1)
			b.Node("unscaled", "Identity", []string{b.unscaled("out", b.Input("z", "", onnx.Float64, onnx.Batch, 1), &tr)})
			b.Output("unscaled", "", onnx.Float64, onnx.Batch, 1)
			got, err := onnx.Run(context.Background(), b.Model(onnx.About{}), map[string]onnx.Tensor{
				"x": {Shape: []int{len(x), 1}, Values: x}, "z": {Shape: []int{len(z), 1}, Values: z}})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range got["scaled"].Values {
				if w := want[i*encoder.Width()+j]; float32(v) != w {
					t.Errorf("%s, %s: z of %g is %g, want %g", scaling, tr.Name, x[i], v, w)
				}
			}
			for i, v := range got["unscaled"].Values {
				if w := decoder.Number(j, float32(z[i])); v != w {
					t.Errorf("%s, %s: %g is brought back as %v, want %v", scaling, tr.Name, z[i], v, w)
				}
			}
		}
	}
}

// numberOf reads a cell as who uses the graph would.
func numberOf(t *testing.T, text string) float64 {
	t.Helper()
	if text == "NA" {
		return math.NaN()
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04Z07:00"} {
		if moment, err := time.Parse(layout, text); err == nil {
			return float64(moment.Unix())
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func matrixOf(values []float32, columns int) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(values)/columns, columns), tensor.WithBacking(values))
}

func targets() map[string]train.Target {
	return map[string]train.Target{
		"two classes":   {Name: "answer", Classes: []string{"no", "yes"}},
		"three classes": {Classes: []string{"a", "b", "c"}},
		"a number":      {Name: "y", Offset: 1e4, Scale: 3},
	}
}

// Predictors of tables and of numbers put out classes with their probabilities,
// or a value, from the code or from all layers.
func TestPredictorGraphComputesWhatTheModelDoes(t *testing.T) {
	for name, target := range targets() {
		for _, layers := range model.HeadLayers() {
			t.Run(name+" from "+layers, func(t *testing.T) {
				head := target.Model(layers, layers == model.HeadReadsAll)
				for _, s := range []*train.Saved{
					savedTable(t, table.Standard, model.Config{Hidden: []int{7, 5, 4}, Target: &head}),
					savedModel(t, model.Config{Features: 4, Hidden: []int{6, 5}, Likelihood: "gaussian", Target: &head}, standard(4)),
				} {
					s.Target = target
					m := encoded(t, s, Outputs{true, true})
					want := []string{Class, Probabilities, Code}
					if target.Classes == nil {
						want = []string{Value, Code}
					}
					if !slices.Equal(m.Outputs(), want) {
						t.Errorf("outputs %v", m.Outputs())
					}
					d, err := Check(context.Background(), reference.New(), s, m)
					if err != nil || !(d.Prediction <= 1e-6 && d.Code <= 1e-6) {
						t.Errorf("difference %+v, %v", d, err)
					}
					s.Params[len(s.Params)-1] += 0.01 // the last bias
					if d, err := Check(context.Background(), reference.New(), s, m); err != nil || d.Within() {
						t.Errorf("another model differs by %+v, %v", d, err)
					}
				}
			})
		}
	}
}

// Whatever is another in a graph of a table is noticed.
func TestCheckNoticesAnyChangeOfATable(t *testing.T) {
	c := model.Config{Hidden: []int{6}, Indicators: true}
	s := savedTable(t, table.Standard, c)
	changed := func(old, by string) func(*train.Saved) {
		return func(s *train.Saved) {
			if !strings.Contains(string(s.Columns), old) {
				t.Fatalf("%s is not in %s", old, s.Columns)
			}
			s.Columns = []byte(strings.Replace(string(s.Columns), old, by, 1))
		}
	}
	changes := map[string]func(*train.Saved){
		"nothing": func(*train.Saved) {},
		"order":   changed(`"Oslo"`, `"Olso"`),
		"answers": changed(`"no","yes"`, `"yes","no"`),
		"marker":  changed(`"NaN","NA"`, `"NaN","none at all"`),
		"format":  changed(`"format": "0.00"`, `"format": "0.0"`),
		"day":     changed(`"format": "YYYY-MM-DD"`, `"format": "YYYY-MM-DD hh:mm"`),
		"bounds":  changed(`"kind": "integer",`, `"kind": "integer", "bounds": {"low": 30, "high": null},`),
	}
	for _, e := range s.DAE.Parameters() {
		if strings.Contains(e.Name, "embedding") {
			changes[e.Name] = func(s *train.Saved) {
				for i := range e.Len() {
					s.Params[e.Offset+i] += 0.01
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		other := savedTable(t, table.Standard, c)
		changes[name](other)
		m, err := ONNX(other, Outputs{Reconstruction: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d, err := Check(context.Background(), reference.New(), s, m)
		if err != nil || d.Within() != (name == "nothing") {
			t.Errorf("%s: difference %+v, %v", name, d, err)
		}
	}
}

func TestTablesWhoseSchemaIsAnotherAreRefused(t *testing.T) {
	s := savedTable(t, table.Standard, model.Config{Hidden: []int{6}})
	s.Columns = []byte(strings.Replace(string(s.Columns), `"kind": "numeric"`, `"kind": "drop"`, 1))
	if _, err := ONNX(s, Outputs{Code: true}); err == nil || !strings.Contains(err.Error(), "its schema uses 7 columns, its model 8") {
		t.Errorf("%v", err)
	}
}
