package train

import (
	"encoding/json"
	"fmt"

	"gpudae/device"
	"gpudae/model"
)

// Job is everything that a run is made of.
type Job struct {
	Device device.Device
	Model  *model.DAE
	// Table holds all rows, scaled as the model shall see them; Run makes it
	// resident on the device once. The split decides which rows train.
	Table device.Table
	// Data describes where the table came from; Rows, Columns, Validation, Seed,
	// Low and High are filled in by Run.
	Data   Provenance
	Config Config
	// Dir is the run folder, which must exist; "" keeps everything in memory.
	Dir string
	// Resume continues from Dir's last.safetensors.
	Resume bool
	// Scaler and Settings are written to the model file as they are: the JSON of
	// the scaler that made Table, and the program's resolved settings (YAML).
	Scaler   json.RawMessage
	Settings []byte
	// Version names the program that writes the files.
	Version  string
	Observer Observer
}

// Provenance says which data a model was trained on, so that the recorded
// validation rows can be found again.
type Provenance struct {
	Name       string `json:"name"`             // as given on the command line
	SHA256     string `json:"sha256,omitempty"` // of the source
	Rows       int    `json:"rows"`
	Columns    int    `json:"columns"`
	Validation int    `json:"validation"` // rows held out: the first of the split permutation
	Seed       uint64 `json:"seed"`       // of the split permutation
	// Low and High are the extremes of each column over the training rows, which
	// salt-and-pepper noise needs; absent for other corruptions.
	Low  []float32 `json:"low,omitempty"`
	High []float32 `json:"high,omitempty"`
}

// Observer is told what happens. Functions that are nil are not called. They
// run on the training goroutine, between two steps.
type Observer struct {
	Start      func(Plan)     // before the first step, with the size of things
	Step       func(Progress) // every LogSteps steps and at the end of an epoch
	Epoch      func(Row)      // when an epoch has been validated
	RolledBack func(Rollback) // when a diverged epoch is about to be repeated
	Saved      func(path string)
}

// Progress is a position within an epoch.
type Progress struct {
	Epoch         int // counted from 1
	Epochs        int
	StepInEpoch   int
	StepsPerEpoch int
	Step          uint64  // since the start of the run
	Loss          float64 // of the last minibatch, nats an example
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
	Params      []float32 // the best weights (their average with EMA), laid out as the model's arena
	Buffers     []float32 // and running statistics
	Data        Provenance
}

// DivergedError says that training diverged more often than Config.Retries.
type DivergedError struct {
	Epoch    int    // counted from 1
	Step     uint64 // the first bad step, counted from 1
	Loss     float64
	GradNorm float64
	LR       float64 // the base learning rate of the last attempt
	Retries  int
	Best     *Row // the epoch whose weights were kept; nil if none was completed
}

// Error implements error.
func (e *DivergedError) Error() string {
	kept := "no epoch was completed"
	if e.Best != nil {
		kept = fmt.Sprintf("the model of epoch %d is kept", e.Best.Epoch)
	}
	return fmt.Sprintf("diverged at step %d in epoch %d (loss %.6g, gradient norm %.6g) at learning rate %.3g after %d retries; %s",
		e.Step, e.Epoch, e.Loss, e.GradNorm, e.LR, e.Retries, kept)
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
