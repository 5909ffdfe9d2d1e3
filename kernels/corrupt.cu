// Corrupt: one stage of x̃ ~ C(x̃|x), feature by feature (device.CorruptArgs).
//
// The draw of a feature is philox at {stream, stage, i mod replicates, step,
// row of the data set, block u/4}, lane u mod 4, where u is the column, or its
// field for masking and swap with fields. So it is the same on every device and
// at every split of a batch.
//
//   from, to, mask [rows, columns], to may be from     of_column [columns] or null
//   index          [2·rows] of the minibatch           low, high [columns]
//   clock          the step's clock; null: step 0      data as in gather.cu
//   continuous     [columns] or null                   rates [fields] or null
//
// With absent, NaN is a value that is not there: it is left alone, and it is what
// masking leaves. Columns that are not continuous are left alone too, by the kinds
// that take it.
//
// Geometry: RowQuads, a thread for four neighbouring columns, which share a
// block of the generator. Launched by Device.Corrupt.
#include "corruption.cuh"
#include "vector.cuh"

namespace gpudae {

// Stage is what all kinds are launched with.
struct Stage {
  int64_t rows, columns;
  const float* from;
  float *to, *mask;
  int64_t accumulate;
  uint64_t seed, stream, stage;
  int64_t replicates;
  const uint32_t *index, *clock;
  int64_t absent;

  // masked is what masking leaves.
  __device__ float masked() const { return absent ? gpudae::absent() : 0.0f; }
};

// corrupt_quad draws four columns of a row.
template <class Kind>
__device__ inline void corrupt_quad(const Stage& s, const uint32_t* of_column, const uint32_t* continuous, const Kind& kind) {
  const RowQuad work = row_quad(s.rows, s.columns);
  if (!work.inside) return;
  const int64_t i = work.row, first = 4 * work.quad, count = s.columns - first, offset = i * s.columns + first;
  Cell cell;
  cell.position = s.index[s.rows + i];
  cell.seed = s.seed;
  cell.at = {uint32_t(s.stream), uint32_t(s.stage), uint32_t(i) % uint32_t(s.replicates), 0, s.clock ? s.clock[kClockStep] : 0, s.index[i], 0};
  Quad x = load_quad(s.from + offset, count), mask = {};
  if (s.accumulate) mask = load_quad(s.mask + offset, count);
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (l >= count) break;
    const uint32_t unit = of_column ? of_column[first + l] : uint32_t(first + l);
    if (l == 0 || unit / 4 != cell.at.block) {
      cell.at.block = unit / 4;
      cell.words = philox_block(cell.at, s.seed);
    }
    if ((s.absent && is_absent(x.at[l])) || (continuous && !continuous[first + l])) continue;
    cell.lane = int(unit % 4), cell.unit = unit, cell.column = first + l, cell.x = x.at[l];
    const Outcome out = kind(cell);
    x.at[l] = out.x;
    if (out.destroyed) mask.at[l] = 1;
  }
  store_quad(s.to + offset, count, x);
  store_quad(s.mask + offset, count, mask);
}

// corrupt_swap draws donors through the split's permutation, made once a block.
template <class Data>
__device__ inline void corrupt_swap(const Stage& s, const uint32_t* of_column, const Rate& rate, int64_t together, const Data& data,
                                    int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed) {
  __shared__ Permutation permutation;
  if (threadIdx.x == 0) permutation = part_permutation(data_rows, split, split_seed);
  __syncthreads();
  corrupt_quad(s, of_column, nullptr, Swap<Data>{rate, together != 0, data, uint32_t(lo), uint32_t(part), permutation});
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) corrupt_none(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, nullptr, None{});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_gaussian(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, const uint32_t* __restrict__ continuous, Float amount) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, continuous, AdditiveGaussian{amount.value});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_masking(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, uint64_t rate,
    const uint32_t* __restrict__ rates, const uint32_t* __restrict__ of_column) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, of_column, nullptr, Masking{{rate, rates}, s.masked()});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_span(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, uint64_t rate, int64_t length, const uint32_t* __restrict__ of_column) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, of_column, nullptr, Span{rate, uint32_t(length), s.masked()});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_salt_and_pepper(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, const uint32_t* __restrict__ continuous, uint64_t rate,
    const float* __restrict__ low, const float* __restrict__ high) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, continuous, SaltAndPepper{rate, low, high});
}

extern "C" __global__ void __launch_bounds__(256, 1) corrupt_swap_u8(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, uint64_t rate,
    const uint32_t* __restrict__ rates, const uint32_t* __restrict__ of_column, int64_t together,
    const uint8_t* __restrict__ data, Float scale, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_swap(s, of_column, {rate, rates}, together, Matrix<uint8_t>{data, scale.value, columns}, data_rows, lo, part, split, split_seed);
}

extern "C" __global__ void __launch_bounds__(256, 1) corrupt_swap_f32(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, uint64_t rate,
    const uint32_t* __restrict__ rates, const uint32_t* __restrict__ of_column, int64_t together,
    const float* __restrict__ data, Float scale, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_swap(s, of_column, {rate, rates}, together, Matrix<float>{data, scale.value, columns}, data_rows, lo, part, split, split_seed);
}

extern "C" __global__ void __launch_bounds__(256, 1) corrupt_swap_records(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, uint64_t rate,
    const uint32_t* __restrict__ rates, const uint32_t* __restrict__ of_column, int64_t together,
    const uint8_t* __restrict__ data, int64_t stride, const uint32_t* __restrict__ cells,
    const float* __restrict__ values, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_swap(s, of_column, {rate, rates}, together, Records{data, stride, cells, values}, data_rows, lo, part, split, split_seed);
}

extern "C" __global__ void __launch_bounds__(256) corrupt_speckle(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, const uint32_t* __restrict__ continuous, Float amount) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, continuous, Speckle{amount.value});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_uniform(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, const uint32_t* __restrict__ continuous, Float amount) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, continuous, AdditiveUniform{amount.value});
}

extern "C" __global__ void __launch_bounds__(256) corrupt_poisson(
    int64_t rows, int64_t columns, const float* from, float* to, float* mask, int64_t accumulate, uint64_t seed,
    uint64_t stream, uint64_t stage, int64_t replicates, const uint32_t* __restrict__ index, const uint32_t* __restrict__ clock,
    int64_t absent, const uint32_t* __restrict__ continuous, Float amount) {
  const Stage s = {rows, columns, from, to, mask, accumulate, seed, stream, stage, replicates, index, clock, absent};
  corrupt_quad(s, nullptr, continuous, Shot{amount.value});
}
