// ScaleRows: y_ij = scale_i·x_ij (device.ScaleRowsArgs).
//
//   scale [rows]     x, y [rows, columns], y may be x
//
// Geometry: RowQuads, a thread for four neighbouring columns. Launched by
// Device.ScaleRows.
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) scale_rows(
    int64_t rows, int64_t columns, const float* __restrict__ scale, const float* x, float* y) {
  const RowQuad work = row_quad(rows, columns);
  if (!work.inside) return;
  const int64_t first = 4 * work.quad, count = columns - first, offset = work.row * columns + first;
  Quad q = load_quad(x + offset, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) q.at[l] *= scale[work.row];
  store_quad(y + offset, count, q);
}
