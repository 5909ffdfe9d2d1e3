// Update: one step of an optimiser on the whole arena of parameters, with
// clipping by the global norm, weight decay and the moving average of the
// weights (device.UpdateArgs):
//
//   g = grads·min(1, clip/√grad_sq),  θ ← rule(θ, m, v, g),  ema ← d·ema + (1-d)·θ,
//   d = min(decay, (1+t)/(10+t)),  t = the clock's step + 1,  η = rates[clock index]
//
// All that changes by step is read from device memory, so a recorded launch can
// be replayed. If grad_sq or loss is not finite, or loss a spike, nothing is written.
//
//   params, grads, first, second, ema [n]; first, second, ema may be null
//   grad_sq, loss [1], loss may be null       rates [steps]
//   spikes [3], may be null: what is known of earlier losses (device.Spikes)
//
// Geometry: Quads. Launched by Device.Update. Four blocks on a multiprocessor are
// enough to keep memory busy; for five ptxas spills a register on sm_80.
#include "update.cuh"
#include "vector.cuh"

namespace gpudae {

// Step is what a launch's threads share; the first thread of each block makes it.
struct Step {
  Hyper hyper;
  float shrink, average;
  bool skipped;
};

__device__ inline Step make_step(const Hyper& hyper, float clip, float decay, const float* rates, const uint32_t* clock,
                                 const float* grad_sq, const float* loss, const float* spikes, float spike_limit) {
  const float t = float((uint64_t(clock[kClockStepHigh]) << 32 | clock[kClockStep]) + 1);
  return {at_step(hyper, t, rates[clock[kClockIndex]]), shrinking(clip, *grad_sq), averaging(decay, t),
          !isfinite(*grad_sq) || refuses(loss, spikes, spike_limit)};
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 4) update(
    int64_t n, int64_t kind, int64_t nesterov, Float beta1, Float beta2, Float epsilon, Float weight_decay, int64_t decayed, Float clip,
    Float decay, const float* __restrict__ rates, const uint32_t* __restrict__ clock, const float* __restrict__ grad_sq,
    const float* __restrict__ loss, const float* __restrict__ spikes, Float spike_limit, float* __restrict__ params, const float* __restrict__ grads, float* __restrict__ first,
    float* __restrict__ second, float* __restrict__ ema) {
  __shared__ Step step;
  if (threadIdx.x == 0) {
    const Hyper hyper = {0, beta1.value, beta2.value, epsilon.value, 1, 1, nesterov != 0};
    step = make_step(hyper, clip.value, decay.value, rates, clock, grad_sq, loss, spikes, spike_limit.value);
  }
  __syncthreads();
  const int64_t i = grid_thread() * 4, count = n - i;
  if (i >= n || step.skipped) return;

  Quad theta = load_quad(params + i, count), m = {}, v = {};
  const Quad g = load_quad(grads + i, count);
  if (first) m = load_quad(first + i, count);
  if (second) v = load_quad(second + i, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    const State s = update(int(kind), {theta.at[l], m.at[l], v.at[l]}, g.at[l] * step.shrink, i + l < decayed ? weight_decay.value : 0.0f,
                           step.hyper);
    theta.at[l] = s.theta, m.at[l] = s.m, v.at[l] = s.v;
  }
  store_quad(params + i, count, theta);
  if (first) store_quad(first + i, count, m);
  if (second) store_quad(second + i, count, v);
  if (!ema) return;
  Quad average = load_quad(ema + i, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) average.at[l] = step.average * average.at[l] + (1.0f - step.average) * theta.at[l];
  store_quad(ema + i, count, average);
}
