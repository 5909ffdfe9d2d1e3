// spikes.cuh: device.Spikes, the running moments of the losses. Each operation is
// rounded by itself, as in device/spike.go, so that equal losses give equal bits.
#pragma once

#include <cfloat>
#include <cmath>

namespace gpudae {

enum SpikeValue { kSpikeCount = 0, kSpikeMean = 1, kSpikeVariance = 2 };

constexpr float kSpikeWindow = 100.0f, kSpikeSettle = 25.0f;

// exceeds reports whether a loss lies more than limit standard deviations above the mean.
__device__ inline bool exceeds(const float* spikes, float loss, float limit) {
  const float delta = __fadd_rn(loss, -spikes[kSpikeMean]);
  return spikes[kSpikeCount] >= kSpikeSettle && delta > 0 &&
         __fmul_rn(delta, delta) > __fmul_rn(__fmul_rn(limit, limit), spikes[kSpikeVariance]);
}

// advance_spikes takes a loss into the moments, one beyond the limit as one at it.
__device__ inline void advance_spikes(float* spikes, float loss, float limit) {
  if (!isfinite(loss)) return;
  const float mean = spikes[kSpikeMean], variance = spikes[kSpikeVariance];
  float delta = __fadd_rn(loss, -mean);
  if (exceeds(spikes, loss, limit)) delta = __fmul_rn(limit, __fsqrt_rn(variance));
  const float n = fminf(spikes[kSpikeCount] + 1.0f, kSpikeWindow);
  const float w = __fdiv_rn(1.0f, n);
  const float squares = __fmul_rn(w, __fmul_rn(delta, delta));
  spikes[kSpikeCount] = n;
  spikes[kSpikeMean] = __fadd_rn(mean, __fmul_rn(w, delta));
  spikes[kSpikeVariance] = fminf(__fmul_rn(__fadd_rn(1.0f, -w), __fadd_rn(variance, squares)), FLT_MAX);
}

}  // namespace gpudae
