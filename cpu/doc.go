// Package cpu is the device that people without a GPU use: the operations of
// package device in float32, spread over the cores of the machine.
//
// Contract. Device implements device.Device. Operations run at the call, on the
// caller's goroutine and on workers that live as long as the device. A step
// starts no goroutine and, once every shape has been seen, allocates nothing.
//
// Results do not depend on the number of threads: an element is always computed
// by the same instructions in the same order, whichever thread computes it, and
// the order of a sum follows from its shape. Vector code and the portable code
// round differently, except in Gather, Corrupt and Dropout, whose results are
// fixed to the bit by package device.
//
// A dense layer leaves out the zeros of its input, by masking, by nature or by ReLU, and of
// its gradient, where they are many enough for that to be quicker (sparse.go).
//
// A recorded step adds up the norm of the gradient as the layers make it and, without clipping, updates
// their weights then (record.go, end.go).
//
// The innermost loops (type kernels) exist in plain Go, for any machine, and for
// amd64 as assembly for AVX2 and for AVX-512, which New chooses by what the
// processor and the operating system support. GODEBUG=cpu.avx512f=off or
// cpu.avx2=off makes it choose the next best. Products of bfloat16 are by AMX-BF16 or,
// without it or with GODEBUG=cpu.amxbf16=off, by AVX512-BF16. The assembly is written by
// internal/asmgen: go generate writes it anew, and go test in that folder (a
// module of its own) checks that it is current.
//
// The package must not know models, data files or what an operation is for.
package cpu
