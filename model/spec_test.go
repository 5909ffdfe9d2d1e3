package model

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"gpudae/device"
)

func TestCorruptionsParse(t *testing.T) {
	for text, want := range map[string]struct {
		stages Corruption
		text   string
	}{
		"none":                         {Corruption{{Kind: device.CorruptNone}}, "none"},
		"masking:0.25":                 {Corruption{{Kind: device.CorruptMasking, Amount: 0.25}}, "masking:0.25"},
		"masking:rate=.25":             {Corruption{{Kind: device.CorruptMasking, Amount: 0.25}}, "masking:0.25"},
		"gaussian:sigma=0.1":           {Corruption{{Kind: device.CorruptGaussian, Amount: 0.1}}, "gaussian:0.1"},
		"swap:effective=0.15":          {Corruption{{Kind: device.CorruptSwap, Amount: 0.15, Effective: true}}, "swap:effective=0.15"},
		"swap-rows:effective=.1":       {Corruption{{Kind: device.CorruptSwapRows, Amount: 0.1, Effective: true}}, "swap-rows:effective=0.1"},
		"span:0.3":                     {Corruption{{Kind: device.CorruptSpan, Amount: 0.3, Length: 3}}, "span:rate=0.3,length=3"},
		"span:length=5,rate=0.2":       {Corruption{{Kind: device.CorruptSpan, Amount: 0.2, Length: 5}}, "span:rate=0.2,length=5"},
		"gaussian:1e+2+masking:0.5":    {Corruption{{Kind: device.CorruptGaussian, Amount: 100}, {Kind: device.CorruptMasking, Amount: 0.5}}, "gaussian:100+masking:0.5"},
		"swap:1+uniform:2+poisson:1e6": {Corruption{{Kind: device.CorruptSwap, Amount: 1}, {Kind: device.CorruptUniform, Amount: 2}, {Kind: device.CorruptPoisson, Amount: 1e6}}, "swap:1+uniform:2+poisson:1e06"},
	} {
		got, err := ParseCorruption(text)
		if err != nil || !reflect.DeepEqual(got, want.stages) || got.String() != want.text {
			t.Errorf("%q is %v (%q), %v; want %v (%q)", text, got, got.String(), err, want.stages, want.text)
		}
	}
}

func TestCorruptionErrorsTeach(t *testing.T) {
	for text, hint := range map[string]string{
		"":                         "masking:0.25",
		"maskin:0.2":               `did you mean "masking"`,
		"salt:0.2":                 `did you mean "salt-and-pepper"`,
		"guassian:0.1":             `did you mean "gaussian"`,
		"masking":                  "write masking:RATE",
		"masking:":                 "not a number",
		"masking:a":                "not a number",
		"masking:NaN":              "not a number",
		"masking:Inf":              "not a number",
		"masking:1.5":              "between 0 and 1",
		"masking:-0.1":             "between 0 and 1",
		"gaussian:-1":              "between 0 and 1e06",
		"gaussian:1e300":           "between 0 and 1e06",
		"poisson:0":                "between 0.001 and 1e06",
		"masking:0.1,0.2":          "write masking:RATE",
		"masking:p=0.1":            "write masking:RATE",
		"masking:0.1,rate=0.1":     "two values for rate",
		"none:1":                   "write none",
		"swap":                     "write swap:RATE or swap:effective=EFFECTIVE",
		"swap:0.1,effective=0.2":   "stands alone",
		"swap:0.1,0.2":             "no argument 0.2",
		"swap:effective":           "not a number",
		"swap:effective=2":         "between 0 and 1",
		"span:0.1,0":               "between 1 and 65536",
		"span:0.1,2.5":             "whole number",
		"masking:0.1+":             "name:argument",
		"+masking:0.1":             "name:argument",
		"masking:0.1 + gaussian:1": "masking:0.25+gaussian:0.1",
		"Masking:0.1":              "name:argument",
		strings.Repeat("none+", maxStages) + "none": "at most 256",
	} {
		_, err := ParseCorruption(text)
		var config *ConfigError
		if !errors.As(err, &config) || config.Key != "corruption" || !strings.Contains(err.Error(), hint) {
			t.Errorf("%.40q: error %v, want a ConfigError with %q", text, err, hint)
		}
	}
}

