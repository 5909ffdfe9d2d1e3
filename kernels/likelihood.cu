// Likelihood: losses[i] = Σ_j w_ij·ℓ_ij with ℓ = -log p(x|a) in nats, and in the
// same pass d_params = scale·∂losses/∂params (device.LikelihoodArgs).
//
//   params [rows, width·columns], width 2 for gaussian_learned ([μ... s...])
//   target, mask [rows, columns], mask may be null     losses [rows]
//   d_params like params, may be params or null        offsets [fields+1] or null
//   weights [columns] or null                          by_column [rows, columns] or null: ℓ itself
//
// mixed: params [rows, stride], stride the width of the parameters of the columns
// (words, [columns, 8] of table.cuh) or, where there are those of a mask, columns
// more; a target that is NaN is absent, and has no loss. With a head > 0 the
// parameters of the mask are logits, whose loss head·(softplus(b) - mask·b) is added.
//
// Each parameter is read and written by one thread, so d_params may be params.
// The weight is destroyed where the mask is 1 and untouched elsewhere.
//
// Geometry: Rows, a block for each row; a thread has every blockDim-th feature
// and the block adds up in fixed order. A categorical field or column belongs to a
// warp, whose lanes go over its columns or codes. Launched by Device.Likelihood.
#include "likelihood.cuh"
#include "reduce.cuh"
#include "table.cuh"

