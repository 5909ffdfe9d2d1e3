package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gpudae/sample"
)

// TestChainsThatDiverge end with their exit code and a remedy that fits the method.
func TestChainsThatDiverge(t *testing.T) {
	remedies := map[string]string{methodWalkback: "--activation tanh", methodLangevin: "--step-size", methodAnnealed: "--step-size"}
	for _, s := range samplers() {
		err := chainError(fmt.Errorf("sampling: %w", &sample.DivergedError{Chain: 2, Step: 4}), "sample", s.remedy())
		if code := exitCode(context.Background(), err); code != exitDiverged {
			t.Errorf("%s: exit code %d", s.name, code)
		}
		remedy, known := remedies[s.name]
		if !known {
			remedy = "--sigma-max"
		}
		text := oneLine(err)
		if !strings.HasPrefix(text, "gpudae: sample: ") || !strings.Contains(text, "chain 3 ") || !strings.Contains(text, "step 5; ") || !strings.Contains(text, remedy) {
			t.Errorf("%s: %s", s.name, text)
		}
	}
	if other := errors.New("another"); chainError(other, "sample", "") != other {
		t.Error("another error is not passed on")
	}
}
