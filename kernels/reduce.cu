// Reduce: Σ x, Σ x² or Σ (x-y)², by row or in all (device.ReduceArgs).
//
// reduce_rows: a block for each row. reduce_all: each block sums its share into
// sums[blockIdx]; with more than one block a second launch of reduce_all, over
// those sums with kind Sum and one block, ends it. The number of blocks is a
// function of n alone, so the order of additions is one of the shape alone.
//
//   x, y [rows, columns] or [n], y only for Σ (x-y)²     sums [rows] or [blocks]
//
// Geometry: Rows, and Shares. Launched by Device.Reduce.
#include "kinds.cuh"
#include "reduce.cuh"

namespace gpudae {

__device__ inline float term(int64_t kind, const float* x, const float* y, int64_t i) {
  switch (kind) {
    case kSumSquares: return x[i] * x[i];
    case kSumSquaredDifference: return (x[i] - y[i]) * (x[i] - y[i]);
    default: return x[i];
  }
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) reduce_rows(
    int64_t rows, int64_t columns, int64_t kind, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ sums) {
  const int64_t row = int64_t(blockIdx.x) * columns;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) sum += term(kind, x, y, row + j);
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) reduce_all(
    int64_t n, int64_t kind, const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ sums) {
  float sum = 0;
  for (int64_t i = grid_thread(); i < n; i += int64_t(gridDim.x) * blockDim.x) sum += term(kind, x, y, i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
