// optimizer.cuh: device.Optimizer, the update of one parameter by its gradient;
// device/kind.go has the rules and their sources.
#pragma once

#include <cfloat>

#include "kinds.cuh"
#include "word.cuh"

namespace gpudae {

// State is one parameter with its moments; a moment that the rule does not keep is 0.
struct State {
  float theta, m, v;
};

// Hyper is what a rule needs besides. unbias is 1/(1 - βᵗ), so m̂ = unbias1·m.
struct Hyper {
  float rate, beta1, beta2, epsilon, unbias1, unbias2;
  bool nesterov;
};

// Approximations of 1/√x, √x and 1/x for normal numbers, to within two ulps, without a branch
// for others. The CPU that stands in for a GPU has exact ones.
__device__ inline float approximate_rsqrt(float x) {
#ifdef __CUDACC__
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1 / sqrtf(x);
#endif
}

__device__ inline float approximate_root(float x) {
#ifdef __CUDACC__
  float y;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return sqrtf(x);
#endif
}

__device__ inline float approximate_reciprocal(float x) {
#ifdef __CUDACC__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1 / x;
#endif
}

// root is √x and quotient a/b, each an approximation with one correction, to within an
// ulp: exact ones take half of a small net's update. x is at least 0, b normal and below 2¹²⁶.
__device__ inline float root(float x) {
  const float y = approximate_rsqrt(fmaxf(x, FLT_MIN)), s = x * y;
  return __fmaf_rn(__fmaf_rn(-s, s, x), 0.5f * y, s);
}

__device__ inline float quotient(float a, float b) {
  const float y = approximate_reciprocal(b), q = a * y;
  return __fmaf_rn(__fmaf_rn(-b, q, a), y, q);
}

// adam: θ ← θ - η·m̂/(√v̂ + ε).
__device__ inline State adam(State s, float g, const Hyper& h) {
  s.m = h.beta1 * s.m + (1.0f - h.beta1) * g;
  s.v = h.beta2 * s.v + (1.0f - h.beta2) * g * g;
  s.theta -= quotient(h.rate * (s.m * h.unbias1), root(s.v * h.unbias2) + h.epsilon);
  return s;
}

// update is the parameter after one step; decay is the weight decay λ that
// concerns it.
__device__ inline State update(int kind, State s, float g, float decay, const Hyper& h) {
  if (kind == kAdamW) {
    s.theta -= h.rate * decay * s.theta;
    return adam(s, g, h);
  }
  g += decay * s.theta;
  switch (kind) {
    case kSGD:
      s.m = h.beta1 * s.m + g;
      s.theta -= h.rate * (h.nesterov ? g + h.beta1 * s.m : s.m);
      break;
    case kAdam:
      s = adam(s, g, h);
      break;
    case kRMSprop:
      s.v = h.beta2 * s.v + (1.0f - h.beta2) * g * g;
      s.theta -= quotient(h.rate * g, root(s.v) + h.epsilon);
      break;
    case kAdagrad:
      s.v += g * g;
      s.theta -= quotient(h.rate * g, root(s.v) + h.epsilon);
      break;
  }
  return s;
}

}  // namespace gpudae
