// reduce.cuh: sums and maxima over a warp, a row and a block. The order of
// additions depends on the size of the block alone: no atomics, so the same
// launch gives the same bits every time.
//
// Blocks are one-dimensional and a multiple of 32 threads.
#pragma once

#include "word.cuh"

namespace gpudae {

constexpr unsigned kWholeWarp = 0xFFFFFFFFu;
constexpr int kWarp = 32;
constexpr int kMostWarps = 32;

// warp_sum is the sum of v over the warp, the same in every lane: the butterfly
// adds the same pairs in every lane, and addition commutes.
__device__ inline float warp_sum(float v) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) v += __shfl_xor_sync(kWholeWarp, v, distance);
  return v;
}

// warp_max is the largest v of the warp, in every lane.
__device__ inline float warp_max(float v) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) v = fmaxf(v, __shfl_xor_sync(kWholeWarp, v, distance));
  return v;
}

// block_sum is the sum of v over the block, the same in every thread. Every
// thread of the block must call it.
__device__ inline float block_sum(float v) {
  __shared__ float partial[kMostWarps];
  const int warps = int(blockDim.x) / kWarp;
  v = warp_sum(v);
  if (warps == 1) return v;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = v;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < warps; ++w) sum += partial[w];
  __syncthreads();  // partial may be written again by the next call
  return sum;
}

// sum_by_warp is the sum of n numbers as a block of 256 threads adds them, each every 256th number and then block_sum, bit for
// bit. It is made by one warp, of which every thread must call it, and gets it.
__device__ inline float sum_by_warp(const float* of, int64_t n) {
  constexpr int kThreads = 256;
  float sum = 0;
  for (int64_t first = 0; first < kThreads && first < n; first += kWarp) {
    float v = 0;
    for (int64_t i = first + int(threadIdx.x) % kWarp; i < n; i += kThreads) v += of[i];
    sum += warp_sum(v);
  }
  return sum;
}

// block_max is the largest v of the block, in every thread; see block_sum.
__device__ inline float block_max(float v) {
  __shared__ float partial[kMostWarps];
  const int warps = int(blockDim.x) / kWarp;
  v = warp_max(v);
  if (warps == 1) return v;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = v;
  __syncthreads();
  float largest = partial[0];
  for (int w = 1; w < warps; ++w) largest = fmaxf(largest, partial[w]);
  __syncthreads();  // partial may be written again by the next call
  return largest;
}

// Column reductions: a block has 32 columns by 8 lanes of rows, so that a warp
// reads 32 neighbours; lane l takes the rows l, l+8, l+16, ...
constexpr int kColumnsPerBlock = 32;
constexpr int kRowLanes = 8;
constexpr int kColumnThreads = kColumnsPerBlock * kRowLanes;

// Lane is a thread's place in a column reduction.
struct Lane {
  int64_t column;
  int row;  // first row
};

__device__ inline Lane column_lane() {
  return {int64_t(blockIdx.x) * kColumnsPerBlock + threadIdx.x % kColumnsPerBlock, int(threadIdx.x) / kColumnsPerBlock};
}

// column_sum adds the lanes of each column, in the order of the lanes; every
// thread of the column gets the sum. Every thread of the block must call it.
__device__ inline float column_sum(float v) {
  __shared__ float partial[kRowLanes][kColumnsPerBlock];
  const int column = threadIdx.x % kColumnsPerBlock;
  partial[threadIdx.x / kColumnsPerBlock][column] = v;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int l = 0; l < kRowLanes; ++l) sum += partial[l][column];
  __syncthreads();  // partial may be written again by the next call
  return sum;
}

}  // namespace gpudae
