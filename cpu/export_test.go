package cpu

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

// NewBFloat16With is NewBFloat16 for such a device.
func NewBFloat16With(threads int) (*Device, error) {
	d, err := NewBFloat16(threads)
	if err != nil {
		return nil, err
	}
	d.useKernels(eager(d.kernels))
	return d, nil
}

// eager returns kernels for which hardly any work is too little for another thread, or
// any panels too few to be packed in several turns.
func eager(k *kernels) *kernels {
	e := *k
	e.flopsPerLane, e.elementsPerLane, e.packedBytes = 1<<10, 1<<8, 1<<15
	return &e
}
