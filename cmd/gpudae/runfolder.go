package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gpudae/tensorboard"
	"gpudae/train"
)

const (
	runsFolder    = "runs"
	figuresFolder = "figures"
)

// ownFiles are the files that this program writes into a run folder under a name
// of their own; with event files and older checkpoints all that --force removes.
func ownFiles() []string {
	files := []string{train.SettingsFile, train.SchemaFile, train.ModelFile, train.CheckpointFile, train.MetricsJSON, train.MetricsCSV, cardFile, reportFile, evaluationFile, calibrationOf(train.ModelFile)}
	for _, f := range runFigures() {
		files = append(files, filepath.Join(figuresFolder, f+".png"))
	}
	return files
}

// defaultRun names a run folder after the data and the time.
func defaultRun(dataName string, now time.Time) string {
	name := filepath.Base(dataName)
	for _, suffix := range []string{".gz", ".idx", ".npy", ".npz", ".csv", ".tsv", ".txt"} {
		name = strings.TrimSuffix(name, suffix)
	}
	name = strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(name, "-"), "-")
	if name == "" {
		name = "data"
	}
	return filepath.Join(runsFolder, name+"-"+now.Format("20060102-150405"))
}

// runFolder is where a run goes.
type runFolder struct {
	dir     string
	created []string // folders that were made for it, the deepest last
	lock    *os.File // held for the life of the run
	sole    bool     // whether the lock keeps others out
	claimed bool     // whether no other run can have it, so that all of a run's files in it are this one's
}

// checkRunFolder reports, before any work is done, what stands in the way of a
// run in dir.
func checkRunFolder(dir string, resume, force bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && resume:
		return usage("--resume", dir+": no such run", "name the folder of the run with -o")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &failure{code: exitFailure, where: dir, problem: openProblem(err), remedy: "choose another folder with -o"}
	case resume && isUnbegun(dir, entries):
		return usage("--resume", dir+": the run was ended before it had begun", "start it again without --resume")
	case len(entries) == 0 || resume || isUnbegun(dir, entries):
		return nil
	case !force:
		return usage(dir, "the folder is not empty", "choose another with -o, continue with --resume, or replace the run with --force")
	case !isRun(dir):
		return usage(dir, "--force replaces runs only, and this folder holds no run", "choose another with -o, or empty it yourself")
	}
	return nil
}

// isRun reports whether dir holds the files that every run has from its start.
func isRun(dir string) bool {
	for _, name := range []string{train.SettingsFile, train.SchemaFile} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// isUnbegun reports whether the folder holds nothing but what a run leaves that is
// killed before it has written its settings.
func isUnbegun(dir string, entries []fs.DirEntry) bool {
	if info, err := os.Lstat(settingsPath(dir)); err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return false
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		event, _ := filepath.Match(tensorboard.Pattern, e.Name())
		temporary, _ := filepath.Match("."+train.SettingsFile+".*.tmp", e.Name())
		return e.Name() != train.SettingsFile && !event && !temporary
	})
}

// openRunFolder makes the folder, or clears it of an earlier run if force is
// set, and claims it unless the run in it is to be resumed.
func openRunFolder(dir string, resume, force bool) (*runFolder, error) {
	f := &runFolder{dir: dir}
	if force {
		if err := f.hold(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := f.clear(); err != nil {
			return nil, err
		}
	}
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		f.created = append([]string{d}, f.created...)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		f.forget()
		return nil, cannotWrite(dir, err)
	}
	if !resume {
		if err := f.claim(); err != nil {
			f.release()
			if !errors.Is(err, fs.ErrExist) { // otherwise another run has it, and may not have written into it yet
				f.forget()
			}
			return nil, err
		}
	}
	return f, f.hold()
}

// errLocked says that another process holds a folder.
var errLocked = errors.New("locked by another process")

