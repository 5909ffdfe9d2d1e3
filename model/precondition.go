package model

import "math"

// A score model is a network F with coefficients that depend on the noise level,
//
//	D(x̃; σ) = c_skip(σ)·x̃ + c_out(σ)·F(c_in(σ)·x̃, embedding(σ))
//
// (Karras et al. 2022, eq. 7), D being the denoiser, with which the score is
// (D - x̃)/σ². Here c_in = 1/√(σ² + σ_data²) gives inputs of unit variance at
// every level, and c_skip and c_out say what F estimates.

// ParameterizationInfo is a row of the table of what F estimates.
type ParameterizationInfo struct {
	Name    string
	Formula string
	Source  string
	// coefficients are c_skip and c_out at noise σ for data of standard deviation σ_data.
	coefficients func(sigma, data float64) (skip, out float64)
}

// Parameterizations returns the table of parameterisations.
func Parameterizations() []ParameterizationInfo {
	return []ParameterizationInfo{
		{"edm", "c_skip = σ_data²/(σ² + σ_data²), c_out = σ·σ_data/√(σ² + σ_data²)", "Karras et al. 2022, appendix B.6",
			func(s, d float64) (float64, float64) { return d * d / (s*s + d*d), s * d / math.Hypot(s, d) }},
		{"v", "F = (σ_data²·z - σ·x)/(σ_data·√(σ² + σ_data²)): edm with the sign of F turned", "Salimans and Ho 2022, section 4 (σ_data = 1)",
			func(s, d float64) (float64, float64) { return d * d / (s*s + d*d), -s * d / math.Hypot(s, d) }},
		{"epsilon", "F = (x̃ - x)/σ, the noise", "Ho, Jain and Abbeel 2020, section 3.2",
			func(s, _ float64) (float64, float64) { return 1, -s }},
		{"score", "F = (x - x̃)/σ², the score", "Vincent 2011; Song and Ermon 2019",
			func(s, _ float64) (float64, float64) { return 1, s * s }},
		{"x0", "F = x, the clean example", "Vincent et al. 2008",
			func(float64, float64) (float64, float64) { return 0, 1 }},
	}
}

// WeightingInfo is a row of the table of weightings of the noise levels.
type WeightingInfo struct {
	Name      string
	Arguments []Argument
	Formula   string // of w in the loss ½·w·‖D - x‖²
	Source    string
	weight    func(sigma, data, out float64, values []float64) float64
}

// Weightings returns the table of weightings.
func Weightings() []WeightingInfo {
	return []WeightingInfo{
		{"edm", nil, "(σ² + σ_data²)/(σ·σ_data)²", "Karras et al. 2022, eq. 8",
			func(s, d, _ float64, _ []float64) float64 { return (s*s + d*d) / (s * d * s * d) }},
		{"unit", nil, "1/c_out²: ‖F - its target‖²", "Karras et al. 2022, section 5",
			func(_, _, out float64, _ []float64) float64 { return 1 / (out * out) }},
		{"score", nil, "1/σ²: σ²·‖s - (x - x̃)/σ²‖², which is that of the noise ‖ε - z‖²", "Song and Ermon 2019, eq. 6; Ho, Jain and Abbeel 2020, eq. 14",
			func(s, _, _ float64, _ []float64) float64 { return 1 / (s * s) }},
		{"x0", nil, "1", "Vincent et al. 2008",
			func(float64, float64, float64, []float64) float64 { return 1 }},
		{"min-snr", []Argument{{Name: "gamma", Low: 1e-3, High: 1e6, Optional: true, Default: 5, Meaning: "the greatest weight γ"}},
			"min(σ_data²/σ², γ)/σ_data²", "Hang et al. 2023, section 3.4 (σ_data = 1)",
			func(s, d, _ float64, v []float64) float64 { return min(d*d/(s*s), v[0]) / (d * d) }},
	}
}

// EmbeddingInfo is a row of the table of embeddings of the noise level.
type EmbeddingInfo struct {
	Name      string
	Arguments []Argument
	Formula   string
	Source    string
}

// The rows of the table of embeddings.
const (
	embedNone = iota
	embedFourier
	embedPositional
)

// longestPeriod is 2π times this many levels (Vaswani et al. 2017).
const longestPeriod = 10_000

// Embeddings returns the table of embeddings.
func Embeddings() []EmbeddingInfo {
	width := Argument{Name: "width", Low: 2, High: 4096, Optional: true, Default: 16, Meaning: "numbers E, half of them cosines"}
	scale := Argument{Name: "scale", Low: 1e-3, High: 1e3, Optional: true, Default: 1, Meaning: "standard deviation of the frequencies"}
	return []EmbeddingInfo{
		{"none", nil, "nothing: F sees x̃ alone", "Song and Ermon 2020, technique 3"},
		{"fourier", []Argument{width, scale}, "cos and sin of 2πf_k·(ln σ)/4, f_k = scale·Φ⁻¹(½ + (k+½)/E), the quantiles of |N(0, scale²)|",
			"Tancik et al. 2020; Karras et al. 2022, table 1"},
		{"positional", []Argument{width}, "cos and sin of l/10000^(2k/E), l the number of the level, interpolated in ln σ between levels", "Vaswani et al. 2017; Ho, Jain and Abbeel 2020"},
	}
}
