// Tick: log[index mod entries] = values, then the clock advances by one step and
// by the examples that the step consumed, and what is known of the losses by one
// (device.TickArgs, device.Spikes).
//
//   clock [8]   values [k] or null   log [entries, k]   spikes [3] or null   loss [1]
//
// Geometry: Once, of which one thread has work. Launched by Device.Tick.
#include "tick.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) tick(
    uint32_t* __restrict__ clock, int64_t examples, const float* __restrict__ values, int64_t k, float* __restrict__ log,
    int64_t entries, float* __restrict__ spikes, Float spike_limit, const float* __restrict__ loss) {
  if (threadIdx.x == 0) tick(clock, examples, values, k, log, entries, spikes, spike_limit.value, loss);
}
