// Dense: Y = act(A) with A = X·Wᵀ + b, or A = X·W + b for a tied decoder
// (device.DenseArgs). Bias and activation are applied as the sums leave the
// registers; the pre-activation is stored only where a backward pass needs it.
//
//   x [m, k]   w [n, k] (nt) or [k, n] (nn)   bias [n] or null
//   pre [m, n] or null                        y [m, n]
//
// nt and nn name the layout, the number the tile: see gemm.cuh. All tiles give
// the same bits; the launcher takes the largest that fills the machine.
//
// Geometry: Tiles, a block for each tile of Y. Launched by Device.Dense.
#include "activation.cuh"
#include "gemm.cuh"

namespace gpudae {

// Output applies bias and activation to four sums of a row and stores them.
struct Output {
  int64_t n;
  const float* bias;
  int act;
  float *pre, *y;
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    if (bias) {
      const Quad b = load_quad(bias + column, count);
#pragma unroll
      for (int l = 0; l < 4; ++l) sums.at[l] += b.at[l];
    }
    if (pre) store_quad(pre + row * n + column, count, sums);
    if (act != kIdentity) {
      const float4 a = activate_quad(act, make_float4(sums.at[0], sums.at[1], sums.at[2], sums.at[3]));
      sums = {{a.x, a.y, a.z, a.w}};
    }
    store_quad(y + row * n + column, count, sums);
  }
};

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_nt_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile32, kAlongK, kAlongK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile64, kAlongK, kAlongK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nt_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile128, kAlongK, kAlongK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}

extern "C" __global__ void __launch_bounds__(128) dense_nn_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile32, kAlongK, kAcrossK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile64, kAlongK, kAcrossK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nn_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y) {
  gemm<Tile128, kAlongK, kAcrossK>(m, n, k, x, w, Output{n, bias, int(act), pre, y});
}
