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
		"noise within fields":          {func(c *Config) { c.Fields, c.Corruption = []int{3, 3}, "salt-and-pepper:0.1" }, "corruption", "masking, span, swap, swap-rows or none"},
		"distribution":                 {func(c *Config) { c.CodeDistribution = "gausian" }, "code_distribution", `did you mean "gaussian"`},
		"distributions":                {func(c *Config) { c.CodeDistribution = "gaussian+concrete" }, "code_distribution", "concrete:0.5"},
		"temperature of zero":          {func(c *Config) { c.CodeDistribution = "concrete:0" }, "code_distribution", "0.01 and 10"},
		"temperature of a step":        {func(c *Config) { c.CodeDistribution = "bernoulli:0.5" }, "code_distribution", "no argument 0.5"},
		"bent parameters":              {func(c *Config) { c.CodeDistribution, c.CodeActivation = "gaussian", "tanh" }, "code_activation", "tanh would bend"},
		"tied variances":               {func(c *Config) { c.CodeDistribution, c.Tied = "gaussian", true }, "tied", "two parameters a unit"},
		"negative beta":                {func(c *Config) { c.CodeDistribution, c.Beta = "gaussian", pointer(-1) }, "beta", "-1"},
		"beta not a number":            {func(c *Config) { c.CodeDistribution, c.Beta = "gaussian", pointer(math.NaN()) }, "beta", "NaN"},
		"negative warm-up":             {func(c *Config) { c.CodeDistribution, c.BetaWarmup = "gaussian", -1 }, "beta_warmup", "-1 steps"},
		"beta of nothing":              {func(c *Config) { c.Beta = pointer(1) }, "beta", "deterministic"},
		"warm-up of nothing":           {func(c *Config) { c.BetaWarmup = 1 }, "beta_warmup", "deterministic"},
		"samples of nothing":           {func(c *Config) { c.Importance = 2 }, "importance", "deterministic"},
		"too many samples":             {func(c *Config) { c.CodeDistribution, c.Importance = "gaussian", 5000 }, "importance", "1 to 4096"},
		"samples of bits":              {func(c *Config) { c.CodeDistribution, c.Importance = "bernoulli", 2 }, "importance", "choose gaussian"},
		"samples of replicates":        {func(c *Config) { c.CodeDistribution, c.Importance, c.Replicates = "gaussian", 2, 2 }, "importance", "leave replicates out"},
		"weighted samples":             {func(c *Config) { c.CodeDistribution, c.Importance, c.Emphasis = "gaussian", 2, Emphasis{2, 1} }, "importance", "no bound"},
		"importance and beta":          {func(c *Config) { c.CodeDistribution, c.Importance, c.Beta = "gaussian", 2, pointer(2) }, "importance", "no bound"},
		"code of a score model": {func(c *Config) {
			c.CodeDistribution, c.Objective, c.Corruption, c.Score.Noise = "gaussian", "dsm", "none", "single:0.5"
		}, "code_distribution", "dsm has no likelihood"},
		"negative walkback":         {func(c *Config) { c.Walkback = -1 }, "walkback", "1 to 128"},
		"endless walkback":          {func(c *Config) { c.Walkback = 129 }, "walkback", "1 to 128"},
		"walkback and dropout":      {func(c *Config) { c.Walkback, c.Dropout = 2, 0.1 }, "walkback", "dropout"},
		"walkback and batch norm":   {func(c *Config) { c.Walkback, c.Norm = 2, "batch" }, "walkback", "norm layer or none"},
		"walkback and emphasis":     {func(c *Config) { c.Walkback, c.Emphasis = 2, Emphasis{2, 1} }, "walkback", "emphasis"},
		"walkback and importance":   {func(c *Config) { c.CodeDistribution, c.Walkback, c.Importance = "gaussian", 2, 2 }, "walkback", "samples"},
		"walkback of a score model": {func(c *Config) { c.Walkback, c.Objective, c.Corruption, c.Score.Noise = 2, "dsm", "none", "single:0.5" }, "walkback", "dsm"},
		"tied with two outputs":     {func(c *Config) { c.Likelihood, c.Tied = "gaussian-learned", true }, "tied", "two parameters a feature"},
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
