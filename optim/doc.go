// Package optim says how a gradient becomes a step: the update rules with their
// hyperparameters, the learning-rate schedules, gradient clipping, weight decay
// and the moving average of the weights.
//
// Rules and schedules are written as specifications,
//
//	spec = name [ ":" arg { "," arg } ]      adam   sgd:momentum=0.9,nesterov   step:30,factor=0.1
//	arg  = number | name "=" number | flag
//
// and listed, with range, default and source, by Rules and Schedules. A schedule
// is a pure function of the step and the validation history, so that a resumed
// run needs no state of it. The arithmetic of an update happens on the device;
// State holds its memory and Apply issues it.
//
// The package must not know models, data or files.
package optim
