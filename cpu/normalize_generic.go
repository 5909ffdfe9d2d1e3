package cpu

// deviationsGeneric is Σ (x - from)².
func deviationsGeneric(x []float32, from float32) (sum float64) {
	for _, v := range x {
		e := float64(v) - float64(from)
		sum += e * e
	}
	return sum
}

// columnMomentsGeneric computes the means and the biased variances of columns,
// some columns at a time so that their sums stay on the stack.
func columnMomentsGeneric(mean, variance, x []float32, stride, rows int, count float64) {
	for lo := 0; lo < len(mean); lo += columnsAtATime {
		n := min(columnsAtATime, len(mean)-lo)
		var sums, squares [columnsAtATime]float64
		for i := range rows {
			for j, v := range x[i*stride+lo : i*stride+lo+n] {
				sums[j] += float64(v)
			}
		}
		for j := range n {
			sums[j] /= count
		}
		for i := range rows {
			for j, v := range x[i*stride+lo : i*stride+lo+n] {
				e := float64(v) - sums[j]
				squares[j] += e * e
			}
		}
		for j := range n {
			mean[lo+j], variance[lo+j] = float32(sums[j]), float32(squares[j]/count)
		}
	}
}

func normalizeRowGeneric(y, x, gain, bias []float32, mean, invStd float32) {
	for j, v := range x {
		y[j] = gain[j]*((v-mean)*invStd) + bias[j]
	}
}

func normalizeColumnsGeneric(y, x, gain, bias, mean, invStd []float32) {
	for j, v := range x {
		y[j] = gain[j]*((v-mean[j])*invStd[j]) + bias[j]
	}
}

func normalSumsOfRowsGeneric(dGain, dBias, x, dy, mean, invStd []float32, stride, rows int) {
	for lo := 0; lo < len(dGain); lo += columnsAtATime {
		n := min(columnsAtATime, len(dGain)-lo)
		var s columnPairs
		for i := range rows {
			from := i*stride + lo
			m, scale, dy := mean[i], invStd[i], dy[from:from+n]
			for j, v := range x[from : from+n] {
				s.add(j, dy[j], (v-m)*scale)
			}
		}
		s.store(dGain[lo:lo+n], dBias[lo:lo+n])
	}
}

func normalSumsOfColumnsGeneric(dGain, dBias, x, dy, mean, invStd []float32, stride, rows int) {
	for lo := 0; lo < len(dGain); lo += columnsAtATime {
		n := min(columnsAtATime, len(dGain)-lo)
		m, scale := mean[lo:lo+n], invStd[lo:lo+n]
		var s columnPairs
		for i := range rows {
			from := i*stride + lo
			dy := dy[from : from+n]
			for j, v := range x[from : from+n] {
				s.add(j, dy[j], (v-m[j])*scale[j])
			}
		}
		s.store(dGain[lo:lo+n], dBias[lo:lo+n])
	}
}

// columnsAtATime is the number of columns whose sums are kept on the stack.
const columnsAtATime = 64

// columnPairs are two sums a column.
type columnPairs struct{ gain, bias [columnsAtATime]float64 }

func (s *columnPairs) add(j int, dy, standard float32) {
	s.gain[j] += float64(dy) * float64(standard)
	s.bias[j] += float64(dy)
}

func (s *columnPairs) store(dGain, dBias []float32) {
	for j := range dGain {
		dGain[j], dBias[j] = float32(s.gain[j]), float32(s.bias[j])
	}
}

func normalRowSumsGeneric(x, dy, gain []float32, mean, invStd float32) (sum, sumNormal float64) {
	for j, v := range x {
		g := float64(dy[j]) * float64(gain[j])
		sum += g
		sumNormal += g * float64((v-mean)*invStd)
	}
	return sum, sumNormal
}

func normalRowGradientGeneric(dx, x, dy, gain []float32, mean, invStd, shift, slope float32) {
	for j, v := range x {
		dx[j] = invStd * (dy[j]*gain[j] - shift - slope*((v-mean)*invStd))
	}
}

func normalColumnGradientGeneric(dx, x, dy, gain, mean, invStd, shift, slope []float32) {
	for j, v := range x {
		dx[j] = invStd[j] * gain[j] * (dy[j] - shift[j] - slope[j]*((v-mean[j])*invStd[j]))
	}
}
