//go:build cuda

package gpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"gpudae/cuda"
	"gpudae/device"
	"gpudae/kernels"
)

// dataset is device.Dataset: the table as it is stored, row after row, in the
// device's memory or in the host's.
type dataset struct {
	rows, columns  int
	at             cuda.Address
	scale          float32      // of bytes
	stride         int          // of records, in bytes; 0 of a matrix
	cells          device.Words // of records: how their columns are read
	values         device.View  // of records: what their numbers stand for, if they do not stand for themselves
	gathers, swaps kernels.ID   // the kernels that read it
	advances       kernels.ID   // and that of a recorded step
}

// Shape returns the numbers of rows and columns.
func (s *dataset) Shape() (rows, columns int) { return s.rows, s.columns }

// words appends where the rows are and how they are read, as kernels take it.
func (s *dataset) words(words []uint64) []uint64 {
	if s.stride > 0 {
		return append(words, uint64(s.at), integer(s.stride), wordAddress(s.cells), address(s.values), integer(s.rows))
	}
	return append(words, uint64(s.at), float(s.scale), integer(s.rows))
}

// Load copies the table to the device, or lends it the table's memory where the
// device has no room.
func (d *Device) Load(ctx context.Context, t device.Table) (device.Dataset, error) {
	t.Check()
	s := &dataset{rows: t.Rows, columns: t.Columns, scale: t.Scale}
	var source []byte
	switch {
	case t.Records != nil:
		s.gathers, s.swaps, s.advances = kernels.GatherRecords, kernels.CorruptSwapRecords, kernels.AdvanceRecords
		s.stride, source = max(t.Records.Stride, 1), t.Records.Bytes
		if err := d.describe(s, t.Records.Columns); err != nil {
			return nil, err
		}
	case t.Uint8 != nil:
		s.gathers, s.swaps, s.advances, source = kernels.GatherU8, kernels.CorruptSwapU8, kernels.AdvanceU8, t.Uint8
	default:
		s.gathers, s.swaps, s.advances, source = kernels.GatherF32, kernels.CorruptSwapF32, kernels.AdvanceF32, bytesOf(t.Float32)
	}
	if d.err != nil {
		return nil, d.err
	}
	if !d.Info().Holds(uint64(len(source))) {
		return d.mapped(ctx, s, source)
	}
	return d.resident(ctx, s, source)
}

// resident copies the rows to the device.
func (d *Device) resident(ctx context.Context, s *dataset, source []byte) (device.Dataset, error) {
	var err error
	if s.at, err = d.reserve(len(source), 1, d.arena.alone); err != nil {
		return nil, err
	}
	for from := 0; from < len(source); from += stagingBytes {
		if err := ctx.Err(); err != nil {
			return nil, d.cancelled(s.at, err)
		}
		if err := d.upload(s.at+cuda.Address(from), source[from:min(from+stagingBytes, len(source))]); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, d.cancelled(s.at, err)
	}
	return s, nil
}

// mapped leaves the rows in the host's memory, where kernels read them: the very
// memory of the table, or, where that cannot be lent, a copy.
func (d *Device) mapped(ctx context.Context, s *dataset, source []byte) (device.Dataset, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gpu: load: %w", err)
	}
	var lent *cuda.Mapped
	err := error(nil)
	if uintptr(unsafe.Pointer(unsafe.SliceData(source)))%wordBytes == 0 { // kernels read whole words
		lent, err = d.context.Map(source)
	}
	if lent == nil || err != nil {
		lent, err = d.copyToHost(ctx, source)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("gpu: load: %w", ctx.Err())
	}
	if err != nil {
		return nil, &device.OutOfMemoryError{Device: d.name, Wanted: uint64(len(source)), Free: d.Info().MemoryFree}
	}
	d.lent = append(d.lent, lent)
	d.lentBytes += uint64(len(source))
	s.at = lent.At
	return s, nil
}

// copyToHost copies the rows to memory on the host that the device can read.
func (d *Device) copyToHost(ctx context.Context, source []byte) (*cuda.Mapped, error) {
	lent, to, err := d.context.AllocMapped(len(source))
	if err != nil {
		return nil, err
	}
	for from := 0; from < len(source); from += stagingBytes {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, lent.Close())
		}
		copy(to[from:], source[from:min(from+stagingBytes, len(source))])
	}
	return lent, nil
}

// plainNumbers, in place of where a column's values start, says that its numbers
// stand for themselves (kPlain of dataset.cuh).
const plainNumbers = math.MaxUint32

// describe places how the columns of records are read: for each its cell, its
// offset, where its values start among all, and how many they are.
func (d *Device) describe(s *dataset, columns []device.Column) error {
	var words []uint32
	var values []float32
	for _, c := range columns {
		first := uint32(plainNumbers)
		if c.Values != nil {
			first = uint32(len(values))
			values = append(values, c.Values...)
		}
		words = append(words, uint32(c.Cell), uint32(c.Offset), first, uint32(len(c.Values)))
	}
	cells, err := d.Alloc(device.Word, len(words))
	if err != nil {
		return err
	}
	table, err := d.Alloc(device.Float, len(values))
	if err != nil {
		return err
	}
	s.cells, s.values = device.WordsOf(cells, 0, len(words)), device.MatrixOf(table, 0, 1, len(values))
	if err := d.UploadWords(s.cells, words); err != nil {
		return err
	}
	return d.Upload(s.values, values)
}

// cancelled gives up a data set that is half loaded.
func (d *Device) cancelled(at cuda.Address, err error) error {
	if failed := d.Sync(); failed != nil {
		return failed
	}
	if failed := d.arena.release(at); failed != nil {
		d.fail("giving up a data set", failed)
		return d.err
	}
	return fmt.Errorf("gpu: load: %w", err)
}
