package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"gpudae/internal/safetensors"
	"gpudae/model"
)

const checkpointKind = "checkpoint 1"

// Prefixes of a checkpoint's tensors: the arenas at the start of the epoch and,
// within an epoch, those of the moment; and the weights of the best epoch.
const (
	boundaryPrefix = "boundary."
	nowPrefix      = "now."
	bestPrefix     = "best."
	historyTensor  = "history" // [epochs, columns of Row], float64
)

// origin is what a checkpoint belongs to.
type origin struct {
	Model  model.Config
	Config Config
	SHA256 string // of the data
	Split  Split
	// Columns is the SHA-256 of the schema of mixed columns.
	Columns string `json:",omitempty"`
	Target  string `json:",omitempty"` // digest of a predictor's targets and its start
}

// position is the part of a standing that is no array.
type position struct {
	Boundary  moment   `json:"boundary"`
	Now       moment   `json:"now"`
	First     *float64 `json:"first"`
	Rollbacks int      `json:"rollbacks"`
}

func (r *run) origin() (origin, error) {
	digest, err := r.targetDigest()
	o := origin{Model: r.Model.Config(), Config: r.Config, SHA256: r.Schema.SHA256, Split: r.split, Target: digest}
	if r.Columns != nil {
		sum := sha256.Sum256(r.Columns)
		o.Columns = hex.EncodeToString(sum[:])
	}
	return o, err
}

// writeCheckpoint writes the standing; within an epoch r.now holds its arenas.
func (r *run) writeCheckpoint() error {
	file := &safetensors.File{
		Metadata: map[string]string{kindKey: checkpointKind, "version": r.Version, "device": r.Device.Info().Name},
		Tensors:  map[string]safetensors.Tensor{},
	}
	from, err := r.origin()
	if err != nil {
		return err
	}
	err = encode(file.Metadata, map[string]any{
		"origin": from, "position": position{r.boundary, r.now, r.first, r.rollbacks},
	})
	if err != nil {
		return err
	}
	r.putArenas(file, boundaryPrefix, &r.boundary.arenas)
	if r.now.Clock.Index > 0 {
		r.putArenas(file, nowPrefix, &r.now.arenas)
	}
	if len(r.history) > 0 {
		r.putArenas(file, bestPrefix, &arenas{params: r.best.params, buffers: r.best.buffers})
	}
	rows := make([]float64, 0, len(r.history)*len(columns))
	for _, row := range r.history {
		values := row.values()
		rows = append(rows, values[:]...)
	}
	file.Tensors[historyTensor] = safetensors.New([]int{len(r.history), len(columns)}, rows)
	if err := r.folder.makeRoom(r.Config.Keep); err != nil {
		return err
	}
	if err := r.folder.writeSealed(CheckpointFile, file); err != nil {
		return err
	}
	return r.folder.prune(r.Config.Keep)
}

func (r *run) putArenas(file *safetensors.File, prefix string, a *arenas) {
	for _, x := range r.pair(a) {
		if len(*x.host) > 0 {
			file.Tensors[prefix+x.name] = safetensors.New([]int{len(*x.host)}, *x.host)
		}
	}
}

