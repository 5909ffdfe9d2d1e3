package model

import "gpudae/device"

// ActivationInfo is a row of the table of activations.
type ActivationInfo struct {
	Kind    device.Activation
	Name    string
	Formula string
	Source  string
}

// Activations returns the table of activations, in the order of device.Activations.
func Activations() []ActivationInfo {
	table := []ActivationInfo{
		{Kind: device.Identity, Formula: "a", Source: "the linear auto-encoder"},
		{Kind: device.ReLU, Formula: "max(a, 0)", Source: "Nair and Hinton 2010"},
		{Kind: device.LeakyReLU, Formula: "a if a > 0, otherwise 0.01·a", Source: "Maas et al. 2013"},
		{Kind: device.ELU, Formula: "a if a > 0, otherwise exp(a) - 1", Source: "Clevert et al. 2015"},
		{Kind: device.GELU, Formula: "a·Φ(a)", Source: "Hendrycks and Gimpel 2016"},
		{Kind: device.SiLU, Formula: "a/(1 + exp(-a))", Source: "Elfwing et al. 2018"},
		{Kind: device.Sigmoid, Formula: "1/(1 + exp(-a))", Source: "Vincent et al. 2008"},
		{Kind: device.Tanh, Formula: "tanh a", Source: "LeCun et al. 1998"},
		{Kind: device.Softplus, Formula: "ln(1 + exp a)", Source: "Dugas et al. 2001"},
	}
	for i := range table {
		table[i].Name = table[i].Kind.String()
	}
	return table
}

func parseActivation(key, name string) (device.Activation, error) {
	act, ok := named(device.Activations(), name)
	if !ok {
		return 0, unknownName(key, "activation", name, names(device.Activations()))
	}
	return act, nil
}
