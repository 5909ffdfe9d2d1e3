package cpu

// KernelNames are the instruction sets that this machine has kernels for.
func KernelNames() []string {
	var names []string
	for _, k := range supportedKernels() {
		names = append(names, k.name)
	}
	return names
}

// NewWith returns a device that uses the kernels of that name, and all its
// threads even for little work.
func NewWith(threads int, name string) (*Device, error) {
	d, err := New(threads)
	if err != nil {
		return nil, err
	}
	for _, k := range supportedKernels() {
		if k.name == name {
			eager := *k
			eager.flopsPerLane, eager.elementsPerLane = 1<<10, 1<<8
			d.useKernels(&eager)
		}
	}
	return d, nil
}

// NewBFloat16With is NewBFloat16 for a device that uses all its threads even
// for little work.
func NewBFloat16With(threads int) (*Device, error) {
	d, err := NewBFloat16(threads)
	if err != nil {
		return nil, err
	}
	eager := *d.kernels
	eager.flopsPerLane, eager.elementsPerLane = 1<<10, 1<<8
	d.useKernels(&eager)
	return d, nil
}
