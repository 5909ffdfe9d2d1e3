// settings.h: what a test can turn, by environment variable or softdriver_set.
// Each setting is read where it matters, so a change holds from then on.
#pragma once

#include <cstdint>

namespace softdriver {

enum class Setting {
  kKernels,          // SOFTDRIVER_KERNELS: the kernels' shared object; default: kernels.so beside the driver
  kSeed,             // SOFTDRIVER_SEED: order of threads, blocks and graph nodes; 0 is the plain order
  kThreads,          // SOFTDRIVER_THREADS: worker threads
  kMemory,           // SOFTDRIVER_MEMORY: bytes of device memory
  kDevices,          // SOFTDRIVER_DEVICES: number of devices
  kCapability,       // SOFTDRIVER_CAPABILITY: compute capability, as 90
  kMultiprocessors,  // SOFTDRIVER_MULTIPROCESSORS
  kVersion,          // SOFTDRIVER_VERSION: the driver's, as 13000
  kBlock,            // SOFTDRIVER_BLOCK: threads that a block may have with the registers of its kernel
  kPools,            // SOFTDRIVER_POOLS: 0: the devices have no memory pools
  kRegister,         // SOFTDRIVER_REGISTER: 0: memory of the program cannot be registered
  kEager,            // SOFTDRIVER_EAGER: 1 runs work at submission instead of at synchronisation
  kFailLaunch,       // SOFTDRIVER_FAIL_LAUNCH: the n-th kernel from now on fails as it runs
  kRefuseLaunch,     // SOFTDRIVER_REFUSE_LAUNCH: the n-th submission of a kernel or graph from now on is refused
  kKernelTime,       // SOFTDRIVER_KERNEL_TIME: microseconds that each kernel takes besides
  kLibraryTime,      // SOFTDRIVER_LIBRARY_TIME: microseconds that each piece of work of a library takes besides
  kCount
};

// number is a setting's value.
int64_t number(Setting s);

// text is a setting's value, "" if it has none.
const char* text(Setting s);

// strike counts one event and reports whether it is the one of a countdown
// setting (kFailLaunch, kRefuseLaunch).
bool strike(Setting s);

}  // namespace softdriver
