// Condition: a score model's input, out = [scale_l·x | embedding_l], l being the
// row's noise level (device.ConditionArgs).
//
//   level [rows]     scale [levels]     embedding [levels, extra], null where extra is 0
//   x [rows, columns]     out [rows, columns + extra]
//
// Geometry: Elements, a thread for each of rows·(columns + extra). Launched by
// Device.Condition.
#include "word.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) condition(
    int64_t rows, int64_t columns, int64_t extra, const uint32_t* __restrict__ level, const float* __restrict__ scale,
    const float* __restrict__ embedding, const float* __restrict__ x, float* __restrict__ out) {
  const int64_t e = grid_thread(), width = columns + extra;
  if (e >= rows * width) return;
  const int64_t i = e / width, j = e % width, l = level[i];
  out[e] = j < columns ? scale[l] * x[i * columns + j] : embedding[l * extra + (j - columns)];
}
