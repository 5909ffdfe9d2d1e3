/* softdriver.h: what a test may ask of the software driver beyond the CUDA driver
 * interface. Look the functions up with dlsym; a real driver has none of them. */
#ifndef SOFTDRIVER_H
#define SOFTDRIVER_H

#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Everything is counted since the start of the process or softdriver_reset. */
struct softdriver_counters {
  uint64_t launches;         /* calls of cuLaunchKernel outside a capture */
  uint64_t graph_launches;   /* calls of cuGraphLaunch */
  uint64_t kernels;          /* kernels that ran, those of graphs too */
  uint64_t synchronizations; /* calls in which the host waited for the device */
  uint64_t to_device;        /* copies from the host that ran */
  uint64_t to_device_bytes;
  uint64_t to_host; /* copies to the host that ran */
  uint64_t to_host_bytes;
  uint64_t on_device_bytes; /* of copies and fills on the device */
  uint64_t allocations;     /* allocations of device memory */
  uint64_t bytes_allocated; /* device memory in use now */
};

void softdriver_read(struct softdriver_counters* counters);
void softdriver_reset(void);

/* How often the kernel of that name ran. */
uint64_t softdriver_ran(const char* kernel);

/* Changes a setting (see README.md) by the name of its environment variable;
 * an empty value restores the default. Returns 0, or 1 for an unknown name. */
int softdriver_set(const char* name, const char* value);

/* The last fault in words, or "". Valid until the next fault. */
const char* softdriver_fault(void);

/* For libraries that work beside the driver, such as that of cublaslt/. */

/* Memory of a device that work reads, or writes. It has to be live when the work runs. */
struct softdriver_span {
  void* at;
  uint64_t bytes;
  int written;
};

/* Queues work in a stream (a CUstream), or in the graph that it captures, where it counts as a kernel of that name.
 * run is given a copy of argument, of so many bytes, each time. Returns a CUresult. */
int softdriver_submit(void* stream, const char* name, const struct softdriver_span* spans, int count, void (*run)(const void* argument), const void* argument,
                      uint64_t bytes);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
#endif
