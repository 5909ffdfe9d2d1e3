// activation.cuh: device.Activation, one scalar function a kind and its
// derivative. The kind is a launch argument, so the branch is uniform.
#pragma once

#include "kinds.cuh"
#include "vector.cuh"

namespace gpudae {

constexpr float kLeakySlope = 0.01f;

// logistic never takes the exponential of a positive number.
__device__ inline float logistic(float a) {
  const float e = expf(-fabsf(a));
  return (a < 0 ? e : 1.0f) / (1.0f + e);
}

// softplus is ln(1 + exp a) without overflow.
__device__ inline float softplus(float a) { return fmaxf(a, 0.0f) + log1pf(expf(-fabsf(a))); }

// normal_cdf is Φ and normal_pdf φ, of the standard normal distribution.
__device__ inline float normal_cdf(float a) { return 0.5f * erfcf(-0.70710678118654752f * a); }
__device__ inline float normal_pdf(float a) { return 0.39894228040143268f * expf(-0.5f * a * a); }

// activate is act(a).
__device__ inline float activate(int kind, float a) {
  switch (kind) {
    case kReLU: return a < 0 ? 0.0f : a;  // and not fmaxf, which would turn NaN into 0 and hide a diverged step
    case kLeakyReLU: return a > 0 ? a : kLeakySlope * a;
    case kELU: return a > 0 ? a : expm1f(a);
    case kGELU: return a * normal_cdf(a);
    case kSiLU: return a * logistic(a);
    case kSigmoid: return logistic(a);
    case kTanh: return tanhf(a);
    case kSoftplus: return softplus(a);
    default: return a;
  }
}

// derivative is act'(a), from a for GELU and SiLU (Activation.NeedsInput) and
// from y = act(a) for the others.
__device__ inline float derivative(int kind, float from) {
  switch (kind) {
    case kReLU: return from > 0 ? 1.0f : 0.0f;
    case kLeakyReLU: return from > 0 ? 1.0f : kLeakySlope;
    case kELU: return from > 0 ? 1.0f : from + 1.0f;
    case kGELU: return normal_cdf(from) + from * normal_pdf(from);
    case kSiLU: {
      const float s = logistic(from);
      return s + from * s * (1.0f - s);
    }
    case kSigmoid: return from * (1.0f - from);
    case kTanh: return 1.0f - from * from;
    case kSoftplus: return -expm1f(-from);
    default: return 1.0f;
  }
}

// activate_quad is act of four sums. A call and not inlined code: a tile's
// epilogue applies it up to 16 times, and 16·4 copies of every kind would pass
// through the instruction cache once each, which costs more than the calls.
__noinline__ __device__ float4 activate_quad(int kind, float4 a) {
  return make_float4(activate(kind, a.x), activate(kind, a.y), activate(kind, a.z), activate(kind, a.w));
}

// derivative_quad is act' of four elements; see activate_quad.
__noinline__ __device__ float4 derivative_quad(int kind, float4 from) {
  return make_float4(derivative(kind, from.x), derivative(kind, from.y), derivative(kind, from.z), derivative(kind, from.w));
}

}  // namespace gpudae
