// Blend: out = α_l·x + β_l·y, l being the row's noise level, each product rounded
// before the addition; without x only the second (device.BlendArgs).
//
//   level [rows]     alpha, beta [levels], alpha is not read without x
//   x, out [rows, columns], x may be null     y [rows, stride], its first columns count
//
// out may be x, and y where stride is columns: an element is read and written by
// one thread.
//
// Geometry: Elements, a thread for each of rows·columns. Launched by Device.Blend.
#include "word.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) blend(
    int64_t rows, int64_t columns, int64_t stride, const uint32_t* __restrict__ level, const float* __restrict__ alpha,
    const float* __restrict__ beta, const float* x, const float* y, float* out) {
  const int64_t e = grid_thread();
  if (e >= rows * columns) return;
  const int64_t i = e / columns, j = e % columns, l = level[i];
  float sum = __fmul_rn(beta[l], y[i * stride + j]);
  if (x) sum = __fadd_rn(__fmul_rn(alpha[l], x[e]), sum);
  out[e] = sum;
}
