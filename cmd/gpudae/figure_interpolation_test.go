package main

import (
	"slices"
	"testing"

	"gpudae/data"
)

func TestCodesBetween(t *testing.T) {
	got := codesBetween([]float32{0, 10, 1, 20, 5, 5, 5, 7}, 2, 2)
	if want := []float32{0, 10, 0.5, 15, 1, 20, 5, 5, 5, 6, 5, 7}; !slices.Equal(got, want) {
		t.Errorf("codes %v, want %v", got, want)
	}
}

func TestPairsAreOfOtherClasses(t *testing.T) {
	s := &subject{labels: &data.Labels{Class: []int32{0, 0, 1, 0, 1, 1}}}
	if got, want := s.pairsOf([]int{0, 1, 2, 3, 4, 5}, 8), [][2]int{{0, 2}, {1, 4}, {3, 5}}; !slices.Equal(got, want) {
		t.Errorf("pairs %v, want %v", got, want)
	}
	if got, want := (&subject{}).pairsOf([]int{7, 8, 9, 3, 2}, 1), [][2]int{{7, 8}}; !slices.Equal(got, want) {
		t.Errorf("pairs %v, want %v", got, want)
	}
	if got := (&subject{}).pairsOf([]int{7}, 3); len(got) != 0 {
		t.Errorf("pairs of one: %v", got)
	}
}
