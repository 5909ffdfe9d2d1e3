// code.cuh: device.Code, the scalar twin of each family of stochastic codes: h
// as a function of parameters and noise, its divergence from the prior, and the
// derivatives of both. The formulas are those of device/kind.go.
#pragma once

#include "activation.cuh"

namespace gpudae {

constexpr float kLogTwo = 0.69314718055994531f;

// Unit is one unit of a code: a is the mean or the logit, s the log variance of
// a Gaussian unit, noise what was drawn for it.
struct Unit {
  float a, s, noise;
};

// code_value is h.
__device__ inline float code_value(int kind, const Unit& q, float temperature) {
  switch (kind) {
    case kCodeGaussian: return q.a + expf(0.5f * q.s) * q.noise;
    case kCodeBernoulli: return q.noise < logistic(q.a) ? 1.0f : 0.0f;
    default: return logistic((q.a + (logf(q.noise) - log1pf(-q.noise))) / temperature);
  }
}

// code_divergence is KL(q‖p), or ln q(h) - ln p(h) of a Gaussian unit.
__device__ inline float code_divergence(int kind, const Unit& q, float h, bool sampled) {
  if (kind != kCodeGaussian) return kLogTwo - (logistic(q.a) * softplus(-q.a) + logistic(-q.a) * softplus(q.a));
  return 0.5f * (sampled ? h * h - q.noise * q.noise - q.s : q.a * q.a + (expm1f(q.s) - q.s));
}

// CodeSlope is the gradient by a and, of a Gaussian unit, by s.
struct CodeSlope {
  float a, s;
};

// code_gradient adds what the loss hands down by h (dh) and the divergence, scaled.
__device__ inline CodeSlope code_gradient(int kind, const Unit& q, float h, float dh, float scale, bool sampled, float temperature) {
  if (kind == kCodeGaussian) {
    const float spread = expf(0.5f * q.s) * q.noise;  // 2·∂h/∂s
    if (!sampled) return {dh + scale * q.a, 0.5f * (dh * spread + scale * expm1f(q.s))};
    const float g = dh + scale * h;
    return {g, 0.5f * (g * spread - scale)};
  }
  const float p = logistic(q.a) * logistic(-q.a);  // ∂p/∂a
  if (kind == kCodeBernoulli) return {p * (dh + scale * q.a), 0};
  return {dh * (h * (1.0f - h) / temperature) + scale * (p * q.a), 0};
}

}  // namespace gpudae
