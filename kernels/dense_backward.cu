// DenseBackward, from DA = ∂/∂A of Dense (device.DenseBackwardArgs):
//
//   dense_backward_input    dX = (DA·W) ⊙ act'(source): nn, or with Wᵀ: nt
//   dense_backward_weight   dW = Pᵀ·Q (+ dW): P = DA and Q = X, or for a tied
//                           decoder P = X and Q = DA
//   column_sums             db = column sums of DA
//
//   input: da [m, k]; w [k, n] (nn) or [n, k] (nt); source [m, n], X or, for GELU
//   and SiLU, X before its activation; not read if act is the identity; dx [m, n]
//   weight: p [k, m], q [k, n], dw [m, n]
//
// Geometry: Tiles, a block for each tile of the output; column_sums: Columns, a
// block for 32 columns. Launched by Device.DenseBackward.
#include "epilogue.cuh"
#include "gemm.cuh"
#include "reduce.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nn_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile32, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nn_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile64, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_input_nn_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile128, kAlongK, kAcrossK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_input_nt_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile32, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_input_nt_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile64, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_input_nt_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ da, const float* __restrict__ w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx) {
  gemm<Tile128, kAlongK, kAlongK>(m, n, k, da, w, InputGradient{n, int(act), source, dx});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_weight_32(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  gemm<Tile32, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_weight_64(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  gemm<Tile64, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_weight_128(
    int64_t m, int64_t n, int64_t k, const float* __restrict__ p, const float* __restrict__ q, int64_t accumulate,
    float* __restrict__ dw) {
  gemm<Tile128, kAcrossK, kAcrossK>(m, n, k, p, q, WeightGradient{n, accumulate, dw});
}

extern "C" __global__ void __launch_bounds__(256) column_sums(
    int64_t rows, int64_t columns, const float* __restrict__ x, float* __restrict__ sums) {
  const Lane lane = column_lane();
  const bool inside = lane.column < columns;
  float sum = 0;
  for (int64_t i = lane.row; inside && i < rows; i += kRowLanes) sum += x[i * columns + lane.column];
  sum = column_sum(sum);
  if (inside && lane.row == 0) sums[lane.column] = sum;
}
