package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gpudae/internal/safetensors"
)

// stepOf is the step at which a checkpoint was written, 0 if it cannot be read.
func stepOf(t *testing.T, path string) uint64 {
	t.Helper()
	file, err := readSealed(path, checkpointKind)
	if err != nil {
		t.Error(err)
		return 0
	}
	var at position
	if err := decode(path, file.Metadata, map[string]any{"position": &at}); err != nil {
		t.Error(err)
	}
	return at.Now.Clock.Step
}

func TestCheckpointsAreWrittenAtTheirIntervals(t *testing.T) {
	for interval, want := range map[Interval][]uint64{ // 5 steps of an epoch, 20 in all
		"1epoch": {5, 10, 15, 20}, "3epochs": {15, 20}, "7steps": {7, 14, 20}, "10steps": {10, 20}, "1step": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
		"1h": {5, 20}, "0": {5, 20}, // the first epoch's end, and the run's
	} {
		job := folderJob(t, 80, 4)
		job.Config.Checkpoint = interval
		var steps []uint64
		job.Observer.Saved = func(path string) {
			if filepath.Base(path) == CheckpointFile {
				steps = append(steps, stepOf(t, path))
			}
		}
		mustRun(t, job)
		if !slices.Equal(steps, want) {
			t.Errorf("%s: checkpoints at steps %d, want %d", interval, steps, want)
		}
	}
}

func TestOlderCheckpointsAreKept(t *testing.T) {
	for keep, want := range map[int][]uint64{0: {20}, 1: {20, 18}, 3: {20, 18, 15, 12}, 100: {20, 18, 15, 12, 9, 6, 3}} {
		job := folderJob(t, 80, 4)
		job.Config.Checkpoint, job.Config.Keep = "3steps", keep
		mustRun(t, job)
		var steps []uint64
		all, err := Checkpoints(job.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			steps = append(steps, stepOf(t, filepath.Join(job.Dir, name)))
		}
		if !slices.Equal(steps, want) {
			t.Errorf("keeping %d: checkpoints of the steps %d, want %d", keep, steps, want)
		}
		job.Config.Keep, job.Config.Epochs, job.Resume = 0, 5, true
		mustRun(t, job)
		if all, _ := Checkpoints(job.Dir); !slices.Equal(all, []string{CheckpointFile}) {
			t.Errorf("keeping 0 after %d: %v", keep, all)
		}
	}
}

func TestNamesOfOlderCheckpoints(t *testing.T) {
	for name, want := range map[string]int{CheckpointFile: 0, "last.1.safetensors": 1, "last.12.safetensors": 12, "last.0.safetensors": -1,
		"last.01.safetensors": -1, "last.-1.safetensors": -1, "last.x.safetensors": -1, "best.1.safetensors": -1, "last.1.safetensors.bak": -1, "1": -1, "": -1} {
		if got := checkpointAge(name); got != want {
			t.Errorf("%q has the age %d, want %d", name, got, want)
		}
	}
}

// every damage makes a file unreadable.
var damages = map[string]func(path string) error{
	"cut":     func(path string) error { return os.Truncate(path, 1000) },
	"emptied": func(path string) error { return os.Truncate(path, 0) },
	"flipped": func(path string) error { return flip(path, 5000) },
	"another's": func(path string) error {
		return safetensors.WriteFile(path, &safetensors.File{Tensors: map[string]safetensors.Tensor{"w": safetensors.New([]int{1}, []float32{1})}})
	},
	"removed": os.Remove,
}

// flip inverts one bit of a file.
func flip(path string, bit int64) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[bit/8] ^= 1 << (bit % 8)
	return os.WriteFile(path, content, 0o666)
}

