package device

import "fmt"

// OutOfMemoryError says that a device cannot hold what was asked for.
type OutOfMemoryError struct {
	Device string // name of the device
	Wanted uint64 // bytes asked for
	Free   uint64 // bytes free, 0 if unknown
}

// Error implements error.
func (e *OutOfMemoryError) Error() string {
	if e.Free == 0 {
		return fmt.Sprintf("out of memory on %s: %d bytes wanted", e.Device, e.Wanted)
	}
	return fmt.Sprintf("out of memory on %s: %d bytes wanted, %d free", e.Device, e.Wanted, e.Free)
}

func panicf(format string, args ...any) { panic("device: " + fmt.Sprintf(format, args...)) }

// String formats a shape as rows×columns, or "none" for an absent view.
func (d dims) String() string {
	if d.Memory == nil {
		return "none"
	}
	return fmt.Sprintf("%d×%d", d.Rows, d.Columns)
}
