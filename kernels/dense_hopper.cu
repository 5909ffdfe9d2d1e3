// Dense and DenseBackward with operands of bfloat16 in memory, by wgmma and TMA of compute capability 9.0: see dense.cu and
// dense_backward.cu for what is computed, hopper.cuh for how. x and w, and of the gradients copy, which is that
// of da, are tensor maps of copies, in device memory. Copies of y and dx are left beside them where copy, and of the gradients
// copy_dx, is there, and with a rule one of the updated weights at copy_w, to which the map of w leads. In code for other architectures the kernels trap.
//
// Geometry: Pairs384, clusters of two blocks, each of which takes a pair of tiles after the other of Y, or of dX and of dW; runs of 128 columns
// of db are shared out among the blocks. Dynamic shared memory: the panels. Launched by Device.Dense and Device.DenseBackward for big products.
#include "hopper.cuh"

using namespace gpudae;

extern __shared__ float2 hopper_panels[];

extern "C" __global__ void GPUDAE_CLUSTER(2) __launch_bounds__(384, 1) dense_nt_hopper(
    int64_t m, int64_t n, int64_t k, const void* __restrict__ x, const void* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, void* __restrict__ copy) {
#ifdef GPUDAE_NO_HOPPER
  __trap();
#else
  hopper_dense<kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y, beside(copy, n)},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, hopper_panels);
#endif
}

extern "C" __global__ void GPUDAE_CLUSTER(2) __launch_bounds__(384, 1) dense_nn_hopper(
    int64_t m, int64_t n, int64_t k, const void* __restrict__ x, const void* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, void* __restrict__ copy) {
#ifdef GPUDAE_NO_HOPPER
  __trap();
#else
  hopper_dense<kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y, beside(copy, n)},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, hopper_panels);
#endif
}

extern "C" __global__ void GPUDAE_CLUSTER(2) __launch_bounds__(384, 1) dense_backward_nn_hopper(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const void* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const void* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, const void* __restrict__ copy, void* __restrict__ copy_dx, void* copy_w) {
#ifdef GPUDAE_NO_HOPPER
  __trap();
#else
  hopper_backward<false>({rows, in, out, da, nullptr, act, source, dx, nullptr, accumulate, dw, dbias, squares, rule}, {copy, w, x, copy_dx, copy_w}, hopper_panels);
#endif
}

extern "C" __global__ void GPUDAE_CLUSTER(2) __launch_bounds__(384, 1) dense_backward_nt_hopper(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const void* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const void* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, const void* __restrict__ copy, void* __restrict__ copy_dx, void* copy_w) {
#ifdef GPUDAE_NO_HOPPER
  __trap();
#else
  hopper_backward<true>({rows, in, out, da, nullptr, act, source, dx, nullptr, accumulate, dw, dbias, squares, rule}, {copy, w, x, copy_dx, copy_w}, hopper_panels);
#endif
}
