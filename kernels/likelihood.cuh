// likelihood.cuh: device.Likelihood for families of one feature: the scalar
// twin of each kind. loss is -log p(x|a) in nats with every constant, gradient
// its derivative by each parameter, mean E[x|a]. The categorical family, whose
// unit is a field, has a warp to a field: see likelihood.cu.
#pragma once

#include "activation.cuh"

namespace gpudae {

constexpr float kHalfLogTwoPi = 0.91893853320467274f;  // ½ ln 2π

// Term is one feature's loss and the gradient by its parameters: a second one
// exists for GaussianLearned only.
struct Term {
  float loss, gradient, gradient2;
};

// bernoulli: softplus(a) - x·a.
__device__ inline Term bernoulli(float a, float x) { return {softplus(a) - x * a, logistic(a) - x, 0}; }

// gaussian: ½((x-μ)/σ)² + ln σ + ½ ln 2π.
__device__ inline Term gaussian(float mu, float x, float sigma) {
  const float z = (x - mu) / sigma;
  return {0.5f * z * z + logf(sigma) + kHalfLogTwoPi, -z / sigma, 0};
}

// gaussian_learned: ½(ln v + (x-μ)²/v + ln 2π), v = exp(s) + floor².
__device__ inline Term gaussian_learned(float mu, float s, float x, float floor) {
  const float e = expf(s), v = e + floor * floor, r = x - mu;
  const float z = r / v;  // r²/v as r·(r/v): no overflow of r² before the division
  return {0.5f * (logf(v) + r * z) + kHalfLogTwoPi, -z, 0.5f * (e / v) * (1.0f - r * z)};
}

// poisson_counts: exp(a) - x·a + ln Γ(x+1).
__device__ inline Term poisson_counts(float a, float x) {
  const float rate = expf(a);
  return {rate - x * a + lgammaf(x + 1.0f), rate - x, 0};
}

// one_feature is the term of a family whose parameter is one number.
__device__ inline Term one_feature(int kind, float a, float x, float sigma) {
  switch (kind) {
    case kBernoulli: return bernoulli(a, x);
    case kPoisson: return poisson_counts(a, x);
    default: return gaussian(a, x, sigma);
  }
}

// Emphasis is the weight of a feature: by its mask, at an element of the matrix
// (Vincent et al. 2010, section 4.3), and by its column.
struct Emphasis {
  const float* mask;
  float destroyed, untouched;
  const float* weights;
  __device__ float operator()(int64_t at, int64_t column) const {
    const float w = !mask ? 1.0f : mask[at] == 1.0f ? destroyed : untouched;
    return weights ? w * weights[column] : w;
  }
};

// mean is E[x|a] of the families of one feature.
__device__ inline float mean_of(int kind, float a) {
  switch (kind) {
    case kBernoulli: return logistic(a);
    case kPoisson: return expf(a);
    default: return a;
  }
}

// Field is a categorical field: the columns first, ..., end-1.
struct Field {
  int64_t first, end;
};

// field_of is the f-th field; without offsets every column is its own.
__device__ inline Field field_of(const uint32_t* offsets, int64_t f) {
  if (!offsets) return {f, f + 1};
  return {int64_t(offsets[f]), int64_t(offsets[f + 1])};
}

}  // namespace gpudae
