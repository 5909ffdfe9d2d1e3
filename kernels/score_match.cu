// ScoreMatch: the loss of denoising score matching (Vincent 2011, equation 11) and
// in the same pass its gradient by the model's output (device.ScoreMatchArgs):
//
//   losses_i = ½·weight_l·Σ_j (D_ij - x_ij)²     df = scale·weight_l·out_scale_l·(D - x)
//
//   level [rows]     weight, out_scale [levels]     losses [rows]
//   denoised (D), target (x), df [rows, columns], df may be denoised or null
//
// Geometry: Rows, a block for each row; a thread has every blockDim-th feature
// and the block adds up in fixed order. Launched by Device.ScoreMatch.
#include "reduce.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) score_match(
    int64_t rows, int64_t columns, const uint32_t* __restrict__ level, const float* __restrict__ weight,
    const float* __restrict__ out_scale, const float* denoised, const float* __restrict__ target, float* __restrict__ losses,
    float* df, Float scale) {
  const int64_t i = blockIdx.x, l = level[i];
  const float factor = scale.value * weight[l] * out_scale[l];
  float sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const float e = denoised[i * columns + j] - target[i * columns + j];
    sum += e * e;
    if (df) df[i * columns + j] = factor * e;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) losses[i] = 0.5f * weight[l] * sum;
}
