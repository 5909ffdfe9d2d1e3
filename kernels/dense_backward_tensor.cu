// DenseBackward on tensor cores: see dense_backward.cu for what is computed, tensor.cuh for the
// classes of arithmetic that the names say. All tiles of a class give the same bits.
//
// Geometry: Tiles, a block for each tile of the output. The tile of 64 of tf32x3
// has registers for two blocks a multiprocessor: for the three that ptxas would have, it spills.
// Launched by Device.DenseBackward.
#include "epilogue.cuh"
#include "tensor.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nn_tf32x3_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor32, true, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_input_nn_tf32x3_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor64, true, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_tf32x3_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor128, true, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nn_tf32_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor32, false, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_tf32_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor64, false, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_tf32_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor128, false, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nn_bf16_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor32, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_bf16_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor64, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_bf16_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor128, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nt_tf32x3_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor32, true, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_input_nt_tf32x3_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor64, true, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_tf32x3_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor128, true, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nt_tf32_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor32, false, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_tf32_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor64, false, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_tf32_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm<Tensor128, false, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nt_bf16_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor32, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_bf16_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor64, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_bf16_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  tensor_gemm_bf16<Tensor128, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_weight_tf32x3_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor32, true, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_weight_tf32x3_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor64, true, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_tf32x3_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor128, true, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_weight_tf32_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor32, false, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_tf32_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor64, false, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_tf32_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm<Tensor128, false, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_weight_bf16_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm_bf16<Tensor32, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_bf16_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm_bf16<Tensor64, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_bf16_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  tensor_gemm_bf16<Tensor128, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}
