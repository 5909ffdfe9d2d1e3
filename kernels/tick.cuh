// tick.cuh: the end of a step in the log and on the clock (device.TickArgs, device.Spikes).
#pragma once

#include "spikes.cuh"
#include "word.cuh"

namespace gpudae {

// tick is for one thread, once nobody else reads the clock; values and spikes may be null.
__device__ inline void tick(uint32_t* clock, int64_t examples, const float* values, int64_t k, float* log, int64_t entries, float* spikes,
                            float spike_limit, const float* loss) {
  if (values) {
    const int64_t row = int64_t(clock[kClockIndex]) % entries;
    for (int64_t j = 0; j < k; ++j) log[row * k + j] = values[j];
  }
  const uint64_t step = (uint64_t(clock[kClockStepHigh]) << 32 | clock[kClockStep]) + 1;
  clock[kClockStep] = uint32_t(step);
  clock[kClockStepHigh] = uint32_t(step >> 32);
  clock[kClockCursor] += uint32_t(examples);
  clock[kClockIndex] += 1;
  if (spikes) advance_spikes(spikes, *loss, spike_limit);
}

}  // namespace gpudae
