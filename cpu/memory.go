package cpu

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"gpudae/device"
	"gpudae/device/philox"
)

const (
	deviceName = "cpu"
	wordBytes  = 4  // size of a float32 and of a word
	cacheLine  = 64 // bytes; memory starts at a multiple of it
)

// memory is device.Memory; one of the slices is nil.
type memory struct {
	floats []float32
	words  []uint32
}

// Type is the type of the elements.
func (m *memory) Type() device.Type {
	if m.words != nil {
		return device.Word
	}
	return device.Float
}

// Len is the number of elements.
func (m *memory) Len() int { return len(m.floats) + len(m.words) }

// floatsOf returns the elements of a view, or nil if it is absent.
func floatsOf(v device.View) []float32 {
	if v.Memory == nil {
		return nil
	}
	n := v.Len()
	return v.Memory.(*memory).floats[v.Offset : v.Offset+n : v.Offset+n]
}

// wordsOf returns the elements of a run of words, or nil if it is absent.
func wordsOf(w device.Words) []uint32 {
	if w.Memory == nil {
		return nil
	}
	return w.Memory.(*memory).words[w.Offset : w.Offset+w.Len : w.Offset+w.Len]
}

// alignedFloats returns n zeros that start at a cache line.
func alignedFloats(n int) []float32 {
	const perLine = cacheLine / wordBytes
	s := make([]float32, n+perLine-1)
	skip := 0
	if n > 0 {
		past := int(uintptr(unsafe.Pointer(&s[0])) % cacheLine / wordBytes)
		skip = (perLine - past) % perLine
	}
	return s[skip : skip+n : skip+n]
}

// grown returns a slice of n elements, s itself if it is long enough.
func grown(s []float32, n int) []float32 {
	if n <= len(s) {
		return s
	}
	return alignedFloats(n)
}

// smallAllocation is a number of bytes that is granted without asking the
// operating system what is free, which takes longer than to allocate them.
const smallAllocation = 1 << 22

// reserve fails if n elements of size bytes exceed the free memory.
func reserve(n, size int) error {
	hi, wanted := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 {
		wanted = math.MaxUint64
	}
	if wanted <= smallAllocation {
		return nil
	}
	total, free := systemMemory()
	if total == 0 {
		free = 1 << 40
	}
	if wanted > free {
		return &device.OutOfMemoryError{Device: deviceName, Wanted: wanted, Free: free}
	}
	return nil
}

func mustEqualLength(what string, onDevice, onHost int) {
	if onDevice != onHost {
		panic(fmt.Sprintf("cpu: %s: %d elements on the device, %d on the host", what, onDevice, onHost))
	}
}

// dataset is device.Dataset: the host's table, which nobody changes; one of
// bytes, floats and records is not nil.
type dataset struct {
	rows, columns int
	bytes         []uint8
	scale         float32 // of bytes
	floats        []float32
	records       *records
	tables        map[device.Rows][]uint32 // row numbers of parts of a split, once they are wanted
}

// Shape returns the numbers of rows and columns.
func (s *dataset) Shape() (rows, columns int) { return s.rows, s.columns }

// load takes a table where it lies.
func load(ctx context.Context, t device.Table) (*dataset, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cpu: load: %w", err)
	}
	t.Check()
	s := &dataset{
		rows: t.Rows, columns: t.Columns, scale: t.Scale, bytes: t.Uint8, floats: t.Float32, tables: map[device.Rows][]uint32{},
	}
	if t.Records != nil {
		s.records = newRecords(t.Records)
	}
	return s, nil
}

// donors are the rows of a part, by their position in it: a walk through the
// split's permutation, which takes long, or a table of it.
type donors struct {
	lo          uint32
	permutation philox.Permutation
	table       []uint32 // nil: none
}

// largestTable is the number of rows up to which a part has a table, and
// mostTables how many parts do: one to train on and one to validate with.
const (
	largestTable = 1 << 22
	mostTables   = 4
)

// donors returns the rows of a part, and makes its table at the first call.
func (s *dataset) donors(part device.Rows) donors {
	d := donors{lo: uint32(part.Lo), permutation: part.Permutation(s.rows), table: s.tables[part]}
	if d.table != nil || !part.Split || part.Len() > largestTable || len(s.tables) == mostTables {
		return d
	}
	table := make([]uint32, part.Len())
	for i := range table {
		table[i] = uint32(d.row(uint32(i)))
	}
	s.tables[part], d.table = table, table
	return d
}

// row returns the row at a position of the part.
func (d *donors) row(position uint32) int {
	if d.table != nil {
		return int(d.table[position])
	}
	return int(d.permutation.At(d.lo + position))
}

// at returns the value of one element.
func (s *dataset) at(row, column int) float32 {
	if s.records != nil {
		return s.records.at(row, column)
	}
	i := row*s.columns + column
	if s.bytes != nil {
		return s.scale * float32(s.bytes[i])
	}
	return s.floats[i]
}

// prefetchRow asks for the memory of a row that will be copied soon: its place
// is random.
func (s *dataset) prefetchRow(k *kernels, row int) {
	if s.records != nil {
		k.prefetch(s.records.record(row))
		return
	}
	from := row * s.columns
	if s.bytes != nil {
		k.prefetch(s.bytes[from : from+s.columns])
		return
	}
	floats := s.floats[from : from+s.columns]
	k.prefetch(unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(floats))), len(floats)*wordBytes))
}

// widenMultiple is what the kernel that widens bytes takes a multiple of.
const widenMultiple = 16

// copyRow widens a row to dst.
func (s *dataset) copyRow(k *kernels, dst []float32, row int) {
	if s.records != nil {
		s.records.copyRow(dst, row)
		return
	}
	from := row * s.columns
	if s.bytes == nil {
		copy(dst, s.floats[from:from+s.columns])
		return
	}
	src := s.bytes[from : from+s.columns]
	whole := len(src) / widenMultiple * widenMultiple
	k.widen(dst[:whole], src, s.scale)
	for j := whole; j < len(src); j++ {
		dst[j] = s.scale * float32(src[j])
	}
}
