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

// Read reads rows of equal length that begin stride bytes apart.
func (m processMemory) Read(rows [][]byte, first, stride uint64) error {
	_, err := m.move(rows, first, stride, unix.ProcessVMReadv)
	return err
}

// Write writes rows of equal length that begin stride bytes apart.
func (m processMemory) Write(rows [][]byte, first, stride uint64) error {
	_, err := m.move(rows, first, stride, unix.ProcessVMWritev)
	return err
}

// move returns the number of bytes moved, all of them or those before a fault.
func (m processMemory) move(rows [][]byte, first, stride uint64, by func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error)) (int, error) {
	here, there := make([]unix.Iovec, len(rows)), make([]unix.RemoteIovec, len(rows))
	length := len(rows[0])
	for i, row := range rows {
		here[i].Base = &row[0]
		here[i].SetLen(length)
		there[i] = unix.RemoteIovec{Base: uintptr(first + uint64(i)*stride), Len: length}
	}
	n, err := by(int(m), here, there, 0)
	if err == unix.EFAULT || err == nil && n < length*len(rows) {
		n = max(n, 0)
		return n, &fault{first + uint64(n/length)*stride + uint64(n%length)}
	}
	return n, err
}

// instruction is the one of AMX at an address, if there is one.
func (m processMemory) instruction(address uint64) (amx.Instruction, bool) {
	var code [amx.LongestCode]byte
	n, _ := m.move([][]byte{code[:]}, address, 0, unix.ProcessVMReadv) // as many bytes as there are
	return amx.Decode(code[:max(n, 0)])
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
