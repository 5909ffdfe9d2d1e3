// Mean: the reconstruction E[x|h] from the decoder's output: the logistic
// function of the logits, the mean, the softmax by field, or exp of the log
// rate (device.MeanArgs).
//
//   params [rows, width·columns], width 2 for gaussian-learned: [μ... s...]
//   out    [rows, columns], may be params where width is 1
//
// mean_mixed: each column of a table by its family (words, [columns, 8] of
// table.cuh), of params [rows, stride]; of a categorical one the most probable
// code, the lowest of equals.
//
// Geometry: mean: Elements, a thread for each of rows·columns; mean_categorical and
// mean_mixed: Rows, a warp for each field or column of codes. Launched by Device.Mean.
#include "likelihood.cuh"
#include "reduce.cuh"
#include "table.cuh"

namespace gpudae {

// index_of_largest is the lowest index of the largest of n numbers, in every lane.
__device__ inline int64_t index_of_largest(const float* a, int64_t n) {
  float largest = -INFINITY;
  int64_t index = n;  // of a lane that has none
  for (int64_t k = threadIdx.x % kWarp; k < n; k += kWarp) {
    if (index == n || a[k] > largest) largest = a[k], index = k;
  }
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kWholeWarp, largest, distance);
    const int64_t at = __shfl_xor_sync(kWholeWarp, int(index), distance);
    if (other > largest || (other == largest && at < index)) largest = other, index = at;
  }
  return index;
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) mean(
    int64_t rows, int64_t columns, int64_t kind, const float* params, float* out) {
  const int64_t e = grid_thread();
  if (e >= rows * columns) return;
  const int64_t width = kind == kGaussianLearned ? 2 * columns : columns;
  out[e] = mean_of(int(kind), params[e / columns * width + e % columns]);
}

extern "C" __global__ void __launch_bounds__(256) mean_categorical(
    int64_t rows, int64_t columns, const float* params, float* out, int64_t fields, const uint32_t* __restrict__ offsets) {
  const float* a = params + int64_t(blockIdx.x) * columns;
  float* p = out + int64_t(blockIdx.x) * columns;
  for (int64_t f = threadIdx.x / kWarp; f < fields; f += blockDim.x / kWarp) {
    const Field field = field_of(offsets, f);
    const int64_t first = field.first + threadIdx.x % kWarp;
    float largest = -INFINITY, sum = 0;
    for (int64_t j = first; j < field.end; j += kWarp) largest = fmaxf(largest, a[j]);
    largest = warp_max(largest);
    for (int64_t j = first; j < field.end; j += kWarp) sum += expf(a[j] - largest);
    sum = warp_sum(sum);
    for (int64_t j = first; j < field.end; j += kWarp) p[j] = expf(a[j] - largest) / sum;
  }
}

extern "C" __global__ void __launch_bounds__(256) mean_mixed(
    int64_t rows, int64_t columns, const float* __restrict__ params, float* __restrict__ out, const uint32_t* __restrict__ words,
    int64_t stride) {
  const float* a = params + int64_t(blockIdx.x) * stride;
  float* mean = out + int64_t(blockIdx.x) * columns;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const TableColumn column = table_column(words, j);
    if (!column.categorical()) mean[j] = mean_of(column.family() == kFamilyBernoulli ? kBernoulli : kGaussian, a[column.param()]);
  }
  for (int64_t j = threadIdx.x / kWarp; j < columns; j += blockDim.x / kWarp) {
    const TableColumn column = table_column(words, j);
    if (!column.categorical()) continue;
    const int64_t code = index_of_largest(a + column.param(), column.categories());
    if (threadIdx.x % kWarp == 0) mean[j] = float(code);
  }
}
