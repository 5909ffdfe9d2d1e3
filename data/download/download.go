package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Error is a file that could not be fetched from any mirror.
type Error struct {
	File    string
	Reasons []string // by mirror
}

// Error says why, in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: cannot be downloaded: %s", e.File, strings.Join(e.Reasons, "; "))
}

// Downloader fetches sets. It is safe for use by one goroutine at a time.
type Downloader struct {
	Client *http.Client
	Folder string // each set gets a folder of its name in it
	// Progress is told how many bytes of a file lie on the disk; it may be nil.
	Progress func(file File, done int64)
}

// Get returns the folder of the set, once all its files lie there. It fetches
// those that are missing or have another digest. It fails with *Error, an error
// of package os, or the context's error; what was fetched of a file is kept in
// NAME.part, and the next call goes on from there.
func (d *Downloader) Get(ctx context.Context, s Set) (string, error) {
	folder := filepath.Join(d.Folder, s.Name)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", fmt.Errorf("making the folder of %s: %w", s.Name, err)
	}
	for _, f := range s.Files {
		path := filepath.Join(folder, f.Name)
		switch digest, err := digestOf(path); {
		case err == nil && digest == f.SHA256:
			continue
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
		if err := d.fetch(ctx, f, path, s.Mirrors); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// fetch tries one mirror after the other.
func (d *Downloader) fetch(ctx context.Context, f File, path string, mirrors []string) error {
	failed := &Error{File: path}
	for _, mirror := range mirrors {
		err := d.fetchFrom(ctx, f, path, mirror+f.Name)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed.Reasons = append(failed.Reasons, err.Error())
	}
	return failed
}

// fetchFrom appends to the partial file, and renames it when it is whole and
// has the right digest. One with a wrong digest is removed.
func (d *Downloader) fetchFrom(ctx context.Context, f File, path, url string) (err error) {
	partial, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, partial.Close()) }()
	held, err := partial.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if held > f.Size {
		held = 0
	}
	if held < f.Size {
		if err := d.append(ctx, partial, held, f, url); err != nil {
			return err
		}
	}
	if err := partial.Sync(); err != nil {
		return err
	}
	digest, err := digestOf(path + ".part")
	if err != nil {
		return err
	}
	if digest != f.SHA256 {
		return errors.Join(fmt.Errorf("%s has the SHA-256 %s, not %s", url, digest, f.SHA256), os.Remove(path+".part"))
	}
	return os.Rename(path+".part", path)
}

// append requests the bytes after the first held ones, and writes what comes.
func (d *Downloader) append(ctx context.Context, partial *os.File, held int64, f File, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "identity") // the bytes of the file, as pinned
	if held > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", held))
	}
	response, err := d.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK: // from the start, whatever was asked for
		held = 0
	case response.StatusCode == http.StatusPartialContent && held > 0 && strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", held)):
	default:
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	if err := partial.Truncate(held); err != nil {
		return err
	}
	if _, err := partial.Seek(held, io.SeekStart); err != nil {
		return err
	}
	w := &progressWriter{partial, held, func(done int64) {
		if d.Progress != nil {
			d.Progress(f, done)
		}
	}}
	n, err := io.Copy(w, io.LimitReader(response.Body, f.Size-held+1)) // one byte more shows a file that is too long
	switch {
	case err != nil:
		return fmt.Errorf("%s breaks off after %d bytes: %w", url, held+n, err)
	case held+n < f.Size:
		return fmt.Errorf("%s ends after %d of %d bytes", url, held+n, f.Size)
	}
	return nil
}

type progressWriter struct {
	w    io.Writer
	done int64
	tell func(done int64)
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.done += int64(n)
	p.tell(p.done)
	return n, err
}

// digestOf is the SHA-256 of a file.
func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
