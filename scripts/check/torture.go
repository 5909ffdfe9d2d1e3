//go:build ignore

// Torture ends runs where they are least ready for it, and looks at what is left:
//
//	killed    runs are ended by kill -9 at random moments, resumed, and must end
//	          with the bits of a run that nothing ended
//	full      runs write to a file system that fills: they must end with exit
//	          code 1 and one line, leave nothing half-written, and, given room,
//	          go on to the same bits
//	damaged   checkpoints and models are cut and have bits flipped at random
//	          places, which must be noticed
//
// usage: torture GPUDAE FOLDER [SEED [FRACTION]]; the fraction is of the usual numbers
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gpudae/internal/safetensors"
	"gpudae/train"
)

// How often each is done.
const (
	kills   = 50
	fills   = 20
	damages = 200
)

// setups are the runs: every kind of state that a checkpoint holds, every pace of
// checkpoints, and two devices.
func (t *torture) setups() []string {
	return []string{
		"two-moons:n=400 --hidden 32,16 --norm batch --ema 0.9 --epochs 30 --batch 16 --checkpoint 20steps",
		"two-moons:n=300 --hidden 24 --dropout 0.2 --optimizer sgd:nesterov --lr 0.01 --schedule plateau:patience=2,factor=0.5 --warmup 1 --epochs 30 --batch 16 --checkpoint 1epoch --keep 3",
		"digits --hidden 32 --code 8 --code-distribution gaussian --beta-warmup 100 --optimizer rmsprop --skip-spikes 2 --epochs 6 --batch 64 --checkpoint 0.02s",
		"spiral:n=300 --preset score --hidden 16 --epochs 30 --batch 32 --checkpoint 7steps --keep 0",
		"two-moons:n=200 --device reference --hidden 12 --optimizer adamw --schedule one-cycle --corruption swap:0.2+gaussian:0.1 --epochs 10 --batch 16 --checkpoint 5steps",
		t.path(table) + " --hidden 24 --epochs 10 --batch 32 --checkpoint 10steps",
	}
}

// table is the name of a file of mixed columns.
const table = "table.csv"

// writeTable makes it up: a number that another column decides, two categories, and
// cells that are missing.
func (t *torture) writeTable() error {
	random := rand.New(rand.NewPCG(1, 2))
	text := "size,price,colour,shape\n"
	for range 400 {
		size := random.NormFloat64()
		price := strconv.FormatFloat(3*size+random.NormFloat64(), 'f', 4, 64)
		if random.IntN(10) == 0 {
			price = ""
		}
		text += fmt.Sprintf("%.4f,%s,%s,%s\n", size, price, []string{"red", "green", "blue"}[random.IntN(3)], []string{"round", "square"}[random.IntN(2)])
	}
	return os.WriteFile(t.path(table), []byte(text), 0o666)
}

type torture struct {
	program, folder string
	seed            uint64
	fraction        float64
	whole           []whole // by setup
}

// whole is a run that nothing ended.
type whole struct {
	state state
	took  time.Duration
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("torture: ")
	t := &torture{program: os.Args[1], folder: os.Args[2], seed: uint64(time.Now().UnixNano()), fraction: 1}
	var err error
	if len(os.Args) > 3 {
		if t.seed, err = strconv.ParseUint(os.Args[3], 10, 64); err != nil {
			log.Fatal(err)
		}
	}
	if len(os.Args) > 4 {
		if t.fraction, err = strconv.ParseFloat(os.Args[4], 64); err != nil {
			log.Fatal(err)
		}
	}
	log.Printf("seed %d", t.seed)
	for _, part := range []func() error{t.writeTable, t.runWhole, t.kill, t.fill, t.damage} {
		if err := part(); err != nil {
			log.Fatalf("%v (seed %d)", err, t.seed)
		}
	}
}

// times is a number of repeats, or what is asked of it.
func (t *torture) times(n int) int { return max(1, int(float64(n)*t.fraction)) }

func (t *torture) path(format string, args ...any) string {
	return filepath.Join(t.folder, fmt.Sprintf(format, args...))
}