func TestADamagedCheckpointIsReplacedByTheOneBefore(t *testing.T) {
	job := folderJob(t, 80, 4)
	want := mustRun(t, job)
	job.Config.Checkpoint = "3steps"
	for name, damage := range damages {
		job := job
		job.Dir = t.TempDir()
		if _, err := interrupt(t, job, 13); err == nil { // saved after 13 steps, before that after 12
			t.Fatal("not interrupted")
		}
		if err := damage(filepath.Join(job.Dir, CheckpointFile)); err != nil {
			t.Fatal(err)
		}
		job.Resume = true
		var back []FellBack
		job.Observer.FellBack = func(b FellBack) { back = append(back, b) }
		job.Observer.Saved = func(path string) { // the first checkpoint replaces the damaged one, not the good one
			if filepath.Base(path) == CheckpointFile && len(back) == 1 && stepOf(t, filepath.Join(job.Dir, olderCheckpoint(1))) < 12 {
				t.Errorf("%s: the good checkpoint is gone", name)
			}
		}
		same(t, name, job, mustRun(t, job), want)
		if len(back) != 1 || back[0].Step != 12 || back[0].Path != filepath.Join(job.Dir, "last.1.safetensors") ||
			!strings.HasPrefix(back[0].Problem.Error(), filepath.Join(job.Dir, CheckpointFile)+": ") {
			t.Errorf("%s: fell back %+v", name, back)
		}
		all, err := Checkpoints(job.Dir)
		if err != nil || len(all) != 2 {
			t.Errorf("%s: checkpoints %v, %v", name, all, err)
		}
		for _, name := range all {
			stepOf(t, filepath.Join(job.Dir, name))
		}
	}
}

func TestWithoutAWholeCheckpointNothingIsTouched(t *testing.T) {
	job := folderJob(t, 80, 4)
	job.Config.Checkpoint = "3steps"
	if _, err := interrupt(t, job, 13); err == nil {
		t.Fatal("not interrupted")
	}
	for _, name := range []string{CheckpointFile, olderCheckpoint(1)} {
		if err := damages["cut"](filepath.Join(job.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, job.Dir)
	job.Resume = true
	_, err := Run(context.Background(), job)
	var file *FileError
	if !errors.As(err, &file) || file.Path != filepath.Join(job.Dir, CheckpointFile) || !strings.Contains(file.Remedy, "--force") {
		t.Errorf("error %v", err)
	}
	if after := names(t, job.Dir); !slices.Equal(before, after) {
		t.Errorf("the folder held %v, now %v", before, after)
	}
}

// TestRandomDamageIsDetected flips bits and cuts files at random places, and the bits
// around each border of the format.
func TestRandomDamageIsDetected(t *testing.T) {
	job := folderJob(t, 80, 2)
	mustRun(t, job)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for _, name := range []string{CheckpointFile, ModelFile} {
		content, err := os.ReadFile(filepath.Join(job.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		kind := map[string]string{CheckpointFile: checkpointKind, ModelFile: modelKind}[name]
		path := filepath.Join(t.TempDir(), name)
		check := func(what string, damaged []byte) {
			if err := os.WriteFile(path, damaged, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := readSealed(path, kind)
			var file *FileError
			if !errors.As(err, &file) || !file.Damaged {
				t.Errorf("%s with %s (seed %d): error %v", name, what, seed, err)
			}
		}
		bits := []int{0, 1, 63, 64, 65, 8*len(content) - 1}
		for range 200 {
			bits = append(bits, random.IntN(8*len(content)))
		}
		for _, bit := range bits {
			damaged := slices.Clone(content)
			damaged[bit/8] ^= 1 << (bit % 8)
			check(fmt.Sprintf("bit %d of %d flipped", bit, 8*len(content)), damaged)
		}
		for range 50 {
			length := random.IntN(len(content))
			check(fmt.Sprintf("%d bytes of %d", length, len(content)), content[:length])
			check(fmt.Sprintf("zeros after %d bytes of %d", length, len(content)), append(slices.Clone(content[:length]), make([]byte, len(content)-length)...))
		}
	}
}
