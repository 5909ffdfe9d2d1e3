// dataset.cuh: the resident data set and a part of it (device.Table, device.Rows).
#pragma once

#include "philox.cuh"

namespace gpudae {

// widen is an element as a float32: Scale·value, rounded once, for bytes.
__device__ inline float widen(uint8_t value, float scale) { return __fmul_rn(scale, __uint2float_rn(value)); }
__device__ inline float widen(float value, float) { return value; }

// part_permutation is device.Rows.Permutation for a data set of so many rows.
__device__ inline Permutation part_permutation(int64_t rows, int64_t split, uint64_t split_seed) {
  return split ? make_permutation(uint32_t(rows), split_seed, kStreamSplit, 0) : identity_permutation();
}

}  // namespace gpudae
