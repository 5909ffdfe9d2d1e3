// Dense on tensor cores: see dense.cu for what is computed, tensor.cuh for the classes of
// arithmetic that the names say. All tiles of a class give the same bits.
//
// shares, depth, partial and tickets say how blocks share the sums: see share.cuh.
//
// Geometry: Parts, a block for each share of each tile of Y. Launch bounds give registers to tiles that
// would spill in as few as ptxas would have: that of 64 of tf32x3 for two blocks a multiprocessor.
// Launched by Device.Dense.
#include "dense.cuh"
#include "tensor.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_nt_tf32x3_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor32, true>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nt_tf32x3_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor64, true>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 1) dense_nt_tf32x3_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor128, true>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_nt_tf32_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor32, false>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_tf32_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor64, false>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_tf32_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor128, false>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_nt_bf16_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor32>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_bf16_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor64>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nt_bf16_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor128>, kAlongK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_nn_tf32x3_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor32, true>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_nn_tf32x3_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor64, true>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_tf32x3_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor128, true>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_nn_tf32_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor32, false>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_tf32_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor64, false>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_tf32_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<TensorCores<Tensor128, false>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_nn_bf16_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor32>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_bf16_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor64>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_nn_bf16_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
    int64_t act, float* __restrict__ pre, float* __restrict__ y, int64_t likelihood, const float* __restrict__ target,
    const float* __restrict__ mask, Float destroyed, Float untouched, const float* __restrict__ weights, Float scale, Float sigma,
    float* __restrict__ losses, int64_t shares, int64_t depth, float* partial, uint32_t* tickets) {
  dense<HalfTensorCores<Tensor128>, kAcrossK>(m, n, k, x, w, {n, bias, int(act), pre, y},
      {int(likelihood), target, {mask, destroyed.value, untouched.value, weights}, scale.value, sigma.value, losses}, {shares, depth, partial, tickets});
}
