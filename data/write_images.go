package data

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"gpudae/internal/atomicfile"
)

// imageFolder writes a PNG file for each row of an array. The files go to a hidden
// folder beside the target, which takes its name at the end.
type imageFolder struct {
	target    string
	temporary string // empty after commit and abort
	size      image.Point
	colours   int // values of a pixel: 1 or 3
	file      func(row int) string
	rows      int
}

// createImages starts a folder, which must not exist or be empty.
func createImages(path string, info ArrayInfo) (*ArrayWriter, error) {
	f := &imageFolder{target: filepath.Clean(path), colours: 1, file: info.Files}
	refuse := func(problem, remedy string) (*ArrayWriter, error) {
		return nil, &Error{Path: path, Problem: problem, Remedy: remedy}
	}
	shape := info.Shape
	if len(shape) == 3 && shape[2] == 3 {
		shape, f.colours = shape[:2], 3
	}
	if len(shape) == 3 && shape[2] == 1 {
		shape = shape[:2]
	}
	if len(shape) != 2 || info.Element != Uint8 {
		return refuse(fmt.Sprintf("is a folder for images, but an example is %s of shape %v", info.Element, info.Shape), "write a file, e.g. out.npy")
	}
	f.size = image.Pt(shape[1], shape[0])
	if f.size.X > imageLongest || f.size.Y > imageLongest || f.size.X*f.size.Y > imageLargest {
		return refuse(fmt.Sprintf("is a folder for images, but an example is %d×%d pixels", f.size.X, f.size.Y), "write a file, e.g. out.npy")
	}
	if f.file == nil {
		f.file = func(row int) string { return fmt.Sprintf("%06d", row) }
	}
	entries, err := os.ReadDir(f.target)
	switch {
	case err == nil && len(entries) > 0:
		return refuse("is a folder that is not empty", "name a new one, or remove what is in it")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, openError(path, err)
	}
	f.temporary = filepath.Join(filepath.Dir(f.target), "."+filepath.Base(f.target)+"."+strconv.FormatUint(rand.Uint64(), 36)+".tmp")
	if err := os.Mkdir(f.temporary, 0o777); err != nil {
		return nil, f.failed(atomicfile.StepCreate, err)
	}
	return &ArrayWriter{info: info, format: f, out: f}, nil
}

// failed is a failure of the file system.
func (f *imageFolder) failed(step atomicfile.Step, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &atomicfile.Error{Path: f.target, Step: step, Err: err}
}

func (f *imageFolder) append(values any) error {
	pixels, length := values.([]uint8), f.size.X*f.size.Y*f.colours
	for ; len(pixels) > 0; pixels = pixels[length:] {
		if err := f.save(pixels[:length]); err != nil {
			return err
		}
		f.rows++
	}
	return nil
}

// save writes the next image.
func (f *imageFolder) save(pixels []uint8) error {
	var picture image.Image = &image.Gray{Pix: pixels, Stride: f.size.X, Rect: image.Rectangle{Max: f.size}}
	if f.colours == 3 {
		coloured := image.NewNRGBA(image.Rectangle{Max: f.size})
		for i := range f.size.X * f.size.Y {
			copy(coloured.Pix[4*i:], pixels[3*i:3*i+3])
			coloured.Pix[4*i+3] = 0xFF
		}
		picture = coloured
	}
	name := f.file(f.rows)
	file, err := os.OpenFile(filepath.Join(f.temporary, name+".png"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return &Error{Path: f.target, Problem: fmt.Sprintf("would hold %s.png twice", name), Remedy: "rename one of the input files, whose names differ in their suffix only"}
	}
	if err != nil {
		return f.failed(atomicfile.StepCreate, err)
	}
	if err := png.Encode(file, picture); err != nil {
		file.Close()
		return f.failed(atomicfile.StepWrite, err)
	}
	if err := file.Close(); err != nil {
		return f.failed(atomicfile.StepClose, err)
	}
	return nil
}

func (f *imageFolder) end(int) error { return nil }

// commit gives the folder its name; an empty one that has it makes way.
func (f *imageFolder) commit() error {
	if err := os.Remove(f.target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.failed(atomicfile.StepRename, err)
	}
	if err := os.Rename(f.temporary, f.target); err != nil {
		return f.failed(atomicfile.StepRename, err)
	}
	f.temporary = ""
	return nil
}

func (f *imageFolder) abort() {
	if f.temporary != "" {
		os.RemoveAll(f.temporary)
	}
	f.temporary = ""
}

func (f *imageFolder) located(err error) error { return err }
