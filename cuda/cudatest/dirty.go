//go:build cuda

package cudatest

/*
#include <stdlib.h>

static void dirty(size_t words, unsigned long long value) {
	enum { some = 4 };
	unsigned long long *memory[some];
	for (int i = 0; i < some; i++) {
		memory[i] = malloc(words * sizeof *memory[i]);
		for (size_t j = 0; memory[i] && j < words; j++)
			((volatile unsigned long long *)memory[i])[j] = value;
	}
	for (int i = 0; i < some; i++)
		free(memory[i]);
}
*/
import "C"

// Dirty leaves the value in memory that C gives next to who asks, on this thread, for so many words.
func Dirty(words int, value uint64) { C.dirty(C.size_t(words), C.ulonglong(value)) }
