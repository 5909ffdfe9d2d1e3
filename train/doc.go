// Package train turns a model, a table and a configuration into trained
// weights: the epoch loop around the one step of package model, and the files
// of a run folder.
//
//	Run(ctx, Job) (*Result, error)            trains, or resumes
//	Overfit(ctx, Job, steps) (*Fit, error)    checks that one minibatch can be learnt
//	NewPlan(Job) (Plan, error)                sizes and costs, without a device
//	Measure(ctx, Job, steps) (Pace, error)    how long it would take on the job's
//	NewSplit(rows, Config) (Split, error)     which rows train and which are held out
//	LoadModel(path) (*Saved, error)           a run folder or a model file
//	(*Saved).Bind(ctx, dev, table, batch)     puts it on a device, ready to evaluate
//
// A run is a function of (model configuration, training configuration, data,
// device kind): the same arguments give the same bits, whatever the number of
// threads and however often the run was interrupted and resumed. To that end
// everything that decides is a pure function of counters and of the history of
// the epochs: the split and the order of an epoch are permutations keyed by the
// seed, corruption is keyed by (seed, step, row, feature), the learning rate is
// a function of the step and the history, and so is early stopping.
//
// The step itself never waits for the host: data, weights, moments, clock,
// learning rates and the log of losses lie on the device, and the host reads
// the log every LogSteps steps.
//
// The package must not know command lines, terminals, data formats or any
// particular device.
package train
