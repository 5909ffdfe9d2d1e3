package device

// The kinds below are the variants of an operation. A new one gets a constant
// here, one scalar function in every device, and a row in a table of package
// model or optim; the interface Device does not grow. Each enumeration ends in
// an unexported count, so that Kinds functions, and with them the conformance
// suite, see every kind.

// Corruption is a Markov kernel C(x̃|x) applied feature by feature.
type Corruption uint8

const (
	// CorruptNone: x̃ = x.
	CorruptNone Corruption = iota
	// CorruptGaussian: x̃ = x + σ·z, z ~ N(0, 1). Amount is σ.
	CorruptGaussian
	// CorruptMasking: x̃ = 0 with probability Rate, by field.
	CorruptMasking
	// CorruptSaltAndPepper: with probability Rate, x̃ is the column's Low or
	// High, either as likely: word < T/2 is Low, T/2 ≤ word < T is High.
	CorruptSaltAndPepper
	// CorruptSwap: with probability Rate, by field, x̃ is the value of the same
	// field in another row of the part, drawn uniformly and independently by field.
	CorruptSwap
	// CorruptSpeckle: x̃ = x·(1 + σ·z), z ~ N(0, 1). Amount is σ.
	CorruptSpeckle
	// CorruptUniform: x̃ = x + a·(2u - 1), u uniform on [0, 1). Amount is a.
	CorruptUniform
	// CorruptPoisson: x̃ = N/peak, N ~ Poisson(peak·max(x, 0)). Amount is peak.
	CorruptPoisson
	// CorruptSwapRows: CorruptSwap with one donor for all the fields of a row.
	CorruptSwapRows
	// CorruptSpan: masking in runs of Length neighbouring fields, which may begin
	// before the first and end after the last; a run starts at each place with
	// probability Rate (see SpanStart), so that each field is destroyed with
	// probability 1 - (1-Rate)^Length, at the edges as in the middle.
	CorruptSpan
	corruptions
)

// Activation is an elementwise nonlinearity.
type Activation uint8

const (
	// Identity: a.
	Identity Activation = iota
	// ReLU: max(a, 0); the derivative at 0 is 0.
	ReLU
	// LeakyReLU: a for a > 0, otherwise 0.01·a.
	LeakyReLU
	// ELU: a for a > 0, otherwise exp(a) - 1 (Clevert et al. 2015).
	ELU
	// GELU: a·Φ(a), by the error function (Hendrycks and Gimpel 2016).
	GELU
	// SiLU: a·σ(a), σ the logistic function.
	SiLU
	// Sigmoid: 1/(1 + exp(-a)).
	Sigmoid
	// Tanh: tanh a.
	Tanh
	// Softplus: ln(1 + exp a).
	Softplus
	activations
)

// LeakySlope is the slope of LeakyReLU below zero.
const LeakySlope = 0.01

// Normalization is a normalisation layer.
type Normalization uint8

const (
	// LayerNorm normalises each example over its features (Ba et al. 2016).
	LayerNorm Normalization = iota
	// BatchNorm normalises each feature over the batch (Ioffe and Szegedy 2015).
	BatchNorm
	normalizations
)

// Likelihood is the family p(x|h); a is its natural or raw parameter, one or
// two to a feature, as the decoder puts it out.
type Likelihood uint8

const (
	// Bernoulli: a is the logit; -log p = softplus(a) - x·a. For x strictly
	// between 0 and 1 it is the cross-entropy, a convention for intensities.
	Bernoulli Likelihood = iota
	// Gaussian: a is the mean μ, σ is fixed (LikelihoodArgs.Sigma);
	// -log p = ½((x-μ)/σ)² + ln σ + ½ ln 2π.
	Gaussian
	// GaussianLearned: the parameters are [μ₁...μ_D s₁...s_D] and the variance is
	// v = exp(s) + Sigma²; -log p = ½(ln v + (x-μ)²/v + ln 2π).
	GaussianLearned
	// Categorical: a softmax over the columns of each field;
	// -log p = (Σx)·logsumexp(a) - Σ x·a.
	Categorical
	// Poisson: a is the log rate; -log p = exp(a) - x·a + ln Γ(x+1).
	Poisson
	// Mixed: each column of a table has a Family of its own, and as many
	// parameters as that takes; x is the code of a categorical column, and an x
	// that is NaN is absent and has no loss.
	Mixed
	likelihoods
)

// Optimizer is an update rule; g is the gradient after clipping, θ the
// parameters, m and v the moments, t the step counted from 1, η the rate.
type Optimizer uint8

const (
	// SGD: m ← βm + g, θ ← θ - ηm; with Nesterov θ ← θ - η(g + βm). β is Beta1.
	SGD Optimizer = iota
	// Adam (Kingma and Ba 2015): m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g²,
	// θ ← θ - η·m̂/(√v̂ + ε), m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ).
	Adam
	// AdamW (Loshchilov and Hutter 2019): Adam, and θ ← θ - ηλθ first.
	AdamW
	// RMSprop (Tieleman and Hinton 2012): v ← β₂v + (1-β₂)g², θ ← θ - ηg/(√v + ε).
	RMSprop
	// Adagrad (Duchi et al. 2011): v ← v + g², θ ← θ - ηg/(√v + ε).
	Adagrad
	optimizers
)

