package model

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestBadConfigurationsAreRefused(t *testing.T) {
	good := Config{Features: 6, Hidden: []int{4}, Likelihood: "gaussian:1", Corruption: "masking:0.5"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		key    string
		text   string
	}{
		"no features":           {func(c *Config) { c.Features = 0 }, "features", "0 features"},
		"features beyond reach": {func(c *Config) { c.Features = math.MaxInt }, "features", "1 to"},
		"shape":                 {func(c *Config) { c.Shape = []int{2, 2} }, "shape", "6 features"},
		"negative shape":        {func(c *Config) { c.Shape = []int{-2, -3} }, "shape", "6 features"},
		"shape that overflows":  {func(c *Config) { c.Shape = []int{1 << 32, 1 << 32, 6} }, "shape", "6 features"},
		"fields too short":      {func(c *Config) { c.Fields = []int{2, 3} }, "fields", "add up"},
		"fields too long":       {func(c *Config) { c.Fields = []int{5, 5} }, "fields", "add up"},
		"empty field":           {func(c *Config) { c.Fields = []int{0, 6} }, "fields", "field 1"},
		"no layers":             {func(c *Config) { c.Hidden = nil }, "hidden", "no hidden layer"},
		"hidden of zero":        {func(c *Config) { c.Hidden = []int{4, 0} }, "hidden", "layer 2 has 0 units"},
		"negative hidden":       {func(c *Config) { c.Hidden = []int{-1} }, "hidden", "-1 units"},
		"10^12 units":           {func(c *Config) { c.Hidden = []int{1e12} }, "hidden", "13000000000006 parameters (52000000000024 bytes)"},
		"10^24 parameters": {func(c *Config) { c.Hidden = []int{1e12, 1e12} }, "hidden",
			"2000000000015000000000006 parameters (8000000000060000000000024 bytes)"},
		"too deep":              {func(c *Config) { c.Hidden = slices.Repeat([]int{1}, 129) }, "hidden", "258 layers"},
		"negative code":         {func(c *Config) { c.Code = -3 }, "code", "-3 units"},
		"activation":            {func(c *Config) { c.Activation = "rleu" }, "activation", `did you mean "relu"`},
		"code activation":       {func(c *Config) { c.CodeActivation = "sigmoidal" }, "code_activation", `did you mean "sigmoid"`},
		"norm like no other":    {func(c *Config) { c.Norm = "foo" }, "norm", "choose one of none, layer and batch"},
		"10^12 units of code":   {func(c *Config) { c.Code = 1e12 }, "code", "parameters"},
		"norm":                  {func(c *Config) { c.Norm = "batchnorm" }, "norm", `did you mean "batch"`},
		"init":                  {func(c *Config) { c.Init = "xavier-uniform" }, "init", "glorot-uniform"},
		"likelihood missing":    {func(c *Config) { c.Likelihood = "" }, "likelihood", "gaussian:0.5"},
		"likelihood":            {func(c *Config) { c.Likelihood = "bernouli" }, "likelihood", `did you mean "bernoulli"`},
		"corruption":            {func(c *Config) { c.Corruption = "masking:1.5" }, "corruption", "between 0 and 1"},
		"dropout of one":        {func(c *Config) { c.Dropout = 1 }, "dropout", "between 0 and 0.99"},
		"negative dropout":      {func(c *Config) { c.Dropout = -0.1 }, "dropout", "between"},
		"dropout not a number":  {func(c *Config) { c.Dropout = math.NaN() }, "dropout", "NaN"},
		"replicates":            {func(c *Config) { c.Replicates = 5000 }, "replicates", "1 to 4096"},
		"negative replicates":   {func(c *Config) { c.Replicates = -1 }, "replicates", "1 to 4096"},
		"negative emphasis":     {func(c *Config) { c.Emphasis = Emphasis{1, -1} }, "emphasis", "between"},
		"emphasis not a number": {func(c *Config) { c.Emphasis = Emphasis{math.NaN(), 1} }, "emphasis", "NaN"},
		"emphasis under additive noise": {func(c *Config) { c.Emphasis, c.Corruption = Emphasis{2, 1}, "masking:0.1+gaussian:0.1" },
			"emphasis", "gaussian leaves no feature untouched"},
		"categorical without fields":   {func(c *Config) { c.Likelihood = "categorical" }, "likelihood", "declare the fields"},
		"categorical with lone column": {func(c *Config) { c.Likelihood, c.Fields = "categorical", []int{5, 1} }, "likelihood", "field 2"},
		"noise within fields":          {func(c *Config) { c.Fields, c.Corruption = []int{3, 3}, "salt-and-pepper:0.1" }, "corruption", "masking, swap or none"},
		"tied with two outputs":        {func(c *Config) { c.Likelihood, c.Tied = "gaussian-learned", true }, "tied", "two parameters a feature"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			_, err := New(bad)
			var config *ConfigError
			if !errors.As(err, &config) {
				t.Fatalf("error %v, want a ConfigError", err)
			}
			if config.Key != c.key || !strings.Contains(err.Error(), c.text) || config.Remedy == "" {
				t.Errorf("error %q, want key %s and %q", err, c.key, c.text)
			}
		})
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	given := Config{Features: 3, Hidden: []int{2}, Activation: "tanh", Likelihood: "gaussian"}
	want := given
	want.Shape, want.Corruption, want.CodeActivation, want.Norm, want.Init = []int{3}, "none", "tanh", "none", "auto"
	want.Emphasis, want.Replicates, want.Walkback = Emphasis{1, 1}, 1, 1
	d := mustNew(t, given)
	if got := d.Config(); !reflect.DeepEqual(got, want) {
		t.Errorf("resolved to %+v, want %+v", got, want)
	}
	if again := mustNew(t, d.Config()).Config(); !reflect.DeepEqual(again, want) {
		t.Errorf("resolving twice gives %+v", again)
	}
	if d.CodeWidth() != 2 || d.Likelihood().String() != "gaussian:1" || d.Corruption().String() != "none" {
		t.Errorf("a code of %d units, likelihood %s, corruption %s", d.CodeWidth(), d.Likelihood(), d.Corruption())
	}
	given.Hidden[0] = 100
	if d.Config().Hidden[0] != 2 {
		t.Error("the configuration shares memory with the caller's")
	}
}

// TestFieldsOfOneColumnAreNoFields: they restrict no corruption.
func TestFieldsOfOneColumnAreNoFields(t *testing.T) {
	mustNew(t, Config{Features: 2, Fields: []int{1, 1}, Hidden: []int{1}, Likelihood: "gaussian", Corruption: "gaussian:1"})
}