// checkpoint reads the run folder's checkpoint, if the job is to resume and
// there is one. In place of one that is damaged or gone it takes the newest older
// one that is whole.
func (r *run) checkpoint() (*standing, error) {
	if !r.Resume || r.Dir == "" {
		return nil, nil
	}
	names, err := Checkpoints(r.Dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var problem *FileError
	if names[0] != CheckpointFile {
		problem = &FileError{Path: filepath.Join(r.Dir, CheckpointFile), Problem: "does not exist", Damaged: true}
	}
	for _, name := range names {
		s, err := r.readCheckpoint(filepath.Join(r.Dir, name))
		var damage *FileError
		switch {
		case errors.As(err, &damage) && damage.Damaged:
			if problem == nil {
				problem = damage
			}
			continue
		case err == nil && name != CheckpointFile:
			r.fellBack = true
			if r.Observer.FellBack != nil {
				r.Observer.FellBack(FellBack{Problem: &FileError{Path: problem.Path, Problem: problem.Problem, Err: problem.Err}, Path: filepath.Join(r.Dir, name), Step: s.now.Clock.Step})
			}
		}
		return s, err
	}
	problem.Remedy = "no older checkpoint is whole: give another copy, or start again with --force"
	return nil, problem
}

// readCheckpoint reads a checkpoint of this run.
func (r *run) readCheckpoint(path string) (*standing, error) {
	file, err := readSealed(path, checkpointKind)
	if err != nil {
		return nil, err
	}
	var from origin
	var at position
	if err := decode(path, file.Metadata, map[string]any{"origin": &from, "position": &at}); err != nil {
		return nil, err
	}
	own, err := r.origin()
	if err != nil {
		return nil, err
	}
	if err := own.continues(from); err != nil {
		return nil, err
	}
	if whole := uint64(at.Boundary.Clock.Epoch) * uint64(r.batches.count()); at.Boundary.Clock.Step < uint64(r.steps) && at.Boundary.Clock.Step != whole {
		return nil, &model.ConfigError{Key: "steps", Problem: fmt.Sprintf("the run ended within an epoch, after step %d", at.Boundary.Clock.Step),
			Remedy: "only a run that ended with an epoch can be given more steps: start a new run"}
	}
	if at.Boundary.Clock.Epoch == 0 && at.Now.Clock.Step > uint64(r.steps) {
		return nil, &model.ConfigError{Key: "steps", Problem: fmt.Sprintf("the run has made %d steps, and no epoch has ended before them", at.Now.Clock.Step),
			Remedy: "give as many or more, or start a new run"}
	}
	s, err := r.readStanding(path, file, at)
	var format *safetensors.Error
	if errors.As(err, &format) {
		return nil, &FileError{Path: path, Problem: "does not fit the run that it describes", Err: err}
	}
	return s, err
}

// readStanding takes the arrays from the checkpoint.
func (r *run) readStanding(path string, file *safetensors.File, at position) (*standing, error) {
	s := &standing{boundary: at.Boundary, now: at.Now, first: at.First, rollbacks: at.Rollbacks}
	if err := r.takeArenas(path, file, boundaryPrefix, &s.boundary.arenas); err != nil {
		return nil, err
	}
	s.now.arenas = s.boundary.arenas
	if s.now.Clock.Index > 0 {
		s.now.arenas = arenas{}
		if err := r.takeArenas(path, file, nowPrefix, &s.now.arenas); err != nil {
			return nil, err
		}
	}
	epochs := int(s.boundary.Clock.Epoch)
	width := len(columns)
	if shape := file.Tensors[historyTensor].Shape(); len(shape) == 2 && shape[1] >= likelihoodColumns {
		width = min(shape[1], width) // fewer in files of earlier versions
	}
	rows, err := safetensors.Values[float64](file, path, historyTensor, epochs, width)
	if err != nil || epochs == 0 {
		return s, err
	}
	for row := range slices.Chunk(rows, width) {
		s.history = append(s.history, rowOf(row))
	}
	s.best.params, err = safetensors.Values[float32](file, path, bestPrefix+"params", r.Model.ParameterCount())
	if err == nil && r.Model.BufferCount() > 0 {
		s.best.buffers, err = safetensors.Values[float32](file, path, bestPrefix+"buffers", r.Model.BufferCount())
	}
	return s, err
}

func (r *run) takeArenas(path string, file *safetensors.File, prefix string, a *arenas) (err error) {
	for _, x := range r.pair(a) {
		if x.view.IsZero() {
			continue
		}
		if *x.host, err = safetensors.Values[float32](file, path, prefix+x.name, x.view.Len()); err != nil {
			return err
		}
	}
	return nil
}

// continues reports, as a *model.ConfigError, the first difference that makes
// it impossible to go on from a checkpoint. How long to train, when to stop and
// when to save may change.
func (o origin) continues(from origin) error {
	if then, err := model.New(from.Model); err == nil {
		from.Model = then.Config() // with the defaults of what was added to the model since
	}
	from.Config.Steps, o.Config.Steps = 0, 0
	from.Config.Epochs, from.Config.Patience, from.Config.MinDelta = o.Config.Epochs, o.Config.Patience, o.Config.MinDelta
	from.Config.Retries, from.Config.Checkpoint, from.Config.Keep = o.Config.Retries, o.Config.Checkpoint, o.Config.Keep
	for _, part := range []struct{ now, then any }{{o.Model, from.Model}, {o.Config, from.Config}} {
		if err := sameSettings(part.now, part.then); err != nil {
			return err
		}
	}
	if o.SHA256 != from.SHA256 || o.Split != from.Split {
		return &model.ConfigError{Key: "data", Problem: "these are not the data of the run to be resumed", Remedy: "give the same data, or start a new run"}
	}
	if o.Columns != from.Columns {
		return &model.ConfigError{Key: "schema", Problem: "the columns are not described as in the run to be resumed", Remedy: "give its schema, or start a new run"}
	}
	if o.Target != from.Target {
		return &model.ConfigError{Key: "label", Problem: "these are not the targets, or the model to start from, of the run to be resumed", Remedy: "give the same, or start a new run"}
	}
	return nil
}

// sameSettings compares two structs by their JSON fields.
func sameSettings(now, then any) error {
	a, err := fields(now)
	if err != nil {
		return err
	}
	b, err := fields(then)
	if err != nil {
		return err
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if string(a[key]) != string(b[key]) {
			return &model.ConfigError{Key: key, Problem: fmt.Sprintf("it is %s, but the run to be resumed has %s", orAbsent(a[key]), orAbsent(b[key])),
				Remedy: "set it back, or start a new run"}
		}
	}
	return nil
}

func fields(settings any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(text, &m)
}

func orAbsent(text json.RawMessage) string {
	if text == nil {
		return "not set"
	}
	return string(text)
}
