//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"os"
	"syscall"
)

// lockFolder takes the folder's advisory lock (flock), which the system gives
// back when the process ends, however it does. It fails with errLocked if
// another process has it. A file system without locks is no reason not to train;
// sole is false there.
func lockFolder(dir string) (f *os.File, sole bool, err error) {
	if f, err = os.Open(dir); err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, false, errLocked
	}
	return f, err == nil, nil
}
