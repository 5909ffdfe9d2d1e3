//go:build !unix

package main

import (
	"os"
	"syscall"
)

// ignoreFileSizeSignal does nothing: there is no such signal here.
func ignoreFileSizeSignal() {}

// endingSignals are those at which a command saves what it has and ends.
func endingSignals() []os.Signal { return []os.Signal{syscall.SIGINT, syscall.SIGTERM} }
