package reference

import "gpudae/device"

// Likelihood implements device.Device.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, target, mask := d.matrix(a.Params), d.matrix(a.Target), d.matrix(a.Mask)
	losses, dParams, weights, byColumn := d.matrix(a.Losses), d.matrix(a.DParams), d.matrix(a.Weights), d.matrix(a.ByColumn)
	units := d.units(distribution{a.Kind, a.Fields, a.Table, a.Sigma, a.Floor}, target.columns)
	for i := range target.rows {
		losses.data[i] = 0
		if byColumn.data != nil {
			clear(byColumn.row(i))
		}
		for _, u := range units {
			p, x := pick(params.row(i), u.params), pick(target.row(i), u.features)
			weight, first := 1.0, u.features[0]
			if mask.data != nil {
				weight = emphasis(mask.at(i, first), &a)
			}
			if weights.data != nil {
				weight *= weights.data[first]
			}
			loss, gradient := 0.0, make([]float64, len(p))
			if a.Kind != device.Mixed || x[0] == x[0] {
				loss, gradient = u.family.loss(p, x, u.sigma), u.family.gradient(p, x, u.sigma)
			}
			losses.data[i] += weight * loss
			if byColumn.data != nil {
				byColumn.row(i)[first] = loss
			}
			if dParams.data == nil {
				continue
			}
			for k, g := range gradient {
				dParams.row(i)[u.params[k]] = float64(a.Scale) * weight * g
			}
		}
		for j := range a.Table.Count {
			if b := a.Table.ParamWidth + j; b < params.columns {
				loss, gradient := maskHead(params.at(i, b), mask, i, j, target.at(i, j), float64(a.MaskHead))
				losses.data[i] += loss
				if dParams.data != nil {
					dParams.row(i)[b] = float64(a.Scale) * gradient
				}
			}
		}
	}
}

// maskHead is the loss of a mask with logit b, strength·(softplus(b) - m·b), and
// its gradient; none where the target x is absent.
func maskHead(b float64, mask matrix, i, j int, x, strength float64) (loss, gradient float64) {
	if strength == 0 || x != x {
		return 0, 0
	}
	m := mask.at(i, j)
	return strength * (softplus(b) - m*b), strength * (sigmoid(b) - m)
}

// emphasis is the weight of a feature by its mask.
func emphasis(mask float64, a *device.LikelihoodArgs) float64 {
	if mask == 1 {
		return float64(a.Destroyed)
	}
	return float64(a.Untouched)
}

// Mean implements device.Device.
func (d *Device) Mean(a device.MeanArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, out := d.matrix(a.Params), d.matrix(a.Out)
	units := d.units(distribution{kind: a.Kind, fields: a.Fields, table: a.Table}, out.columns)
	for i := range out.rows {
		for _, u := range units {
			mean := u.family.mean(pick(params.row(i), u.params))
			for k, j := range u.features {
				out.row(i)[j] = mean[k]
			}
		}
	}
}

// unit is the smallest part of an example that has a likelihood: a feature, or
// a categorical field.
type unit struct {
	params   []int // columns of its parameters
	features []int // columns of its values
	family   family
	sigma    float64 // of family
}

// distribution is a likelihood p(x|h) of whole examples.
type distribution struct {
	kind         device.Likelihood
	fields       device.Fields
	table        device.TableColumns
	sigma, floor float32
}

// units lists the units of an example of so many features.
func (d *Device) units(p distribution, features int) []unit {
	var all []unit
	family, sigma := families[p.kind], float64(p.sigma)
	switch {
	case p.kind == device.Mixed:
		for j, c := range device.TableColumnsOf(d.words(p.table.Words)) {
			all = append(all, columnUnit(j, c, p))
		}
	case p.kind == device.Categorical && !p.fields.IsZero():
		offsets := d.words(p.fields.Offsets)
		for f := range p.fields.Count {
			columns := columnsFrom(int(offsets[f]), int(offsets[f+1]-offsets[f]))
			all = append(all, unit{columns, columns, family, sigma})
		}
	case p.kind == device.GaussianLearned:
		for j := range features {
			all = append(all, unit{[]int{j, features + j}, []int{j}, family, sigma})
		}
	default:
		for j := range features {
			all = append(all, unit{[]int{j}, []int{j}, family, sigma})
		}
	}
	return all
}

// columnUnit is a column of a table.
func columnUnit(j int, c device.TableColumn, p distribution) unit {
	u := unit{params: columnsFrom(c.Param, c.Params()), features: []int{j}, sigma: float64(p.sigma)}
	switch c.Family {
	case device.FamilyGaussian:
		u.family = families[device.Gaussian]
	case device.FamilyGaussianLearned:
		u.family, u.sigma = families[device.GaussianLearned], float64(p.floor)
	case device.FamilyBernoulli:
		u.family = families[device.Bernoulli]
	case device.FamilyCategorical:
		u.family = codes
	}
	return u
}

// columnsFrom lists n columns.
func columnsFrom(first, n int) []int {
	columns := make([]int, n)
	for k := range columns {
		columns[k] = first + k
	}
	return columns
}

func pick(row []float64, columns []int) []float64 {
	values := make([]float64, len(columns))
	for k, j := range columns {
		values[k] = row[j]
	}
	return values
}
