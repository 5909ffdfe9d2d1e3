package kernels

// What SmallNet is told lies in memory, as words of 8 bytes: those of
// the step, then NetLayers times those of a layer, then NetStages times those of a stage
// of the corruption. The structs of small_net.cuh are the same; a test compares them.
const (
	NetLayers = 8
	NetStages = 4
)

const (
	netStep = "int rows, int features, int stride, int units, int tiles, int floats, int clean, int corrupted, int mask, int biases, int deltas, " +
		"pointer data, int bytes, float data_scale, int data_rows, int lo, int part, int split, uint split_seed, int shuffle, uint seed, int replicates, pointer clock, " +
		"int likelihood, float sigma, float destroyed, float untouched, pointer weights, float scale, float mean, " +
		"int rule, int nesterov, float beta1, float beta2, float epsilon, float weight_decay, int decayed, float clip, float decay, int guarded, " +
		"pointer rates, pointer spikes, float spike_limit, pointer params, pointer first, pointer second, pointer ema, pointer moments, " +
		"int examples, pointer values, pointer log, int entries, int layers, int stages"
	netLayer = "int in, int out, int act, int weight, int bias, int w, int x, int y, int tile, int unit"
	netStage = "int kind, uint seed, uint stream, uint stage, uint rate, pointer rates, float amount, int length, " +
		"pointer of_column, pointer continuous, pointer low, pointer high"
)

// NetMoments is the number of floats of the memory in which SmallNet keeps the moments of
// so many tiles of 4×4 weights.
func NetMoments(tiles int) int { return 2 * 16 * threads * blocks(tiles, threads) }

// NetWords are the words of a small net, by name: those of the step, of a layer, of a
// stage.
func NetWords() (step, layer, stage []Parameter) {
	return parameters(netStep), parameters(netLayer), parameters(netStage)
}
