package atomicfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	before = "the old content"
	after  = "the new content"
)

func put(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

// target returns the path of a file that holds before, alone in its folder.
func target(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(path, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alone checks that the file is the only one in its folder.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

func TestWriteNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new")
	if err := Write(path, put(after)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != after {
		t.Errorf("content %q", got)
	}
	alone(t, path)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	got, _ := os.Stat(path)
	want, _ := os.Stat(plain)
	if got.Mode() != want.Mode() {
		t.Errorf("mode %v, but a plain new file has %v", got.Mode(), want.Mode())
	}
}

func TestWriteReplacesAndKeepsPermissions(t *testing.T) {
	path := target(t)
	if err := Write(path, put(after)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != after {
		t.Errorf("content %q", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, want that of the file replaced", info.Mode())
	}
	alone(t, path)
}

func TestWriteFollowsSymbolicLink(t *testing.T) {
	path := target(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := Write(link, put(after)); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Lstat(link); info.Mode().Type() != fs.ModeSymlink {
		t.Error("the link was replaced by a file")
	}
	if got := content(t, path); got != after {
		t.Errorf("content behind the link %q", got)
	}
}

// TestEveryStepFails makes each step fail in turn, with and without an old
// file: nothing may be left behind, and the old file must be as it was.
func TestEveryStepFails(t *testing.T) {
	for _, step := range []Step{StepCreate, StepWrite, StepSync, StepClose, StepRename, StepSyncFolder} {
		t.Run(string(step), func(t *testing.T) {
			path := target(t)
			w := Writer{Fault: func(s Step) error {
				if s == step {
					return &fs.PathError{Op: "any", Path: "temporary", Err: syscall.ENOSPC}
				}
				return nil
			}}
			check := func(path string) {
				err := w.Write(path, put(after))
				var failure *Error
				if !errors.As(err, &failure) || failure.Path != path || failure.Step != step || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("error %#v", err)
				}
				want := path + ": could not " + string(step) + ": no space left on device; free some space or write to another disk"
				if err.Error() != want {
					t.Errorf("message %q, want %q", err, want)
				}
			}
			check(path)
			want := before
			if step == StepSyncFolder {
				want = after
			}
			if got := content(t, path); got != want {
				t.Errorf("content %q, want %q", got, want)
			}
			alone(t, path)

			fresh := filepath.Join(t.TempDir(), "fresh")
			check(fresh)
			if _, err := os.Stat(fresh); (err == nil) != (step == StepSyncFolder) {
				t.Errorf("a new file after a failure: %v", err)
			}
			alone(t, fresh)
		})
	}
}

// TestOldContentUntilRename looks at the target as another process would, at
// each step: it must hold the old content or the new, never a part.
func TestOldContentUntilRename(t *testing.T) {
	path := target(t)
	large := strings.Repeat(after, bufferSize)
	var steps []Step
	w := Writer{Fault: func(s Step) error {
		want := before
		if s == StepSyncFolder {
			want = large
		}
		if content(t, path) != want {
			t.Errorf("before %q the target has changed", s)
		}
		if len(steps) == 0 || steps[len(steps)-1] != s {
			steps = append(steps, s)
		}
		return nil
	}}
	if err := w.Write(path, put(large)); err != nil {
		t.Fatal(err)
	}
	want := []Step{StepCreate, StepWrite, StepSync, StepClose, StepRename, StepSyncFolder}
	if len(steps) != len(want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

// TestDiskFillsHalfway lets some blocks pass, and a writer that hides the error.
func TestDiskFillsHalfway(t *testing.T) {
	path := target(t)
	blocks := 0
	w := Writer{Fault: func(s Step) error {
		if s == StepWrite {
			if blocks++; blocks > 2 {
				return syscall.ENOSPC
			}
		}
		return nil
	}}
	err := w.Write(path, func(out io.Writer) error {
		chunk := bytes.Repeat([]byte("x"), bufferSize)
		for range 10 {
			out.Write(chunk)
		}
		return nil
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	if blocks != 3 {
		t.Errorf("%d blocks were tried, want none after the third fails", blocks)
	}
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}

func TestErrorOfTheContent(t *testing.T) {
	path := target(t)
	cause := errors.New("row 7 is odd")
	err := Write(path, func(w io.Writer) error {
		io.WriteString(w, after)
		return cause
	})
	if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v", err)
	}
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}

func TestPanicOfTheContent(t *testing.T) {
	path := target(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = Write(path, func(io.Writer) error { panic("programming error") })
	}()
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}

func TestRealFailures(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(folder, "missing", "file"), "could not create: no such file or directory; make the folder first"},
		{folder, "could not create: is a directory; name a file, not a folder"},
	} {
		err := Write(c.path, put(after))
		if err == nil || err.Error() != c.path+": "+c.want {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// TestFullDevice writes to the device that is always full. It must be written
// to in place: a rename would put a file where the device is.
func TestFullDevice(t *testing.T) {
	const full = "/dev/full"
	if info, err := os.Stat(full); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Skip("no", full)
	}
	err := Write(full, put(after))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error %v", err)
	}
	if info, err := os.Stat(full); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Error("the device has been replaced")
	}
	if err := Write(os.DevNull, put(after)); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	path := target(t)
	folder := filepath.Dir(path)
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(folder, 0o700)
	if probe, err := os.Create(filepath.Join(folder, "probe")); err == nil {
		probe.Close()
		os.Remove(probe.Name())
		t.Skip("this user may write everywhere")
	}
	err := Write(path, put(after))
	if err == nil || err.Error() != path+": could not create: permission denied; write to a folder that you may change" {
		t.Errorf("error %v", err)
	}
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
}

func TestFile(t *testing.T) {
	path := target(t)
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "0123456789"); err != nil {
		t.Fatal(err)
	}
	if err := f.Patch([]byte("ab"), 3); err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "!")
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != before {
		t.Errorf("content %q before the end", got)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Abort()
	if got := content(t, path); got != "012ab56789!" {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}

func TestFileAborted(t *testing.T) {
	path := target(t)
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, strings.Repeat(after, bufferSize))
	f.Abort()
	f.Abort()
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}

// TestFailedPatch must not end in a file without the patch.
func TestFailedPatch(t *testing.T) {
	path := target(t)
	w := Writer{Fault: func(s Step) error {
		if s == StepWrite {
			return syscall.ENOSPC
		}
		return nil
	}}
	f, err := w.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Patch([]byte("ab"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if err := f.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if got := content(t, path); got != before {
		t.Errorf("content %q", got)
	}
	alone(t, path)
}
