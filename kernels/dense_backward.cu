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
#include "activation.cuh"
#include "gemm.cuh"
#include "reduce.cuh"

namespace gpudae {

// InputGradient multiplies four sums of a row by act' and stores them.
struct InputGradient {
  int64_t n;
  int act;
  const float* source;
  float* dx;
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    if (act != kIdentity) {
      const Quad from = load_quad(source + row * n + column, count);
      const float4 d = derivative_quad(act, make_float4(from.at[0], from.at[1], from.at[2], from.at[3]));
      sums = {{sums.at[0] * d.x, sums.at[1] * d.y, sums.at[2] * d.z, sums.at[3] * d.w}};
    }
    store_quad(dx + row * n + column, count, sums);
  }
};

// WeightGradient stores four sums of a row, or adds them to what is there.
struct WeightGradient {
  int64_t n, accumulate;
  float* dw;
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    float* to = dw + row * n + column;
    if (accumulate) {
      const Quad before = load_quad(to, count);
#pragma unroll
      for (int l = 0; l < 4; ++l) sums.at[l] += before.at[l];
    }
    store_quad(to, count, sums);
  }
};

}  // namespace gpudae

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