// command is a training in a folder.
func (t *torture) command(dir string, arguments ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command(t.program, append(append([]string{"train"}, arguments...), "--no-report", "--no-events", "--quiet", "--threads", "1", "-o", dir)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	return c, &stderr
}

// begin are the arguments with which a setup's run is started, or, where there is
// one that has begun, resumed.
func begin(dir, setup string) []string {
	if info, err := os.Stat(filepath.Join(dir, train.SettingsFile)); err == nil && info.Size() > 0 {
		return []string{"--resume"}
	}
	return strings.Fields(setup)
}

// finish starts or resumes a run, which must then end well.
func (t *torture) finish(dir, setup string) error {
	c, stderr := t.command(dir, begin(dir, setup)...)
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %v: %s", dir, err, stderr)
	}
	return nil
}

func (t *torture) runWhole() error {
	for i, setup := range t.setups() {
		dir, began := t.path("whole-%d", i), time.Now()
		if err := t.finish(dir, setup); err != nil {
			return err
		}
		w := whole{took: time.Since(began)}
		var err error
		if w.state, err = stateOf(dir); err != nil {
			return err
		}
		t.whole = append(t.whole, w)
	}
	return nil
}

// kill ends runs by kill -9, two at a time, and each of them as often as chance
// has it.
func (t *torture) kill() error {
	runs, killed, within := t.times(kills), make([]int, kills), make([]int, kills)
	failures := make([]error, runs)
	var workers sync.WaitGroup
	next := make(chan int)
	for range 2 {
		workers.Go(func() {
			for i := range next {
				killed[i], within[i], failures[i] = t.killed(i)
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	log.Printf("%d runs killed %d times, %d of them while there was a checkpoint to go on from: equal bits", runs, sum(killed), sum(within))
	return nil
}

func (t *torture) killed(run int) (times, within int, err error) {
	random := rand.New(rand.NewPCG(t.seed, uint64(run)))
	which := run % len(t.whole)
	setup, w, dir := t.setups()[which], t.whole[which], t.path("killed-%d", run)
	for times == 0 || random.IntN(3) > 0 {
		c, stderr := t.command(dir, begin(dir, setup)...)
		if err := c.Start(); err != nil {
			return times, within, err
		}
		time.Sleep(time.Duration(random.Float64() * float64(w.took)))
		c.Process.Kill()
		err := c.Wait()
		if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
			if err != nil {
				return times, within, fmt.Errorf("%s: %v: %s", dir, err, stderr)
			}
			if times > 0 {
				break // it had ended before it could be killed
			}
			os.RemoveAll(dir)
			continue
		}
		times++
		if _, err := os.Stat(filepath.Join(dir, train.CheckpointFile)); err == nil {
			within++
		}
	}
	if err := t.finish(dir, setup); err != nil {
		return times, within, err
	}
	if err := w.state.compare(dir); err != nil {
		return times, within, err
	}
	return times, within, os.RemoveAll(dir)
}

// fill runs trainings on file systems of random sizes that are too small.
func (t *torture) fill() error {
	dir := t.path("small")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		log.Printf("file systems that fill: not run, since this user cannot mount one (%v)", err)
		return nil
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		return err
	}
	early := 0
	for i := range t.times(fills) {
		random := rand.New(rand.NewPCG(t.seed, uint64(kills+i)))
		saved, err := t.filled(dir, i%len(t.whole), random)
		if err := errors.Join(err, syscall.Unmount(dir, 0)); err != nil {
			return err
		}
		if !saved {
			early++
		}
	}
	log.Printf("%d runs on full file systems, %d of them full before the first checkpoint: one line, nothing lost, equal bits", t.times(fills), early)
	return nil
}

// filled trains where there is less room than the run takes, and then with room.
func (t *torture) filled(dir string, which int, random *rand.Rand) (saved bool, err error) {
	setup, w := t.setups()[which], t.whole[which]
	total, largest, err := size(t.path("whole-%d", which))
	if err != nil {
		return false, err
	}
	room := 4096 + random.Int64N(total+largest-4096) // a file is written beside the one that it replaces
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", room)); err != nil {
		return false, err
	}
	run := filepath.Join(dir, "run")
	c, stderr := t.command(run, begin(run, setup)...)
	failed := c.Run()
	switch code := c.ProcessState.ExitCode(); {
	case failed == nil: // the room was enough
	case code != 1 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), "no space left on device"):
		return false, fmt.Errorf("%s in %d bytes: %v: %s", setup, room, failed, stderr)
	}
	if _, err := os.Stat(filepath.Join(run, train.CheckpointFile)); err == nil {
		saved = true
	}
	if err := intact(run); err != nil {
		return saved, fmt.Errorf("%s in %d bytes: %w", setup, room, err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		return saved, err
	}
	if err := t.finish(run, setup); err != nil {
		return saved, fmt.Errorf("after %d bytes: %w", room, err)
	}
	return saved, w.state.compare(run)
}

