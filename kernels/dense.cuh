// dense.cuh: Y = epilogue(X·Wᵀ) or, with W across k, X·W, in any arithmetic: a block
// a share of a tile; and what is lost by it, which the block adds up that ends a tile.
#pragma once

#include "epilogue.cuh"
#include "gemm.cuh"
#include "likelihood.cuh"
#include "reduce.cuh"

namespace gpudae {

// Loss is -log p(target|y) of independent features, if sums is there.
struct Loss {
  int kind;
  const float* target;
  Emphasis weight;
  float scale, sigma, *sums;
};

// lose takes a tile of y for its gradient, and keeps the sum of the losses. The block has
// stored the tile.
template <class Tile>
__device__ inline void lose(uint32_t tile, int64_t m, int64_t n, float* y, const Loss& loss) {
  const uint32_t tiles_n = uint32_t((n + Tile::kN - 1) / Tile::kN);
  const int64_t m0 = int64_t(tile / tiles_n) * Tile::kM, n0 = int64_t(tile % tiles_n) * Tile::kN;
  float sum = 0;
#pragma unroll 1
  for (int e = threadIdx.x; e < Tile::kM * Tile::kN; e += blockDim.x) {
    const int64_t row = m0 + e / Tile::kN, column = n0 + e % Tile::kN;
    if (row >= m || column >= n) continue;
    const int64_t at = row * n + column;
    const Term t = one_feature(loss.kind, y[at], loss.target[at], loss.sigma);
    const float w = loss.weight(at, column);
    sum += w * t.loss;
    y[at] = loss.scale * w * t.gradient;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) loss.sums[tile] = sum;
}

template <class Arithmetic, Order OrderW>
__device__ inline void dense(int64_t m, int64_t n, int64_t k, const float* x, const float* w, const Output& output, const Loss& loss,
                             const Shares& shares = {}) {
  __shared__ typename Arithmetic::template Panels<kAlongK, OrderW> panels;
  if (!Arithmetic::template multiply<kAlongK, OrderW>(blockIdx.x, m, n, k, x, w, output, panels, shares) || !loss.sums) return;
  __syncthreads();
  const uint32_t tile = shares.count > 1 ? blockIdx.x % Arithmetic::tiles(m, n) : blockIdx.x;
  lose<typename Arithmetic::Tile>(tile, m, n, output.y, loss);
}

}  // namespace gpudae
