// Condition: a score model's input, out = [scale_l·x | embedding_l], l being the
// row's noise level (device.ConditionArgs).
//
//   level [rows]     scale [levels]     embedding [levels, extra], null where extra is 0
//   x [rows, columns]     out [rows, columns + extra]
//
// Geometry: RowQuads of out, a thread for four neighbouring columns. Launched by
// Device.Condition.
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) condition(
    int64_t rows, int64_t columns, int64_t extra, const uint32_t* __restrict__ level, const float* __restrict__ scale,
    const float* __restrict__ embedding, const float* __restrict__ x, float* __restrict__ out) {
  const int64_t width = columns + extra;
  const RowQuad work = row_quad(rows, width);
  if (!work.inside) return;
  const int64_t first = 4 * work.quad, inside = columns - first, l = level[work.row];
  Quad q = {};
  if (inside > 0) q = load_quad(x + work.row * columns + first, inside);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if (k < inside) {
      q.at[k] *= scale[l];
    } else if (k - inside < extra) {
      q.at[k] = embedding[l * extra + (k - inside)];
    }
  }
  store_quad(out + work.row * width + first, width - first, q);
}
