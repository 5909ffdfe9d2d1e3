// fault.h: an error of a kernel. The first of a run counts; it is printed, kept
// for softdriver_fault, and becomes the context's sticky error.
#pragma once

namespace softdriver {

// raise_fault records a fault unless there is one already.
void raise_fault(int code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// faulted reports whether a fault waits to be taken.
bool faulted();

// take_fault returns the fault's code, 0 if there is none, and clears it.
int take_fault();

}  // namespace softdriver
