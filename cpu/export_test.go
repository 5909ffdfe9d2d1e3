package cpu

import "slices"

// KernelNames are the instruction sets that this machine has kernels for.
func KernelNames() []string {
	var names []string
	for _, k := range supportedKernels() {
		names = append(names, k.name)
	}
	return names
}

// NewWith returns a device that uses the kernels of that name, and works on a little as on
// much: see eager.
func NewWith(threads int, name string) (*Device, error) {
	d, err := New(threads)
	if err != nil {
		return nil, err
	}
	for _, k := range supportedKernels() {
		if k.name == name {
			d.useKernels(eager(k))
		}
	}
	return d, nil
}

// bfloat16Products are those that this machine can run; of AMX also where it is emulated.
func bfloat16Products() []*pairProducts {
	var all []*pairProducts
	for _, p := range append(emulatedProducts(), supportedKernels()[0].products...) {
		if !slices.Contains(all, p) && (p.granted() || slices.Contains(emulatedProducts(), p)) {
			all = append(all, p)
		}
	}
	return all
}

// BFloat16Names are the instruction sets that this machine has products of bfloat16 for.
func BFloat16Names() []string {
	var names []string
	for _, p := range bfloat16Products() {
		names = append(names, p.name)
	}
	return names
}

// NewBFloat16With is NewWith for products of bfloat16 by the instruction set of that name.
func NewBFloat16With(threads int, name string) (*Device, error) {
	d, err := New(threads)
	if err != nil {
		return nil, err
	}
	d.useKernels(eager(d.kernels))
	for _, p := range bfloat16Products() {
		if p.name == name {
			d.pairs = p
		}
	}
	return d, nil
}

// eager returns kernels for which hardly any work is too little for another thread, any
// panels too few to be packed in several turns, or any sparse product too small for parts.
func eager(k *kernels) *kernels {
	e := *k
	e.flopsPerLane, e.elementsPerLane, e.packedBytes = 1<<10, 1<<8, 1<<15
	e.sparse, e.sparseTerms = 0.6, 64
	return &e
}
