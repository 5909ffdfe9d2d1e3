package reference

import "gpudae/device"

// Likelihood implements device.Device.
func (d *Device) Likelihood(a device.LikelihoodArgs) {
	a.Check()
	if d.err != nil {
		return
	}
	params, target, mask := d.matrix(a.Params), d.matrix(a.Target), d.matrix(a.Mask)
	losses, dParams := d.matrix(a.Losses), d.matrix(a.DParams)
	family, sigma := families[a.Kind], float64(a.Sigma)
	units := d.units(a.Kind, a.Fields, target.columns)
	for i := range target.rows {
		losses.data[i] = 0
		for _, u := range units {
			p, x := pick(params.row(i), u.params), pick(target.row(i), u.features)
			weight := 1.0
			if mask.data != nil {
				weight = emphasis(mask.at(i, u.features[0]), &a)
			}
			losses.data[i] += weight * family.loss(p, x, sigma)
			if dParams.data == nil {
				continue
			}
			for k, g := range family.gradient(p, x, sigma) {
				dParams.row(i)[u.params[k]] = float64(a.Scale) * weight * g
			}
		}
	}
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
	units := d.units(a.Kind, a.Fields, out.columns)
	for i := range out.rows {
		for _, u := range units {
			mean := families[a.Kind].mean(pick(params.row(i), u.params))
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
}

// units lists the units of an example of so many features.
func (d *Device) units(k device.Likelihood, fields device.Fields, features int) []unit {
	var all []unit
	switch {
	case k == device.Categorical && !fields.IsZero():
		offsets := d.words(fields.Offsets)
		for f := range fields.Count {
			var columns []int
			for j := offsets[f]; j < offsets[f+1]; j++ {
				columns = append(columns, int(j))
			}
			all = append(all, unit{params: columns, features: columns})
		}
	case k == device.GaussianLearned:
		for j := range features {
			all = append(all, unit{params: []int{j, features + j}, features: []int{j}})
		}
	default:
		for j := range features {
			all = append(all, unit{params: []int{j}, features: []int{j}})
		}
	}
	return all
}

func pick(row []float64, columns []int) []float64 {
	values := make([]float64, len(columns))
	for k, j := range columns {
		values[k] = row[j]
	}
	return values
}
