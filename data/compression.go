package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// compression is a row of the table of compressions, which may lie around any
// format but those that are compressed themselves.
type compression struct {
	name     string // in messages
	suffix   string
	magic    string // the first bytes
	inflate  func(io.Reader) (io.Reader, error)
	compress func(io.Writer) (io.WriteCloser, error) // equal data give equal bytes
}

// zstdWindow bounds the memory that a frame of zstd may ask for; "zstd --ultra
// --long=27" needs as much.
const zstdWindow = 128 << 20

func compressions() []compression {
	return []compression{
		{"gzip", ".gz", "\x1f\x8b",
			func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }}, // no name and no time
		{"zstd", ".zst", "\x28\xb5\x2f\xfd",
			func(r io.Reader) (io.Reader, error) {
				return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
			},
			func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) }},
	}
}

// compressionOf finds the compression that a file name ends in, nil if it ends
// in none, and the name without it.
func compressionOf(name string) (*compression, string) {
	for _, c := range compressions() {
		if inner, ok := strings.CutSuffix(strings.ToLower(name), c.suffix); ok {
			return &c, name[:len(inner)]
		}
	}
	return nil, name
}

// TrimCompression is a file name without .gz or .zst.
func TrimCompression(name string) string {
	_, inner := compressionOf(name)
	return inner
}

// A file may grow by inflateRatio when it is decompressed, and to inflateAlways
// bytes in any case. Tables and images compress 3 to 30 times.
const (
	inflateRatio  = 256
	inflateAlways = 1 << 30
)

// inflateLimiter fails once more has come out of a compressed file than any real
// data give.
type inflateLimiter struct {
	io.Reader
	path string
	most int64 // bytes that are allowed
	left int64
}

func limitInflation(r io.Reader, path string, compressed int64) *inflateLimiter {
	most := max(inflateAlways, inflateRatio*compressed)
	return &inflateLimiter{r, path, most, most}
}

func (l *inflateLimiter) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, &Error{Path: l.path, Problem: fmt.Sprintf("gives more than %d bytes when it is decompressed, the limit for a file of its size", l.most),
			Remedy: "decompress it first if it is what you expect"}
	}
	return n, err
}

// inflated looks through a compression of the input, if there is one.
func (in *input) inflated() error {
	for _, c := range compressions() {
		if magic, _ := in.stream.Peek(len(c.magic)); !bytes.Equal(magic, []byte(c.magic)) {
			continue
		}
		r, err := c.inflate(in.stream)
		if err != nil {
			return in.readError(err)
		}
		in.name = strings.TrimSuffix(in.name, c.suffix)
		in.stream = bufio.NewReaderSize(limitInflation(r, in.path, in.size), 1<<16)
		in.file, in.size = nil, 0
		if _, err := in.stream.Peek(1); err == io.EOF {
			return &Error{Path: in.path, Problem: "holds nothing but its compression", Remedy: remedyRewrite}
		}
		return nil
	}
	return nil
}
