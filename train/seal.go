package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"gpudae/internal/safetensors"
)

// Keys of the metadata.
const (
	kindKey     = "gpudae"   // what the file is, and the version of its format
	checksumKey = "checksum" // SHA-256 of the file with zeros in place of the checksum
)

// noChecksum stands for the checksum while it is computed.
var noChecksum = strings.Repeat("0", hex.EncodedLen(sha256.Size))

// seal adds the checksum to the metadata.
func seal(f *safetensors.File) error {
	sum, err := checksum(f)
	f.Metadata[checksumKey] = sum
	return err
}

// checksum hashes what is written of f, which depends on its content alone.
func checksum(f *safetensors.File) (string, error) {
	blank := &safetensors.File{Metadata: maps.Clone(f.Metadata), Tensors: f.Tensors}
	blank.Metadata[checksumKey] = noChecksum
	hash := sha256.New()
	if err := safetensors.Write(hash, blank); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// readSealed reads a file that must be of that kind, or of any for "", and have its checksum. A
// file that does not exist gives fs.ErrNotExist, others a *FileError. A damaged
// file is told apart from one of another kind by the checksum.
func readSealed(path, kind string) (*safetensors.File, error) {
	f, err := safetensors.ReadFile(path)
	var format *safetensors.Error
	switch {
	case errors.As(err, &format):
		return nil, &FileError{Path: path, Problem: strings.TrimPrefix(format.Error(), path+": "), Remedy: "it is damaged or not a safetensors file: give another copy", Damaged: true}
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, &FileError{Path: path, Problem: "cannot be read", Err: bare(err), Damaged: true}
	}
	got := f.Metadata[kindKey]
	if got == "" {
		return nil, wrongKind(path, got, kind)
	}
	want, err := checksum(f)
	if err != nil {
		return nil, &FileError{Path: path, Problem: "cannot be checked", Err: err}
	}
	if f.Metadata[checksumKey] != want {
		return nil, &FileError{Path: path, Problem: "its content does not match its checksum", Remedy: "it is damaged: give another copy", Damaged: true}
	}
	if got != kind && kind != "" {
		return nil, wrongKind(path, got, kind)
	}
	return f, nil
}

// wrongKind explains what a file is instead.
func wrongKind(path, got, want string) error {
	e := &FileError{Path: path, Problem: fmt.Sprintf("is %q, not %q", got, want), Remedy: "use the version of gpudae that wrote it"}
	switch {
	case got == "":
		e.Problem, e.Remedy, e.Damaged = "is a safetensors file, but not one of gpudae", "give a file or folder that train wrote", true
	case got == predictorKind && want == modelKind:
		e.Problem, e.Remedy = "is a fine-tuned model, which predicts and does not reconstruct", "use predict, or give the model that it was made from"
	case got == modelKind && want == predictorKind:
		e.Problem, e.Remedy = "is a model that predicts nothing", "fine-tune it first"
	case got == checkpointKind && want != checkpointKind:
		e.Problem, e.Remedy = "is a checkpoint, not a model", "give "+ModelFile+" or the run folder"
	}
	return e
}

// encode puts values into the metadata as JSON.
func encode(metadata map[string]string, values map[string]any) error {
	for key, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", key, err)
		}
		metadata[key] = string(text)
	}
	return nil
}

// decode is the inverse of encode for the file read from path; the values are pointers.
func decode(path string, metadata map[string]string, values map[string]any) error {
	for key, value := range values {
		text, ok := metadata[key]
		if !ok {
			return &FileError{Path: path, Problem: fmt.Sprintf("its metadata lack %q", key), Remedy: "give a file that train wrote"}
		}
		if err := json.Unmarshal([]byte(text), value); err != nil {
			return &FileError{Path: path, Problem: fmt.Sprintf("its metadata %q cannot be read", key), Err: err}
		}
	}
	return nil
}

// Verify reads a model file or a checkpoint whole. It fails with a *FileError, whose
// Damaged says so, if the content is not what was written, and with fs.ErrNotExist.
func Verify(path string) error {
	_, err := readSealed(path, "")
	return err
}