// hold takes the folder's lock, unless this run has it.
func (f *runFolder) hold() (err error) {
	if f.lock != nil {
		return nil
	}
	f.lock, f.sole, err = lockFolder(f.dir)
	switch {
	case errors.Is(err, errLocked):
		return &failure{code: exitFailure, where: f.dir, problem: "another process is training in this folder", remedy: "wait for it to end, or choose another with -o", err: err}
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		return cannotWrite(f.dir, err)
	}
	return nil
}

// release gives the lock back.
func (f *runFolder) release() {
	if f.lock != nil {
		f.lock.Close()
		f.lock = nil
	}
}

// claim makes the settings file, which the run then replaces, by one call that
// fails if it is there: of runs that start together one has the folder. The claim
// of a run that was killed is taken over, since nobody holds its lock.
func (f *runFolder) claim() error {
	taken := &failure{code: exitUsage, where: f.dir, problem: "another run has just started in this folder", remedy: "choose another with -o", err: fs.ErrExist}
	if err := f.hold(); errors.Is(err, errLocked) {
		return taken
	} else if err != nil {
		return err
	}
	if entries, err := os.ReadDir(f.dir); err == nil && f.sole && isUnbegun(f.dir, entries) {
		if err := f.clear(); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(settingsPath(f.dir), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	switch {
	case errors.Is(err, fs.ErrExist):
		return taken
	case err != nil:
		return cannotWrite(f.dir, err)
	}
	f.claimed = true
	return file.Close()
}

// claimRunFolder is openRunFolder, which gives a run that nobody named another
// name if the first is taken.
func claimRunFolder(dir string, unnamed, resume, force bool) (*runFolder, error) {
	f, err := openRunFolder(dir, resume, force)
	for n := 2; unnamed && errors.Is(err, fs.ErrExist); n++ {
		f, err = openRunFolder(fmt.Sprintf("%s-%d", dir, n), resume, force)
	}
	return f, err
}

func cannotWrite(path string, err error) error {
	return &failure{code: exitFailure, where: path, problem: "cannot be written: " + openProblem(err), remedy: "choose another place with -o"}
}

// clear removes the program's own files, and nothing else.
func (f *runFolder) clear() error {
	older, err := train.Checkpoints(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range append(ownFiles(), older...) {
		if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cannotWrite(filepath.Join(f.dir, name), err)
		}
	}
	for _, layer := range layerFolders(f.dir) {
		if err := (&runFolder{dir: layer}).clear(); err != nil {
			return err
		}
		os.Remove(layer) // stays if it holds files of others
	}
	events, err := filepath.Glob(filepath.Join(globEscaped(f.dir), tensorboard.Pattern))
	if err != nil {
		return fmt.Errorf("%s: looking for event files: %w", f.dir, err)
	}
	for _, path := range events {
		if err := os.Remove(path); err != nil {
			return cannotWrite(path, err)
		}
	}
	os.Remove(filepath.Join(f.dir, figuresFolder)) // stays if it holds files of others
	return nil
}

// globEscaped is a name as a pattern that matches it alone.
func globEscaped(name string) string {
	return regexp.MustCompile(`[\\*?\[]`).ReplaceAllString(name, `\$0`)
}

// abandon takes back a folder in which nothing was achieved: one that the run
// claimed and that holds neither a model nor a checkpoint.
func (f *runFolder) abandon() {
	for _, dir := range append(layerFolders(f.dir), f.dir) {
		for _, name := range []string{train.ModelFile, train.CheckpointFile} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return
			}
		}
	}
	if f.claimed {
		f.clear()
		f.forget()
	}
}

// forget removes the folders that were made, as far as they are empty.
func (f *runFolder) forget() {
	for i := len(f.created) - 1; i >= 0; i-- {
		os.Remove(f.created[i])
	}
}

// settingsPath is the configuration that a run left.
func settingsPath(dir string) string { return filepath.Join(dir, train.SettingsFile) }

// readSettings reads a configuration file.
func readSettings(path, where string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(where, fmt.Sprintf("%s: %s", path, openProblem(err)), "name a YAML file of settings")
	}
	return text, nil
}
