//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreFileSizeSignal lets a write beyond a limit of file sizes fail with an
// error, instead of ending the process.
func ignoreFileSizeSignal() { signal.Ignore(syscall.SIGXFSZ) }

// endingSignals are those at which a command saves what it has and ends. The
// terminal's hanging up is one, unless whoever started the program has said, as
// nohup does, that it is none.
func endingSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
