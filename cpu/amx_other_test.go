//go:build !amd64

package cpu

// emulatedProducts are none: AMX is of amd64.
func emulatedProducts() []*pairProducts { return nil }
