// Package kernels is the boundary between Go and the CUDA kernels of this
// folder: the manifest (entry points, parameters, geometry) and, in a build
// with the tag cuda, the fatbin that scripts/cuda-build makes of *.cu.
//
// A kernel takes 8-byte words only and its grid and block have one dimension,
// both functions of the shape, so a launch is (ID, rows, columns, words).
// The manifest is compared with the .cu text by this package's tests, and with
// the parameter tables of the fatbin by scripts/cuda-build.
//
// The package must not know how a kernel is launched.
package kernels

import (
	"fmt"
	"strings"
)

// ID names a kernel.
type ID uint8

// The kernels, in the order of the manifest. Those that differ by tile follow
// each other in the order of Tile, so DenseNT32 + ID(tile) is the one to launch.
const (
	Activate ID = iota
	ActivateBackward
	Combine
	CorruptNone
	CorruptGaussian
	CorruptMasking
	CorruptSaltAndPepper
	CorruptSwapU8
	CorruptSwapF32
	CorruptSwapRecords
	CorruptSpeckle
	CorruptUniform
	CorruptPoisson
	CorruptSpan
	DenseNT32
	DenseNT64
	DenseNT128
	DenseNN32
	DenseNN64
	DenseNN128
	DenseBackwardNN32
	DenseBackwardNN64
	DenseBackwardNN128
	DenseBackwardNT32
	DenseBackwardNT64
	DenseBackwardNT128
	Dropout
	Embed
	EmbedBackward
	GatherU8
	GatherF32
	GatherRecords
	LikelihoodBernoulli
	LikelihoodGaussian
	LikelihoodGaussianLearned
	LikelihoodCategorical
	LikelihoodPoisson
	LikelihoodMixed
	Mean
	MeanCategorical
	MeanMixed
	LayerNorm
	LayerNormBackwardInput
	LayerNormBackwardParameters
	BatchNorm
	BatchNormInference
	BatchNormBackward
	ReduceRows
	ReduceAll
	Tick
	Update
	Diffuse
	Condition
	Blend
	ScoreMatch
	SampleCode
	SampleCodeBackward
	Importance
	ScaleRows
	Draw
	DrawCategorical
	DrawMixed
	SmallNet
	AdvanceU8
	AdvanceF32
	AdvanceRecords
	SmallNetBF16x3
	SmallNetBF16
	ScoreNetBF16x3
	ScoreNetBF16
	Narrow
	DenseNTNarrow // big products: see narrow.go
	DenseNNNarrow
	DenseBackwardNNNarrow
	DenseBackwardNTNarrow
	DenseNTHopper
	DenseNNHopper
	DenseBackwardNNHopper
	DenseBackwardNTHopper
	firstTensor // the products on tensor cores: see product.go
)

// Count is the number of kernels.
const Count = firstTensor + tensorKernels

// Kernel is a row of the manifest.
type Kernel struct {
	Entry      string // name of the function in the module
	File       string // where it is defined
	Geometry   Geometry
	Parameters []Parameter
}

// Parameter is one 8-byte word of a launch.
type Parameter struct {
	Type Type
	Name string
}

// Type is what a parameter's word holds.
type Type string

const (
	Pointer Type = "pointer" // a device address, or 0 where the kernel's file says that it may be absent
	Int     Type = "int"     // int64
	Uint    Type = "uint"    // uint64
	Float   Type = "float"   // float32 bits in the low half
)

// Parameters that several kernels share.
const (
	corruption = "int rows, int columns, pointer from, pointer to, pointer mask, int accumulate, uint seed, uint stream, uint stage, " +
		"int replicates, pointer index, pointer clock, int absent"
	amount  = corruption + ", pointer continuous, float amount"
	byField = corruption + ", uint rate, pointer rates, pointer of_column"
	matrix  = "pointer data, float scale, int data_rows, "
	records = "pointer data, int stride, pointer cells, pointer values, int data_rows, "
	part    = "int lo, int part, int split, uint split_seed"
	product = "int m, int n, int k, "
	dense   = product + "pointer x, pointer w, pointer bias, int act, pointer pre, pointer y, int likelihood, pointer target, pointer mask, " +
		"float destroyed, float untouched, pointer weights, float scale, float sigma, pointer losses"
	backward   = "int rows, int in, int out, pointer da, pointer w, int act, pointer source, pointer dx, pointer x, int accumulate, pointer dw, pointer dbias, pointer squares, pointer rule"
	gather     = part + ", int shuffle, uint seed, int replicates, pointer clock, pointer x, pointer index"
	likelihood = "int rows, int columns, pointer params, pointer target, pointer mask, float destroyed, float untouched, pointer weights, pointer losses, " +
		"pointer by_column, pointer d_params, float scale, "
	oneFeature = likelihood + "float sigma"
	advance    = part + ", int shuffle, uint seed, int replicates, int ahead, pointer x, pointer index, pointer corrupted, pointer mask, pointer copy_x, pointer copy_corrupted, int copy_stride, int stages, pointer stage, " +
		"pointer clock, pointer ticket, int n, int kind, int nesterov, float beta1, float beta2, float epsilon, float weight_decay, int decayed, float clip, float decay, " +
		"pointer rates, pointer losses, int loss_terms, float mean, pointer squares, int square_terms, pointer loss, pointer grad_sq, int guarded, pointer spikes, " +
		"float spike_limit, pointer params, pointer grads, pointer first, pointer second, pointer ema, int examples, pointer values, int k, pointer log, int entries, int copied, pointer copies, pointer rule"
	draws = "uint seed, uint stream, uint stage, int replicates, pointer index, pointer clock"
)

