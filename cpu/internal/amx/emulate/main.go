//go:build linux && amd64

// Command emulate runs a program whose instructions of AMX are carried out by package
// amx where the processor refuses them, so that what uses them can be tested without
// AMX:
//
//	emulate PROGRAM [ARGUMENT...]
//
// It follows the program's threads by ptrace. A thread that stops at an instruction of
// AMX has it carried out on its own tiles and on the program's memory; one that the
// processor would refuse too (wrong shapes, no tiles) stays an illegal instruction,
// and memory that may not be touched a segmentation violation. All other signals go
// their way. It exits as the program does, and with 1 if the program used no AMX.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "emulate: %v\n", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// run runs a program and returns its exit status.
func run(arguments []string) (int, error) {
	if len(arguments) == 0 {
		return 0, fmt.Errorf("no program; usage: emulate PROGRAM [ARGUMENT...]")
	}
	runtime.LockOSThread() // the thread that starts the program is the one that may follow it
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := command.Start(); err != nil {
		return 0, err
	}
	t := newTracer(command.Process.Pid)
	status, err := t.follow()
	if err != nil {
		return 0, err
	}
	if status == 0 && t.executed == 0 {
		return 0, fmt.Errorf("%s used no AMX", arguments[0])
	}
	return status, nil
}

// tracer follows the threads of a program.
type tracer struct {
	program  int
	threads  map[int]*thread
	executed int // instructions carried out
}

func newTracer(program int) *tracer {
	return &tracer{program: program, threads: map[int]*thread{program: {begun: true}}}
}

// follow runs the program to its end and returns its exit status.
func (t *tracer) follow() (int, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	for {
		var status unix.WaitStatus
		id, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait: %w", err)
		}
		switch {
		case status.Exited() && id == t.program:
			return status.ExitStatus(), nil
		case status.Signaled() && id == t.program:
			return 0, fmt.Errorf("the program was ended by %v", status.Signal())
		case !status.Stopped():
			delete(t.threads, id)
			continue
		}
		signal, err := t.stopped(id, status)
		if err == nil {
			err = unix.PtraceCont(id, int(signal))
		}
		if err != nil && err != unix.ESRCH { // killed meanwhile
			return 0, fmt.Errorf("thread %d: %w", id, err)
		}
	}
}

// begin waits for the program's start and asks for its threads.
func (t *tracer) begin() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.program, &status, unix.WALL, nil); err != nil {
		return fmt.Errorf("wait for the program's start: %w", err)
	}
	if err := unix.PtraceSetOptions(t.program, unix.PTRACE_O_EXITKILL|unix.PTRACE_O_TRACECLONE); err != nil {
		return fmt.Errorf("follow threads: %w", err)
	}
	return unix.PtraceCont(t.program, 0)
}

// stopped deals with a stop of a thread, and returns the signal that it goes on with.
func (t *tracer) stopped(id int, status unix.WaitStatus) (unix.Signal, error) {
	th := t.threads[id]
	if th == nil {
		th = &thread{}
		t.threads[id] = th
	}
	switch signal := status.StopSignal(); {
	case signal == unix.SIGTRAP:
		return 0, nil // a thread began, or a program
	case signal == unix.SIGSTOP && !th.begun:
		th.begun = true
		return 0, nil
	case signal == unix.SIGILL:
		executed, signal, err := th.execute(id)
		t.executed += executed
		return signal, err
	default:
		return signal, nil
	}
}
