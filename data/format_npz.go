package data

import (
	"archive/zip"
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The NPZ format is a ZIP archive of NPY files. One array is a data set: the
// only one, or the one named in "path.npz:name".

func isNPZ(head []byte) bool {
	return strings.HasPrefix(string(head), "PK\x03\x04") || strings.HasPrefix(string(head), "PK\x05\x06")
}

func openNPZ(ctx context.Context, in *input, o Options) (Dataset, error) {
	a, member, err := readNPZ(ctx, in, o)
	if err != nil {
		return nil, err
	}
	d, err := newArrayDataset(ctx, a, member, "npz", o)
	if err != nil {
		member.Close()
	}
	return d, err
}

// readNPZ reads the header of the array, and makes an input of it.
func readNPZ(ctx context.Context, in *input, o Options) (*array, *input, error) {
	if in.file == nil {
		return nil, nil, &Error{Path: in.path, Problem: "is a compressed NPZ", Remedy: "decompress it first: an NPZ is a compressed archive already"}
	}
	archive, err := zip.NewReader(in.file, in.size)
	if err != nil {
		return nil, nil, &Error{Path: in.path, Problem: "is a damaged ZIP archive: " + err.Error(), Remedy: remedyRewrite, Err: err}
	}
	entry, err := chooseEntry(archive, in.path, o.key)
	if err != nil {
		return nil, nil, err
	}
	content, err := entry.Open()
	if err != nil {
		return nil, nil, in.readError(err)
	}
	defer content.Close()
	member, err := memberOf(ctx, in, entry, content)
	if err != nil {
		return nil, nil, err
	}
	a, err := readNPY(member)
	if err != nil {
		member.Close()
	}
	return a, member, err
}

// chooseEntry finds the array named key, or the only one if key is empty.
func chooseEntry(archive *zip.Reader, path, key string) (*zip.File, error) {
	var names []string
	for _, entry := range archive.File {
		name := strings.TrimSuffix(entry.Name, ".npy")
		if name == key && key != "" {
			return entry, nil
		}
		names = append(names, name)
	}
	switch {
	case len(names) == 0:
		return nil, &Error{Path: path, Problem: "holds no array", Remedy: remedyRewrite}
	case key != "":
		return nil, &Error{Path: path, Problem: fmt.Sprintf("holds no array %q", key), Remedy: "choose one of " + listed(names)}
	case len(names) > 1:
		return nil, &Error{Path: path, Problem: "holds the arrays " + listed(names), Remedy: fmt.Sprintf("choose one, as in %s:%s", path, names[0])}
	}
	return archive.File[0], nil
}

// listed joins names, the first few of many.
func listed(names []string) string {
	const most = 10
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "...")
	}
	return strings.Join(names, ", ")
}

// memberOf makes an input of an archive's member. One that is stored without
// compression is read in place, once its checksum has been verified.
func memberOf(ctx context.Context, in *input, entry *zip.File, content io.Reader) (*input, error) {
	member := &input{path: in.path + ":" + strings.TrimSuffix(entry.Name, ".npy"), sha256: in.sha256, Close: in.Close}
	member.stream = bufio.NewReaderSize(contextReader{ctx, content}, 1<<16)
	if entry.Method != zip.Store {
		member.stream = bufio.NewReaderSize(contextReader{ctx, limitInflation(content, member.path, int64(entry.CompressedSize64))}, 1<<16)
		return member, nil
	}
	offset, err := entry.DataOffset()
	if err != nil {
		return nil, member.readError(err)
	}
	if _, err := io.Copy(io.Discard, member.stream); err != nil {
		return nil, member.readError(err)
	}
	member.size = int64(entry.UncompressedSize64)
	file := io.NewSectionReader(in.file, offset, member.size)
	member.file, member.stream = file, bufio.NewReader(file)
	return member, nil
}
