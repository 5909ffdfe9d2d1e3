// Package atomicfile writes a file whole or not at all.
//
// The new content goes to a temporary file in the folder of the target, is
// flushed to the disk, and takes the target's name in one rename; then the
// folder is flushed too. Whoever opens the target, at any moment and after a
// crash at any moment, finds the old content or the new, never a part. On
// failure the temporary file is removed. A process that is killed outright may
// leave one behind; its name starts with a dot and ends in ".tmp".
//
// The package must not know what is written.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Step names a step of a write, for Fault and in an Error.
type Step string

// The steps, in the order in which they happen. StepWrite happens once for each
// block of bufferSize bytes.
const (
	StepCreate     Step = "create"
	StepWrite      Step = "write"
	StepSync       Step = "flush to disk"
	StepClose      Step = "close"
	StepRename     Step = "rename"
	StepSyncFolder Step = "flush the folder to disk"
)

const (
	bufferSize     = 1 << 16
	createAttempts = 100
)

// Writer holds what differs between the real thing and a test. The zero Writer
// is the real thing.
type Writer struct {
	// Fault is called before each step; an error it returns becomes that step's
	// failure, in place of doing the step.
	Fault func(Step) error
}

// Error is a failed write. Nothing is left behind, and an old file of that name
// is as it was, except after StepSyncFolder: there the new file is in place and
// whole, but may be lost with the machine's power.
type Error struct {
	Path string // of the target
	Step Step
	Err  error // cause, without the name of the temporary file
}

// Error says where, what and, where it is known, how to mend it.
func (e *Error) Error() string {
	message := fmt.Sprintf("%s: could not %s: %v", e.Path, e.Step, e.Err)
	if remedy := e.Remedy(); remedy != "" {
		message += "; " + remedy
	}
	return message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Remedy says how to mend the cause, or nothing where there is no advice.
func (e *Error) Remedy() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "free some space or write to another disk"
	case errors.Is(e.Err, syscall.EROFS), errors.Is(e.Err, fs.ErrPermission):
		return "write to a folder that you may change"
	case errors.Is(e.Err, fs.ErrNotExist):
		return "make the folder first"
	case errors.Is(e.Err, syscall.EISDIR):
		return "name a file, not a folder"
	}
	return ""
}

// Write writes the file named path with what write puts out. See Writer.Write.
func Write(path string, write func(io.Writer) error) error {
	return new(Writer).Write(path, write)
}

// Write writes the file named path with what write puts out; write need not
// buffer. A target that exists keeps its permissions, a symbolic link is
// followed, and a target that is no regular file (/dev/stdout, a pipe) is written
// to directly, since nothing may take its place. It fails with *Error, except
// that an error of write's own making is returned wrapped in the path only.
func (w *Writer) Write(path string, write func(io.Writer) error) error {
	target, mode, err := resolve(path)
	if err != nil {
		return &Error{path, StepCreate, cause(err)}
	}
	job := job{Writer: w, path: path}
	if mode.Type() != 0 {
		return job.writeThrough(target, write)
	}
	return job.replace(target, mode, write)
}

// resolve follows symbolic links and returns the target's name and mode, which
// is 0 for a file that does not exist yet.
func resolve(path string) (string, fs.FileMode, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", 0, err
	}
	if info.IsDir() {
		return "", 0, syscall.EISDIR
	}
	return target, info.Mode(), nil
}

// job is one call of Write.
type job struct {
	*Writer
	path string
}

// do runs one step, or its fault.
func (j job) do(step Step, action func() error) error {
	if j.Fault != nil {
		if err := j.Fault(step); err != nil {
			return &Error{j.path, step, cause(err)}
		}
	}
	if err := action(); err != nil {
		return &Error{j.path, step, cause(err)}
	}
	return nil
}

// writeThrough writes to a device or pipe.
func (j job) writeThrough(target string, write func(io.Writer) error) error {
	var file *os.File
	err := j.do(StepCreate, func() (err error) {
		file, err = os.OpenFile(target, os.O_WRONLY, 0)
		return err
	})
	if err != nil {
		return err
	}
	err = j.fill(file, write)
	if closed := j.do(StepClose, file.Close); err == nil {
		err = closed
	}
	return err
}

// replace writes a temporary file and gives it the target's name.
func (j job) replace(target string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	var file *os.File
	err = j.do(StepCreate, func() (err error) {
		file, err = create(target, mode)
		return err
	})
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // failure, or a panic of write
			file.Close()
			os.Remove(file.Name())
		}
	}()
	if err := j.fill(file, write); err != nil {
		return err
	}
	if err := j.do(StepSync, file.Sync); err != nil {
		return err
	}
	if err := j.do(StepClose, file.Close); err != nil {
		return err
	}
	if err := j.do(StepRename, func() error { return os.Rename(file.Name(), target) }); err != nil {
		return err
	}
	done = true
	return j.do(StepSyncFolder, func() error { return syncFolder(filepath.Dir(target)) })
}

// create opens a new file beside target: hidden, and with the mode of the file
// it is to replace or, for mode 0, that of any new file.
func create(target string, mode fs.FileMode) (*os.File, error) {
	folder, name := filepath.Split(target)
	for attempt := 1; ; attempt++ {
		temporary := filepath.Join(folder, "."+name+"."+strconv.FormatUint(rand.Uint64(), 36)+".tmp")
		file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) && attempt < createAttempts {
			continue
		}
		if err != nil {
			return nil, err
		}
		if mode != 0 {
			if err := file.Chmod(mode.Perm()); err != nil {
				file.Close()
				os.Remove(temporary)
				return nil, err
			}
		}
		return file, nil
	}
}

// fill runs write with a buffered view of the file.
func (j job) fill(file *os.File, write func(io.Writer) error) error {
	sink := &sink{job: j, file: file}
	buffered := bufio.NewWriterSize(sink, bufferSize)
	err := write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if sink.err != nil { // the root of whatever write made of it
		return sink.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", j.path, err)
	}
	return nil
}

// sink writes blocks to the file and keeps the first failure.
type sink struct {
	job
	file *os.File
	err  error
}

func (s *sink) Write(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	s.err = s.do(StepWrite, func() error {
		n, err = s.file.Write(p)
		return err
	})
	return n, s.err
}

// syncFolder makes a rename durable. A file system that cannot flush a folder
// is not at fault.
func syncFolder(folder string) error {
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close()
	err = file.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// cause strips the operation and the temporary file's name, which say nothing
// to the user, from an error of package os.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