func TestLikelihoodsParse(t *testing.T) {
	for text, want := range map[string]Likelihood{
		"bernoulli":             {Kind: device.Bernoulli},
		"gaussian":              {Kind: device.Gaussian, Sigma: 1},
		"gaussian:0.5":          {Kind: device.Gaussian, Sigma: 0.5},
		"gaussian-learned:0.01": {Kind: device.GaussianLearned, Sigma: 0.01},
		"categorical":           {Kind: device.Categorical},
		"poisson":               {Kind: device.Poisson},
		"mixed":                 {Kind: device.Mixed, Sigma: 1},
		"mixed:0.5":             {Kind: device.Mixed, Sigma: 0.5},
		"mixed:learned":         {Kind: device.Mixed, Sigma: mixedFloor, Learned: true},
		"mixed:learned,floor=2": {Kind: device.Mixed, Sigma: 2, Learned: true},
	} {
		got, err := ParseLikelihood(text)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
		if again, err := ParseLikelihood(got.String()); err != nil || again != got {
			t.Errorf("%q reads back as %v, %v", got.String(), again, err)
		}
	}
	for _, text := range []string{"", "gauss:", "gaussian:0", "gaussian:-1", "bernoulli:1", "gaussian:1+poisson", "normal", "mixed:0.5,learned", "mixed:floor=1", "mixed:learned=2", "gaussian:learned"} {
		var config *ConfigError
		if _, err := ParseLikelihood(text); !errors.As(err, &config) || config.Key != "likelihood" {
			t.Errorf("%q: error %v, want a ConfigError", text, err)
		}
	}
}

// TestTablesNameEveryKind holds the tables to the enumerations of package device.
func TestTablesNameEveryKind(t *testing.T) {
	corruptions, activations, likelihoods := Corruptions(), Activations(), Likelihoods()
	if len(corruptions) != len(device.Corruptions()) || len(activations) != len(device.Activations()) || len(likelihoods) != len(device.Likelihoods()) {
		t.Fatal("a table has more or fewer rows than there are kinds")
	}
	for i, row := range corruptions {
		if row.Kind != device.Corruption(i) || row.Formula == "" || row.Source == "" || row.Rate == "" || row.Effect == "" {
			t.Errorf("row %d of the corruptions is %+v", i, row)
		}
	}
	for i, row := range activations {
		if row.Kind != device.Activation(i) || row.Formula == "" || row.Source == "" {
			t.Errorf("row %d of the activations is %+v", i, row)
		}
	}
	for i, row := range likelihoods {
		if row.Kind != device.Likelihood(i) || row.Formula == "" || row.Source == "" || !(row.Low < row.High) {
			t.Errorf("row %d of the likelihoods is %+v", i, row)
		}
	}
	for _, row := range Initializations() {
		if _, err := parseInit(row.Name); err != nil {
			t.Errorf("initialisation %s: %v", row.Name, err)
		}
	}
}

func TestNominalRate(t *testing.T) {
	for text, want := range map[string]float64{
		"none": 0, "masking:0.25": 0.25, "masking:0.5+swap:0.5": 0.75, "gaussian:0.1": 1, "masking:0.1+gaussian:0.1": 1, "salt-and-pepper:0.2+none": 0.2,
	} {
		c, err := ParseCorruption(text)
		if err != nil || math.Abs(c.NominalRate()-want) > 1e-15 {
			t.Errorf("the nominal rate of %s is %v (%v), want %v", text, c.NominalRate(), err, want)
		}
	}
}

func TestSupport(t *testing.T) {
	for _, c := range []struct {
		likelihood string
		low, high  float64
		ok         bool
	}{
		{"bernoulli", 0, 1, true}, {"bernoulli", -0.1, 1, false}, {"bernoulli", 0, 16, false},
		{"gaussian:1", -1e9, 1e9, true}, {"poisson", 0, 255, true}, {"poisson", -1, 1, false}, {"gaussian:1", math.NaN(), 0, false},
	} {
		l, err := ParseLikelihood(c.likelihood)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.CheckSupport(c.low, c.high); (err == nil) != c.ok {
			t.Errorf("%s on [%v, %v]: %v", c.likelihood, c.low, c.high, err)
		}
	}
}

// FuzzSpec: what parses is written back to text that means the same, and the
// canonical text is a fixed point.
func FuzzSpec(f *testing.F) {
	for _, seed := range []string{"none", "masking:0.25+gaussian:sigma=0.1", "a:1e+3", "a:1,b=2+c", "a:-0", "x:0x1p-2", "x:1e999", "+", ":", "a:=1", "a:5e-324+b",
		"swap:effective=0.15", "swap-rows:0.2", "span:rate=0.3,length=4", "span:0.3", "mixed:learned", "mixed:learned,floor=0.2", "a:on,b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := ParseSpec(text)
		if err != nil {
			return
		}
		again, err := ParseSpec(spec.String())
		if err != nil || !reflect.DeepEqual(spec, again) || again.String() != spec.String() {
			t.Fatalf("%q is %#v, written %q, which is %#v, %v", text, spec, spec.String(), again, err)
		}
		if l, err := ParseLikelihood(text); err == nil {
			if again, err := ParseLikelihood(l.String()); err != nil || again != l {
				t.Fatalf("likelihood %q reads back as %v, %v", l.String(), again, err)
			}
		}
		corruption, err := ParseCorruption(text)
		if err != nil {
			return
		}
		if again, err := ParseCorruption(corruption.String()); err != nil || !reflect.DeepEqual(corruption, again) {
			t.Fatalf("corruption %q reads back as %v, %v", corruption.String(), again, err)
		}
	})
}
