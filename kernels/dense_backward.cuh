// dense_backward.cuh: the gradients of a dense layer in one launch, in any arithmetic
// (device.DenseBackwardArgs). The first blocks make tiles of dX, the next ones tiles of dW and
// the last ones db, by as many columns as a block has threads in eight; what is null is absent
// and has no blocks. They share nothing but what they read.
#pragma once

#include "epilogue.cuh"
#include "gemm.cuh"
#include "reduce.cuh"

namespace gpudae {

// Backward is what a launch is told. squares, if it is there, receives the sum of the squares
// of what each block stores of dW and db.
struct Backward {
  int64_t rows, in, out;
  const float *da, *w;
  int64_t act;
  const float* source;
  float* dx;
  const float* x;
  int64_t accumulate;
  float *dw, *dbias, *squares;
};

// Either is memory of a block that has use for one of two.
template <class A, class B>
union Either {
  A a;
  B b;
};

// bias_gradient makes the column sums of DA from a column on: of eight lanes of rows, the lane l
// takes the rows l, l+8, ..., and the lanes are added in their order. It returns the square
// of what the thread stores.
__device__ inline float bias_gradient(const Backward& g, int64_t first) {
  __shared__ float partial[kColumnThreads];
  const int width = int(blockDim.x) / kRowLanes, place = int(threadIdx.x) % width;
  const int64_t column = first + place;
  float sum = 0;
  for (int64_t i = int(threadIdx.x) / width; column < g.out && i < g.rows; i += kRowLanes) sum += g.da[i * g.out + column];
  partial[threadIdx.x] = sum;
  __syncthreads();
  if (int(threadIdx.x) >= width || column >= g.out) return 0;
  sum = 0;
#pragma unroll
  for (int l = 0; l < kRowLanes; ++l) sum += partial[l * width + place];
  g.dbias[column] = sum;
  return sum * sum;
}

// dense_backward makes the block's part: dX = DA·W, dW = DAᵀ·X, or, for a tied decoder whose
// W lies the other way, dX = DA·Wᵀ, dW = Xᵀ·DA.
template <class Arithmetic, bool Transposed>
__device__ inline void dense_backward(const Backward& g) {
  constexpr Order kOrderW = Transposed ? kAlongK : kAcrossK;
  __shared__ Either<typename Arithmetic::template Panels<kAlongK, kOrderW>, typename Arithmetic::template Panels<kAcrossK, kAcrossK>> panels;
  const int64_t m = Transposed ? g.in : g.out, n = Transposed ? g.out : g.in;  // of dW
  const uint32_t of_dx = g.dx ? Arithmetic::tiles(g.rows, g.in) : 0, of_dw = g.dw ? Arithmetic::tiles(m, n) : 0;
  uint32_t part = blockIdx.x;
  if (part < of_dx) {
    Arithmetic::template multiply<kAlongK, kOrderW>(part, g.rows, g.in, g.out, g.da, g.w, InputGradient{g.in, int(g.act), g.source, g.dx}, panels.a);
    return;
  }
  part -= of_dx;
  float squares = 0;
  if (part < of_dw) {
    const float *p = Transposed ? g.x : g.da, *q = Transposed ? g.da : g.x;
    Arithmetic::template multiply<kAcrossK, kAcrossK>(part, m, n, g.rows, p, q, WeightGradient{n, g.accumulate, g.dw, &squares}, panels.b);
  } else {
    squares = bias_gradient(g, int64_t(part - of_dw) * (blockDim.x / kRowLanes));
  }
  if (!g.squares) return;
  squares = block_sum(squares);
  if (threadIdx.x == 0) g.squares[part] = squares;
}

}  // namespace gpudae
