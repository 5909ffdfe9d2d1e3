// Dropout: y = x ⊙ m/(1-p), m zero with probability p (device.DropoutArgs); on a
// gradient it is its own backward pass.
//
// Unit j of row i draws the word of philox at {dropout, layer, i mod replicates,
// step, row of the data set, block j/4}, lane j mod 4.
//
//   x, y  [rows, columns], y may be x     index [2·rows]     keep = 1/(1-p)
//
// Geometry: RowQuads, a thread for the four units that share a block of the
// generator. Launched by Device.Dropout.
#include "philox.cuh"
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) dropout(
    int64_t rows, int64_t columns, const float* x, float* y, uint64_t rate, Float keep, uint64_t layer, uint64_t seed,
    int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock) {
  const RowQuad work = row_quad(rows, columns);
  if (!work.inside) return;
  const int64_t i = work.row, first = 4 * work.quad, count = columns - first, offset = i * columns + first;
  const Coordinates at = {kStreamDropout, uint32_t(layer), uint32_t(i) % uint32_t(replicates), 0, clock[kClockStep], index[i], uint32_t(work.quad)};
  const Block words = philox_block(at, seed);
  Quad units = load_quad(x + offset, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) units.at[l] = fires(words.word[l], rate) ? 0.0f : units.at[l] * keep.value;
  store_quad(y + offset, count, units);
}
