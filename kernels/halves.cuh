// halves.cuh: numbers as sums of two of bfloat16, which have 16 significant bits: the factors of
// a small net's products on tensor cores.
#pragma once

#include "mma.cuh"

namespace gpudae {

// Halves are two numbers as sums of two of bfloat16, of which high is the larger.
struct Halves {
  uint32_t high, low;
};

__device__ inline float lower(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float upper(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

__device__ inline Halves halve(float x, float y) {
  const uint32_t high = to_bf16(x, y);
  return {high, to_bf16(x - lower(high), y - upper(high))};
}

}  // namespace gpudae