// Reduction folds numbers into one.
type Reduction uint8

const (
	// Sum: Σ x.
	Sum Reduction = iota
	// SumSquares: Σ x².
	SumSquares
	// SumSquaredDifference: Σ (x-y)².
	SumSquaredDifference
	reductions
)

// Code is a family of stochastic codes q(h|x̃) with its prior p(h). The encoder
// puts out one or two parameters a unit.
type Code uint8

const (
	// CodeGaussian: the parameters are [μ₁...μ_C s₁...s_C]; h = μ + exp(s/2)·z,
	// z ~ N(0, 1), under the prior N(0, 1) (Kingma and Welling 2014);
	// KL = ½·Σ(μ² + exp(s) - s - 1).
	CodeGaussian Code = iota
	// CodeBernoulli: the parameter a is a logit; h = 1 if u < p, p the logistic
	// function of a, under the prior p = ½; the gradient passes as if h were p
	// (straight-through: Bengio, Léonard and Courville 2013);
	// KL = Σ(p·ln p + (1-p)·ln(1-p) + ln 2).
	CodeBernoulli
	// CodeConcrete: h is the logistic function of (a + ln u - ln(1-u))/τ, a
	// Bernoulli unit relaxed (Maddison et al. 2017), with the KL of CodeBernoulli
	// (Jang et al. 2017); u = 0 gives h = 0.
	CodeConcrete
	codes
)

var corruptionNames = [corruptions]string{"none", "gaussian", "masking", "salt-and-pepper", "swap", "speckle", "uniform", "poisson", "swap-rows", "span"}
var activationNames = [activations]string{"identity", "relu", "leaky-relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus"}
var normalizationNames = [normalizations]string{"layer", "batch"}
var likelihoodNames = [likelihoods]string{"bernoulli", "gaussian", "gaussian-learned", "categorical", "poisson", "mixed"}
var optimizerNames = [optimizers]string{"sgd", "adam", "adamw", "rmsprop", "adagrad"}
var codeNames = [codes]string{"gaussian", "bernoulli", "concrete"}
var reductionNames = [reductions]string{"sum", "sum-squares", "sum-squared-difference"}

// String returns the name used in flags and configuration files.
func (k Corruption) String() string { return corruptionNames[k] }

// String returns the name used in flags and configuration files.
func (k Activation) String() string { return activationNames[k] }

// String returns the name used in flags and configuration files.
func (k Normalization) String() string { return normalizationNames[k] }

// String returns the name used in flags and configuration files.
func (k Likelihood) String() string { return likelihoodNames[k] }

// String returns the name used in flags and configuration files.
func (k Optimizer) String() string { return optimizerNames[k] }

// String returns the name used in flags and configuration files.
func (k Code) String() string { return codeNames[k] }

// String returns the name of the reduction.
func (k Reduction) String() string { return reductionNames[k] }

// Corruptions returns every kind of corruption.
func Corruptions() []Corruption { return kinds(corruptions) }

// Activations returns every kind of activation.
func Activations() []Activation { return kinds(activations) }

// Normalizations returns every kind of normalisation.
func Normalizations() []Normalization { return kinds(normalizations) }

// Likelihoods returns every kind of likelihood.
func Likelihoods() []Likelihood { return kinds(likelihoods) }

// Optimizers returns every kind of optimiser.
func Optimizers() []Optimizer { return kinds(optimizers) }

// Codes returns every kind of stochastic code.
func Codes() []Code { return kinds(codes) }

// Reductions returns every kind of reduction.
func Reductions() []Reduction { return kinds(reductions) }

func kinds[K ~uint8](count K) []K {
	all := make([]K, count)
	for i := range all {
		all[i] = K(i)
	}
	return all
}

// NeedsInput reports whether the derivative is computed from the
// pre-activation; otherwise the activation's output is enough.
func (k Activation) NeedsInput() bool { return k == GELU || k == SiLU }

// Width returns the number of parameters of a row of d features. That of Mixed
// is its TableColumns' ParamWidth.
func (k Likelihood) Width(d int) int {
	switch k {
	case GaussianLearned:
		return 2 * d
	case Mixed:
		panicf("the width of a mixed likelihood is that of its columns")
	}
	return d
}

// Continuous reports whether the kind changes the values of numbers: what
// CorruptArgs.Continuous concerns.
func (k Corruption) Continuous() bool {
	switch k {
	case CorruptGaussian, CorruptSpeckle, CorruptUniform, CorruptPoisson, CorruptSaltAndPepper:
		return true
	}
	return false
}

// Masks reports whether the kind removes values: to 0, or to NaN with
// CorruptArgs.Absent.
func (k Corruption) Masks() bool { return k == CorruptMasking || k == CorruptSpan }

// Swaps reports whether the kind takes the values of another row.
func (k Corruption) Swaps() bool { return k == CorruptSwap || k == CorruptSwapRows }

// Width returns the number of parameters of a code of c units.
func (k Code) Width(c int) int {
	if k == CodeGaussian {
		return 2 * c
	}
	return c
}

// UsesFirstMoment reports whether the rule keeps m.
func (k Optimizer) UsesFirstMoment() bool { return k == SGD || k == Adam || k == AdamW }

// UsesSecondMoment reports whether the rule keeps v.
func (k Optimizer) UsesSecondMoment() bool { return k != SGD }
