package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// Runs that start at the same moment must not share a folder: one of them gets
// it, and the others are refused, or get a name of their own where the name was
// not chosen.
func TestRunsThatStartTogetherHaveFoldersOfTheirOwn(t *testing.T) {
	const runs = 8
	for _, unnamed := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "deep", "run")
		folders, failures := make([]*runFolder, runs), make([]error, runs)
		var all sync.WaitGroup
		for i := range runs {
			all.Go(func() { folders[i], failures[i] = claimRunFolder(dir, unnamed, false, false) })
		}
		all.Wait()
		taken := map[string]bool{}
		for i, f := range folders {
			if f == nil {
				if unnamed || !errors.Is(failures[i], fs.ErrExist) || exitCode(context.Background(), failures[i]) != exitUsage {
					t.Errorf("unnamed %t: %v", unnamed, failures[i])
				}
				continue
			}
			if taken[f.dir] {
				t.Errorf("unnamed %t: two runs have %s", unnamed, f.dir)
			}
			taken[f.dir] = true
		}
		if want := map[bool]int{false: 1, true: runs}[unnamed]; len(taken) != want || !taken[dir] {
			t.Errorf("unnamed %t: folders %v, want %d", unnamed, taken, want)
		}
	}
}

// A run that goes on must not be resumed or replaced by a second one; once it
// has ended, it may.
func TestARunHoldsItsFolder(t *testing.T) {
	if lockless() {
		t.Skip("folders have no locks on this system")
	}
	dir := filepath.Join(t.TempDir(), "run")
	first, err := claimRunFolder(dir, false, false, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		second, err := claimRunFolder(dir, false, !force, force)
		if !errors.Is(err, errLocked) || exitCode(context.Background(), err) != exitFailure {
			t.Errorf("force %t: folder %v, error %v", force, second, err)
		}
		if _, err := os.Stat(settingsPath(dir)); err != nil {
			t.Errorf("force %t: the run's files are gone: %v", force, err)
		}
	}
	first.release()
	third, err := claimRunFolder(dir, false, true, false)
	if err != nil {
		t.Fatal(err)
	}
	third.release()
}

// lockless reports whether lockFolder is the one that locks nothing.
func lockless() bool {
	return !slices.Contains([]string{"darwin", "dragonfly", "freebsd", "linux", "netbsd", "openbsd"}, runtime.GOOS)
}

func TestAnEmptyFolderIsTaken(t *testing.T) {
	dir := t.TempDir()
	f, err := claimRunFolder(dir, false, false, false)
	if err != nil || f.dir != dir {
		t.Fatal(f, err)
	}
	f.abandon()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the folder that was there before holds %v, %v", left, err)
	}
}

// A run that was killed between its claim and its settings is in nobody's way, and
// is not resumed as if it had been one of the defaults.
func TestAnUnbegunRunIsTakenOver(t *testing.T) {
	if lockless() {
		t.Skip("folders have no locks on this system")
	}
	dir := filepath.Join(t.TempDir(), "run")
	first, err := claimRunFolder(dir, false, false, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"events.out.tfevents.1.host.gpudae", ".config.yaml.x1.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := claimRunFolder(dir, false, false, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("while it begins: %v", err)
	}
	first.release() // as the system does when the process is killed
	if err := checkRunFolder(dir, true, false); exitCode(context.Background(), err) != exitUsage {
		t.Errorf("resuming it: %v", err)
	}
	for _, force := range []bool{false, true} {
		if err := checkRunFolder(dir, false, force); err != nil {
			t.Errorf("starting again, force %t: %v", force, err)
		}
	}
	second, err := claimRunFolder(dir, false, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "events.out.tfevents.1.host.gpudae")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its event file: %v", err)
	}
	second.release()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := checkRunFolder(dir, false, false); exitCode(context.Background(), err) != exitUsage {
		t.Errorf("with a file of somebody else's: %v", err)
	}
}
