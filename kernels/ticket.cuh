// ticket.cuh: which block of several is the last to come to a place, and how one waits for others.
#pragma once

#include "word.cuh"

namespace gpudae {

// is_last says, to every thread of a block, that the other blocks that share a ticket, so many in
// all, have come here before: what they have written until then may be read, and what they have
// read may be written. The ticket is a word that is 0, and is 0 again afterwards. A block calls it once.
//
// A thread's accesses before the barrier come before the fence of the first thread, and that
// before its addition; the last addition reads what the others have left behind theirs.
__device__ inline bool is_last(uint32_t* ticket, uint32_t blocks) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == blocks - 1;
    __threadfence();
    if (last) *ticket = 0;
  }
  __syncthreads();
  return last;
}

// wait_for returns to a thread once a count is at least so much: what the blocks have done that had counted themselves by
// then, behind a fence, came before. They must have started before this block.
__device__ inline void wait_for(const uint32_t* count, uint32_t least) {
#ifdef __CUDACC__
  for (;;) {
    uint32_t at;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(at) : "l"(count) : "memory");
    if (at >= least) return;
    __nanosleep(100);
  }
#else
  softdriver_wait_for(count, least);
#endif
}

}  // namespace gpudae
