// Tick: log[index mod entries] = values, then the clock advances by one step and
// by the examples that the step consumed, and what is known of the losses by one
// (device.TickArgs, device.Spikes).
//
//   clock [8]   values [k] or null   log [entries, k]   spikes [3] or null   loss [1]
//
// Geometry: Once, a single block: its barrier keeps the clock still until every
// thread has read it. Launched by Device.Tick.
#include "spikes.cuh"
#include "word.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) tick(
    uint32_t* __restrict__ clock, int64_t examples, const float* __restrict__ values, int64_t k, float* __restrict__ log,
    int64_t entries, float* __restrict__ spikes, Float spike_limit, const float* __restrict__ loss) {
  if (values) {
    const int64_t row = int64_t(clock[kClockIndex]) % entries;
    for (int64_t j = threadIdx.x; j < k; j += blockDim.x) log[row * k + j] = values[j];
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const uint64_t step = (uint64_t(clock[kClockStepHigh]) << 32 | clock[kClockStep]) + 1;
  clock[kClockStep] = uint32_t(step);
  clock[kClockStepHigh] = uint32_t(step >> 32);
  clock[kClockCursor] += uint32_t(examples);
  clock[kClockIndex] += 1;
  if (spikes) advance_spikes(spikes, *loss, spike_limit.value);
}
