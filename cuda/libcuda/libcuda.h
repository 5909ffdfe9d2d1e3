/* libcuda.h: what libcuda.a has besides the driver's functions. */
#pragma once

/* gpudae_open_libcuda loads the NVIDIA driver, libcuda.so.1, and initialises it.
   From then on the driver's functions are the real ones. It returns 0, or the
   CUresult of cuInit, or -1 where there is no library to load; *why then holds
   what the system's loader says. It may be called again after a failure. It must
   not be called by two threads at once. */
int gpudae_open_libcuda(const char **why);
