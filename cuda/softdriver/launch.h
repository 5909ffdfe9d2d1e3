// launch.h: the boundary between the kernels, compiled for this CPU, and the
// driver that runs them. The kernels are a shared object of their own; these
// are the only names that cross.
#pragma once

#include <cstdint>

struct SoftdriverDim {
  unsigned x, y, z;
};

// SoftdriverThread is a CUDA thread as its kernel sees it.
struct SoftdriverThread {
  SoftdriverDim thread, block, block_size, grid_size;
  int number;  // in the block
};

// SoftdriverKernel is a row of the table in the section softdriver_kernels: 32 bytes, which
// the compiler lays side by side.
struct SoftdriverKernel {
  const char* name;
  void (*invoke)(const uint64_t* words);
  const bool* pointers;  // which parameters are device addresses
  int parameters;
  int16_t bound;    // launch bound, threads
  int16_t cluster;  // blocks of a cluster, along x; 1: there are none
};
static_assert(sizeof(SoftdriverKernel) == 32, "rows would not lie side by side");

enum SoftdriverWarpOperation { kSoftdriverSync, kSoftdriverShuffle, kSoftdriverBallot, kSoftdriverTogether };

#pragma GCC visibility push(default)
extern "C" {
// The thread that runs now on this thread of the operating system.
extern __thread SoftdriverThread* softdriver_thread __attribute__((tls_model("initial-exec")));

void softdriver_barrier(const char* file, int line);
void softdriver_cluster_barrier(const char* file, int line);
uint32_t softdriver_warp(int operation, uint32_t mask, uint32_t value, int lane);
uint32_t softdriver_atomic_add(uint32_t* at, uint32_t value);
uint32_t softdriver_atomic_inc(uint32_t* at, uint32_t most);
void softdriver_fence();

// softdriver_wait_for returns once the word is at least so much, as other blocks count. They have to have started.
void softdriver_wait_for(const uint32_t* at, uint32_t least);

// softdriver_together is a primitive of a whole warp: the lane that comes last calls
// compute with what each lane has brought, and then all go on.
void softdriver_together(void (*compute)(void* const* lanes), void* mine);

// softdriver_check_shared wants so many bytes of shared memory at an address that is a multiple of them.
void softdriver_check_shared(const void* at, int size, const char* what);

// Copies of size bytes to shared memory, of which the first are read and the others 0.
void softdriver_copy_async(void* to, const void* from, int size, int bytes);
void softdriver_commit_copies();
void softdriver_wait_copies(int pending);

// mbarriers, boxes that are brought to shared memory, and products of a warpgroup: see bulk.h.
void softdriver_signal_init(const void* signal, int arrivals);
void softdriver_signal_expect(const void* signal, int bytes);
void softdriver_signal_arrive(const void* signal);
void softdriver_signal_arrive_in(const void* signal, uint32_t rank);  // of a block of the cluster
void softdriver_signal_wait(const void* signal, uint32_t parity);
void softdriver_map_visible(const void* map);
void softdriver_load_box(const void* to, const void* map, int row, int column, const void* signal);
void softdriver_load_box_for(uint32_t blocks, const void* to, const void* map, int row, int column, const void* signal);  // a bit for each rank
void softdriver_keep_registers(int count, bool more);
uint32_t softdriver_shared_address(const void* p);
void softdriver_wgmma(float* c, int n, uint64_t a, uint64_t b, bool across_a, bool across_b);
void softdriver_wgmma_fence();
void softdriver_wgmma_commit();
void softdriver_wgmma_wait(int pending);
}
#pragma GCC visibility pop
