// Gather: X[i] = data[P(lo + E(cursor + i/replicates))], widened to float32.
//
// P is the permutation of the split over all rows of the data set, E that of
// the epoch over the part (device.GatherArgs). No array of row numbers exists:
// the first thread of a block walks both permutations for its row.
//
//   data  [data_rows, columns] uint8 or float32, or records of stride bytes with
//   the cells [columns, 4] of dataset.cuh and their values    x    [rows, columns]
//   clock the step's clock                           index  [2·rows]: rows of
//   the data set, then positions in the part
//
// Geometry: Rows, a block for each row of X. Launched by Device.Gather.
#include "dataset.cuh"

namespace gpudae {

struct Source {
  int64_t data_rows, lo, part, split;
  uint64_t split_seed;
  int64_t shuffle;
  uint64_t seed;
};

// example is the position in the part of the example at a position of the epoch.
__device__ inline uint32_t example(const Source& from, uint32_t epoch, uint32_t position) {
  if (!from.shuffle) return position;
  return permute(make_permutation(uint32_t(from.part), from.seed, kStreamPermutation, epoch), position);
}

template <class Data>
__device__ inline void gather(const Data& data, int64_t columns, const Source& from, int64_t replicates,
                              const uint32_t* clock, int64_t rows, float* x, uint32_t* index) {
  __shared__ uint32_t row;
  const int64_t i = blockIdx.x;
  if (threadIdx.x == 0) {
    const uint32_t position = example(from, clock[kClockEpoch], clock[kClockCursor] + uint32_t(i) / uint32_t(replicates));
    row = permute(part_permutation(from.data_rows, from.split, from.split_seed), uint32_t(from.lo) + position);
    index[i] = row;
    index[rows + i] = position;
  }
  __syncthreads();
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) x[i * columns + j] = data.at(row, j);
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) gather_u8(
    int64_t rows, int64_t columns, const uint8_t* __restrict__ data, Float scale, int64_t data_rows, int64_t lo,
    int64_t part, int64_t split, uint64_t split_seed, int64_t shuffle, uint64_t seed, int64_t replicates,
    const uint32_t* __restrict__ clock, float* __restrict__ x, uint32_t* __restrict__ index) {
  gather(Matrix<uint8_t>{data, scale.value, columns}, columns, {data_rows, lo, part, split, split_seed, shuffle, seed}, replicates, clock,
         rows, x, index);
}

extern "C" __global__ void __launch_bounds__(256) gather_f32(
    int64_t rows, int64_t columns, const float* __restrict__ data, Float scale, int64_t data_rows, int64_t lo,
    int64_t part, int64_t split, uint64_t split_seed, int64_t shuffle, uint64_t seed, int64_t replicates,
    const uint32_t* __restrict__ clock, float* __restrict__ x, uint32_t* __restrict__ index) {
  gather(Matrix<float>{data, scale.value, columns}, columns, {data_rows, lo, part, split, split_seed, shuffle, seed}, replicates, clock,
         rows, x, index);
}

extern "C" __global__ void __launch_bounds__(256) gather_records(
    int64_t rows, int64_t columns, const uint8_t* __restrict__ data, int64_t stride, const uint32_t* __restrict__ cells,
    const float* __restrict__ values, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed,
    int64_t shuffle, uint64_t seed, int64_t replicates, const uint32_t* __restrict__ clock, float* __restrict__ x,
    uint32_t* __restrict__ index) {
  gather(Records{data, stride, cells, values}, columns, {data_rows, lo, part, split, split_seed, shuffle, seed}, replicates, clock,
         rows, x, index);
}
