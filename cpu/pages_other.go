//go:build !linux

package cpu

// mapLargePage returns nothing: this system has no such advice.
func mapLargePage() (page []float32, mapping []byte) { return nil, nil }

// unmap has nothing to give back.
func unmap([]byte) error { return nil }
