// Mean: the reconstruction E[x|h] from the decoder's output: the logistic
// function of the logits, the mean, the softmax by field, or exp of the log
// rate (device.MeanArgs).
//
//   params [rows, width·columns], width 2 for gaussian-learned: [μ... s...]
//   out    [rows, columns], may be params where width is 1
//
// Geometry: mean: Elements, a thread for each of rows·columns; mean_categorical: Rows, a
// warp for each field. Launched by Device.Mean.
#include "likelihood.cuh"
#include "reduce.cuh"

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
