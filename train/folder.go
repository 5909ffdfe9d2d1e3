package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gpudae/data"
	"gpudae/internal/atomicfile"
)

// Files of a run folder.
const (
	SettingsFile   = "config.yaml"       // the program's resolved settings
	SchemaFile     = "schema.json"       // the data: schema, scaler, split; of a table of mixed columns the schema alone, as train --schema takes it
	ModelFile      = "model.safetensors" // the best epoch's model, see LoadModel
	CheckpointFile = "last.safetensors"  // all that a resume needs
	MetricsJSON    = "metrics.jsonl"     // a Row a line
	MetricsCSV     = "metrics.csv"       // the same as a table
)

// folder is an open run folder. Its methods do nothing for nil, which stands
// for a run without files.
type folder struct {
	dir      string
	saved    func(path string)
	metrics  [2]*appender
	modelRow int  // epoch of the model file, 0 if it has none of this run
	damaged  bool // whether CheckpointFile is not worth keeping
}

// schemaFile is the content of SchemaFile.
type schemaFile struct {
	Schema data.Info    `json:"schema"`
	Scaler *data.Scaler `json:"scaler,omitempty"`
	Split  Split        `json:"split"`
}

// openFolder writes what is known at the start and opens the metrics, which it
// brings in line with the history.
func openFolder(s *setup, history []Row, resumed bool) (*folder, error) {
	if s.Dir == "" {
		return nil, nil
	}
	f := &folder{dir: s.Dir, saved: s.Observer.Saved}
	if f.saved == nil {
		f.saved = func(string) {}
	}
	if err := f.removeTemporary(); err != nil {
		return nil, err
	}
	schema, err := s.schemaText()
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	if err := f.describe(s.Settings, schema); err != nil {
		return nil, err
	}
	if !resumed {
		if err := f.removeOld(); err != nil {
			return nil, err
		}
	}
	if err := f.openMetrics(history); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// schemaText is the content of SchemaFile.
func (s *setup) schemaText() ([]byte, error) {
	var content any = schemaFile{s.Schema, s.Scaler, s.split}
	if s.Columns != nil {
		content = s.Columns
	}
	text, err := json.MarshalIndent(content, "", "  ")
	return append(text, '\n'), err
}

// DescribeRun writes what is known of a run at its start, as Run does, for a
// folder whose model is made of several runs in folders of their own.
func DescribeRun(dir string, settings []byte, schema data.Info, scaler *data.Scaler, split Split, columns json.RawMessage) error {
	f := &folder{dir: dir, saved: func(string) {}}
	if err := f.removeTemporary(); err != nil {
		return err
	}
	text, err := (&setup{Job: Job{Schema: schema, Scaler: scaler, Columns: columns}, split: split}).schemaText()
	if err != nil {
		return fmt.Errorf("encoding the schema: %w", err)
	}
	return f.describe(settings, text)
}

func (f *folder) describe(settings, schema []byte) error {
	if err := f.write(SettingsFile, settings); err != nil {
		return err
	}
	return f.write(SchemaFile, schema)
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// write writes a small file whole.
func (f *folder) write(name string, content []byte) error {
	err := atomicfile.Write(f.path(name), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err == nil {
		f.saved(f.path(name))
	}
	return err
}

// removeTemporary removes what a run that was killed while it wrote left behind.
func (f *folder) removeTemporary() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return &FileError{Path: f.dir, Problem: "cannot be read", Err: bare(err)}
	}
	for _, entry := range entries {
		for _, name := range []string{SettingsFile, SchemaFile, ModelFile, CheckpointFile, MetricsJSON, MetricsCSV} {
			if strings.HasPrefix(entry.Name(), "."+name+".") && strings.HasSuffix(entry.Name(), ".tmp") {
				if err := f.remove(entry.Name()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// removeOld removes the results of an earlier run in the folder.
func (f *folder) removeOld() error {
	names, err := Checkpoints(f.dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, ModelFile) {
		if err := f.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// olderCheckpoint is the name of the checkpoint that was CheckpointFile so many
// checkpoints ago.
func olderCheckpoint(age int) string {
	if age == 0 {
		return CheckpointFile
	}
	return strings.TrimSuffix(CheckpointFile, ".safetensors") + "." + strconv.Itoa(age) + ".safetensors"
}

// checkpointAge is how many checkpoints ago the file of that name was the last,
// -1 if it has not the name of a checkpoint.
func checkpointAge(name string) int {
	if name == CheckpointFile {
		return 0
	}
	digits, _ := strings.CutPrefix(name, strings.TrimSuffix(CheckpointFile, "safetensors"))
	digits, _ = strings.CutSuffix(digits, ".safetensors")
	if age, err := strconv.Atoi(digits); err == nil && age > 0 && olderCheckpoint(age) == name {
		return age
	}
	return -1
}

// Checkpoints lists the names of a folder's checkpoints, the newest first:
// CheckpointFile, last.1.safetensors, last.2.safetensors, ...
func Checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &FileError{Path: dir, Problem: "cannot be read", Err: bare(err)}
	}
	var names []string
	for _, entry := range entries {
		if checkpointAge(entry.Name()) >= 0 {
			names = append(names, entry.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return checkpointAge(a) - checkpointAge(b) })
	return names, nil
}

// makeRoom gives older checkpoints the name of the next older and the last a
// second name, before another takes its first: at no moment is there none.
func (f *folder) makeRoom(keep int) error {
	if keep == 0 || f.damaged {
		return nil
	}
	names, err := Checkpoints(f.dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		age := checkpointAge(name)
		from, to := f.path(name), f.path(olderCheckpoint(age+1))
		if age == 0 && os.Link(from, to) == nil {
			continue
		}
		if err := os.Rename(from, to); err != nil { // for the last where the file system has no links
			return &atomicfile.Error{Path: to, Step: atomicfile.StepRename, Err: bare(err)}
		}
	}
	return nil
}

// prune removes checkpoints that are too old.
func (f *folder) prune(keep int) error {
	f.damaged = false
	names, err := Checkpoints(f.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if checkpointAge(name) > keep {
			if err := f.remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *folder) remove(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &FileError{Path: f.path(name), Problem: "cannot be removed", Err: bare(err)}
	}
	return nil
}

func (f *folder) openMetrics(history []Row) error {
	lines, table := []byte{}, []byte(strings.Join(columns[:], ",")+"\n")
	for _, row := range history {
		line, err := row.MarshalJSON()
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
		table = append(table, row.csv()...)
	}
	for i, file := range []struct {
		name    string
		content []byte
	}{{MetricsJSON, lines}, {MetricsCSV, table}} {
		if err := f.write(file.name, file.content); err != nil {
			return err
		}
		var err error
		if f.metrics[i], err = openAppender(f.path(file.name), int64(len(file.content))); err != nil {
			return err
		}
	}
	return nil
}

// append adds a row to the metrics.
func (f *folder) append(row Row) error {
	if f == nil {
		return nil
	}
	line, err := row.MarshalJSON()
	if err != nil {
		return err
	}
	if err := f.metrics[0].append(append(line, '\n')); err != nil {
		return err
	}
	return f.metrics[1].append(row.csv())
}

// close closes the metrics; closing twice is no error.
func (f *folder) close() error {
	if f == nil {
		return nil
	}
	var first error
	for i, a := range f.metrics {
		if a == nil {
			continue
		}
		if err := a.close(); err != nil && first == nil {
			first = err
		}
		f.metrics[i] = nil
	}
	return first
}

// holds reports whether the model file is that of the best epoch.
func (f *folder) holds(history []Row) bool {
	return f == nil || f.modelRow == history[bestOf(history)].Epoch
}

// appender adds whole lines to a file.
type appender struct {
	file *os.File
	size int64
}

func openAppender(path string, size int64) (*appender, error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Step: atomicfile.StepCreate, Err: bare(err)}
	}
	return &appender{file, size}, nil
}

// append writes the line, or, if it does not fit, nothing.
func (a *appender) append(line []byte) error {
	if _, err := a.file.WriteAt(line, a.size); err != nil {
		err = &atomicfile.Error{Path: a.file.Name(), Step: atomicfile.StepWrite, Err: bare(err)}
		if truncated := a.file.Truncate(a.size); truncated != nil {
			return fmt.Errorf("%w; its last line is incomplete: %w", err, bare(truncated))
		}
		return err
	}
	a.size += int64(len(line))
	return nil
}

func (a *appender) close() error {
	err := a.file.Sync()
	if closed := a.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return &atomicfile.Error{Path: a.file.Name(), Step: atomicfile.StepSync, Err: bare(err)}
	}
	return nil
}

// bare is the cause of a failure of package os, without the paths, which are
// named once.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
