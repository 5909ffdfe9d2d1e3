package kernels

// RuleWords are the words of an optimiser that launches of gradients apply, which they find in memory as words of 8 bytes, at
// the front of RuleBytes that are 0 otherwise. The struct UpdateRule of apply.cuh is the same; a test compares them.
func RuleWords() []Parameter {
	return parameters("int kind, int nesterov, float beta1, float beta2, float epsilon, float weight_decay, int decayed, float decay, pointer rates, int steps, " +
		"pointer losses, int loss_terms, float mean, int guarded, pointer spikes, float spike_limit, pointer grads, pointer params, pointer first, pointer second, pointer ema")
}

// RuleBytes is the size of their memory. Behind the words launches leave what they tell each other.
func RuleBytes() int { return 8*len(RuleWords()) + 48 }
