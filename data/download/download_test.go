package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<12)

// mirror serves content as net/http serves files, with Range.
func mirror(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

func serve(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "f", time.Time{}, bytes.NewReader(content))
}

func set(mirrors ...string) Set {
	return Set{Name: "set", Files: []File{{"f", int64(len(content)), fmt.Sprintf("%x", sha256.Sum256(content))}}, Mirrors: mirrors}
}

// get downloads and checks that the file is whole, with nothing beside it.
func get(t *testing.T, d *Downloader, s Set) {
	t.Helper()
	folder, err := d.Get(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "f"))
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
}

func downloader(t *testing.T) *Downloader {
	return &Downloader{Client: http.DefaultClient, Folder: t.TempDir()}
}

func refused(t *testing.T, d *Downloader, s Set, words ...string) {
	t.Helper()
	_, err := d.Get(t.Context(), s)
	if !errors.As(err, new(*Error)) {
		t.Fatalf("%T %v", err, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
	if _, err := os.Stat(filepath.Join(d.Folder, "set", "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not whole lies there: %v", err)
	}
}

func TestMirrorIsDown(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	missing := mirror(t, http.NotFound)
	d := downloader(t)
	var last int64
	d.Progress = func(_ File, done int64) { last = done }
	get(t, d, set(closed.URL+"/", missing, mirror(t, serve)))
	if last != int64(len(content)) {
		t.Errorf("progress ended at %d", last)
	}
	get(t, d, set()) // what lies there needs no mirror
	refused(t, downloader(t), set(closed.URL+"/", missing), "connection refused", "404")
}

// TestResume: a mirror breaks off, and the next gives the rest alone.
func TestResume(t *testing.T) {
	const half = 1 << 15
	broken := mirror(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:half])
	})
	d := downloader(t)
	refused(t, d, set(broken), "breaks off after")
	var asked string
	get(t, d, set(mirror(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Range")
		serve(w, r)
	})))
	if asked != fmt.Sprintf("bytes=%d-", half) {
		t.Errorf("asked for %q", asked)
	}
}

func TestMirrorWithoutRanges(t *testing.T) {
	d := downloader(t)
	os.MkdirAll(filepath.Join(d.Folder, "set"), 0o777)
	if err := os.WriteFile(filepath.Join(d.Folder, "set", "f.part"), content[:99], 0o666); err != nil {
		t.Fatal(err)
	}
	get(t, d, set(mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write(content) })))
}

func TestWrongBytes(t *testing.T) {
	other := bytes.Clone(content)
	other[77] ^= 1
	wrong := mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write(other) })
	short := mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write(content[:100]) })
	long := mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write(append(bytes.Clone(content), 'x')) })
	refused(t, downloader(t), set(wrong), "has the SHA-256")
	refused(t, downloader(t), set(short), "ends after 100 of 65536 bytes")
	refused(t, downloader(t), set(long), "has the SHA-256")
	get(t, downloader(t), set(wrong, long, mirror(t, serve)))
	d := downloader(t)
	get(t, d, set(mirror(t, serve)))
	if err := os.WriteFile(filepath.Join(d.Folder, "set", "f"), other, 0o666); err != nil {
		t.Fatal(err)
	}
	get(t, d, set(mirror(t, serve))) // a damaged file is fetched again
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stalled := mirror(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(content[:10])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := downloader(t).Get(ctx, set(stalled, stalled)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCatalogue(t *testing.T) {
	for _, s := range Sets() {
		for _, f := range s.Files {
			if len(f.SHA256) != 64 || f.Size < 1 || strings.ContainsAny(f.Name, `/\`) {
				t.Errorf("%s: %+v", s.Name, f)
			}
		}
		for _, m := range s.Mirrors {
			if !strings.HasSuffix(m, "/") {
				t.Errorf("%s: %s", s.Name, m)
			}
		}
	}
}
