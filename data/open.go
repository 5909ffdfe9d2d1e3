package data

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// Options say what a file cannot say of itself. The zero Options are right for
// most files; built-in sets ignore them.
type Options struct {
	// Labels is the path of a file with a class for each row: whole numbers in one
	// dimension, IDX or NPY.
	Labels string
	// LabelColumn is the name of a CSV or Parquet column, or its number from 1, that holds
	// classes and is no feature. One of Labels and LabelColumn may be set.
	LabelColumn string
	// LabelOptional takes a file without that column as one without labels.
	LabelOptional bool
	// Header says whether the first line of a CSV file names the columns.
	Header Header
	// Scale is the factor from stored values to model scale of a uint8 file; 0 is
	// 1/255. Data that go to a trained model want the Info.Scale that it was
	// trained with.
	Scale float32
	// Missing keeps missing values as NaN, which are refused otherwise: NaN
	// itself, null in a Parquet file, and the cells of a text that are empty or
	// one of MissingCells. Only what knows of missing values can use such data.
	Missing bool
	// Name is what the data set is called in place of its file, whose path is then
	// not told; it is for callers that know files by names of their own.
	Name string
	// Standard is what the path "-" stands for.
	Standard io.Reader
	// Raw keeps the bytes of each cell of a text frame; see Cells.
	Raw bool

	key    string // of an array within an NPZ or a safetensors file
	resize string // ":resize=WxH" of images, or empty
}

// Header says whether a text file starts with the names of its columns.
type Header uint8

// The choices. HeaderAuto takes a first line without any number for names, and
// one of the numbers 0, 1, 2, ..., which pandas writes for columns without
// names; a line of numbers for data; and refuses a mixed line.
const (
	HeaderAuto Header = iota
	HeaderNone
	HeaderNames
)

// format is a row of the table of formats.
type format struct {
	name     string
	magic    func(head []byte) bool // nil for text, which has none
	suffixes []string
	open     func(context.Context, *input, Options) (Dataset, error)
	array    func(*input) (*array, error) // nil for a format that is not one array
	frame    func(context.Context, *input, Options) (Frame, error)
}

// magicLongest is the number of bytes that a format is recognised by.
const magicLongest = 9

// formats is the table of formats that are read.
func formats() []format {
	return []format{
		{"NPY", isNPY, []string{".npy"}, openNPY, readNPY, openArrayFrame(alone(readNPY), "npy")},
		{"NPZ", isNPZ, []string{".npz"}, openNPZ, nil, openArrayFrame(readNPZ, "npz")},
		{"IDX", isIDX, []string{".idx", "-ubyte", ".idx1", ".idx3"}, openIDX, readIDX, openArrayFrame(alone(readIDX), "idx")},
		{"safetensors", isSafetensors, []string{".safetensors"}, openSafetensors, nil, openArrayFrame(readSafetensors, "safetensors")},
		{"Parquet", isParquet, []string{".parquet", ".pq"}, openParquet, nil, openParquetFrame},
		{"Arrow", isArrow, []string{".arrow", ".feather", ".ipc", ".arrows"}, openArrow, nil, openArrowFrame},
		{"CSV", nil, []string{".csv", ".tsv", ".txt", ".data"}, openCSV, nil, openCSVFrame},
	}
}

// alone makes a reader of a format that is one array one of those that may hold more.
func alone(read func(*input) (*array, error)) func(context.Context, *input, Options) (*array, *input, error) {
	return func(_ context.Context, in *input, _ Options) (*array, *input, error) {
		a, err := read(in)
		return a, in, err
	}
}

// detect finds the format by the first bytes, then by the suffix. Standard
// input has no suffix: what nothing else claims is text there.
func detect(in *input) (format, error) {
	head, _ := in.stream.Peek(magicLongest)
	for _, f := range formats() {
		if f.magic != nil && f.magic(head) {
			return f, nil
		}
	}
	for _, f := range formats() {
		for _, suffix := range f.suffixes {
			if strings.HasSuffix(in.name, suffix) || in.name == "" && f.magic == nil {
				return f, nil
			}
		}
	}
	return format{}, &Error{Path: in.path, Problem: "is of an unknown format", Remedy: "use .npy, .npz, .idx, .csv, .parquet, .arrow or .safetensors (.idx, .npy and .csv also with .gz or .zst), or a folder of .png or .jpg"}
}

// Open opens a data set and checks all of it. nameOrPath is a built-in name,
// with arguments after a colon ("digits", "two-moons:n=500,noise=0.1"; see
// List), or a path, or "-" for standard input; a file that is called like a
// built-in set is reached as ./name. It fails with *Error or the context's error.
func Open(ctx context.Context, nameOrPath string, o Options) (Dataset, error) {
	if o.Scale < 0 || !finite(float64(o.Scale)) {
		return nil, &Error{Path: nameOrPath, Problem: fmt.Sprintf("cannot be scaled by %v", o.Scale), Remedy: "give a positive factor"}
	}
	name, arguments, _ := strings.Cut(nameOrPath, ":")
	for _, b := range builtIns() {
		if b.Name == name {
			return b.open(ctx, nameOrPath, arguments)
		}
	}
	path := nameOrPath
	if _, err := os.Stat(path); err != nil && path != "-" {
		if file, key, ok := cutKey(path); ok {
			path, o.key = file, key
		} else if file, size, ok := cutLast(path, resizeOption); ok {
			path, o.resize = file, resizeOption+size
		} else if suggestion := nearest(name); suggestion != "" {
			return nil, &Error{Path: nameOrPath, Problem: "no such file, and no built-in data set of that name", Remedy: fmt.Sprintf("did you mean %q?", suggestion), Err: err}
		}
	}
	if info, err := os.Stat(path); o.resize != "" || err == nil && info.IsDir() {
		return openImages(ctx, path, o)
	}
	in, err := openInput(ctx, path, o.Standard)
	if err != nil {
		return nil, err
	}
	d, err := openFormat(ctx, in, o)
	if err != nil {
		in.Close()
		return nil, err
	}
	if o.Name != "" {
		return named{d, o.Name}, nil
	}
	return d, nil
}

// named is a data set under a name of its own.
type named struct {
	Dataset
	name string
}

// Info implements Dataset.
func (n named) Info() Info {
	info := n.Dataset.Info()
	info.Name, info.Path = n.name, ""
	return info
}

func openFormat(ctx context.Context, in *input, o Options) (Dataset, error) {
	f, err := detect(in)
	if err != nil {
		return nil, err
	}
	return f.open(ctx, in, o)
}

// cutKey separates a file from the name of an array in it.
func cutKey(path string) (file, key string, found bool) {
	for _, suffix := range []string{".npz", ".safetensors"} {
		if file, key, ok := cutLast(path, suffix+":"); ok {
			return file + suffix, key, true
		}
	}
	return path, "", false
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
