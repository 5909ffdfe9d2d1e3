// Likelihood: losses[i] = Σ_j w_ij·ℓ_ij with ℓ = -log p(x|a) in nats, and in the
// same pass d_params = scale·∂losses/∂params (device.LikelihoodArgs).
//
//   params [rows, width·columns], width 2 for gaussian_learned ([μ... s...])
//   target, mask [rows, columns], mask may be null     losses [rows]
//   d_params like params, may be params or null        offsets [fields+1] or null
//
// Each parameter is read and written by one thread, so d_params may be params.
// The weight is destroyed where the mask is 1 and untouched elsewhere.
//
// Geometry: Rows, a block for each row; a thread has every blockDim-th feature
// and the block adds up in fixed order. A categorical field belongs to a warp,
// whose lanes go over its columns. Launched by Device.Likelihood.
#include "likelihood.cuh"
#include "reduce.cuh"

namespace gpudae {

// Emphasis is the weight of a feature by its mask (Vincent et al. 2010, section 4.3).
struct Emphasis {
  const float* mask;
  float destroyed, untouched;
  __device__ float operator()(int64_t at) const { return !mask ? 1.0f : mask[at] == 1.0f ? destroyed : untouched; }
};

// likelihood adds the terms of a row; term(j) is a feature's loss and gradient.
template <int Width, class TermOf>
__device__ inline void likelihood(int64_t columns, const Emphasis& weight, float* losses, float* d_params, float scale,
                                  const TermOf& term) {
  const int64_t i = blockIdx.x;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const Term t = term(i, j);
    const float w = weight(i * columns + j);
    sum += w * t.loss;
    if (d_params) {
      float* gradient = d_params + i * Width * columns + j;
      gradient[0] = scale * w * t.gradient;
      if (Width == 2) gradient[columns] = scale * w * t.gradient2;
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) losses[i] = sum;
}

// categorical returns the loss of a field, (Σx)·logsumexp(a) - Σ x·a, in every
// lane, and writes its gradient.
__device__ inline float categorical(const Field& field, const float* a, const float* x, float scale, float* gradient) {
  const int64_t first = field.first + threadIdx.x % kWarp;
  float largest = -INFINITY, total = 0;
  for (int64_t j = first; j < field.end; j += kWarp) {
    largest = fmaxf(largest, a[j]);
    total += x[j];
  }
  largest = warp_max(largest);
  total = warp_sum(total);
  float sum = 0;
  for (int64_t j = first; j < field.end; j += kWarp) sum += expf(a[j] - largest);
  sum = warp_sum(sum);
  const float log_sum = logf(sum);
  float loss = 0;
  for (int64_t j = first; j < field.end; j += kWarp) {
    const float shifted = a[j] - largest;
    loss += x[j] * (log_sum - shifted);
    if (gradient) gradient[j] = scale * (total * (expf(shifted) / sum) - x[j]);
  }
  return warp_sum(loss);
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) likelihood_bernoulli(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, float* __restrict__ losses, float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value}, losses, d_params, scale.value,
                [=](int64_t i, int64_t j) { return bernoulli(params[i * columns + j], target[i * columns + j]); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_gaussian(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, float* __restrict__ losses, float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value}, losses, d_params, scale.value,
                [=](int64_t i, int64_t j) { return gaussian(params[i * columns + j], target[i * columns + j], sigma.value); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_gaussian_learned(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, float* __restrict__ losses, float* d_params, Float scale, Float sigma) {
  likelihood<2>(columns, {mask, destroyed.value, untouched.value}, losses, d_params, scale.value, [=](int64_t i, int64_t j) {
    const float* row = params + 2 * i * columns;
    return gaussian_learned(row[j], row[columns + j], target[i * columns + j], sigma.value);
  });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_poisson(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, float* __restrict__ losses, float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value}, losses, d_params, scale.value,
                [=](int64_t i, int64_t j) { return poisson_counts(params[i * columns + j], target[i * columns + j]); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_categorical(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, float* __restrict__ losses, float* d_params, Float scale, int64_t fields,
    const uint32_t* __restrict__ offsets) {
  const int64_t row = int64_t(blockIdx.x) * columns;
  const Emphasis weight = {mask ? mask + row : nullptr, destroyed.value, untouched.value};
  float sum = 0;
  for (int64_t f = threadIdx.x / kWarp; f < fields; f += blockDim.x / kWarp) {
    const Field field = field_of(offsets, f);
    const float w = weight(field.first);
    const float loss = categorical(field, params + row, target + row, scale.value * w, d_params ? d_params + row : nullptr);
    if (threadIdx.x % kWarp == 0) sum += w * loss;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) losses[blockIdx.x] = sum;
}
