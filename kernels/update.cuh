// update.cuh: a step of an optimiser (device.UpdateArgs): what decides it before any
// parameter is looked at, which is the rule's numbers at this step, whether the step is
// applied, and by how much its gradient is shrunk; and what becomes of four parameters.
#pragma once

#include "optimizer.cuh"
#include "spikes.cuh"
#include "vector.cuh"

namespace gpudae {

// unbias is 1/(1 - βᵗ), without the cancellation of that form near β = 1.
__device__ inline float unbias(float beta, float t) { return -1.0f / expm1f(t * logf(beta)); }

// at_step is the rule at step t, counted from 1, under a learning rate.
__device__ inline Hyper at_step(Hyper h, float t, float rate) {
  h.rate = rate;
  h.unbias1 = unbias(h.beta1, t);
  h.unbias2 = unbias(h.beta2, t);
  return h;
}

// refuses says that a loss, if it is given, forbids the step: it is not finite, or a spike.
__device__ inline bool refuses(const float* loss, const float* spikes, float limit) {
  return loss && (!isfinite(*loss) || (spikes && exceeds(spikes, *loss, limit)));
}

// shrinking is min(1, clip/√grad_sq), 1 without clipping.
__device__ inline float shrinking(float clip, float grad_sq) { return clip > 0 ? fminf(1.0f, clip / sqrtf(grad_sq)) : 1.0f; }

// averaging is the weight of the moving average's past at step t.
__device__ inline float averaging(float decay, float t) { return fminf(decay, (1.0f + t) / (10.0f + t)); }

// StepOfRule is what a launch's threads share; the first thread of each block makes it.
struct StepOfRule {
  Hyper hyper;
  float shrink, average;
  bool skipped;
};

__device__ inline StepOfRule step_of_rule(const Hyper& hyper, float clip, float decay, const float* rates, const uint32_t* clock,
                                          float grad_sq, const float* loss, const float* spikes, float spike_limit) {
  const float t = float((uint64_t(clock[kClockStepHigh]) << 32 | clock[kClockStep]) + 1);
  return {at_step(hyper, t, rates[clock[kClockIndex]]), shrinking(clip, grad_sq), averaging(decay, t),
          !isfinite(grad_sq) || refuses(loss, spikes, spike_limit)};
}

// forget makes the compiler read again what lies in memory, in place of keeping it in registers.
__device__ inline void forget() {
#ifdef __CUDACC__
  asm volatile("" ::: "memory");
#endif
}

// kFewRegisters: in code for 10.0 the update in the epilogue of a tile of 128 has not the registers that it has elsewhere.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 1000
constexpr bool kFewRegisters = true;
#else
constexpr bool kFewRegisters = false;
#endif

// update_quad updates the first four of count parameters by their gradients, of which decay concerns the first
// decayed; the moments and the average may be null. Where a gradient is not finite, parameter and moments stay as they
// are. ready is called when all has been read, before anything is written, and leave(parameters) once they are.
template <class Ready, class Leave>
__device__ inline void update_quad(int kind, const StepOfRule& step, int64_t count, int64_t decayed, float decay, const Quad& grads,
                                   float* params, float* first, float* second, float* ema, const Ready& ready, const Leave& leave) {
  Quad theta = load_quad(params, count), m = {}, v = {};
  if (first) m = load_quad(first, count);
  if (second) v = load_quad(second, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (!isfinite(grads.at[l])) continue;
    const State s = update(kind, {theta.at[l], m.at[l], v.at[l]}, grads.at[l] * step.shrink, l < decayed ? decay : 0.0f, step.hyper);
    theta.at[l] = s.theta, m.at[l] = s.m, v.at[l] = s.v;
  }
  ready();
  store_quad(params, count, theta);
  if (first) store_quad(first, count, m);
  if (second) store_quad(second, count, v);
  leave(theta);
  if (!ema) return;
  if (kFewRegisters) {
    forget();
    theta = load_quad(params, count);
  }
  Quad average = load_quad(ema, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) average.at[l] = step.average * average.at[l] + (1.0f - step.average) * theta.at[l];
  store_quad(ema, count, average);
}

}  // namespace gpudae
