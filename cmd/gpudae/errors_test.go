package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{usage("a", "b", "c"), 2},
		{&settings.Error{Where: "--lr", Problem: "bad"}, 2},
		{&model.ConfigError{Key: "lr"}, 2},
		{&data.Error{Path: "x.csv"}, 3},
		{&train.FileError{Path: "model.safetensors"}, 3},
		{&device.OutOfMemoryError{Device: "cpu"}, 4},
		{&train.DivergedError{}, 5},
		{context.Canceled, 1}, // by nobody's signal
	} {
		if got := exitCode(t.Context(), c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := exitCode(t.Context(), fmt.Errorf("doing: %w", c.err)); got != c.want {
			t.Errorf("wrapped %v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestSignalsDecideTheExitCode(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&signalError{signal})
		for _, err := range []error{ctx.Err(), &train.InterruptedError{Err: ctx.Err()}, &failure{code: exitFailure, err: ctx.Err()}} {
			if got := exitCode(ctx, err); got != want {
				t.Errorf("%v after %v: exit code %d, want %d", err, signal, got, want)
			}
		}
	}
}

// TestInterruptedLine looks at what a command that was interrupted says.
func TestInterruptedLine(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&signalError{syscall.SIGINT})
	var out, problems strings.Builder
	p := &program{stdout: &out, stderr: &problems}
	if code := p.run(ctx, []string{"gpudae", "data", "info", "digits"}); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if problems.String() != "gpudae: interrupted: interrupt\n" || out.Len() != 0 {
		t.Errorf("standard error %q, output %q", problems.String(), out.String())
	}
}

// brokenWriter stands for a mistake in the program.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { panic("out of\nrange") }

func TestPanicIsOneLine(t *testing.T) {
	for _, debug := range []bool{false, true} {
		var problems strings.Builder
		p := &program{stdout: brokenWriter{}, stderr: &problems}
		if debug {
			p.environ = []string{debugVariable + "=1"}
		}
		if code := p.run(t.Context(), []string{"gpudae", "data", "list"}); code != exitFailure {
			t.Errorf("exit code %d", code)
		}
		told := problems.String()
		if !strings.HasPrefix(told, "gpudae: internal error: out of") {
			t.Errorf("told %q", told)
		}
		if lines := strings.Count(told, "\n"); (lines > 1) != debug {
			t.Errorf("%d lines with debug %t", lines, debug)
		}
		if strings.Contains(told, "brokenWriter") != debug {
			t.Errorf("a trace with debug %t: %q", debug, told)
		}
	}
}
