// Dense and DenseBackward with operands of bfloat16 in memory (kernel narrow), on tensor cores through
// mma.sync: see dense.cu and dense_backward.cu for what is computed, narrow.cuh for how. x and w, and of the gradients
// copy, which is that of da, are copies; their bits are those of bf16 in every tile. Copies of y and dx are left beside
// them where copy, and of the gradients copy_dx, is there, and with a rule one of the updated weights at copy_w, which is that of w.
//
// Geometry: Parts128, a block for each tile of Y, or of dX and of dW and for each run of 128 columns
// of db. Dynamic shared memory: the panels. Launched by Device.Dense and Device.DenseBackward for big products.
#include "narrow.cuh"

using namespace gpudae;

extern __shared__ float4 narrow_panels[];

extern "C" __global__ void __launch_bounds__(256, 2) dense_nt_narrow(
    int64_t m, int64_t n, int64_t k, const void* __restrict__ x, const void* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, void* __restrict__ copy) {
  narrow_dense<kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y, beside(copy, n)},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, narrow_panels);
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nn_narrow(
    int64_t m, int64_t n, int64_t k, const void* __restrict__ x, const void* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, void* __restrict__ copy) {
  narrow_dense<kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y, beside(copy, n)},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, narrow_panels);
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nn_narrow(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const void* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const void* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, const void* __restrict__ copy, void* __restrict__ copy_dx, void* copy_w) {
  narrow_backward<false>({rows, in, out, da, nullptr, act, source, dx, nullptr, accumulate, dw, dbias, squares, rule}, {copy, w, x, copy_dx, copy_w}, narrow_panels);
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nt_narrow(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const void* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const void* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, const void* __restrict__ copy, void* __restrict__ copy_dx, void* copy_w) {
  narrow_backward<true>({rows, in, out, da, nullptr, act, source, dx, nullptr, accumulate, dw, dbias, squares, rule}, {copy, w, x, copy_dx, copy_w}, narrow_panels);
}
