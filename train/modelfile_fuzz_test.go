package train

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"gpudae/internal/safetensors"
)

// FuzzModelFile puts any text in the place of a part of a model file's metadata,
// and seals it as a stranger might: it is refused with a *FileError, or loaded.
func FuzzModelFile(f *testing.F) {
	f.Add(uint8(0), "")
	for i, text := range []string{`{"features":8}`, `{"features":1000000000,"hidden":[1000000000]}`, `{"features":-1}`, `{"low":[]}`, `{"rows":1,"held_out":5}`, `null`, `[]`, `{"epoch":1e300}`,
		`{"features":8,"hidden":[30000,60000],"activation":"tanh","corruption":"none","likelihood":"gaussian:1"}`,
		`{"features":8,"hidden":[1000000000,1000000000],"activation":"tanh","corruption":"none","likelihood":"gaussian:1"}`, `{"features":8,"hidden":[2000000000000000000,20],"activation":"tanh","corruption":"none","likelihood":"gaussian:1"}`,
		`{"features":8,"hidden":[32],"code":2,"activation":"tanh","corruption":"gaussian:0.05","likelihood":"gaussian:0.1","fields":[8,-8]}`} {
		f.Add(uint8(i), text)
		for part := range uint8(8) {
			f.Add(part, text)
		}
	}
	var whole *safetensors.File
	var parts []string
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, part uint8, text string) {
		if whole == nil {
			job := toyJob(t, 40, 1)
			job.Dir = t.TempDir()
			mustRun(t, job)
			var err error
			if whole, err = safetensors.ReadFile(filepath.Join(job.Dir, ModelFile)); err != nil {
				t.Fatal(err)
			}
			parts = slices.DeleteFunc(slices.Sorted(maps.Keys(whole.Metadata)), func(key string) bool { return key == kindKey || key == checksumKey })
		}
		file := &safetensors.File{Metadata: maps.Clone(whole.Metadata), Tensors: whole.Tensors}
		file.Metadata[parts[int(part)%len(parts)]] = text
		if err := seal(file); err != nil {
			return // not UTF-8
		}
		path := filepath.Join(dir, "model.safetensors")
		if err := safetensors.WriteFile(path, file); err != nil {
			t.Fatal(err)
		}
		var refused *FileError
		s, err := LoadModel(path)
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("an error of the wrong type: %v", err)
			}
			return
		}
		if _, _, err := s.Bind(newCPU(t, 1), 3); err != nil {
			t.Fatalf("a model that was loaded cannot be used: %v", err)
		}
	})
}
