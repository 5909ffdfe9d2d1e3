package train

import (
	"path/filepath"
	"testing"

	"gpudae/internal/safetensors"
)

func TestModelFileTellsItsProvenance(t *testing.T) {
	job := folderJob(t, 30, 1)
	job.Provenance = Provenance{Command: "gpudae train 'my data.csv'", Started: "2026-01-02T03:04:05Z", Platform: "linux/amd64"}
	mustRun(t, job)
	s, err := LoadModel(job.Dir)
	if err != nil {
		t.Fatal(err)
	}
	want, info := job.Provenance, job.Device.Info()
	want.Device = info.Name + ": " + info.Description
	if s.Provenance != want {
		t.Errorf("provenance %+v, want %+v", s.Provenance, want)
	}

	// A file of before provenance was recorded is still a model.
	f, err := safetensors.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	delete(f.Metadata, provenanceKey)
	if err := seal(f); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), ModelFile)
	if err := safetensors.WriteFile(old, f); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadModel(old); err != nil || s.Provenance != (Provenance{}) {
		t.Errorf("a file without provenance: %+v, %v", s, err)
	}
}