type row struct {
	entry, file string
	geometry    Geometry
	parameters  string
}

var manifest = [firstTensor]row{
	Activate:                    {"activate", "activate.cu", Quads, "int n, int act, pointer x, pointer y"},
	ActivateBackward:            {"activate_backward", "activate.cu", Quads, "int n, int act, pointer source, pointer dy, pointer dx"},
	Combine:                     {"combine", "combine.cu", Quads, "int n, float alpha, float beta, pointer a, pointer b, pointer dst"},
	CorruptNone:                 {"corrupt_none", "corrupt.cu", RowQuads, corruption},
	CorruptGaussian:             {"corrupt_gaussian", "corrupt.cu", RowQuads, amount},
	CorruptMasking:              {"corrupt_masking", "corrupt.cu", RowQuads, byField},
	CorruptSaltAndPepper:        {"corrupt_salt_and_pepper", "corrupt.cu", RowQuads, corruption + ", pointer continuous, uint rate, pointer low, pointer high"},
	CorruptSwapU8:               {"corrupt_swap_u8", "corrupt.cu", RowQuads, byField + ", int together, " + matrix + part},
	CorruptSwapF32:              {"corrupt_swap_f32", "corrupt.cu", RowQuads, byField + ", int together, " + matrix + part},
	CorruptSwapRecords:          {"corrupt_swap_records", "corrupt.cu", RowQuads, byField + ", int together, " + records + part},
	CorruptSpeckle:              {"corrupt_speckle", "corrupt.cu", RowQuads, amount},
	CorruptUniform:              {"corrupt_uniform", "corrupt.cu", RowQuads, amount},
	CorruptPoisson:              {"corrupt_poisson", "corrupt.cu", RowQuads, amount},
	CorruptSpan:                 {"corrupt_span", "corrupt.cu", RowQuads, corruption + ", uint rate, int length, pointer of_column"},
	DenseNT32:                   {"dense_nt_32", "dense.cu", Tiles32, dense},
	DenseNT64:                   {"dense_nt_64", "dense.cu", Tiles64, dense},
	DenseNT128:                  {"dense_nt_128", "dense.cu", Tiles128, dense},
	DenseNN32:                   {"dense_nn_32", "dense.cu", Tiles32, dense},
	DenseNN64:                   {"dense_nn_64", "dense.cu", Tiles64, dense},
	DenseNN128:                  {"dense_nn_128", "dense.cu", Tiles128, dense},
	DenseBackwardNN32:           {"dense_backward_nn_32", "dense_backward.cu", Parts32, backward},
	DenseBackwardNN64:           {"dense_backward_nn_64", "dense_backward.cu", Parts64, backward},
	DenseBackwardNN128:          {"dense_backward_nn_128", "dense_backward.cu", Parts128, backward},
	DenseBackwardNT32:           {"dense_backward_nt_32", "dense_backward.cu", Parts32, backward},
	DenseBackwardNT64:           {"dense_backward_nt_64", "dense_backward.cu", Parts64, backward},
	DenseBackwardNT128:          {"dense_backward_nt_128", "dense_backward.cu", Parts128, backward},
	Dropout:                     {"dropout", "dropout.cu", RowQuads, "int rows, int columns, pointer x, pointer y, uint rate, float keep, uint layer, uint seed, int replicates, pointer index, pointer clock"},
	Embed:                       {"embed", "embed.cu", Rows, "int rows, int columns, int width, pointer words, pointer x, pointer params, pointer y"},
	EmbedBackward:               {"embed_backward", "embed.cu", Elements, "int codes, int rows, int columns, int width, pointer words, pointer x, pointer d_y, pointer grads"},
	GatherU8:                    {"gather_u8", "gather.cu", Rows, "int rows, int columns, " + matrix + gather},
	GatherF32:                   {"gather_f32", "gather.cu", Rows, "int rows, int columns, " + matrix + gather},
	GatherRecords:               {"gather_records", "gather.cu", Rows, "int rows, int columns, " + records + gather},
	LikelihoodBernoulli:         {"likelihood_bernoulli", "likelihood.cu", Rows, oneFeature},
	LikelihoodGaussian:          {"likelihood_gaussian", "likelihood.cu", Rows, oneFeature},
	LikelihoodGaussianLearned:   {"likelihood_gaussian_learned", "likelihood.cu", Rows, oneFeature},
	LikelihoodCategorical:       {"likelihood_categorical", "likelihood.cu", Rows, likelihood + "int fields, pointer offsets"},
	LikelihoodPoisson:           {"likelihood_poisson", "likelihood.cu", Rows, oneFeature},
	LikelihoodMixed:             {"likelihood_mixed", "likelihood.cu", Rows, oneFeature + ", float floor, pointer words, int width, int stride, float head"},
	Mean:                        {"mean", "mean.cu", Elements, "int rows, int columns, int kind, pointer params, pointer out"},
	MeanCategorical:             {"mean_categorical", "mean.cu", Rows, "int rows, int columns, pointer params, pointer out, int fields, pointer offsets"},
	MeanMixed:                   {"mean_mixed", "mean.cu", Rows, "int rows, int columns, pointer params, pointer out, pointer words, int stride"},
	LayerNorm:                   {"layer_norm", "normalize.cu", Rows, "int rows, int columns, float epsilon, pointer x, pointer gain, pointer bias, pointer mean, pointer inv_std, pointer y"},
	LayerNormBackwardInput:      {"layer_norm_backward_input", "normalize.cu", Rows, "int rows, int columns, pointer x, pointer gain, pointer mean, pointer inv_std, pointer dy, pointer dx"},
	LayerNormBackwardParameters: {"layer_norm_backward_parameters", "normalize.cu", Columns, "int rows, int columns, pointer x, pointer mean, pointer inv_std, pointer dy, pointer dgain, pointer dbias"},
	BatchNorm:                   {"batch_norm", "normalize.cu", Columns, "int rows, int columns, float epsilon, float momentum, pointer x, pointer gain, pointer bias, pointer running_mean, pointer running_var, pointer mean, pointer inv_std, pointer y"},
	BatchNormInference:          {"batch_norm_inference", "normalize.cu", Elements, "int rows, int columns, float epsilon, pointer x, pointer gain, pointer bias, pointer running_mean, pointer running_var, pointer mean, pointer inv_std, pointer y"},
	BatchNormBackward:           {"batch_norm_backward", "normalize.cu", Columns, "int rows, int columns, pointer x, pointer gain, pointer mean, pointer inv_std, pointer dy, pointer dx, pointer dgain, pointer dbias"},
	ReduceRows:                  {"reduce_rows", "reduce.cu", Rows, "int rows, int columns, int kind, pointer x, pointer y, pointer sums"},
	ReduceAll:                   {"reduce_all", "reduce.cu", Shares, "int n, int kind, pointer x, pointer y, pointer sums"},
	Tick:                        {"tick", "tick.cu", Once, "pointer clock, int examples, pointer values, int k, pointer log, int entries, pointer spikes, float spike_limit, pointer loss"},
	Update: {"update", "update.cu", Quads, "int n, int kind, int nesterov, float beta1, float beta2, float epsilon, float weight_decay, int decayed, float clip, float decay, " +
		"pointer rates, pointer clock, pointer grad_sq, pointer loss, pointer spikes, float spike_limit, pointer params, pointer grads, pointer first, pointer second, pointer ema"},
	Diffuse:            {"diffuse", "diffuse.cu", RowQuads, "int rows, int columns, int levels, pointer sigma, pointer from, pointer to, pointer level, " + draws},
	Condition:          {"condition", "condition.cu", RowQuads, "int rows, int columns, int extra, pointer level, pointer scale, pointer embedding, pointer x, pointer out"},
	Blend:              {"blend", "blend.cu", RowQuads, "int rows, int columns, int stride, pointer level, pointer alpha, pointer beta, pointer x, pointer y, pointer out"},
	ScoreMatch:         {"score_match", "score_match.cu", Rows, "int rows, int columns, pointer level, pointer weight, pointer out_scale, pointer denoised, pointer target, pointer losses, pointer df, float scale"},
	SampleCode:         {"sample_code", "sample_code.cu", Rows, "int rows, int units, int kind, float temperature, pointer params, pointer noise, pointer code, pointer divergence, int sampled, " + draws},
	SampleCodeBackward: {"sample_code_backward", "sample_code.cu", Elements, "int rows, int units, int kind, float temperature, pointer params, pointer noise, pointer code, pointer d_code, int sampled, float scale, pointer weights, pointer d_params"},
	Importance:         {"importance", "importance.cu", Rows, "int examples, int replicates, pointer terms, pointer bounds, pointer weights"},
	ScaleRows:          {"scale_rows", "scale_rows.cu", RowQuads, "int rows, int columns, pointer scale, pointer x, pointer y"},
	Draw:               {"draw", "draw.cu", RowQuads, "int rows, int columns, int kind, float sigma, pointer params, pointer out, " + draws},
	DrawCategorical:    {"draw_categorical", "draw.cu", Elements, "int rows, int columns, pointer params, pointer out, int fields, pointer offsets, " + draws},
	DrawMixed:          {"draw_mixed", "draw.cu", Elements, "int rows, int columns, float sigma, float floor, pointer params, pointer out, pointer words, int stride, " + draws},
	SmallNet:           {"small_net", "small_net.cu", Once, "pointer words, int steps"},
	AdvanceU8:          {"advance_u8", "advance.cu", Blocks, "int rows, int columns, " + matrix + advance},
	AdvanceF32:         {"advance_f32", "advance.cu", Blocks, "int rows, int columns, " + matrix + advance},
	AdvanceRecords:     {"advance_records", "advance.cu", Blocks, "int rows, int columns, pointer data, int stride, pointer cells, pointer table, int data_rows, " + advance},
	SmallNetBF16x3:     {"small_net_bf16x3", "small_net_tensor.cu", Once, "pointer words, int steps"},
	SmallNetBF16:       {"small_net_bf16", "small_net_tensor.cu", Once, "pointer words, int steps"},
	ScoreNetBF16x3:     {"score_net_bf16x3", "score_net.cu", OneCluster, "pointer words, int steps"},
	ScoreNetBF16:       {"score_net_bf16", "score_net.cu", OneCluster, "pointer words, int steps"},
	Narrow:             {"narrow", "narrow.cu", RowQuads, "int rows, int stride, int columns, pointer from, pointer to"},

	DenseNTNarrow:         {"dense_nt_narrow", "dense_narrow.cu", Parts128, dense + ", pointer copy"},
	DenseNNNarrow:         {"dense_nn_narrow", "dense_narrow.cu", Parts128, dense + ", pointer copy"},
	DenseBackwardNNNarrow: {"dense_backward_nn_narrow", "dense_narrow.cu", Parts128, backward + ", pointer copy, pointer copy_dx, pointer copy_w"},
	DenseBackwardNTNarrow: {"dense_backward_nt_narrow", "dense_narrow.cu", Parts128, backward + ", pointer copy, pointer copy_dx, pointer copy_w"},
	DenseNTHopper:         {"dense_nt_hopper", "dense_hopper.cu", Pairs384, dense + ", pointer copy"},
	DenseNNHopper:         {"dense_nn_hopper", "dense_hopper.cu", Pairs384, dense + ", pointer copy"},
	DenseBackwardNNHopper: {"dense_backward_nn_hopper", "dense_hopper.cu", Pairs384, backward + ", pointer copy, pointer copy_dx, pointer copy_w"},
	DenseBackwardNTHopper: {"dense_backward_nt_hopper", "dense_hopper.cu", Pairs384, backward + ", pointer copy, pointer copy_dx, pointer copy_w"},
}

func (id ID) row() row {
	if id < firstTensor {
		return manifest[id]
	}
	return tensorRow(id)
}

// Kernel returns the manifest's row.
func (id ID) Kernel() Kernel {
	r := id.row()
	k := Kernel{Entry: r.entry, File: r.file, Geometry: r.geometry}
	k.Parameters = parameters(r.parameters)
	return k
}

// parameters reads a list of declarations.
func parameters(list string) []Parameter {
	var all []Parameter
	for declaration := range strings.SplitSeq(list, ", ") {
		kind, name, _ := strings.Cut(declaration, " ")
		all = append(all, Parameter{Type: Type(kind), Name: name})
	}
	return all
}

// String returns the kernel's entry point.
func (id ID) String() string { return id.row().entry }

// Launch returns the grid and the block of a launch on a shape, which is that of
// the operand that the kernel's geometry counts. A grid of 0 means that there is
// nothing to do. It panics at shapes that no machine can hold.
func (id ID) Launch(rows, columns int) (grid, block int) {
	if id < firstTensor {
		return manifest[id].geometry.Launch(rows, columns)
	}
	return tensorGeometry(id).Launch(rows, columns)
}

func panicf(format string, args ...any) { panic("kernels: " + fmt.Sprintf(format, args...)) }
