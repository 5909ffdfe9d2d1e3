package main

import (
	"fmt"

	"gpudae/model"
)

// boundsJSON are the bounds on ln p(x) of a model with a stochastic code, in nats
// an example.
type boundsJSON struct {
	KL         number          `json:"kl"`
	ELBO       number          `json:"elbo"`
	Importance *importanceJSON `json:"importance,omitempty"`
}

// importanceJSON is the importance-weighted bound.
type importanceJSON struct {
	Samples int    `json:"samples"`
	Bound   number `json:"bound"`
}

// elbo is the evidence lower bound, whatever the weight of the divergence in the
// objective.
func (a *assessment) elbo() float64 { return -a.NLL - a.KL }

// bounds are nil for a deterministic code.
func (a *assessment) bounds() *boundsJSON {
	if !a.stochastic {
		return nil
	}
	b := &boundsJSON{KL: number(a.KL), ELBO: number(a.elbo())}
	if a.samples > 0 {
		b.Importance = &importanceJSON{a.samples, number(a.bound)}
	}
	return b
}

// boundsText is a line about them for a person.
func (a *assessment) boundsText() string {
	if !a.stochastic {
		return ""
	}
	text := fmt.Sprintf("ln p(x) ≥ %.4f nats an example = -(NLL %.4f + KL %.4f)", a.elbo(), a.NLL, a.KL)
	if a.samples > 0 {
		text += fmt.Sprintf("; ≥ %.4f with %s", a.bound, count(a.samples, "sample"))
	}
	return text + "\n"
}

// codeText says what distribution a stochastic code has, and what that adds to
// the objective.
func codeText(d *model.DAE) string {
	q, c := d.CodeDistribution(), d.Config()
	row := model.CodeDistributions()[1+q.Kind]
	text := fmt.Sprintf("q(h|x̃) %s: %s (%s)", q, row.Formula, row.Source)
	switch {
	case c.Importance > 0:
		text += fmt.Sprintf("; the objective is the importance-weighted bound of %s (Burda et al. 2016)", count(c.Importance, "sample"))
	case c.Beta != nil && *c.Beta != 1:
		text += fmt.Sprintf("; the objective adds %s·KL", number(*c.Beta))
	default:
		text += "; the objective adds the KL"
	}
	return text
}
