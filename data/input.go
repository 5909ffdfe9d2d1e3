package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// remedyRewrite is the advice for damaged files.
const remedyRewrite = "download or write the file again"

// input is an open file of some format.
type input struct {
	path   string        // in messages
	name   string        // without its folder and .gz or .zst, in lower case: what suffixes are compared with
	file   io.ReaderAt   // the bytes, or nil if they are compressed
	size   int64         // of file
	stream *bufio.Reader // the bytes from the start, decompressed
	rewind func() error  // makes the stream start again
	sha256 string        // of the file as it lies on the disk
	Close  func() error
}

// openInput opens path, or for "-" takes standard input. A pipe, which can be read
// only once, is copied to a temporary file.
func openInput(ctx context.Context, path string, standard io.Reader) (*input, error) {
	in := &input{path: path, Close: func() error { return nil }}
	if path == "-" {
		in.path = "standard input"
		if standard == nil {
			return nil, &Error{Path: in.path, Problem: "is not connected", Remedy: "name a file"}
		}
		return in, in.fromPipe(ctx, standard)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := in.fromFile(ctx, file); err != nil {
		file.Close()
		return nil, err
	}
	return in, nil
}

// openError says in a word why a file cannot be opened.
func openError(path string, err error) *Error {
	e := &Error{Path: path, Problem: "cannot be opened", Err: err}
	var cause *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.Problem, e.Remedy = "file not found", "check the path"
	case errors.Is(err, fs.ErrPermission):
		e.Problem, e.Remedy = "may not be read", "change its permissions"
	case errors.As(err, &cause):
		e.Problem += ": " + cause.Err.Error()
	}
	return e
}

func (in *input) fromFile(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return openError(in.path, err)
	}
	in.name = strings.ToLower(filepath.Base(in.path))
	switch {
	case info.IsDir(): // as the file of labels
		return &Error{Path: in.path, Problem: "is a folder", Remedy: "name a file in it"}
	case !info.Mode().IsRegular():
		defer file.Close()
		in.name = "" // that of a pipe says nothing
		return in.fromPipe(ctx, file)
	}
	in.Close = file.Close
	return in.start(ctx, file, info.Size())
}

func (in *input) fromPipe(ctx context.Context, r io.Reader) error {
	if kept, ok := r.(*spool); ok { // and stays open
		size, err := kept.size()
		if err != nil {
			return in.readError(err)
		}
		return in.start(ctx, kept, size)
	}
	spool, err := newSpool()
	if err != nil {
		return fmt.Errorf("%s: %w", in.path, err)
	}
	in.Close = spool.Close
	size, err := io.Copy(spool, contextReader{ctx, r})
	if err == nil {
		err = in.start(ctx, spool, size)
	}
	if err != nil {
		in.Close()
		return in.readError(err)
	}
	return nil
}

// start computes the digest and looks through a compression.
func (in *input) start(ctx context.Context, file io.ReaderAt, size int64) error {
	if size == 0 {
		return &Error{Path: in.path, Problem: "is empty", Remedy: remedyRewrite}
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, contextReader{ctx, io.NewSectionReader(file, 0, size)}); err != nil {
		return in.readError(err)
	}
	in.sha256 = hex.EncodeToString(digest.Sum(nil))
	name := in.name
	in.rewind = func() error {
		in.name, in.file, in.size = name, file, size
		in.stream = bufio.NewReaderSize(contextReader{ctx, io.NewSectionReader(file, 0, size)}, 1<<16)
		return in.inflated()
	}
	return in.rewind()
}

// payload returns length bytes that start at offset, where the stream stands,
// and that must be the last. It never allocates more than the file really holds.
func (in *input) payload(offset, length int64, what string) (io.ReaderAt, error) {
	if in.file != nil {
		if err := in.checkLength(in.size-offset, length, what); err != nil {
			return nil, err
		}
		return io.NewSectionReader(in.file, offset, length), nil
	}
	content, held, err := in.hold(io.LimitReader(in.stream, length), length)
	if err != nil {
		return nil, in.readError(err)
	}
	if held == length {
		// One byte more shows trailing data, and the end lets the stream check its sum.
		switch _, err := in.stream.ReadByte(); err {
		case io.EOF:
		case nil:
			held++
		default:
			return nil, in.readError(err)
		}
	}
	if err := in.checkLength(held, length, what); err != nil {
		return nil, err
	}
	return content, nil
}

// heldLongest is the number of bytes of a compressed array that memory holds;
// those of a longer one go to a temporary file.
const heldLongest = 1 << 26

// hold reads what r gives, which is to be length bytes.
func (in *input) hold(r io.Reader, length int64) (content io.ReaderAt, held int64, err error) {
	if length <= heldLongest {
		whole, err := io.ReadAll(r)
		return bytes.NewReader(whole), int64(len(whole)), err
	}
	spool, err := newSpool()
	if err != nil {
		return nil, 0, err
	}
	in.closeToo(spool)
	held, err = io.Copy(spool, r)
	return spool, held, err
}

// closeToo makes Close close another file.
func (in *input) closeToo(other io.Closer) {
	closeFile := in.Close
	in.Close = func() error { return errors.Join(other.Close(), closeFile()) }
}

func (in *input) checkLength(held, declared int64, what string) error {
	switch {
	case held < declared:
		return &Error{Path: in.path, Problem: fmt.Sprintf("is truncated: its header declares %s, %d bytes, of which it holds %d", what, declared, held), Remedy: remedyRewrite}
	case held > declared:
		return &Error{Path: in.path, Problem: fmt.Sprintf("has bytes after the %s (%d) that its header declares", what, declared), Remedy: remedyRewrite}
	}
	return nil
}

// readError turns a failure to read into an *Error, and leaves one that is
// already, and that of a cancelled context, alone.
func (in *input) readError(err error) error {
	if errors.As(err, new(spoolError)) {
		return fmt.Errorf("%s: %w", in.path, err)
	}
	if errors.As(err, new(*Error)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &Error{Path: in.path, Err: err, Remedy: remedyRewrite}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Problem = "ends early"
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		e.Problem = "is a damaged gzip file"
	case errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, zstd.ErrReservedBlockType), errors.Is(err, zstd.ErrBlockTooSmall):
		e.Problem = "is a damaged zstd file"
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		e.Problem = fmt.Sprintf("is a zstd file that needs a window of more than %d bytes", zstdWindow)
		e.Remedy = "compress it again without --long"
	default:
		e.Problem = "cannot be read: " + err.Error()
	}
	return e
}

// contextReader fails once its context is done.
type contextReader struct {
	context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
