package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gpudae/data"
	"gpudae/device"
	"gpudae/internal/settings"
	"gpudae/model"
	"gpudae/train"
)

// The exit codes are a contract: scripts branch on them.
const (
	exitOK       = 0
	exitFailure  = 1 // at run time
	exitUsage    = 2 // usage or configuration
	exitData     = 3 // bad data
	exitDevice   = 4 // no GPU, or out of device memory
	exitDiverged = 5
	exitSignal   = 128 // plus the signal's number: 130 interrupted, 143 terminated
)

// failure is an error with its exit code, in the form WHERE: WHAT; HOW TO MEND IT.
type failure struct {
	code                   int
	where, problem, remedy string
	err                    error // what was met, which the problem tells; or nil
}

// Error implements error.
func (f *failure) Error() string {
	text := f.where + ": " + f.problem
	if f.remedy != "" {
		text += "; " + f.remedy
	}
	return text
}

// Unwrap returns the error that was met.
func (f *failure) Unwrap() error { return f.err }

// usage is a failure of the command line.
func usage(where, problem, remedy string) *failure {
	return &failure{code: exitUsage, where: where, problem: problem, remedy: strings.TrimSpace(remedy)}
}

func quoted(s string) string { return strconv.Quote(s) }

// exitCode maps an error to the process's exit code.
func exitCode(ctx context.Context, err error) int {
	var (
		told        *failure
		setting     *settings.Error
		config      *model.ConfigError
		bad         *data.Error
		memory      *device.OutOfMemoryError
		diverged    *train.DivergedError
		file        *train.FileError
		interrupted *signalError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &interrupted):
		return exitSignal + int(interrupted.signal)
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &interrupted):
		return exitSignal + int(interrupted.signal)
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &setting), errors.As(err, &config):
		return exitUsage
	case errors.As(err, &memory):
		return exitDevice
	case errors.As(err, &diverged):
		return exitDiverged
	case errors.As(err, &bad), errors.As(err, &file):
		return exitData
	default:
		return exitFailure
	}
}

// oneLine is the message of an error on a line of its own.
func oneLine(err error) string {
	return "gpudae: " + strings.Join(strings.Fields(err.Error()), " ")
}

// tell writes an error on a line of its own; whoever looks for a fault sees all
// of it.
func (p *program) tell(ctx context.Context, err error) {
	var told *failure
	var interrupted *signalError
	switch {
	case p.debugging():
		fmt.Fprintf(p.stderr, "gpudae: %v\n", err)
	case !errors.As(err, &told) && errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &interrupted):
		fmt.Fprintf(p.stderr, "gpudae: interrupted: %v\n", interrupted)
	default:
		fmt.Fprintln(p.stderr, oneLine(err))
	}
}

// debugging reports whether errors are to be told with all that is known.
func (p *program) debugging() bool { return slices.Contains(p.environ, debugVariable+"=1") }

// signalError is why the context ended.
type signalError struct{ signal syscall.Signal }

// Error implements error.
func (e *signalError) Error() string { return e.signal.String() }

// openProblem says in one phrase why a file could not be opened.
func openProblem(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}

// internalError turns a panic into an error: it is a mistake in this program.
func (p *program) internalError(panicked any, trace []byte) error {
	if p.debugging() {
		return fmt.Errorf("internal error: %v\n%s", panicked, trace)
	}
	return fmt.Errorf("internal error: %v; please report it with the trace that %s=1 prints", panicked, debugVariable)
}
