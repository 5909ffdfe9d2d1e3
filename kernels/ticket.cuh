// ticket.cuh: which block of several is the last to come to a place.
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

}  // namespace gpudae
