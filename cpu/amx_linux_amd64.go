package cpu

import "golang.org/x/sys/unix"

// tilesGranted asks the operating system for the registers of AMX, as a process must
// once before its first use of them. Linux grants them where it has switched them on
// (XCR0, bits 17 and 18) and every thread's stack for signals has room for them, some
// 12 kB with all else; Go's has 32 kB.
func tilesGranted() bool {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA: Linux, Documentation/arch/x86/xstate.rst
	_, _, failed := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return failed == 0
}
