// word.cuh: what every kernel of this folder has in common.
//
// A launch passes 8-byte words only: pointers, int64_t, uint64_t, and Float, a
// float32 in the low half of a word. Counts are int64_t and so are indices, so
// no shape overflows. Grids and blocks have one dimension.
#pragma once

#include <cstdint>

namespace gpudae {

// Float is a float32 argument of a launch.
struct alignas(8) Float {
  float value;
};

// grid_thread is this thread's number in the whole grid.
__device__ inline int64_t grid_thread() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// Position of the words of a clock (device.Clock) in device memory.
enum ClockWord { kClockStep = 0, kClockStepHigh = 1, kClockEpoch = 2, kClockCursor = 3, kClockIndex = 4 };

}  // namespace gpudae
