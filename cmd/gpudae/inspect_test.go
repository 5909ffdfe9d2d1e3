package main

import (
	"strings"
	"testing"
	"time"

	"gpudae/data"
	"gpudae/train"
)

func TestInspectOfAnEarlierVersionsModel(t *testing.T) {
	in := &inspection{Version: "v0", Scaler: data.Scaler{Kind: data.ScaleNone}}
	text := in.facts().left()
	if !strings.Contains(text, "not recorded") || !strings.Contains(text, "version     v0") {
		t.Error(text)
	}
	in.Provenance = train.Provenance{Command: "gpudae train", Platform: "linux/amd64", Device: "cpu: x"}
	if text := in.facts().left(); strings.Contains(text, "not recorded") || !strings.Contains(text, "linux/amd64, cpu: x") {
		t.Error(text)
	}
}

func TestShellLine(t *testing.T) {
	got := shellLine([]string{"/usr/bin/gpudae", "train", "my data.csv", "--set", "lr=1e-3", "it's", ""})
	if want := `gpudae train 'my data.csv' --set lr=1e-3 'it'\''s' ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSourceDateStandsForThePresent(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for variable, want := range map[string]int64{"SOURCE_DATE_EPOCH=1000": 1000, "SOURCE_DATE_EPOCH=soon": now.Unix(), "OTHER=1000": now.Unix()} {
		p := &program{began: now, environ: []string{variable}}
		if got := p.started().Unix(); got != want {
			t.Errorf("%s: %d, want %d", variable, got, want)
		}
	}
}
