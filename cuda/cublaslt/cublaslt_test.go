//go:build cuda

package cublaslt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"gpudae/cuda"
	"gpudae/cuda/cublaslt"
	"gpudae/cuda/cudatest"
)

// TestValuesAreTheHeaders: every constant, size and place that the package has from NVIDIA's headers is the one that
// a program compiled with those has printed.
func TestValuesAreTheHeaders(t *testing.T) {
	if _, err := os.Stat("cublaslt.h"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the source is not here")
	}
	record := read(t, "testdata/headers.txt")
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([^#].*) (\d+)$`).FindAllStringSubmatch(record, -1) {
		want[m[1]] = m[2]
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`\b(CU[A-Z0-9_]+) = (\d+)`).FindAllStringSubmatch(read(t, "cublaslt.h"), -1) {
		got[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`_Static_assert\((sizeof|offsetof)\((\w+)(?:, (\w+))?\) == (\d+)`).FindAllStringSubmatch(read(t, "cublaslt.c"), -1) {
		got[strings.TrimSpace(m[1]+" "+m[2]+" "+m[3])] = m[4]
	}
	got["CUBLAS_VERSION"] = want["CUBLAS_VERSION"]
	for name, value := range got {
		if want[name] != value {
			t.Errorf("%s is %s, and %q in the headers", name, value, want[name])
		}
	}
	if len(got) != len(want) || len(got) < 35 {
		t.Errorf("the package has %d values, the record %d", len(got), len(want))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// TestLoad: the library has a version; where it is not, or lacks a function, the error says what was looked for and what to do.
func TestLoad(t *testing.T) {
	l := load(t)
	if !regexp.MustCompile(`^1[2-9]\.\d+\.\d+$`).MatchString(l.Version) || !strings.HasPrefix(l.Name, "libcublasLt.so.1") {
		t.Errorf("the library is %s of version %s", l.Name, l.Version)
	}
	for path, problem := range map[string]string{"/nowhere/libcublasLt.so.13": "/nowhere/libcublasLt.so.13", "libcuda.so.1": "has no function cublasLtGetVersion"} {
		t.Setenv(cublaslt.PathVariable, path)
		_, err := cublaslt.Load()
		var missing *cublaslt.MissingError
		if !errors.As(err, &missing) || !strings.Contains(missing.Problem, problem) || !strings.Contains(missing.Remedy, cublaslt.PathVariable) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// bench is a handle on a device with numbers there.
type bench struct {
	*testing.T
	context *cuda.Context
	handle  *cublaslt.Handle
	pinned  *cuda.Pinned
}

const workspaceBytes = 1 << 20

// load skips a test on a machine with a GPU and without the library. The software driver has one beside it.
func load(t *testing.T) *cublaslt.Library {
	t.Helper()
	l, err := cublaslt.Load()
	var missing *cublaslt.MissingError
	if errors.As(err, &missing) {
		cudatest.Read(t)
	}
	must(t, err)
	return l
}

func open(t *testing.T) *bench {
	t.Helper()
	library := load(t)
	context, err := cuda.Open(0)
	must(t, err)
	b := &bench{T: t, context: context}
	t.Cleanup(func() { must(t, context.Close()) })
	workspace := b.alloc(workspaceBytes)
	b.handle, err = library.Open(context, workspace, workspaceBytes)
	must(t, err)
	t.Cleanup(func() { must(t, b.handle.Close()) })
	b.pinned, err = context.NewPinned(1 << 20)
	must(t, err)
	t.Cleanup(func() { must(t, b.pinned.Close()) })
	return b
}

func (b *bench) alloc(bytes int) cuda.Address {
	b.Helper()
	at, err := b.context.Alloc(bytes)
	must(b, err)
	b.Cleanup(func() { must(b, b.context.Free(at)) })
	return at
}

// place puts numbers on the device, off bytes behind a multiple of 256, as float32 or bfloat16.
func (b *bench) place(values []float32, off int, narrow bool) cuda.Address {
	b.Helper()
	size := 4
	if narrow {
		size = 2
	}
	at := b.alloc(size*len(values)+off) + cuda.Address(off)
	b.write(at, values, narrow)
	return at
}

func (b *bench) write(at cuda.Address, values []float32, narrow bool) {
	b.Helper()
	bytes := b.pinned.Bytes[:0]
	for _, v := range values {
		if narrow {
			bytes = binary.NativeEndian.AppendUint16(bytes, uint16(math.Float32bits(v)>>16))
		} else {
			bytes = binary.NativeEndian.AppendUint32(bytes, math.Float32bits(v))
		}
	}
	must(b, b.pinned.CopyToDevice(at, len(bytes)))
	must(b, b.pinned.Wait())
}

func (b *bench) read(at cuda.Address, n int) []float32 {
	b.Helper()
	must(b, b.pinned.CopyFromDevice(at, 4*n))
	must(b, b.pinned.Wait())
	values := make([]float32, n)
	for i := range values {
		values[i] = math.Float32frombits(binary.NativeEndian.Uint32(b.pinned.Bytes[4*i:]))
	}
	return values
}

// factorOf is a matrix of normal deviates, in rows that are further apart than they are long. Narrow ones are such that bfloat16 holds them.
func (b *bench) factorOf(random *rand.Rand, rows, columns, off int, narrow, transposed bool) (cublaslt.Matrix, func(i, j int) float64) {
	b.Helper()
	if transposed {
		rows, columns = columns, rows
	}
	stride := columns + 3
	values := make([]float32, rows*stride)
	for i := range values {
		values[i] = float32(random.NormFloat64())
		if narrow {
			values[i] = math.Float32frombits(math.Float32bits(values[i]) &^ 0xffff)
		}
	}
	at := func(i, j int) float64 {
		if transposed {
			i, j = j, i
		}
		return float64(values[i*stride+j])
	}
	return cublaslt.Matrix{At: b.place(values, off, narrow), Rows: rows, Columns: columns, Stride: stride, Narrow: narrow, Transposed: transposed}, at
}

// TestProducts: products of factors along and across, with and without bias, plus what is there, at every alignment and with sums
// that are shared, are those of float64 to the error of their arithmetic, by the norm, and not below it; what lies between rows stays.
func TestProducts(t *testing.T) {
	b := open(t)
	random := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		compute     cublaslt.Compute
		narrow      bool
		least, most float64
	}{{cublaslt.Float32, false, 0, 1e-6}, {cublaslt.TF32, false, 2e-5, 1e-3}, {cublaslt.BFloat16, false, 2e-4, 1e-2}, {cublaslt.Float32, true, 0, 1e-6}} {
		for _, extents := range [][3]int{{7, 5, 9}, {17, 33, 640}} {
			for choice := range 16 {
				m, n, k := extents[0], extents[1], extents[2]
				off := []int{0, 4, 8, 16}[choice%4]
				a, atA := b.factorOf(random, m, k, off, c.narrow, choice&1 != 0)
				w, atB := b.factorOf(random, k, n, off, c.narrow, choice&2 != 0)
				p := cublaslt.Product{Compute: c.compute, A: a, B: w, D: cublaslt.Matrix{Rows: m, Columns: n, Stride: n + 2}, Accumulate: choice&8 != 0}
				before, bias := make([]float32, m*(n+2)), make([]float32, n)
				for i := range before {
					before[i] = float32(i)
				}
				p.D.At = b.place(before, off, false)
				if choice&4 != 0 {
					for j := range bias {
						bias[j] = float32(j)
					}
					p.Bias = b.place(bias, off, false)
				}
				must(t, b.handle.Multiply(p))
				got := b.read(p.D.At, len(before))
				var wrong, size float64
				for i := range m {
					for j := range n + 2 {
						g := float64(got[i*(n+2)+j])
						if j >= n {
							if g != float64(before[i*(n+2)+j]) {
								t.Fatalf("%s: between rows lies %g", &p, g)
							}
							continue
						}
						sum := 0.0
						for l := range k {
							sum += atA(i, l) * atB(l, j)
						}
						size += sum * sum
						if p.Bias != 0 {
							sum += float64(bias[j])
						}
						if p.Accumulate {
							sum += float64(before[i*(n+2)+j])
						}
						wrong += (g - sum) * (g - sum)
					}
				}
				if e := math.Sqrt(wrong / size); !(e >= c.least && e <= c.most) {
					t.Errorf("%s, choice %d: off by %.1e of it, want %.0e to %.0e", &p, choice, e, c.least, c.most)
				}
			}
		}
	}
}

// long is a product of which blocks share the sums.
func long(b *bench) cublaslt.Product {
	random := rand.New(rand.NewPCG(7, 8))
	a, _ := b.factorOf(random, 20, 2000, 0, false, false)
	w, _ := b.factorOf(random, 2000, 30, 0, false, true)
	return cublaslt.Product{Compute: cublaslt.Float32, A: a, B: w, D: cublaslt.Matrix{At: b.alloc(4 * 600), Rows: 20, Columns: 30, Stride: 30}}
}

// TestSumsHaveOneOrder: a product leaves the same bits each time, by itself and replayed in a graph, which follows its operands.
func TestSumsHaveOneOrder(t *testing.T) {
	b := open(t)
	p := long(b)
	must(t, b.handle.Multiply(p))
	first := b.read(p.D.At, 600)
	graph, err := b.context.Capture(func() { must(t, b.handle.Multiply(p)) })
	must(t, err)
	defer graph.Close()
	for run := range 6 {
		must(t, b.context.Zero(p.D.At, 600))
		if run%2 == 0 {
			must(t, b.handle.Multiply(p))
		} else {
			must(t, graph.Launch())
		}
		for i, v := range b.read(p.D.At, 600) {
			if v != first[i] {
				t.Fatalf("run %d: element %d is %g, and was %g", run, i, v, first[i])
			}
		}
	}
	must(t, b.context.Zero(p.A.At, p.A.Rows*p.A.Stride))
	must(t, graph.Launch())
	for i, v := range b.read(p.D.At, 600) {
		if v != 0 {
			t.Fatalf("with factors of 0 element %d is %g", i, v)
		}
	}
}

// TestPreparingLeavesNothing: a product that is prepared runs once, and leaves its operands and the device's memory as they were; for
// operands of one shape and alignment it does so once, for others anew.
func TestPreparingLeavesNothing(t *testing.T) {
	b := open(t)
	p := long(b)
	must(t, b.context.Fill(p.D.At, 1, 600))
	elsewhere, unaligned := p, p
	elsewhere.D.At = b.alloc(4 * 600)
	unaligned.D.At = b.alloc(4*600+4) + 4
	before, allocated := cudatest.Ran(t, "cublasLtMatmul"), cudatest.Read(t).BytesAllocated
	for i, c := range []struct {
		product cublaslt.Product
		ran     int
	}{{p, 1}, {p, 1}, {elsewhere, 1}, {unaligned, 2}} {
		must(t, b.handle.Prepare(c.product))
		must(t, b.context.Synchronize())
		if got := cudatest.Ran(t, "cublasLtMatmul") - before; got != c.ran {
			t.Errorf("after preparing product %d, %d were made, want %d", i, got, c.ran)
		}
	}
	if got := cudatest.Read(t).BytesAllocated; got != allocated {
		t.Errorf("%d bytes are in use, %d before", got, allocated)
	}
	for i, v := range b.read(p.D.At, 600) {
		if math.Float32bits(v) != 1 {
			t.Fatalf("element %d of the result is %g", i, v)
		}
	}
}

// TestErrorSaysWhat: a call that fails is named with the product, and the library's name and words for the failure.
func TestErrorSaysWhat(t *testing.T) {
	cudatest.Ran(t, "cublasLtMatmul") // a real library may put up with it
	b := open(t)
	library, err := cublaslt.Load()
	must(t, err)
	handle, err := library.Open(b.context, b.alloc(workspaceBytes)+4, workspaceBytes/2)
	must(t, err)
	defer handle.Close()
	err = handle.Multiply(long(b))
	var failed *cublaslt.Error
	if want := "cublasLtMatmul(20×30, sums of 2000, 32F): CUBLAS_STATUS_INVALID_VALUE, an unsupported value"; !errors.As(err, &failed) || failed.NotSupported() ||
		!strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestMemoryThatIsGone: a product in memory that was freed is an error of the device.
func TestMemoryThatIsGone(t *testing.T) {
	ran := cudatest.Ran(t, "cublasLtMatmul")
	context, err := cuda.Open(0)
	must(t, err)
	defer context.Close()
	library, err := cublaslt.Load()
	must(t, err)
	handle, err := library.Open(context, 0, 0)
	must(t, err)
	defer handle.Close()
	var at [3]cuda.Address
	for i := range at {
		at[i], err = context.Alloc(4096)
		must(t, err)
	}
	square := func(i int) cublaslt.Matrix { return cublaslt.Matrix{At: at[i], Rows: 32, Columns: 32, Stride: 32} }
	p := cublaslt.Product{Compute: cublaslt.Float32, A: square(0), B: square(1), D: square(2)}
	must(t, handle.Multiply(p))
	must(t, context.Free(at[1]))
	must(t, handle.Multiply(p))
	var failed *cuda.Error
	if err := context.Synchronize(); !errors.As(err, &failed) || failed.Name != "CUDA_ERROR_ILLEGAL_ADDRESS" {
		t.Errorf("the device says %v", err)
	}
	if got := cudatest.Ran(t, "cublasLtMatmul") - ran; got != 1 {
		t.Errorf("%d products ran, want 1", got)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ExampleCompute_String() {
	fmt.Println(cublaslt.Float32, cublaslt.TF32, cublaslt.BFloat16)
	// Output: 32F 32F_FAST_TF32 32F_FAST_16BF
}
