// SampleCode: h ~ q(h|x̃) from the encoder's output and noise, and the divergence
// of q from the prior; SampleCodeBackward: the gradient by that output, the noise
// held fixed (device.SampleCodeArgs, formulas in code.cuh).
//
// The noise of unit j of row i is that of philox at {stream, stage, i mod
// replicates, step, row of the data set, block j/4}, lane j mod 4: normal for
// Gaussian codes, uniform for the others.
//
//   params, d_params [rows, width·units], width 2 for Gaussian codes: [μ... s...]
//   noise, code, d_code [rows, units]     divergence, weights [rows] or null
//   index [2·rows]     clock: null for step 0
//
// d_params may be params: a unit is read and written by one thread.
//
// Geometry: sample_code: Rows, a block for each row; a thread has every
// blockDim-th four units, which share a block of the generator, and the block
// adds up in fixed order. sample_code_backward: Elements, a thread for each of
// rows·units. Launched by Device.SampleCode and Device.SampleCodeBackward.
#include "code.cuh"
#include "draws.cuh"
#include "reduce.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) sample_code(
    int64_t rows, int64_t units, int64_t kind, Float temperature, const float* __restrict__ params, float* __restrict__ noise,
    float* __restrict__ code, float* __restrict__ divergence, int64_t sampled, uint64_t seed, uint64_t stream, uint64_t stage,
    int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock) {
  const int64_t i = blockIdx.x;
  const bool gaussian = kind == kCodeGaussian;
  const Draws draws = {seed, stream, stage, replicates, index, clock};
  const float* row = params + i * (gaussian ? 2 * units : units);
  float sum = 0;
  for (int64_t quad = threadIdx.x; 4 * quad < units; quad += blockDim.x) {
    const Block words = philox_block(draws.at(i, quad), seed);
    const Quad z = gaussian ? normal_quad(words) : Quad{};
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const int64_t j = 4 * quad + l;
      if (j >= units) break;
      const Unit unit = {row[j], gaussian ? row[units + j] : 0, gaussian ? z.at[l] : uniform(words.word[l])};
      const float h = code_value(int(kind), unit, temperature.value);
      noise[i * units + j] = unit.noise;
      code[i * units + j] = h;
      sum += code_divergence(int(kind), unit, h, sampled != 0);
    }
  }
  sum = block_sum(sum);
  if (divergence && threadIdx.x == 0) divergence[i] = sum;
}

extern "C" __global__ void __launch_bounds__(256) sample_code_backward(
    int64_t rows, int64_t units, int64_t kind, Float temperature, const float* params, const float* __restrict__ noise,
    const float* __restrict__ code, const float* __restrict__ d_code, int64_t sampled, Float scale,
    const float* __restrict__ weights, float* d_params) {
  const int64_t e = grid_thread();
  if (e >= rows * units) return;
  const bool gaussian = kind == kCodeGaussian;
  const int64_t i = e / units, at = gaussian ? e + i * units : e;
  const Unit unit = {params[at], gaussian ? params[at + units] : 0, noise[e]};
  const float s = weights ? scale.value * weights[i] : scale.value;
  const CodeSlope d = code_gradient(int(kind), unit, code[e], d_code[e], s, sampled != 0, temperature.value);
  d_params[at] = d.a;
  if (gaussian) d_params[at + units] = d.s;
}
