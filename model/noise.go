package model

import "math"

// NoiseInfo is a row of the table of noise schedules.
type NoiseInfo struct {
	Name      string
	Arguments []Argument
	Formula   string
	Source    string
	levels    func(values []float64) []float64
}

// Limits of noise levels.
const (
	leastNoise    = 1e-5
	greatestNoise = 1e5
	maxLevels     = 1 << 14
	// mostBeta bounds the noise that a step of a cosine schedule adds (Nichol and
	// Dhariwal 2021, section 3.2).
	mostBeta = 0.999
)

// Noises returns the table of noise schedules. All processes are written in the
// variance-exploding form x̃ = x + σz: the variance-preserving x_t = √ᾱ_t·x +
// √(1-ᾱ_t)·z is √ᾱ_t·x̃ at σ_t = √((1-ᾱ_t)/ᾱ_t).
func Noises() []NoiseInfo {
	sigma := func(name, meaning string) Argument {
		return Argument{Name: name, Low: leastNoise, High: greatestNoise, Meaning: meaning}
	}
	least, greatest := sigma("min", "the least σ"), sigma("max", "the greatest σ")
	least.Optional, least.Default = true, 0.01
	greatest.Optional = true // 0: not yet known
	levels := func(n float64) Argument {
		return Argument{Name: "levels", Low: 2, High: maxLevels, Optional: true, Default: n, Meaning: "number of levels L"}
	}
	return []NoiseInfo{
		{"single", []Argument{sigma("sigma", "standard deviation of the noise")}, "σ", "Vincent 2011",
			func(v []float64) []float64 { return v[:1:1] }},
		{"geometric", []Argument{least, greatest, levels(100)}, "σ_l = min·(max/min)^(l/(L-1)), l = 0, ..., L-1", "Song and Ermon 2019, section 4.1",
			func(v []float64) []float64 { return geometricLevels(v[0], v[1], int(v[2])) }},
		{"ddpm-linear", []Argument{levels(1000)}, "ᾱ_t = Π(1-β_s), β from 0.1/T to 20/T in equal steps", "Ho, Jain and Abbeel 2020, section 4",
			func(v []float64) []float64 { return linearLevels(int(v[0])) }},
		{"ddpm-cosine", []Argument{levels(1000)}, "ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + 0.008)/1.008·π/2), β_t at most 0.999", "Nichol and Dhariwal 2021, eq. 17",
			func(v []float64) []float64 { return cosineLevels(int(v[0])) }},
		{"edm", []Argument{{Name: "mean", Low: -10, High: 10, Optional: true, Default: -1.2, Meaning: "mean of ln σ"},
			{Name: "spread", Low: 0.01, High: 5, Optional: true, Default: 1.2, Meaning: "standard deviation of ln σ"}, levels(1024)},
			"ln σ_l = mean + spread·Φ⁻¹((l+½)/L)", "Karras et al. 2022, table 1",
			func(v []float64) []float64 { return lognormalLevels(v[0], v[1], int(v[2])) }},
	}
}

func geometricLevels(least, greatest float64, n int) []float64 {
	levels := make([]float64, n)
	for l := range levels {
		levels[l] = least * math.Pow(greatest/least, float64(l)/float64(n-1))
	}
	return levels
}

// linearLevels are those of 1000 steps of β from 10⁻⁴ to 0.02, and for another
// number of steps what keeps their sum.
func linearLevels(n int) []float64 {
	levels, kept := make([]float64, n), 1.0
	for t := range levels {
		beta := (0.1 + 19.9*float64(t)/float64(n-1)) / float64(n)
		kept *= 1 - min(beta, mostBeta)
		levels[t] = explodingNoise(kept)
	}
	return levels
}

func cosineLevels(n int) []float64 {
	const offset = 0.008
	f := func(t int) float64 {
		c := math.Cos((float64(t)/float64(n) + offset) / (1 + offset) * math.Pi / 2)
		return c * c
	}
	levels, kept := make([]float64, n), 1.0
	for t := range levels {
		kept *= 1 - min(1-f(t+1)/f(t), mostBeta)
		levels[t] = explodingNoise(kept)
	}
	return levels
}

// explodingNoise is σ = √((1-ᾱ)/ᾱ).
func explodingNoise(kept float64) float64 { return math.Sqrt((1 - kept) / kept) }

func lognormalLevels(mean, spread float64, n int) []float64 {
	levels := make([]float64, n)
	for l := range levels {
		levels[l] = math.Exp(mean + spread*normalQuantile((float64(l)+0.5)/float64(n)))
	}
	return levels
}

// normalQuantile is Φ⁻¹.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Noise is a noise schedule: the levels of σ, each as likely as the others.
type Noise struct {
	row    int
	values []float64
}

// geometricMax is the argument of the row geometric that the data decide.
const geometricMax = 1

// ParseNoise reads a schedule such as "geometric:min=0.01,max=10". Its errors are
// *ConfigError with the key "noise".
func ParseNoise(s string) (Noise, error) {
	const key = "noise"
	var known []string
	for _, row := range Noises() {
		known = append(known, row.Name)
	}
	term, i, err := parseTermOf(key, "noise schedule", s, known, "single:0.3 or geometric:min=0.01,max=10")
	if err != nil {
		return Noise{}, err
	}
	row := Noises()[i]
	z := Noise{row: i}
	if z.values, err = term.values(key, row.Arguments); err != nil {
		return Noise{}, err
	}
	for k, a := range row.Arguments {
		if a.Name == "levels" && z.values[k] != math.Trunc(z.values[k]) {
			return Noise{}, configErrorf(key, "give a whole number", "%s of %s levels", row.Name, formatNumber(z.values[k]))
		}
	}
	if row.Name == "geometric" && !z.Open() && z.values[0] >= z.values[geometricMax] {
		return Noise{}, configErrorf(key, "let max be greater than min", "%s from %s to %s", row.Name, formatNumber(z.values[0]), formatNumber(z.values[geometricMax]))
	}
	return z, nil
}

// Open reports whether the greatest σ is left to the data.
func (z Noise) Open() bool { return Noises()[z.row].Name == "geometric" && z.values[geometricMax] == 0 }

// Close returns the schedule with its greatest σ decided.
func (z Noise) Close(greatest float64) Noise {
	if !z.Open() {
		return z
	}
	z.values = append([]float64(nil), z.values...)
	z.values[geometricMax] = min(max(greatest, 2*z.values[0]), greatestNoise)
	return z
}

// String is the inverse of ParseNoise.
func (z Noise) String() string {
	row := Noises()[z.row]
	term := Term{Name: row.Name}
	for i, a := range row.Arguments {
		if !a.Optional || z.values[i] != a.Default {
			term.Args = append(term.Args, Arg{Name: a.Name, Value: z.values[i]})
		}
	}
	return Spec{term}.String()
}

// Levels are the σ of the levels, from the least to the greatest.
func (z Noise) Levels() []float64 { return Noises()[z.row].levels(z.values) }

// parseTermOf reads one term whose name is in a table.
func parseTermOf(key, what, s string, known []string, example string) (Term, int, error) {
	spec, err := ParseSpec(s)
	if err != nil || len(spec) != 1 {
		return Term{}, 0, configErrorf(key, "write one of "+list(known)+", as in "+example, "%q is not a %s", s, what)
	}
	for i, name := range known {
		if name == spec[0].Name {
			return spec[0], i, nil
		}
	}
	return Term{}, 0, unknownName(key, what, spec[0].Name, known)
}
