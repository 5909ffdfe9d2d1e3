package kernels

// StageWords are the words of a stage of the corruption, which Advance finds in memory, one after
// the other, as words of 8 bytes. The struct NoiseStage of advance.cuh is the same; a test
// compares them.
func StageWords() []Parameter { return parameters(netStage + ", int absent") }

// CopyWords are the words of a copy of parameters in bfloat16, which Advance finds in memory likewise: the elements begin to
// end of the parameters as rows of so many columns, each of which lies at to with stride elements. The struct ParameterCopy of
// advance.cuh is the same.
func CopyWords() []Parameter {
	return parameters("int begin, int end, int columns, int stride, pointer to")
}
