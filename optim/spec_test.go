package optim

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"gpudae/device"
)

func TestEveryRuleOfTheDeviceHasARow(t *testing.T) {
	table := Rules()
	for _, kind := range device.Optimizers() {
		if int(kind) >= len(table) || table[kind].Kind != kind {
			t.Fatalf("the row of %s is missing or out of place", kind)
		}
		rule, err := ParseRule(kind.String())
		if err != nil || rule.Kind != kind {
			t.Errorf("ParseRule(%q) = %+v, %v", kind, rule, err)
		}
		if table[kind].Formula == "" || table[kind].Source == "" {
			t.Errorf("%s lacks a formula or a source", kind)
		}
	}
}

func TestDefaultsLieInTheirRange(t *testing.T) {
	parameters := []Parameter{}
	for _, r := range Rules() {
		parameters = append(parameters, r.Parameters...)
	}
	for _, s := range Schedules() {
		parameters = append(parameters, s.Parameters...)
	}
	for _, p := range parameters {
		if !p.accepts(p.Default) || p.Meaning == "" {
			t.Errorf("%s: default %g outside %s, or no meaning", p.Name, p.Default, p.Range())
		}
	}
}

func TestParseRule(t *testing.T) {
	for spec, want := range map[string]Rule{
		"sgd":                        {Kind: device.SGD, Beta1: 0.9},
		"sgd:0.5":                    {Kind: device.SGD, Beta1: 0.5},
		"sgd:momentum=0":             {Kind: device.SGD},
		"sgd:nesterov,decay=1e-4":    {Kind: device.SGD, Beta1: 0.9, Nesterov: true, Decay: 1e-4},
		"adam:beta1=0.8,epsilon=0.1": {Kind: device.Adam, Beta1: 0.8, Beta2: 0.999, Epsilon: 0.1},
		"adamw":                      {Kind: device.AdamW, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.01},
		"rmsprop:0.9":                {Kind: device.RMSprop, Beta2: 0.9, Epsilon: 1e-8},
		"adagrad":                    {Kind: device.Adagrad, Epsilon: 1e-10},
	} {
		got, err := ParseRule(spec)
		if err != nil || got != want {
			t.Errorf("ParseRule(%q) = %+v, %v; want %+v", spec, got, err, want)
		}
		again, err := ParseRule(got.String())
		if err != nil || again != got {
			t.Errorf("%q reads back from %q as %+v, %v", spec, got, again, err)
		}
	}
}

func TestBadSpecifications(t *testing.T) {
	rule := func(s string) error { _, err := ParseRule(s); return err }
	schedule := func(s string) error { _, err := ParseSchedule(s); return err }
	for _, c := range []struct {
		parse      func(string) error
		spec, want string
	}{
		{rule, "", `no optimiser ""; choose one of sgd, adam`},
		{rule, "Adam", `no optimiser "Adam"`},
		{rule, "adam:", `"" is not a number for beta1`},
		{rule, "adam:gamma=1", `no argument "gamma=1"; write adam:beta1=0.9,beta2=0.999`},
		{rule, "adam:beta1=1", "beta1 1 of adam is out of range; beta1 lies in [0, 1)"},
		{rule, "adam:epsilon=0", "epsilon lies in (0, 1]"},
		{rule, "adam:epsilon=1e-40", "epsilon lies in (0, 1]"},
		{rule, "adam:beta2=0.99999999", "beta2 lies in [0, 1)"},
		{rule, "adagrad:epsilon=1e-60", "epsilon lies in (0, 1]"},
		{rule, "rmsprop:beta2=0.99999999", "beta2 lies in [0, 1)"},
		{rule, "adam:beta1=x", `"x" is not a number for beta1`},
		{rule, "adam:beta1=NaN", "not a number"},
		{rule, "adam:decay=Inf", "out of range"},
		{rule, "adam:0.9,beta1=0.8", "two values for beta1"},
		{rule, "sgd:nesterov=1", "no argument"},
		{rule, "sgd:0.9,0.5", "no argument"},
		{rule, "sgd:momentum=0,nesterov", "nesterov without momentum"},
		{schedule, "linear", `no schedule "linear"; choose one of constant, cosine`},
		{schedule, "constant:1", `no argument "1"; write constant`},
		{schedule, "one-cycle:peak=1", "peak lies in (0, 1)"},
		{schedule, "step:0", "every lies in (0, +Inf)"},
		{schedule, "plateau:patience=0", "patience lies in [1, +Inf)"},
	} {
		err := c.parse(c.spec)
		var spec *SpecError
		if !errors.As(err, &spec) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.spec, err, c.want)
		}
	}
}

func TestSpecificationsAreText(t *testing.T) {
	type settings struct {
		Rule     Rule
		Schedule Schedule
	}
	text := `{"Rule":"sgd:momentum=0.5,nesterov","Schedule":"step:every=3,factor=0.5"}`
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(s)
	if err != nil || string(back) != text {
		t.Errorf("%s came back as %s, %v", text, back, err)
	}
	if err := json.Unmarshal([]byte(`{"Rule":"sdg"}`), &s); err == nil || s.Rule.Beta1 != 0.5 {
		t.Errorf("an unknown rule was taken: %+v, %v", s.Rule, err)
	}
}

func FuzzSpecifications(f *testing.F) {
	for _, seed := range []string{"adam", "sgd:momentum=0.9,nesterov", "step:30,factor=0.1", "cosine:1e-3", "one-cycle:0.5,start=2", "plateau:,,=", "adagrad:epsilon=1e-300"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if rule, err := ParseRule(spec); err == nil {
			again, err := ParseRule(rule.String())
			if err != nil || again != rule {
				t.Errorf("%q is %+v; its string %q is %+v, %v", spec, rule, rule, again, err)
			}
		}
		if schedule, err := ParseSchedule(spec); err == nil {
			again, err := ParseSchedule(schedule.String())
			if err != nil || again != schedule {
				t.Errorf("%q is %+v; its string %q is %+v, %v", spec, schedule, schedule, again, err)
			}
			factors := make([]float64, 8)
			schedule.Factors(factors, 0, Horizon{Steps: 8, PerEpoch: 2, Warmup: 1, History: []float64{3, 2, 2}})
			for _, x := range factors {
				if !(x >= 0 && x <= 1) || math.IsNaN(x) {
					t.Errorf("%q: multiples %g", spec, factors)
				}
			}
		}
	})
}
