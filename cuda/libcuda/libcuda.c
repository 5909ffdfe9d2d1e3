/* libcuda.a: every function of the CUDA driver that gpudae is linked with, as a
   jump through a pointer. A program linked with it starts on a machine without
   an NVIDIA driver, and a program that is not asked for a GPU does not wait for
   one: gpudae_open_libcuda opens the real driver when it is first wanted.

   Until then a function returns CUDA_ERROR_NOT_INITIALIZED, and one that the
   driver is too old to have returns CUDA_ERROR_NOT_FOUND. cuInit alone answers
   success from the start, since gorgonia.org/cu calls it before main and ends the
   process otherwise. */
#include "libcuda.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

enum { SUCCESS = 0, NOT_INITIALIZED = 3, NOT_FOUND = 500, NO_LIBRARY = -1 };

static int not_initialized(void) { return NOT_INITIALIZED; }
static int not_found(void) { return NOT_FOUND; }

int cuInit(unsigned flags) {
	(void)flags;
	return SUCCESS;
}

#if defined(__x86_64__)
#define JUMP(name) "endbr64\n\tjmp *gpudae_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name) "hint #34\n\tadrp x16, gpudae_" #name "\n\tldr x16, [x16, :lo12:gpudae_" #name "]\n\tbr x16\n"
#else
#error "no jump for this machine"
#endif

/* A function is a pointer and a jump through it, which leaves arguments and stack alone. */
#define SYMBOL(name) \
	__attribute__((visibility("hidden"))) void *gpudae_##name = (void *)not_initialized; \
	__asm__(".text\n\t.globl " #name "\n\t.type " #name ", %function\n" #name ":\n\t" JUMP(name) "\t.size " #name ", .-" #name "\n");
#include "symbols.def"
#undef SYMBOL

static void bind(void **target, void *library, const char *name) {
	void *found = dlsym(library, name);
	*target = found ? found : (void *)not_found;
}

int gpudae_open_libcuda(const char **why) {
	static char message[256];
	*why = message;
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		snprintf(message, sizeof message, "%s", dlerror());
		return NO_LIBRARY;
	}
	int (*init)(unsigned) = (int (*)(unsigned))dlsym(library, "cuInit");
	if (!init) {
		snprintf(message, sizeof message, "libcuda.so.1 has no function cuInit");
		return NO_LIBRARY;
	}
#define SYMBOL(name) bind(&gpudae_##name, library, #name);
#include "symbols.def"
#undef SYMBOL
	return init(0);
}
