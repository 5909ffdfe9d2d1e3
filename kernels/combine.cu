// Combine: dst = α·a + β·b elementwise; an absent (null) operand counts as zero.
//
//   a, b, dst [n]; dst may be a or b
//
// Geometry: Quads. Launched by Device.Combine.
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) combine(
    int64_t n, Float alpha, Float beta, const float* a, const float* b, float* dst) {
  const int64_t i = grid_thread() * 4;
  if (i >= n) return;
  Quad sum = {};
  if (a) {
    const Quad q = load_quad(a + i, n - i);
#pragma unroll
    for (int l = 0; l < 4; ++l) sum.at[l] = alpha.value * q.at[l];
  }
  if (b) {
    const Quad q = load_quad(b + i, n - i);
#pragma unroll
    for (int l = 0; l < 4; ++l) sum.at[l] += beta.value * q.at[l];
  }
  store_quad(dst + i, n - i, sum);
}
