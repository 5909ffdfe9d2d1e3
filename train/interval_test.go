package train

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"gpudae/model"
)

func TestIntervals(t *testing.T) {
	for text, want := range map[Interval]pace{
		"100steps": {steps: 100}, "1step": {steps: 1}, "7 steps": {steps: 7}, "1epoch": {epochs: 1}, "3epochs": {epochs: 3},
		"30s": {time: 30 * time.Second}, "1h30m": {time: 90 * time.Minute}, "60": {time: time.Minute}, "0.5": {time: 500 * time.Millisecond},
		"0": {}, "1e-12": {time: 1}, "0s": {}, "1ns": {time: 1},
	} {
		if got, err := text.parse(); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []Interval{"", "steps", "0steps", "-1steps", "1.5epochs", "0epochs", "-3s", "-1", "NaN", "inf", "1e300", "10 minutes", "99999999999999999999steps"} {
		_, err := text.parse()
		var config *model.ConfigError
		if !errors.As(err, &config) || config.Key != "checkpoint" {
			t.Errorf("%q: error %v", text, err)
		}
	}
	for text, want := range map[string]Interval{`60`: "60", `0.5`: "0.5", `"100steps"`: "100steps"} {
		var got Interval
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is read as %q, %v", text, got, err)
		}
	}
	if err := json.Unmarshal([]byte(`[]`), new(Interval)); err == nil {
		t.Error("a list is read as an interval")
	}
}

func TestPaceOfCheckpoints(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		interval    Interval
		epoch, step uint64
		since, cost time.Duration
		want        bool
	}{
		{"60s", 3, 30, s, 0, true}, {"60s", 3, 30, s / 2, 0, false}, {"60s", 3, 30, 10 * s, s, false}, {"60s", 3, 30, 20 * s, s, true},
		{"15steps", 3, 30, 0, 0, true}, {"20steps", 3, 30, 100 * s, 0, false},
		{"1epoch", 3, 30, 0, 0, true}, {"2epochs", 3, 30, 100 * s, 0, false}, {"2epochs", 4, 40, 0, 0, true},
	} {
		p, err := c.interval.parse()
		if err != nil || p.afterEpoch(c.epoch, c.step, c.since, c.cost) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if p, _ := Interval("5s").parse(); p.within(4*s) || !p.within(6*s) || p.afterStep(5) {
		t.Error("5s is not every five seconds")
	}
}
