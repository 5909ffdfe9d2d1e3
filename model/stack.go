package model

import (
	"errors"
	"fmt"
	"strings"

	"gpudae/device"
)

// StackPart is one layer of a stacked DAE (Vincent et al. 2010, section 3.5): a
// DAE of one hidden layer, trained on the codes of the part below it.
type StackPart struct {
	DAE    *DAE
	Params []float32
}

// Stack makes one DAE of parts, the lowest first: its encoder is that of the
// parts one after the other, its decoder is theirs from the last to the first,
// where each part's reconstruction E[h|h'] of the codes below takes their place.
// It fails if the parts do not fit.
func Stack(parts []StackPart) (*DAE, []float32, error) {
	c, err := stackConfig(parts)
	if err != nil {
		return nil, nil, err
	}
	d, err := New(c)
	if err != nil {
		return nil, nil, err
	}
	params := make([]float32, d.ParameterCount())
	named := map[string][]float32{}
	for i, part := range parts {
		for _, p := range part.DAE.parameters {
			var layer int
			var side, tail string
			if i == 0 && strings.HasPrefix(p.Name, "encoder.embedding.") {
				named[p.Name] = slice(part.Params, p)
				continue
			}
			if _, err := fmt.Sscanf(p.Name, "encoder.%d.%s", &layer, &tail); err == nil {
				side, layer = "encoder", i
			} else if _, err := fmt.Sscanf(p.Name, "decoder.%d.%s", &layer, &tail); err == nil {
				side, layer = "decoder", len(parts)-1-i
			}
			named[fmt.Sprintf("%s.%d.%s", side, layer, tail)] = slice(part.Params, p)
		}
	}
	for _, p := range d.parameters {
		if len(named[p.Name]) != p.Len() {
			return nil, nil, fmt.Errorf("a stack of %d parts: %s has %d elements, want %d", len(parts), p.Name, len(named[p.Name]), p.Len())
		}
		copy(slice(params, p), named[p.Name])
	}
	return d, params, nil
}

// stackConfig is the lowest part's with the layers of all.
func stackConfig(parts []StackPart) (Config, error) {
	if len(parts) == 0 {
		return Config{}, errors.New("a stack of no parts")
	}
	c := parts[0].DAE.Config()
	c.Hidden, c.Code = nil, 0
	for i, part := range parts {
		own := part.DAE.Config()
		widths := part.DAE.EncoderWidths()
		switch {
		case len(widths) != 1 || own.DecoderHidden != "" || own.Dropout > 0 || own.Norm != normNone.String() || part.DAE.CodeDistribution().Stochastic || part.DAE.IsScoreModel() || part.DAE.IsPredictor():
			return c, fmt.Errorf("part %d of a stack is not a plain DAE of one hidden layer", i+1)
		case own.CodeActivation != c.CodeActivation || own.Tied != c.Tied:
			return c, fmt.Errorf("part %d of a stack has another activation, or tied weights, than the first", i+1)
		case i > 0 && own.Features != c.Hidden[i-1]:
			return c, fmt.Errorf("part %d of a stack takes %d features, but the one below has %d units", i+1, own.Features, c.Hidden[i-1])
		}
		c.Hidden = append(c.Hidden, widths[0])
		if i == 0 {
			continue
		}
		activation := device.Identity
		switch part.DAE.Likelihood().Kind {
		case device.Bernoulli:
			activation = device.Sigmoid
		case device.Gaussian:
		default:
			return c, fmt.Errorf("part %d of a stack has codes under %s", i+1, part.DAE.Likelihood())
		}
		if i > 1 && c.DecoderActivation != activation.String() {
			return c, fmt.Errorf("part %d of a stack has another likelihood than the one below", i+1)
		}
		c.DecoderActivation = activation.String()
	}
	c.Activation = c.CodeActivation
	return c, nil
}

// CodeLikelihood is the likelihood under which the codes of an activation are
// reconstructed by the part above: bernoulli for those in [0, 1], otherwise
// gaussian with σ = 1.
func CodeLikelihood(activation string) string {
	if activation == device.Sigmoid.String() {
		return device.Bernoulli.String()
	}
	return device.Gaussian.String()
}
