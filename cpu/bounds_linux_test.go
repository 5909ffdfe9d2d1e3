package cpu

import (
	"fmt"
	"runtime/debug"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atPageEnd returns n elements that end where memory ends: to read or write
// beyond them is a fault.
func atPageEnd[T any](t *testing.T, n int) []T {
	t.Helper()
	page := unix.Getpagesize()
	size := n * int(unsafe.Sizeof(*new(T)))
	used := ceilDiv(size, page) * page
	memory, err := unix.Mmap(-1, 0, used+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(memory); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mprotect(memory[used:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[used-size])), n)
}

// inBounds fails the test if f touches memory that it may not.
func inBounds(t *testing.T, what string, f func()) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			t.Errorf("%s: %v", what, fault)
		}
	}()
	f()
}

// TestKernelsStayInBounds runs the kernels on slices that end at the end of
// memory.
func TestKernelsStayInBounds(t *testing.T) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		for _, n := range []int{1, 7, 8, 13, 16, 31, 47} {
			o := newOperands(n, func(n int) []float32 { return atPageEnd[float32](t, n) }, func(n int) []uint32 { return atPageEnd[uint32](t, n) })
			y := atPageEnd[float32](t, n)
			for name, operation := range elementwise(k, o) {
				inBounds(t, fmt.Sprint(name, " of ", n), func() { operation(y, 0, n) })
			}
			rows := atPageEnd[float32](t, 3*n)
			inBounds(t, fmt.Sprint("rows of ", n), func() { k.addRows(rows, n, 3, o.a, 0) })
			memory := atPageEnd[uint8](t, 100*n)
			inBounds(t, fmt.Sprint("prefetch of ", n), func() {
				k.prefetch(memory)
				k.prefetchRows(o.a, n, 3)
			})
			inBounds(t, fmt.Sprint("sums of ", n), func() {
				k.sum(o.a)
				k.sumSquares(o.a)
				k.sumSquaredDifferences(o.a, o.b)
				k.deviations(o.a, 1)
				k.normalRowSums(o.a, o.b, o.c, 0.5, 2)
			})
		}
		words, z, bytes := atPageEnd[uint32](t, wordsMultiple), atPageEnd[float32](t, wordsMultiple), atPageEnd[uint8](t, widenMultiple)
		inBounds(t, "random numbers", func() {
			k.words(words, [4]uint32{}, [2]uint32{})
			k.normals(z, words)
			k.widen(z[:widenMultiple], bytes, 1)
		})
	})
}

// TestProductsStayInBounds runs the micro-kernels, and the packing, on
// matrices that end at the end of memory.
func TestProductsStayInBounds(t *testing.T) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		const kc = 5
		for _, tile := range k.tiles {
			for rows := 1; rows <= tile.rows(); rows++ {
				const tiles = 2
				packed, width := kc*tile.columns, tiles*tile.columns
				s, c := atPageEnd[float32](t, rows*kc), atPageEnd[float32](t, rows*width)
				panels := atPageEnd[float32](t, tiles*packed)
				inBounds(t, fmt.Sprintf("tiles of %d×%d", rows, tile.columns), func() {
					tile.packRows(tiles, panels, packed, atPageEnd[float32](t, kc*width), width, kc)
					tile.multiply[rows-1](tiles, kc, s, kc, 1, panels, packed, tile.columns, c, width, true, kc, nil, 0, 0)
					tile.multiply[rows-1](tiles, kc, s, 1, rows, panels, packed, tile.columns, c, width, false, kc, nil, 0, 0)
					if !tile.packed {
						tile.multiply[rows-1](tiles, kc, s, kc, 1, panels, tile.columns, width, c, width, true, kc, nil, 0, 0)
					}
				})
			}
		}
		for rows := 1; rows <= k.square; rows++ {
			for columns := 1; columns <= 2*k.square; columns += 3 {
				src, dst := atPageEnd[float32](t, rows*columns), atPageEnd[float32](t, rows*columns)
				inBounds(t, fmt.Sprintf("transpose %d×%d", rows, columns), func() {
					k.transpose(dst, rows, src, columns, rows, columns, rows, true)
					k.transpose(dst, rows, src, columns, rows, columns, rows, false)
				})
			}
		}
	})
}

// TestSparseKernelsStayInBounds runs the kernels of sparse products on lists
// and matrices that end at the end of memory.
func TestSparseKernelsStayInBounds(t *testing.T) {
	everyKernel(t, func(t *testing.T, k *kernels) {
		width := k.sparseTile.columns
		for _, n := range []int{1, 7, 8, 16, 29} {
			x := atPageEnd[float32](t, 2*n)
			for i := range x {
				x[i] = 1
			}
			offsets, values := atPageEnd[uint32](t, 2*n+listSlack), atPageEnd[float32](t, 2*n+listSlack)
			panel, c, counts := atPageEnd[float32](t, n*width), atPageEnd[float32](t, 2*width), atPageEnd[uint32](t, 2)
			inBounds(t, fmt.Sprintf("sparse row of %d", n), func() {
				if found := k.nonzeros(x[n:]); found != n {
					t.Errorf("%d of %d ones are not zero", found, n)
				}
				k.compress(counts, offsets, values, x, n, n, width)
				k.sparseTile.packRows(1, panel, 0, atPageEnd[float32](t, n*width), width, n)
				k.multiplySparse(counts, offsets[:2*n], values[:2*n], panel, c, width, n%2 == 1)
				k.multiplyScanned(len(counts), n, x, n, panel, c, width)
			})
		}
	})
}
