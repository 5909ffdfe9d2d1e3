// dense_backward.cuh: the gradients of a dense layer in one launch, in any arithmetic
// (device.DenseBackwardArgs). The first blocks make tiles of dX, the next ones tiles of dW and
// the last ones db, by as many columns as a block has threads in eight; what is null is absent
// and has no blocks. They share nothing but what they read, and the sums over shares: see share.cuh.
#pragma once

#include "epilogue.cuh"
#include "gemm.cuh"
#include "reduce.cuh"

namespace gpudae {

template <>
constexpr bool kIsLong<WeightGradient> = true;

// Backward is what a launch is told. squares, if it is there, receives the sums of the squares
// of what is stored of each tile of dW and, behind them, by each block of db. With a rule nothing is stored of them: the
// rule is applied to the parameters in their place (apply.cuh), and the sums are left all the same.
struct Backward {
  int64_t rows, in, out;
  const float *da, *w;
  int64_t act;
  const float* source;
  float* dx;
  const float* x;
  int64_t accumulate;
  float *dw, *dbias, *squares;
  void* rule = nullptr;
};

// Cuts say how the sums of dX and dW are shared: see Shares. The partial sums and the tickets of dX, if
// it is cut, come before those of dW.
struct Cuts {
  int64_t dx_shares = 1, dx_depth = 0, dw_shares = 1, dw_depth = 0;
  float* partial = nullptr;
  uint32_t* tickets = nullptr;
};

// Either is memory of a block that has use for one of two.
template <class A, class B>
union Either {
  A a;
  B b;
};

// store_bias stores an element of db, or applies the rule to its parameter, which nobody reads.
__device__ inline void store_bias(const Backward& g, int64_t column, float sum, const Applying* rule) {
  if (!rule) {
    g.dbias[column] = sum;
  } else if (!rule->step.skipped) {
    rule->update(g.dbias + column, 1, {{sum, 0, 0, 0}}, [] {}, [](const Quad&) {});
  }
}

// bias_gradient makes the column sums of DA from a column on: of eight lanes of rows, the lane l
// takes the rows l, l+8, ..., and the lanes are added in their order. It returns the square
// of what the thread stores.
__device__ inline float bias_gradient(const Backward& g, int64_t first, const Applying* rule) {
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
  store_bias(g, column, sum, rule);
  return sum * sum;
}

// dense_backward makes the block's part: dX = DA·W, dW = DAᵀ·X, or, for a tied decoder whose
// W lies the other way, dX = DA·Wᵀ, dW = Xᵀ·DA.
template <class Arithmetic, bool Transposed>
__device__ inline void dense_backward(const Backward& g, const Cuts& cuts = {}) {
  constexpr Order kOrderW = Transposed ? kAlongK : kAcrossK;
  __shared__ Either<typename Arithmetic::template Panels<kAlongK, kOrderW>, typename Arithmetic::template Panels<kAcrossK, kAcrossK>> panels;
  const int64_t m = Transposed ? g.in : g.out, n = Transposed ? g.out : g.in;  // of dW
  using Tile = typename Arithmetic::Tile;
  const uint32_t tiles_dx = g.dx ? Arithmetic::tiles(g.rows, g.in) : 0, tiles_dw = g.dw ? Arithmetic::tiles(m, n) : 0;
  const uint32_t of_dx = tiles_dx * uint32_t(cuts.dx_shares), of_dw = tiles_dw * uint32_t(cuts.dw_shares);
  __shared__ Applying applying;
  const Applying* const rule = g.rule ? &applying : nullptr;
  uint32_t part = rule ? applying.begin(static_cast<RuleInMemory*>(g.rule), of_dx, tiles_dw) : blockIdx.x;
  if (part < of_dx) {
    Arithmetic::template multiply<kAlongK, kOrderW>(part, g.rows, g.in, g.out, g.da, g.w, InputGradient{g.in, int(g.act), g.source, g.dx}, panels.a,
                                                    Shares{cuts.dx_shares, cuts.dx_depth, cuts.partial, cuts.tickets});
    if (rule) rule->have_read();
    return;
  }
  part -= of_dx;
  uint32_t place = part;  // of its squares
  float squares = 0;
  bool waited = false;
  const bool of_weights = part < of_dw;
  if (of_weights) {
    const float *p = Transposed ? g.x : g.da, *q = Transposed ? g.da : g.x;
    const bool behind = cuts.dx_shares > 1;
    const Shares shares = {cuts.dw_shares, cuts.dw_depth, cuts.partial + (behind ? int64_t(of_dx) * (Tile::kM * Tile::kN) : 0),
                           cuts.tickets + (behind ? tiles_dx : 0)};
    if (rule && Tile::kM <= 64 && part < tiles_dw) rule->template ask<Tile::kM, Tile::kN>(g.dw, part, m, n);
    if (!Arithmetic::template multiply<kAcrossK, kAcrossK>(part, m, n, g.rows, p, q, WeightGradient{n, g.accumulate, g.dw, &squares, rule, &waited}, panels.b, shares)) return;
    if (shares.count > 1) place = part % tiles_dw;
  } else {
    squares = bias_gradient(g, int64_t(part - of_dw) * (blockDim.x / kRowLanes), rule);
    place -= of_dw - tiles_dw;
  }
  if (!g.squares) return;
  squares = block_sum(squares);
  if (threadIdx.x == 0) g.squares[place] = squares;
  if (rule && of_weights) rule->have_written();
}

}  // namespace gpudae
