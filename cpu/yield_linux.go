package cpu

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// yieldProcessor lets another thread that waits for this processor run: it may
// be the one that is waited for.
func yieldProcessor() { _, _, _ = syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
