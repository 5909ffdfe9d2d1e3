package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// TestDefaultsAreValid resolves nothing but what the settings leave to the data.
func TestDefaultsAreValid(t *testing.T) {
	c := defaultTrainSettings()
	if err := c.Train.Validate(); err != nil {
		t.Error(err)
	}
	c.Model.Features, c.Model.Corruption, c.Model.Likelihood, c.Model.CodeActivation = 64, "none", "bernoulli", ""
	if _, err := model.New(c.Model); err != nil {
		t.Error(err)
	}
}

// TestPresetsAreValid builds the model of every preset.
func TestPresetsAreValid(t *testing.T) {
	for _, p := range presets() {
		c := defaultTrainSettings()
		if _, err := trainTable().Resolve(&c, settings.FromValues(p.values, p.name)); err != nil {
			t.Fatal(err)
		}
		if err := c.Train.Validate(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		in := &prepared{scaler: newScaler(c.Scale), high: 1, split: train.Split{Rows: 3},
			table: device.Table{Rows: 3, Columns: 2, Float32: []float32{0, 0, 1, 0, 0, 1}}}
		in.info.Features, in.info.Shape = 2, []int{2}
		if c.Table.Schema != auto {
			in = mixedPrepared(t)
		}
		if err := in.settle(t.Context(), &c, nil); err != nil {
			t.Fatal(err)
		}
		if err := in.settleScore(t.Context(), &c, nil); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		if _, err := in.build(&c, nil); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// TestEveryFieldHasASetting catches a configuration field that no flag reaches.
func TestEveryFieldHasASetting(t *testing.T) {
	decided := []string{"features", "shape", "emphasis", "score", // by the data, by the data, as two settings, by its parts
		"columns", "column_weights", "collisions", // by the data and its schema
		"decoder_activation", "target"} // by pretrain, by finetune
	keys := trainTable().Keys()
	for _, config := range []any{model.Config{}, model.Score{}, train.Config{}} {
		for _, key := range yamlKeys(config) {
			if !slices.Contains(keys, key) && !slices.Contains(decided, key) {
				t.Errorf("no setting for %T's %s", config, key)
			}
		}
	}
}

// TestVariablesAreKnown catches an environment variable of the project that
// the program would refuse as an unknown setting.
func TestVariablesAreKnown(t *testing.T) {
	known := append(otherVariables(), variables(trainTable().Keys(), nil)...)
	name := regexp.MustCompile(`GPUDAE_[A-Z0-9_]*[A-Z0-9]\b`)
	seen := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || filepath.Base(filepath.Dir(path)) == "gpudae" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, variable := range name.FindAllString(string(text), -1) {
			seen++
			if !slices.Contains(known, variable) {
				t.Errorf("%s uses %s, which is neither a setting nor among the other variables", path, variable)
			}
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("%d variables seen, error %v", seen, err)
	}
}

func newScaler(kind string) *data.Scaler {
	if kind == auto {
		kind = string(data.ScaleNone)
	}
	return &data.Scaler{Kind: data.ScaleKind(kind)}
}

// yamlKeys are the names in the yaml tags of a struct.
func yamlKeys(config any) []string {
	var keys []string
	for field := range reflect.TypeOf(config).NumField() {
		name, _, _ := strings.Cut(reflect.TypeOf(config).Field(field).Tag.Get("yaml"), ",")
		keys = append(keys, name)
	}
	return keys
}
