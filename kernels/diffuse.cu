// Diffuse: a noise level for each row, l = Below(w, levels), and then
// to = from + σ_l·z (device.DiffuseArgs).
//
// z is the normal draw of philox at {stream, stage, i mod replicates, step, row
// of the data set, block j/4}, lane j mod 4, as in corrupt_gaussian; w is the
// first word of block 0 at draw 1 of the same coordinates.
//
//   sigma [levels]     from, to [rows, columns], to may be from     level [rows]
//   index [2·rows]     clock: null for step 0
//
// Geometry: RowQuads, a thread for four neighbouring columns; each finds the
// level of its row, and the row's first writes it. Launched by Device.Diffuse.
#include "draws.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) diffuse(
    int64_t rows, int64_t columns, int64_t levels, const float* __restrict__ sigma, const float* from, float* to,
    uint32_t* __restrict__ level, uint64_t seed, uint64_t stream, uint64_t stage, int64_t replicates,
    const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock) {
  const RowQuad work = row_quad(rows, columns);
  if (!work.inside) return;
  const int64_t first = 4 * work.quad, count = columns - first, offset = work.row * columns + first;
  const Draws draws = {seed, stream, stage, replicates, index, clock};
  uint32_t l = 0;
  if (levels > 1) {
    Coordinates of_level = draws.at(work.row, 0);
    of_level.draw = 1;
    l = below(philox_block(of_level, seed).word[0], uint32_t(levels));
  }
  if (work.quad == 0) level[work.row] = l;
  const Quad z = normal_quad(philox_block(draws.at(work.row, work.quad), seed));
  Quad x = load_quad(from + offset, count);
#pragma unroll
  for (int k = 0; k < 4; ++k) x.at[k] = __fadd_rn(x.at[k], __fmul_rn(sigma[l], z.at[k]));
  store_quad(to + offset, count, x);
}
