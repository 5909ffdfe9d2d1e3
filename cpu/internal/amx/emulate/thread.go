//go:build linux && amd64

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"gpudae/cpu/internal/amx"
)

// thread is a thread of the program.
type thread struct {
	begun bool // the stop that it begins with is over
	tiles amx.Tiles
}

// execute carries out the instructions of AMX at which a thread stands, and returns
// how many, and the signal that it goes on with: none, SIGILL of an instruction that
// is refused, or SIGSEGV.
func (t *thread) execute(id int) (executed int, signal unix.Signal, err error) {
	var registers unix.PtraceRegs
	if err := unix.PtraceGetRegs(id, &registers); err != nil {
		return 0, 0, err
	}
	memory := processMemory(id)
	for {
		instruction, known := memory.instruction(registers.Rip)
		if !known {
			break
		}
		err := t.tiles.Execute(instruction, general(&registers), memory)
		var f *fault
		if errors.As(err, &f) {
			signal, err = unix.SIGSEGV, f.deliver(id)
		} else if errors.Is(err, amx.ErrUndefined) {
			fmt.Fprintf(os.Stderr, "emulate: %v, at %#x\n", err, registers.Rip)
			signal, err = unix.SIGILL, nil
		}
		if err != nil || signal != 0 {
			return executed, signal, errors.Join(err, unix.PtraceSetRegs(id, &registers))
		}
		executed++
		registers.Rip += uint64(instruction.Length)
	}
	if executed == 0 {
		return 0, unix.SIGILL, nil
	}
	return executed, 0, unix.PtraceSetRegs(id, &registers)
}

// general returns the values of general registers by their numbers in machine code.
func general(r *unix.PtraceRegs) func(number int) uint64 {
	return func(number int) uint64 {
		return [...]uint64{r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15}[number]
	}
}

// processMemory is the memory of a process, with its protection: unlike a debugger's
// means, it does not read or write what the process may not.
type processMemory int

// fault is an address that may not be read or written.
type fault struct{ address uint64 }

func (f *fault) Error() string { return fmt.Sprintf("a fault at %#x", f.address) }

// ReadAt reads memory at an address.
func (m processMemory) ReadAt(p []byte, address int64) (int, error) {
	return m.copied(p, address, unix.ProcessVMReadv)
}

// WriteAt writes memory at an address.
func (m processMemory) WriteAt(p []byte, address int64) (int, error) {
	return m.copied(p, address, unix.ProcessVMWritev)
}

func (m processMemory) copied(p []byte, address int64, move func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error)) (int, error) {
	here := unix.Iovec{Base: &p[0]}
	here.SetLen(len(p))
	n, err := move(int(m), []unix.Iovec{here}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(p)}}, 0)
	if err == unix.EFAULT || err == nil && n < len(p) {
		return max(n, 0), &fault{uint64(address) + uint64(max(n, 0))}
	}
	return n, err
}

// instruction is the one of AMX at an address, if there is one.
func (m processMemory) instruction(address uint64) (amx.Instruction, bool) {
	var code [amx.LongestCode]byte
	n, _ := m.ReadAt(code[:], int64(address)) // as many bytes as there are
	return amx.Decode(code[:n])
}

// deliver makes the signal that the thread has stopped with one of a fault, as the
// processor's would be.
func (f *fault) deliver(id int) error {
	const size, code, address, accessError = 128, 8, 16, 2 // siginfo_t, its fields' offsets, SEGV_ACCERR
	var info [size]byte
	binary.LittleEndian.PutUint32(info[:], uint32(unix.SIGSEGV))
	binary.LittleEndian.PutUint32(info[code:], accessError)
	binary.LittleEndian.PutUint64(info[address:], f.address)
	_, _, failed := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETSIGINFO, uintptr(id), 0, uintptr(unsafe.Pointer(&info)), 0, 0)
	if failed != 0 {
		return failed
	}
	return nil
}
