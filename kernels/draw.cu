// Draw: x ~ p(x|h) from the decoder's output (device.DrawArgs). A feature draws
// from philox at {stream, stage, i mod replicates, step, row of the data set,
// block j/4}, lane j mod 4; a Poisson count has the block j for itself; of a
// categorical field, j is the field's number.
//
//   bernoulli         1 if u < the logistic function of a
//   gaussian          μ + σ·z, each operation rounded
//   gaussian-learned  μ + √(exp(s) + σ²)·z
//   poisson           philox.Poisson of rate exp(a)
//   categorical       the first column whose cumulative softmax exceeds u
//   mixed             each column of a table by its family (words, [columns, 8] of
//                     table.cuh), of params [rows, stride]; of a categorical one
//                     the code
//
//   params [rows, width·columns], width 2 for gaussian-learned: [μ... s...]
//   out    [rows, columns], may be params where width is 1
//   index  [2·rows]     clock: null for step 0     offsets [fields+1] or null
//
// Geometry: draw: RowQuads, a thread for four neighbouring columns, which share a
// block of the generator; draw_categorical: Elements, a thread for each of
// rows·fields, which goes over the field's columns in order, and draw_mixed:
// Elements, a thread for each of rows·columns. Launched by Device.Draw.
#include "draws.cuh"
#include "likelihood.cuh"
#include "table.cuh"

namespace gpudae {

// draw_feature draws one feature; at is that of words.
__device__ inline float draw_feature(int kind, float a, float s, float sigma, uint32_t word, float z, Coordinates at, int64_t column, uint64_t seed) {
  switch (kind) {
    case kBernoulli: return uniform(word) < logistic(a) ? 1.0f : 0.0f;
    case kGaussian: return __fadd_rn(a, __fmul_rn(sigma, z));
    case kGaussianLearned: return a + sqrtf(expf(s) + sigma * sigma) * z;
    default: at.block = uint32_t(column); return poisson(expf(a), at, seed);
  }
}

// draw_code is the first of n logits whose cumulative softmax exceeds u, the last
// if none does.
__device__ inline int64_t draw_code(const float* a, int64_t n, float u) {
  float largest = -INFINITY, sum = 0;
  for (int64_t k = 0; k < n; ++k) largest = fmaxf(largest, a[k]);
  for (int64_t k = 0; k < n; ++k) sum += expf(a[k] - largest);
  const float limit = u * sum;
  int64_t chosen = 0;
  float cumulative = expf(a[0] - largest);
  while (chosen < n - 1 && !(cumulative > limit)) cumulative += expf(a[++chosen] - largest);
  return chosen;
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) draw(
    int64_t rows, int64_t columns, int64_t kind, Float sigma, const float* params, float* out, uint64_t seed, uint64_t stream,
    uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock) {
  const RowQuad work = row_quad(rows, columns);
  if (!work.inside) return;
  const bool learned = kind == kGaussianLearned;
  const int64_t first = 4 * work.quad, count = columns - first;
  const Draws draws = {seed, stream, stage, replicates, index, clock};
  const Coordinates at = draws.at(work.row, work.quad);
  const Block words = philox_block(at, seed);
  const Quad z = learned || kind == kGaussian ? normal_quad(words) : Quad{};
  const float* row = params + work.row * (learned ? 2 * columns : columns) + first;
  Quad x = load_quad(row, count), s = {};
  if (learned) s = load_quad(row + columns, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (l >= count) break;
    x.at[l] = draw_feature(int(kind), x.at[l], s.at[l], sigma.value, words.word[l], z.at[l], at, first + l, seed);
  }
  store_quad(out + work.row * columns + first, count, x);
}

extern "C" __global__ void __launch_bounds__(256) draw_categorical(
    int64_t rows, int64_t columns, const float* params, float* out, int64_t fields, const uint32_t* __restrict__ offsets,
    uint64_t seed, uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index,
    const uint32_t* __restrict__ clock) {
  const int64_t e = grid_thread();
  if (e >= rows * fields) return;
  const int64_t i = e / fields, f = e % fields;
  const Field field = field_of(offsets, f);
  const Draws draws = {seed, stream, stage, replicates, index, clock};
  const float u = uniform(philox_block(draws.at(i, f / 4), seed).at(int(f % 4)));
  const int64_t chosen = field.first + draw_code(params + i * columns + field.first, field.end - field.first, u);
  float* x = out + i * columns;
  for (int64_t j = field.first; j < field.end; ++j) x[j] = j == chosen ? 1.0f : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256) draw_mixed(
    int64_t rows, int64_t columns, Float sigma, Float floor, const float* __restrict__ params, float* __restrict__ out,
    const uint32_t* __restrict__ words, int64_t stride, uint64_t seed, uint64_t stream, uint64_t stage, int64_t replicates,
    const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock) {
  const int64_t e = grid_thread();
  if (e >= rows * columns) return;
  const int64_t i = e / columns, j = e % columns;
  const TableColumn column = table_column(words, j);
  const float* a = params + i * stride + column.param();
  const Draws draws = {seed, stream, stage, replicates, index, clock};
  const Coordinates at = draws.at(i, j / 4);
  const Block block = philox_block(at, seed);
  const int lane = int(j % 4);
  if (column.categorical()) {
    out[e] = float(draw_code(a, column.categories(), uniform(block.at(lane))));
    return;
  }
  const bool learned = column.family() == kFamilyGaussianLearned;
  const int kind = column.family() == kFamilyBernoulli ? kBernoulli : learned ? kGaussianLearned : kGaussian;
  const NormalPair pair = normal(block.at(lane & 2), block.at((lane & 2) + 1));
  out[e] = draw_feature(kind, a[0], learned ? a[1] : 0.0f, learned ? floor.value : sigma.value, block.at(lane), lane & 1 ? pair.z1 : pair.z0,
                        at, j, seed);
}
