package model

import "gpudae/device"

// The objectives.
const (
	ObjectiveNLL = "nll" // -log p(x|h) of the clean x
	ObjectiveDSM = "dsm" // denoising score matching
)

// Objectives returns the names of the objectives, the default first.
func Objectives() []string { return []string{ObjectiveNLL, ObjectiveDSM} }

// resolveObjective brings the names of the objective to one form, and gives the
// defaults of score matching.
func (r *resolved) resolveObjective() (err error) {
	switch r.Objective {
	case "", ObjectiveNLL:
		r.Objective = ""
		if r.Score != (Score{}) {
			return configErrorf("noise", "set objective to "+ObjectiveDSM+", or leave out noise, parameterization, weighting, embedding and sigma_data",
				"%s has no noise levels", ObjectiveNLL)
		}
		return nil
	case ObjectiveDSM:
		setDefault(&r.Likelihood, device.Gaussian.String())
		r.levels, err = r.Score.resolve()
		return err
	}
	return unknownName("objective", "objective", r.Objective, Objectives())
}

// resolveNoise lists the levels of the Gaussian noise, and refuses for score
// matching what belongs to a likelihood.
func (r *resolved) resolveNoise() error {
	if r.levels == nil {
		if sigma, ok := r.corruption.Noise(); ok && !r.tabular() {
			r.sigmas = []float64{sigma}
		}
		return nil
	}
	r.sigmas = r.levels.sigmas
	l := r.likelihood
	switch {
	case r.corruption.String() != device.CorruptNone.String():
		return configErrorf("corruption", "set it to none, and the noise by noise", "%s draws its noise from the levels of %s, which leaves no place for %s",
			ObjectiveDSM, r.levels.noise, r.corruption)
	case l.Kind != device.Gaussian || l.Sigma != 1:
		return configErrorf("likelihood", "set it to gaussian, and the weights of the noise levels by weighting", "%s has no likelihood such as %s", ObjectiveDSM, l)
	case r.Emphasis != Emphasis{1, 1}:
		return configErrorf("emphasis", "leave both weights at 1", "%s leaves no feature untouched", ObjectiveDSM)
	case len(r.Fields) > 0:
		return configErrorf("fields", "leave them out: the columns are taken for numbers", "%s knows no categories", ObjectiveDSM)
	case r.Tied && r.levels.width() > 0:
		return configErrorf("tied", "untie the weights, or set embedding to none", "the embedding adds %d inputs that the decoder does not put out", r.levels.width())
	}
	return nil
}
