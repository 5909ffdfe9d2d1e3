// update.cuh: what decides a step of an optimiser before any parameter is looked
// at: the rule's numbers at this step, whether the step is applied, and by how much
// its gradient is shrunk (device.UpdateArgs).
#pragma once

#include "optimizer.cuh"
#include "spikes.cuh"

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

}  // namespace gpudae
