package kernels

// StageWords are the words of a stage of the corruption, which Advance finds in memory, one after
// the other, as words of 8 bytes. The struct NoiseStage of advance.cuh is the same; a test
// compares them.
func StageWords() []Parameter { return parameters(netStage + ", int absent") }
