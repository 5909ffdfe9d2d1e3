package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestWorkloadsAreThoseOfThePeers: what is measured beside other programs is the table that they read.
func TestWorkloadsAreThoseOfThePeers(t *testing.T) {
	text, err := os.ReadFile("../../bench/workloads.json")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Activation, Corruption, Likelihood, Optimizer, Data, Precision string
		Layers                                                               []int
		Levels                                                               []float64
		Batch, Rows                                                          int
		Rate                                                                 float64
	}
	var peers struct {
		Workloads    []row `json:"workloads"`
		GPUWorkloads []row `json:"gpu_workloads"`
	}
	if err := json.Unmarshal(text, &peers); err != nil {
		t.Fatal(err)
	}
	table := append(peers.Workloads, peers.GPUWorkloads...)
	ours := allWorkloads()
	if len(table) != len(ours) || len(peers.Workloads) != len(workloads()) {
		t.Fatalf("%d workloads of peers, %d of them for a GPU; ours are %d", len(table), len(peers.GPUWorkloads), len(ours))
	}
	for i, w := range ours {
		p := table[i]
		var noise string
		if len(p.Levels) > 0 {
			noise = "geometric:" + strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Levels), " ", ","), "[]")
		}
		precision := p.Precision
		if precision == "" {
			precision = "float32"
		}
		if w.name != p.Name || !slices.Equal(w.widths(), p.Layers) || w.activation != p.Activation || w.batch != p.Batch || w.corruption != p.Corruption ||
			w.likelihood != p.Likelihood || w.sparse != (p.Data == "images") || w.noise != noise || w.class.String() != precision ||
			p.Rows != workloadRows || p.Rate != benchRate || p.Optimizer != "adam" {
			t.Errorf("%s is %+v, but for peers %+v", w.name, w, p)
		}
	}
}
