// Normalize: y = gain ⊙ (x - m)·s + bias with s = 1/√(var + ε), and its gradients
// (device.NormalizeArgs, device.NormalizeBackwardArgs):
//
//   x̂ = (x - m)·s,  g = dy ⊙ gain,  dx = s·(g - avg g - x̂·avg(g ⊙ x̂)),
//   dgain = Σ_rows dy ⊙ x̂,  dbias = Σ_rows dy
//
// over the features of a row (layer: Ba et al. 2016) or the rows of a feature
// (batch: Ioffe and Szegedy 2015). The variance is the mean square of x - m, in
// a second pass, so a large mean costs no digits.
//
//   x, y, dy, dx [rows, columns], y may be x, dx may be dy
//   gain, bias, dgain, dbias, running_mean, running_var [columns]
//   mean, inv_std [rows] (layer) or [columns] (batch)
//
// Geometry: layer_norm and layer_norm_backward_input: Rows, a block for each
// row; the others: Columns, a block for 32 columns; batch_norm_inference:
// Elements. layer_norm_backward_parameters reads dy and runs before
// layer_norm_backward_input, which may overwrite it. Launched by
// Device.Normalize and Device.NormalizeBackward.
#include "reduce.cuh"

namespace gpudae {

__device__ inline float inverse_std(float variance, float epsilon) { return 1.0f / sqrtf(variance + epsilon); }

// moved is a running statistic after one batch.
__device__ inline float moved(float running, float statistic, float momentum) {
  return (1.0f - momentum) * running + momentum * statistic;
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) layer_norm(
    int64_t rows, int64_t columns, Float epsilon, const float* x, const float* __restrict__ gain, const float* __restrict__ bias,
    float* __restrict__ mean, float* __restrict__ inv_std, float* y) {
  const int64_t i = blockIdx.x;
  const float* from = x + i * columns;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) sum += from[j];
  const float m = block_sum(sum) / float(columns);
  float squares = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) squares += (from[j] - m) * (from[j] - m);
  const float s = inverse_std(block_sum(squares) / float(columns), epsilon.value);
  if (threadIdx.x == 0) mean[i] = m, inv_std[i] = s;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) y[i * columns + j] = gain[j] * ((from[j] - m) * s) + bias[j];
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_backward_input(
    int64_t rows, int64_t columns, const float* __restrict__ x, const float* __restrict__ gain, const float* __restrict__ mean,
    const float* __restrict__ inv_std, const float* dy, float* dx) {
  const int64_t row = int64_t(blockIdx.x) * columns;
  const float m = mean[blockIdx.x], s = inv_std[blockIdx.x];
  float g = 0, gx = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const float part = dy[row + j] * gain[j];
    g += part;
    gx += part * ((x[row + j] - m) * s);
  }
  const float average_g = block_sum(g) / float(columns), average_gx = block_sum(gx) / float(columns);
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    dx[row + j] = s * (dy[row + j] * gain[j] - average_g - (x[row + j] - m) * s * average_gx);
  }
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_backward_parameters(
    int64_t rows, int64_t columns, const float* __restrict__ x, const float* __restrict__ mean, const float* __restrict__ inv_std,
    const float* __restrict__ dy, float* __restrict__ dgain, float* __restrict__ dbias) {
  const Lane lane = column_lane();
  const bool inside = lane.column < columns;
  float for_gain = 0, for_bias = 0;
  for (int64_t i = lane.row; inside && i < rows; i += kRowLanes) {
    const int64_t e = i * columns + lane.column;
    for_gain += dy[e] * ((x[e] - mean[i]) * inv_std[i]);
    for_bias += dy[e];
  }
  for_gain = column_sum(for_gain);
  for_bias = column_sum(for_bias);
  if (inside && lane.row == 0) dgain[lane.column] = for_gain, dbias[lane.column] = for_bias;
}

extern "C" __global__ void __launch_bounds__(256) batch_norm(
    int64_t rows, int64_t columns, Float epsilon, Float momentum, const float* x, const float* __restrict__ gain,
    const float* __restrict__ bias, float* __restrict__ running_mean, float* __restrict__ running_var, float* __restrict__ mean,
    float* __restrict__ inv_std, float* y) {
  const Lane lane = column_lane();
  const int64_t j = lane.column;
  const bool inside = j < columns;
  float sum = 0;
  for (int64_t i = lane.row; inside && i < rows; i += kRowLanes) sum += x[i * columns + j];
  const float m = column_sum(sum) / float(rows);
  float squares = 0;
  for (int64_t i = lane.row; inside && i < rows; i += kRowLanes) squares += (x[i * columns + j] - m) * (x[i * columns + j] - m);
  const float variance = column_sum(squares) / float(rows);
  const float s = inverse_std(variance, epsilon.value);
  if (!inside) return;
  if (lane.row == 0) {
    const float unbiased = rows == 1 ? variance : variance * (float(rows) / float(rows - 1));
    running_mean[j] = moved(running_mean[j], m, momentum.value);
    running_var[j] = moved(running_var[j], unbiased, momentum.value);
    mean[j] = m, inv_std[j] = s;
  }
  const float a = gain[j], b = bias[j];
  for (int64_t i = lane.row; i < rows; i += kRowLanes) y[i * columns + j] = a * ((x[i * columns + j] - m) * s) + b;
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_inference(
    int64_t rows, int64_t columns, Float epsilon, const float* x, const float* __restrict__ gain, const float* __restrict__ bias,
    const float* __restrict__ running_mean, const float* __restrict__ running_var, float* __restrict__ mean,
    float* __restrict__ inv_std, float* y) {
  const int64_t e = grid_thread();
  if (e >= rows * columns) return;
  const int64_t j = e % columns;
  const float m = running_mean[j], s = inverse_std(running_var[j], epsilon.value);
  if (e < columns) mean[j] = m, inv_std[j] = s;
  y[e] = gain[j] * ((x[e] - m) * s) + bias[j];
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_backward(
    int64_t rows, int64_t columns, const float* __restrict__ x, const float* __restrict__ gain, const float* __restrict__ mean,
    const float* __restrict__ inv_std, const float* dy, float* dx, float* __restrict__ dgain, float* __restrict__ dbias) {
  const Lane lane = column_lane();
  const int64_t j = lane.column;
  const bool inside = j < columns;
  const float m = inside ? mean[j] : 0, s = inside ? inv_std[j] : 0;
  float for_gain = 0, for_bias = 0;
  for (int64_t i = lane.row; inside && i < rows; i += kRowLanes) {
    const int64_t e = i * columns + j;
    for_gain += dy[e] * ((x[e] - m) * s);
    for_bias += dy[e];
  }
  for_gain = column_sum(for_gain);
  for_bias = column_sum(for_bias);
  if (!inside) return;
  if (lane.row == 0) dgain[j] = for_gain, dbias[j] = for_bias;
  // gain is constant in a column, so avg g = gain·dbias/rows and avg(g ⊙ x̂) = gain·dgain/rows.
  const float a = gain[j] * s, average_g = for_bias / float(rows), average_gx = for_gain / float(rows);
  for (int64_t i = lane.row; i < rows; i += kRowLanes) {
    const int64_t e = i * columns + j;
    dx[e] = a * (dy[e] - average_g - (x[e] - m) * s * average_gx);
  }
}
