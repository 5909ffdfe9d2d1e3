// Blend: out = α_l·x + β_l·y, l being the row's noise level, each product rounded
// before the addition; without x only the second (device.BlendArgs).
//
//   level [rows]     alpha, beta [levels], alpha is not read without x
//   x, out [rows, columns], x may be null     y [rows, stride], its first columns count
//
// out may be x, and y where stride is columns: an element is read and written by
// one thread.
//
// Geometry: RowQuads, a thread for four neighbouring columns. Launched by
// Device.Blend.
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) blend(
    int64_t rows, int64_t columns, int64_t stride, const uint32_t* __restrict__ level, const float* __restrict__ alpha,
    const float* __restrict__ beta, const float* x, const float* y, float* out) {
  const RowQuad work = row_quad(rows, columns);
  if (!work.inside) return;
  const int64_t first = 4 * work.quad, count = columns - first, offset = work.row * columns + first;
  const uint32_t l = level[work.row];
  Quad sum = load_quad(y + work.row * stride + first, count);
#pragma unroll
  for (int k = 0; k < 4; ++k) sum.at[k] = __fmul_rn(beta[l], sum.at[k]);
  if (x) {
    const Quad q = load_quad(x + offset, count);
#pragma unroll
    for (int k = 0; k < 4; ++k) sum.at[k] = __fadd_rn(__fmul_rn(alpha[l], q.at[k]), sum.at[k]);
  }
  store_quad(out + offset, count, sum);
}
