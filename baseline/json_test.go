package baseline

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// through writes a model and reads it again.
func through[M any](t *testing.T, m M) M {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var read M
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestModelsSurviveJSON(t *testing.T) {
	rows := randomRows(41, 80, 6, 0.37)
	g := ppca(t, rows, 2)
	if read := through(t, g); !reflect.DeepEqual(read, g) {
		t.Errorf("read %v, wrote %v", read, g)
	}
	for _, q := range []int{0, 3} {
		p, err := FitPCA(t.Context(), rows, q)
		if err != nil {
			t.Fatal(err)
		}
		read := through(t, p)
		if !reflect.DeepEqual(read.Mean, p.Mean) || len(read.Variances) != q || read.Total != p.Total ||
			q > 0 && !(mat.Equal(read.Components, p.Components) && reflect.DeepEqual(read.Variances, p.Variances)) {
			t.Errorf("read %v, wrote %v", read, p)
		}
	}
	l, err := Marginalized(estimate(t, rows), 0.3) // its W is a part of a wider matrix
	if err != nil {
		t.Fatal(err)
	}
	if read := through(t, l); !mat.Equal(read.W, l.W) || !reflect.DeepEqual(read.Bias, l.Bias) {
		t.Errorf("read %v, wrote %v", read, l)
	}
}

func TestBadJSONIsRefused(t *testing.T) {
	for _, c := range []struct {
		text string
		into any
	}{
		{`{}`, &LatentGaussian{}},
		{`{"mean": [0, 0], "loadings": [1], "noise": [1, 1]}`, &LatentGaussian{}},
		{`{"mean": [0, 0], "loadings": [1, 1], "noise": [1]}`, &LatentGaussian{}},
		{`{"mean": [0], "loadings": [1], "noise": [-1]}`, &LatentGaussian{}},
		{`{"mean": "0"}`, &LatentGaussian{}},
		{`{}`, &PCA{}},
		{`{"mean": [0, 0], "components": [1], "variances": [1]}`, &PCA{}},
		{`[]`, &PCA{}},
		{`{}`, &Linear{}},
		{`{"weight": [1, 2], "bias": [1, 2]}`, &Linear{}},
		{`7`, &Linear{}},
	} {
		if err := json.Unmarshal([]byte(c.text), c.into); err == nil {
			t.Errorf("%s was read as %T", c.text, c.into)
		}
	}
	if _, err := json.Marshal(Linear{}); err == nil {
		t.Error("an empty map was written")
	}
}

// FuzzLatentGaussian: what is read can be used, or says why not.
func FuzzLatentGaussian(f *testing.F) {
	f.Add([]byte(`{"mean": [0, 1], "loadings": [1, 2], "noise": [1, 0.5]}`))
	f.Add([]byte(`{"mean": [0, 1], "loadings": [], "noise": [0, 1e-300]}`))
	f.Add([]byte(`{"mean": [1e308], "loadings": [1e308, -1e308], "noise": [1e308]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var g LatentGaussian
		if json.Unmarshal(text, &g) != nil {
			return
		}
		x := Rows{Values: make([]float32, 2*g.Features()), Features: g.Features()}
		x.Values[0] = float32(math.NaN())
		if v, err := g.LogLikelihood(t.Context(), x); err == nil && len(v) != 2 {
			t.Errorf("%d log likelihoods of two rows", len(v))
		}
		if y, err := g.Denoise(t.Context(), x, 0.5); err == nil && len(y.Values) != len(x.Values) {
			t.Errorf("%d values from %d", len(y.Values), len(x.Values))
		}
		if h, err := g.Encode(t.Context(), x); err == nil && h.Features != g.Components() {
			t.Errorf("a code of %d units, not %d", h.Features, g.Components())
		}
	})
}