namespace gpudae {

// likelihood adds the terms of a row; term(j) is a feature's loss and gradient.
template <int Width, class TermOf>
__device__ inline void likelihood(int64_t columns, const Emphasis& weight, float* losses, float* by_column, float* d_params,
                                  float scale, const TermOf& term) {
  const int64_t i = blockIdx.x;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const Term t = term(i, j);
    const float w = weight(i * columns + j, j);
    sum += w * t.loss;
    if (by_column) by_column[i * columns + j] = t.loss;
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

// code_likelihood is the loss of a column that holds a code, logsumexp(a) - a_code,
// in the lane that goes over the code and 0 in the others, and writes its gradient.
__device__ inline float code_likelihood(const float* a, int64_t codes, int64_t code, float scale, float* gradient) {
  const int64_t first = threadIdx.x % kWarp;
  float largest = -INFINITY, sum = 0, loss = 0;
  for (int64_t k = first; k < codes; k += kWarp) largest = fmaxf(largest, a[k]);
  largest = warp_max(largest);
  for (int64_t k = first; k < codes; k += kWarp) sum += expf(a[k] - largest);
  sum = warp_sum(sum);
  const float log_sum = logf(sum);
  for (int64_t k = first; k < codes; k += kWarp) {
    const float shifted = a[k] - largest;
    if (k == code) loss = log_sum - shifted;
    if (gradient) gradient[k] = scale * (expf(shifted) / sum - (k == code ? 1.0f : 0.0f));
  }
  return loss;
}

// MixedRow is a row of a mixed likelihood; what is null is absent.
struct MixedRow {
  int64_t columns;
  const uint32_t* words;
  const float *a, *x;
  Emphasis weight;
  float scale, sigma, floor;
  float *by_column, *gradient;

  // write stores a scalar column's gradient.
  __device__ void write(int64_t at, float w, const Term& t, bool two) const {
    if (!gradient) return;
    gradient[at] = scale * w * t.gradient;
    if (two) gradient[at + 1] = scale * w * t.gradient2;
  }

  // scalars is the loss of the thread's columns that are no codes.
  __device__ float scalars() const {
    float sum = 0;
    for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
      const TableColumn column = table_column(words, j);
      if (column.categorical()) continue;
      const int64_t at = column.param();
      const bool learned = column.family() == kFamilyGaussianLearned;
      Term t = {0, 0, 0};
      if (!is_absent(x[j])) {
        t = learned                                 ? gaussian_learned(a[at], a[at + 1], x[j], floor)
            : column.family() == kFamilyBernoulli   ? bernoulli(a[at], x[j])
                                                    : gaussian(a[at], x[j], sigma);
      }
      const float w = weight(j, j);
      sum += w * t.loss;
      if (by_column) by_column[j] = t.loss;
      write(at, w, t, learned);
    }
    return sum;
  }

  // codes is the loss of the warp's columns of codes, spread over its lanes.
  __device__ float codes() const {
    float sum = 0;
    for (int64_t j = threadIdx.x / kWarp; j < columns; j += blockDim.x / kWarp) {
      const TableColumn column = table_column(words, j);
      if (!column.categorical()) continue;
      const bool there = !is_absent(x[j]);
      const int64_t code = there ? int64_t(x[j]) : -1;  // which no lane goes over: no loss, and with w a gradient of 0
      const float w = there ? weight(j, j) : 0.0f;
      const float loss = code_likelihood(a + column.param(), column.categories(), code, scale * w, gradient ? gradient + column.param() : nullptr);
      sum += w * loss;
      if (by_column && threadIdx.x % kWarp == uint32_t(code & (kWarp - 1))) by_column[j] = loss;
    }
    return sum;
  }

  // head is the loss of the thread's logits of the mask, which follow the
  // parameters of the columns.
  __device__ float head(int64_t from, float strength, const float* mask) const {
    float sum = 0;
    for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
      const Term t = strength > 0 && !is_absent(x[j]) ? bernoulli(a[from + j], mask[j]) : Term{0, 0, 0};
      sum += t.loss;
      if (gradient) gradient[from + j] = scale * strength * t.gradient;
    }
    return strength * sum;
  }
};

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) likelihood_bernoulli(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value, weights}, losses, by_column, d_params, scale.value,
                [=](int64_t i, int64_t j) { return bernoulli(params[i * columns + j], target[i * columns + j]); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_gaussian(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value, weights}, losses, by_column, d_params, scale.value,
                [=](int64_t i, int64_t j) { return gaussian(params[i * columns + j], target[i * columns + j], sigma.value); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_gaussian_learned(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, Float sigma) {
  likelihood<2>(columns, {mask, destroyed.value, untouched.value, weights}, losses, by_column, d_params, scale.value, [=](int64_t i, int64_t j) {
    const float* row = params + 2 * i * columns;
    return gaussian_learned(row[j], row[columns + j], target[i * columns + j], sigma.value);
  });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_poisson(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, Float sigma) {
  likelihood<1>(columns, {mask, destroyed.value, untouched.value, weights}, losses, by_column, d_params, scale.value,
                [=](int64_t i, int64_t j) { return poisson_counts(params[i * columns + j], target[i * columns + j]); });
}

extern "C" __global__ void __launch_bounds__(256) likelihood_categorical(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, int64_t fields,
    const uint32_t* __restrict__ offsets) {
  const int64_t row = int64_t(blockIdx.x) * columns;
  const Emphasis weight = {mask ? mask + row : nullptr, destroyed.value, untouched.value, weights};
  float sum = 0;
  for (int64_t f = threadIdx.x / kWarp; f < fields; f += blockDim.x / kWarp) {
    const Field field = field_of(offsets, f);
    const float w = weight(field.first, field.first);
    const float loss = categorical(field, params + row, target + row, scale.value * w, d_params ? d_params + row : nullptr);
    for (int64_t j = field.first + threadIdx.x % kWarp; by_column && j < field.end; j += kWarp) {
      by_column[row + j] = j == field.first ? loss : 0.0f;
    }
    if (threadIdx.x % kWarp == 0) sum += w * loss;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) losses[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) likelihood_mixed(
    int64_t rows, int64_t columns, const float* params, const float* __restrict__ target, const float* __restrict__ mask,
    Float destroyed, Float untouched, const float* __restrict__ weights, float* __restrict__ losses, float* __restrict__ by_column,
    float* d_params, Float scale, Float sigma, Float floor, const uint32_t* __restrict__ words, int64_t width, int64_t stride, Float head) {
  const int64_t i = blockIdx.x;
  const float* row_mask = mask ? mask + i * columns : nullptr;
  const MixedRow row = {columns,
                        words,
                        params + i * stride,
                        target + i * columns,
                        {row_mask, destroyed.value, untouched.value, weights},
                        scale.value,
                        sigma.value,
                        floor.value,
                        by_column ? by_column + i * columns : nullptr,
                        d_params ? d_params + i * stride : nullptr};
  float sum = row.scalars() + row.codes();
  if (stride > width) sum += row.head(width, head.value, row_mask);
  sum = block_sum(sum);
  if (threadIdx.x == 0) losses[i] = sum;
}
