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

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 4) update(
    int64_t n, int64_t kind, int64_t nesterov, Float beta1, Float beta2, Float epsilon, Float weight_decay, int64_t decayed, Float clip,
    Float decay, const float* __restrict__ rates, const uint32_t* __restrict__ clock, const float* __restrict__ grad_sq,
    const float* __restrict__ loss, const float* __restrict__ spikes, Float spike_limit, float* __restrict__ params, const float* __restrict__ grads, float* __restrict__ first,
    float* __restrict__ second, float* __restrict__ ema) {
  __shared__ StepOfRule step;
  if (threadIdx.x == 0) {
    const Hyper hyper = {0, beta1.value, beta2.value, epsilon.value, 1, 1, nesterov != 0};
    step = step_of_rule(hyper, clip.value, decay.value, rates, clock, *grad_sq, loss, spikes, spike_limit.value);
  }
  __syncthreads();
  const int64_t i = grid_thread() * 4;
  if (i >= n || step.skipped) return;
  update_quad(int(kind), step, n - i, decayed - i, weight_decay.value, load_quad(grads + i, n - i), params + i, first ? first + i : nullptr,
              second ? second + i : nullptr, ema ? ema + i : nullptr, [] {}, [](const Quad&) {});
}
