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
	remedies := map[bool]string{false: "--activation tanh", true: "--step-size"}
	for _, m := range sample.Samplers() {
		err := chainError(fmt.Errorf("sampling: %w", &sample.DivergedError{Chain: 2, Step: 4}), "sample", m)
		if code := exitCode(context.Background(), err); code != exitDiverged {
			t.Errorf("%s: exit code %d", m.Name, code)
		}
		text := oneLine(err)
		if !strings.HasPrefix(text, "gpudae: sample: ") || !strings.Contains(text, "chain 3 ") || !strings.Contains(text, "step 5; ") || !strings.Contains(text, remedies[m.NeedsScore]) {
			t.Errorf("%s: %s", m.Name, text)
		}
	}
	if other := errors.New("another"); chainError(other, "sample", sample.Samplers()[0]) != other {
		t.Error("another error is not passed on")
	}
}
