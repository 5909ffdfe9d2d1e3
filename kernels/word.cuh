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

// is_absent says that a value is not there: NaN.
__device__ inline bool is_absent(float x) { return x != x; }

// grid_thread is this thread's number in the whole grid.
__device__ inline int64_t grid_thread() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// RowQuad is a thread's work in geometry RowQuads: four neighbouring columns of a row.
struct RowQuad {
  int64_t row, quad;  // quad: of the row, the columns 4·quad, ..., 4·quad+3
  bool inside;
};

// row_quad divides in 32 bits wherever the numbers allow it.
__device__ inline RowQuad row_quad(int64_t rows, int64_t columns) {
  const int64_t quads = (columns + 3) / 4, q = grid_thread();
  const int64_t row = q >> 31 || quads >> 31 ? q / quads : uint32_t(q) / uint32_t(quads);
  return {row, q - row * quads, row < rows};
}

// Position of the words of a clock (device.Clock) in device memory.
enum ClockWord { kClockStep = 0, kClockStepHigh = 1, kClockEpoch = 2, kClockCursor = 3, kClockIndex = 4 };

}  // namespace gpudae
