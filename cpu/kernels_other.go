//go:build !amd64

package cpu

// supportedKernels returns the kernels that this machine can run, best first.
func supportedKernels() []*kernels { return []*kernels{&genericKernels} }
