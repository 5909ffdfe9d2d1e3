package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool is a temporary file, for what must be read again and may be too large for
// memory.
type spool struct {
	*os.File
	named bool // whether it must be removed
}

// Keep copies all that r gives to a temporary file, which Options.Standard may be
// more than once.
func Keep(ctx context.Context, r io.Reader) (io.ReadCloser, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(s, contextReader{ctx, r}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// size is the length of the file.
func (s *spool) size() (int64, error) { return s.Seek(0, io.SeekEnd) }

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "gpudae-*.spool")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w; set TMPDIR to a folder that you may change", err)
	}
	// Where the system allows it, nothing is left even if the program is killed.
	return &spool{file, os.Remove(file.Name()) != nil}, nil
}

// Close removes the file.
func (s *spool) Close() error {
	err := s.File.Close()
	if s.named {
		err = errors.Join(err, os.Remove(s.Name()))
	}
	return err
}

// Write implements io.Writer. Its errors say what is to be done.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if err != nil {
		err = spoolError{err}
	}
	return n, err
}

// ReadFrom hides that of the file, whose errors are not ours.
func (s *spool) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}

// spoolError is a failure to write a temporary file, which the data are not to
// blame for.
type spoolError struct{ error }

func (e spoolError) Error() string {
	return "writing a temporary file: " + e.error.Error() + "; set TMPDIR to a folder with room"
}

func (e spoolError) Unwrap() error { return e.error }