// size is the space that the files of a folder take in pages, in all and the largest of them.
func size(dir string) (total, largest int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		pages := (info.Size() + 4095) / 4096 * 4096
		total, largest = total+pages, max(largest, pages)
		return nil
	})
	return total, largest, err
}

// intact checks that a folder, if there is one, holds whole files only.
func intact(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") {
			return fmt.Errorf("%s is left behind", entry.Name())
		}
		if strings.HasSuffix(entry.Name(), ".safetensors") {
			if err := train.Verify(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// damage cuts files and flips their bits.
func (t *torture) damage() error {
	random := rand.New(rand.NewPCG(t.seed, kills+fills))
	path := t.path("damaged.safetensors")
	noticed := 0
	for i := range t.times(damages) {
		name := []string{train.CheckpointFile, train.ModelFile}[i%2]
		content, err := os.ReadFile(filepath.Join(t.path("whole-%d", i/2%len(t.whole)), name))
		if err != nil {
			return err
		}
		at := random.IntN(8 * len(content))
		what := fmt.Sprintf("bit %d of %d flipped", at, 8*len(content))
		if i%4 < 2 {
			content[at/8] ^= 1 << (at % 8)
		} else {
			what = fmt.Sprintf("%d of %d bytes", at/8, len(content))
			content = content[:at/8]
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			return err
		}
		var file *train.FileError
		if err := train.Verify(path); !errors.As(err, &file) || !file.Damaged {
			return fmt.Errorf("%s with %s: %v", name, what, err)
		}
		noticed++
	}
	log.Printf("%d files cut or with a bit flipped: all noticed", noticed)
	return nil
}

// state is what a run has come to: the bits of every tensor of its model and its
// checkpoint, and its metrics, but for what says how long things took.
type state map[string]string

func stateOf(dir string) (state, error) {
	s := state{}
	for _, name := range []string{train.ModelFile, train.CheckpointFile} {
		file, err := safetensors.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for tensor := range file.Tensors {
			if values, err := safetensors.Values[float32](file, name, tensor); err == nil {
				s[name+" "+tensor] = string(bitsOf(values))
			}
		}
	}
	metrics, err := os.ReadFile(filepath.Join(dir, train.MetricsCSV))
	if err != nil {
		return nil, err
	}
	var kept []int
	for n, line := range strings.Split(strings.TrimSuffix(string(metrics), "\n"), "\n") {
		cells := strings.Split(line, ",")
		if n == 0 {
			for i, column := range cells {
				if column != "seconds" && column != "samples_per_s" {
					kept = append(kept, i)
				}
			}
		}
		for _, i := range kept {
			s[train.MetricsCSV] += cells[i] + ","
		}
	}
	return s, nil
}

func bitsOf(values []float32) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%x", values)
	return b.Bytes()
}

// compare names the first thing that a run has and another has not.
func (s state) compare(dir string) error {
	other, err := stateOf(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if s[name] != other[name] {
			return fmt.Errorf("%s: %s is not that of the run that nothing ended", dir, name)
		}
	}
	if len(other) != len(s) {
		return fmt.Errorf("%s: %d tensors, not %d", dir, len(other), len(s))
	}
	return nil
}

func sum(values []int) (n int) {
	for _, v := range values {
		n += v
	}
	return n
}
