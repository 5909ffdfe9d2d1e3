// dense.cuh: Y = epilogue(X·Wᵀ) or, with W across k, X·W, in any arithmetic: a block
// a tile.
#pragma once

#include "epilogue.cuh"
#include "gemm.cuh"

namespace gpudae {

template <class Arithmetic, Order OrderW>
__device__ inline void dense(int64_t m, int64_t n, int64_t k, const float* x, const float* w, const Output& output) {
  __shared__ typename Arithmetic::template Panels<kAlongK, OrderW> panels;
  Arithmetic::template multiply<kAlongK, OrderW>(blockIdx.x, m, n, k, x, w, output, panels);
}

}  // namespace gpudae
