package model

import (
	"math"
	"sort"

	"gpudae/device"
)

// Score describes what a model that is trained by denoising score matching
// does at each noise level.
type Score struct {
	Noise            string  `yaml:"noise" json:"noise"`                       // see ParseNoise
	Parameterization string  `yaml:"parameterization" json:"parameterization"` // see Parameterizations; default edm
	Weighting        string  `yaml:"weighting" json:"weighting"`               // see Weightings; default edm
	Embedding        string  `yaml:"embedding" json:"embedding"`               // see Embeddings; default fourier, none at a single level
	SigmaData        float64 `yaml:"sigma_data" json:"sigma_data"`             // standard deviation of the data, see Moments.Deviation; default 1
}

// levels is a Score with its names looked up.
type levels struct {
	noise            Noise
	sigmas           []float64 // rising
	data             float64   // σ_data
	parameterization ParameterizationInfo
	weighting        WeightingInfo
	weightingValues  []float64
	embedding        int       // row of Embeddings
	frequencies      []float64 // of the embedding: fourier 2πf/4, positional 1/10000^(2k/E)
}

// resolve looks the names up and fills in the defaults.
func (s *Score) resolve() (*levels, error) {
	setDefault(&s.Parameterization, Parameterizations()[0].Name)
	setDefault(&s.Weighting, Weightings()[0].Name)
	if s.SigmaData == 0 {
		s.SigmaData = 1
	}
	if !(s.SigmaData >= leastNoise && s.SigmaData <= greatestNoise) {
		return nil, configErrorf("sigma_data", "give the standard deviation of the data, or 0 to have it measured", "a standard deviation of %g", s.SigmaData)
	}
	l := &levels{data: s.SigmaData}
	var err error
	if l.noise, err = ParseNoise(s.Noise); err != nil {
		return nil, err
	}
	if l.noise.Open() {
		return nil, configErrorf("noise", "give max, e.g. the greatest distance between examples", "%s has no greatest σ", s.Noise)
	}
	s.Noise, l.sigmas = l.noise.String(), l.noise.Levels()
	if err := l.resolveParameterization(s.Parameterization); err != nil {
		return nil, err
	}
	if err := l.resolveWeighting(s.Weighting); err != nil {
		return nil, err
	}
	if s.Embedding == "" {
		s.Embedding = Embeddings()[embedFourier].Name
		if len(l.sigmas) == 1 {
			s.Embedding = Embeddings()[embedNone].Name
		}
	}
	return l, l.resolveEmbedding(s.Embedding)
}

func (l *levels) resolveParameterization(name string) error {
	var known []string
	for _, row := range Parameterizations() {
		if row.Name == name {
			l.parameterization = row
			return nil
		}
		known = append(known, row.Name)
	}
	return unknownName("parameterization", "parameterization", name, known)
}

func (l *levels) resolveWeighting(spec string) error {
	const key = "weighting"
	var known []string
	for _, row := range Weightings() {
		known = append(known, row.Name)
	}
	term, i, err := parseTermOf(key, "weighting", spec, known, "min-snr:5")
	if err != nil {
		return err
	}
	l.weighting = Weightings()[i]
	l.weightingValues, err = term.values(key, l.weighting.Arguments)
	return err
}

func (l *levels) resolveEmbedding(spec string) error {
	const key = "embedding"
	var known []string
	for _, row := range Embeddings() {
		known = append(known, row.Name)
	}
	term, i, err := parseTermOf(key, "embedding", spec, known, "fourier:width=16")
	if err != nil {
		return err
	}
	values, err := term.values(key, Embeddings()[i].Arguments)
	if err != nil {
		return err
	}
	if i == embedNone {
		return nil
	}
	width := int(values[0])
	if values[0] != float64(width) || width%2 != 0 {
		return configErrorf(key, "half of the numbers are cosines: give an even one", "an embedding of width %s", formatNumber(values[0]))
	}
	l.embedding, l.frequencies = i, make([]float64, width/2)
	for k := range l.frequencies {
		switch i {
		case embedFourier:
			f := values[1] * normalQuantile(0.5+(float64(k)+0.5)/float64(width))
			l.frequencies[k] = 2 * math.Pi * f / 4
		case embedPositional:
			l.frequencies[k] = math.Pow(longestPeriod, -float64(k)/float64(len(l.frequencies)))
		}
	}
	return nil
}

