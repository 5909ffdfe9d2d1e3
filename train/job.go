package train

import (
	"encoding/json"
	"fmt"

	"gpudae/data"
	"gpudae/device"
	"gpudae/model"
)

// Job is everything that a run is made of.
type Job struct {
	Device device.Device
	Model  *model.DAE
	// Table holds all rows as the model shall see them: data.Table's result. Run
	// makes it resident on the device once; the split decides which rows train.
	Table device.Table
	// Schema describes the data and Scaler what was done to them; both are saved
	// with the model. Scaler's Low and High are the range of salt-and-pepper noise
	// and of PSNR. What is missing of both is taken from Table.
	Schema data.Info
	Scaler *data.Scaler
	// Columns is the schema of a table of mixed columns, JSON that this package
	// does not look into: new rows are read by it. It is saved with the model.
	Columns json.RawMessage
	Config  Config
	// Targets holds the targets of all rows where Model is a predictor, Target what
	// they mean, and Start, if it is not nil, the encoder to start from.
	Targets device.Table
	Target  Target
	Start   *Start
	// Dir is the run folder, which must exist; "" keeps everything in memory.
	// Files of an earlier run in it are replaced.
	Dir string
	// Resume continues from Dir's last.safetensors, or from the beginning if the
	// run was ended before it had written one.
	Resume bool
	// Settings, the program's resolved settings in YAML, are written to
	// config.yaml and into the model file. Version names the program.
	Settings []byte
	Version  string
	// Provenance is recorded in the model file; Run adds the device.
	Provenance Provenance
	Observer   Observer
}

// Provenance says how a model file came about, beside what its other metadata
// say. All of it is what the program told; none of it has an effect.
type Provenance struct {
	Command  string `json:"command,omitempty"`  // the command line, quoted for a shell
	Started  string `json:"started,omitempty"`  // of the session that wrote the file, RFC 3339 in UTC
	Platform string `json:"platform,omitempty"` // operating system and architecture, as in linux/amd64
	Device   string `json:"device,omitempty"`   // and what it is
}

// Observer is told what happens. Functions that are nil are not called. They
// run on the training goroutine, between two steps.
type Observer struct {
	Start      func(Plan)           // before the first step, with the size of things
	Resumed    func(Row)            // after Start, with the last epoch that earlier sessions ended, if they ended one
	Step       func(Progress)       // a few times a second at most, and at the end of an epoch
	Epoch      func(Row)            // when an epoch has been validated
	Weights    func(Row, []float32) // after Epoch, with the weights of its end, laid out as the model's arena and not to be kept
	RolledBack func(Rollback)       // when a diverged epoch is about to be repeated
	Saved      func(path string)    // when a file of the run folder has been written
	FellBack   func(FellBack)       // when a run is resumed from an older checkpoint, since the last is damaged
}

// Progress is a position within an epoch.
type Progress struct {
	Epoch         int // counted from 1
	Epochs        int
	StepInEpoch   int
	StepsPerEpoch int
	Step          uint64  // since the start of the run
	Loss          float64 // of the last minibatch, nats an example for nll
	SamplesPerS   float64
}

// Rollback says that an epoch diverged and is repeated from its start.
type Rollback struct {
	Epoch    int     // the epoch to be repeated, counted from 1
	Step     uint64  // the first bad step, counted from 1
	Loss     float64 // its loss
	GradNorm float64 // its gradient norm
	LR       float64 // the base learning rate from now on
	Retry    int     // counted from 1
	Retries  int     // allowed in the run

	validating bool // whether it was the loss of the rows held out, after that step
}

// FellBack says that a run goes on from an older checkpoint.
type FellBack struct {
	Problem error  // of the last one
	Path    string // of the one that is used
	Step    uint64 // steps made until then
}

// Reason says why a run ended.
type Reason string

// The reasons.
const (
	Finished     Reason = "finished"      // all epochs or steps were made
	EarlyStopped Reason = "early-stopped" // the validation loss stopped improving
)

// Result is what a finished run leaves.
type Result struct {
	Reason      Reason
	Epochs      int
	Steps       uint64
	Last        Row     // the last epoch
	Best        Row     // the epoch whose weights Params holds
	History     []Row   // every epoch
	Seconds     float64 // of training and validation, earlier sessions of a resumed run included
	SamplesPerS float64 // examples trained per second of training, over this session
	Rollbacks   int
	Skipped     int       // steps whose update was left out as spikes of the loss
	Params      []float32 // the best weights (their average with EMA), laid out as the model's arena
	Buffers     []float32 // and running statistics
	Split       Split
}

// DivergedError says that training diverged more often than Config.Retries.
type DivergedError struct {
	Epoch    int    // counted from 1
	Step     uint64 // the first bad step, counted from 1
	Loss     float64
	GradNorm float64
	LR       float64 // the base learning rate of the last attempt
	Retries  int
	Best     *Row   // the epoch whose weights were kept; nil if none was completed
	Repeated bool   // whether the step was repeated to find out what went wrong first
	Fault    *Fault // what that was; nil if nothing was wrong when it was repeated
}

// Error implements error.
func (e *DivergedError) Error() string {
	kept := "no epoch was completed"
	if e.Best != nil {
		kept = fmt.Sprintf("the model of epoch %d is kept", e.Best.Epoch)
	}
	return fmt.Sprintf("diverged at step %d in epoch %d (loss %.6g, gradient norm %.6g) at learning rate %.3g after %s%s; %s",
		e.Step, e.Epoch, e.Loss, e.GradNorm, e.LR, retries(e.Retries), e.cause(), kept)
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}

// cause says what is known of where it went wrong.
func (e *DivergedError) cause() string {
	switch {
	case e.Fault != nil:
		return "; first bad are " + e.Fault.String()
	case !e.Repeated:
		return ""
	case finite(e.Loss) && finite(e.GradNorm):
		return "; no layer has grown out of bounds, the loss alone is beyond blow_up"
	}
	return "; all was finite when the step was repeated, which speaks for a fault of the machine"
}

// InterruptedError says that the context ended a run. It wraps the context's
// error.
type InterruptedError struct {
	Epoch int    // the epoch it happened in, counted from 1
	Step  uint64 // steps made
	Saved string // the checkpoint to resume from, "" without a run folder
	Err   error
}

// Error implements error.
func (e *InterruptedError) Error() string {
	saved := "nothing saved"
	if e.Saved != "" {
		saved = "saved in " + e.Saved
	}
	return fmt.Sprintf("interrupted in epoch %d after step %d, %s: %v", e.Epoch, e.Step, saved, e.Err)
}

// Unwrap returns the context's error.
func (e *InterruptedError) Unwrap() error { return e.Err }

// FileError says that a file of a run folder is not what it should be.
type FileError struct {
	Path    string
	Problem string
	Remedy  string
	Err     error // what was met, or nil
	Damaged bool  // whether the content is not what was written
}

// Error implements error.
func (e *FileError) Error() string {
	text := e.Path + ": " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the error that was met.
func (e *FileError) Unwrap() error { return e.Err }
