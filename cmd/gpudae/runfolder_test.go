package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