// width is the number E of columns that the embedding adds to the input.
func (l *levels) width() int { return 2 * len(l.frequencies) }

// coordinate is what the embedding is a function of.
func (l *levels) coordinate(sigma float64) float64 {
	if l.embedding == embedFourier {
		return math.Log(sigma)
	}
	return l.position(sigma)
}

// position is the number of the level of noise σ, interpolated in ln σ and
// bounded by the first and the last.
func (l *levels) position(sigma float64) float64 {
	above := sort.SearchFloat64s(l.sigmas, sigma)
	switch {
	case above == 0:
		return 0
	case above == len(l.sigmas):
		return float64(above - 1)
	}
	low, high := l.sigmas[above-1], l.sigmas[above]
	return float64(above-1) + math.Log(sigma/low)/math.Log(high/low)
}

// embed writes the embedding of σ: cosines, then sines.
func (l *levels) embed(dst []float32, sigma float64) {
	at := l.coordinate(sigma)
	for k, f := range l.frequencies {
		sin, cos := math.Sincos(f * at)
		dst[k], dst[len(l.frequencies)+k] = float32(cos), float32(sin)
	}
}

// Level holds the coefficients of a score model at noise σ (see precondition.go).
type Level struct{ Sigma, In, Skip, Out, Weight float64 }

func (l *levels) at(sigma float64) Level {
	c := Level{Sigma: sigma, In: 1 / math.Hypot(sigma, l.data)}
	c.Skip, c.Out = l.parameterization.coefficients(sigma, l.data)
	c.Weight = l.weighting.weight(sigma, l.data, c.Out, l.weightingValues)
	return c
}

// start is the constant, in units of the mean of the data, that F estimates
// best where it knows neither x̃ nor σ: the mean of (1-c_skip)/c_out, which is
// its target at the mean, weighted as in the loss by w·c_out².
func (l *levels) start() float64 {
	var sum, weights float64
	for _, sigma := range l.sigmas {
		c := l.at(sigma)
		w := c.Weight * c.Out * c.Out
		sum += w * (1 - c.Skip) / c.Out
		weights += w
	}
	return sum / weights
}

// columnsPerLevel is the number of coefficients that a table holds of a level:
// σ, c_in, c_skip, c_out and the weight.
const columnsPerLevel = 5

// levelTable holds what depends on the noise level of some levels on a device.
type levelTable struct {
	count  int
	level  device.Words // [rows] the level of each row
	memory device.View  // [1, count·(columnsPerLevel + E)]

	embedding                       device.View // [count, E], or absent
	sigma, scale, skip, out, weight device.View // [1, count]
}

func (t *levelTable) allocate(a *allocator, count, width, rows int) {
	t.count, t.level, t.memory = count, a.words(rows), a.matrix(1, count*(columnsPerLevel+width))
	if t.memory.IsZero() {
		return
	}
	if width > 0 {
		t.embedding = device.MatrixOf(t.memory.Memory, 0, count, width)
	}
	for i, view := range []*device.View{&t.sigma, &t.scale, &t.skip, &t.out, &t.weight} {
		*view = device.MatrixOf(t.memory.Memory, count*(width+i), 1, count)
	}
}

// fill writes the content of the table of some levels.
func (l *levels) fill(dst []float32, sigmas []float64) {
	width, count := l.width(), len(sigmas)
	for i, sigma := range sigmas {
		l.embed(dst[i*width:(i+1)*width], sigma)
		c := l.at(sigma)
		for k, v := range [columnsPerLevel]float64{c.Sigma, c.In, c.Skip, c.Out, c.Weight} {
			dst[count*(width+k)+i] = float32(v)
		}
	}
}
