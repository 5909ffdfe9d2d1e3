// Dense: Y = act(A) with A = X·Wᵀ + b, or A = X·W + b for a tied decoder
// (device.DenseArgs). Bias and activation are applied as the sums leave the
// registers; the pre-activation is stored only where a backward pass needs it.
//
//   x [m, k]   w [n, k] (nt) or [k, n] (nn)   bias [n] or null
//   pre [m, n] or null                        y [m, n]
//
// With losses [blocks], which else is null, y are parameters of a likelihood of independent
// features (device.LikelihoodArgs), and their gradient takes their place: losses receives the
// sum of those of each tile. target, mask and weights are as in likelihood.cu.
//
// nt and nn name the layout, the number the tile: see gemm.cuh. All tiles give
// the same bits; the launcher takes the one that takes the machine the least time.
//
// Geometry: Tiles, a block for each tile of Y. Launched by Device.Dense.
#include "dense.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_nt_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile32>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile64>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nt_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile128>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}

extern "C" __global__ void __launch_bounds__(128) dense_nn_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile32>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile64>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nn_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses) {
  dense<Chain<Tile128>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses});
}
