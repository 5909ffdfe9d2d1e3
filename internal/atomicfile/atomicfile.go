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
// buffer. See Create for the rules. It fails with *Error, except that an error of
// write's own making is returned wrapped in the path only.
func (w *Writer) Write(path string, write func(io.Writer) error) error {
	file, err := w.Create(path)
	if err != nil {
		return err
	}
	defer file.Abort() // of a failure, or a panic of write
	if err := write(file); err != nil && file.err == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Commit()
}

// File is a file that is being written, and takes its place at Commit.
type File struct {
	*Writer
	path   string
	target string
	file   *os.File // nil after Commit and Abort
	direct bool     // whether it is a device or a pipe, and in its place already
	buffer *bufio.Writer
	err    error // the first failure
}

// Create starts a file. See Writer.Create.
func Create(path string) (*File, error) { return new(Writer).Create(path) }

// Create starts the file named path. A target that exists keeps its permissions, a
// symbolic link is followed, and a target that is no regular file (/dev/stdout, a
// pipe) is written to directly, since nothing may take its place. Whoever calls
// it calls Commit or Abort too. It fails with *Error, as the methods of File do.
func (w *Writer) Create(path string) (*File, error) {
	target, mode, err := resolve(path)
	if err != nil {
		return nil, &Error{path, StepCreate, cause(err)}
	}
	f := &File{Writer: w, path: path, target: target, direct: mode.Type() != 0}
	err = f.do(StepCreate, func() (err error) {
		if f.direct {
			f.file, err = os.OpenFile(target, os.O_WRONLY, 0)
		} else {
			f.file, err = create(target, mode)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	f.buffer = bufio.NewWriterSize(sink{f}, bufferSize)
	return f, nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) { return f.buffer.Write(p) }

// CanPatch reports whether Patch can be called: not for a device or a pipe.
func (f *File) CanPatch() bool { return !f.direct }

// Patch writes over what has been written, from byte at on.
func (f *File) Patch(p []byte, at int64) error {
	if err := f.buffer.Flush(); err != nil {
		return err
	}
	f.err = f.do(StepWrite, func() error {
		_, err := f.file.WriteAt(p, at)
		return err
	})
	return f.err
}

// Finish puts what has been written on the disk, so that of what can fail only the
// renaming is left to Commit. It is for several files of which all are to be there or
// none; whoever calls it writes no more.
func (f *File) Finish() error {
	if f.buffer.Flush(); f.err != nil || f.direct {
		return f.err
	}
	return f.do(StepSync, f.file.Sync)
}

// Commit makes what has been written the file. After a failure, of it or of a
// Write before it, nothing is left behind.
func (f *File) Commit() error {
	defer f.Abort()
	if err := f.Finish(); err != nil {
		return err
	}
	if f.direct {
		return f.close()
	}
	temporary := f.file.Name()
	if err := f.close(); err != nil {
		os.Remove(temporary)
		return err
	}
	if err := f.do(StepRename, func() error { return os.Rename(temporary, f.target) }); err != nil {
		os.Remove(temporary)
		return err
	}
	return f.do(StepSyncFolder, func() error { return syncFolder(filepath.Dir(f.target)) })
}

func (f *File) close() error {
	file := f.file
	f.file = nil
	if err := f.do(StepClose, file.Close); err != nil {
		file.Close() // where a fault stood for it
		return err
	}
	return nil
}

// Abort leaves everything as it was before Create. After Commit it does nothing.
func (f *File) Abort() {
	if f.file == nil {
		return
	}
	f.file.Close()
	if !f.direct {
		os.Remove(f.file.Name())
	}
	f.file = nil
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

// do runs one step, or its fault.
func (f *File) do(step Step, action func() error) error {
	if f.Fault != nil {
		if err := f.Fault(step); err != nil {
			return &Error{f.path, step, cause(err)}
		}
	}
	if err := action(); err != nil {
		return &Error{f.path, step, cause(err)}
	}
	return nil
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

// sink writes blocks to the file and keeps the first failure.
type sink struct{ *File }

func (s sink) Write(p []byte) (n int, err error) {
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
