// advance.cuh: the end of a training step and the beginning of the next, which read and
// write different memory and so share a launch: the update of all parameters, the log
// and the clock; and a minibatch with its corruption. Either may be absent.
//
// The first blocks make a row each of the minibatch, the others share the parameters. The
// block that is the last to end ticks: all others have read the clock by then. What products read as bfloat16 of either has
// its copy written with it.
#pragma once

#include "apply.cuh"
#include "corruption.cuh"
#include "epilogue.cuh"
#include "reduce.cuh"
#include "tick.cuh"
#include "ticket.cuh"
#include "update.cuh"

namespace gpudae {

// Minibatch is where rows come from, which they are, and where they go: see gather.cu and corrupt.cu.
// ahead says that they are those of the step after the clock's.
struct Minibatch {
  int64_t rows, columns;
  int64_t data_rows, lo, part, split;
  uint64_t split_seed;
  int64_t shuffle;
  uint64_t seed;
  int64_t replicates, examples, ahead;
  float* x;
  uint32_t* index;
  float *corrupted, *mask;  // null without stages, or where nobody reads them
  Beside beside_x, beside_corrupted;
  int64_t stages;
};

// NoiseStage is a stage of the corruption, in words of 8 bytes that Go uploads: see corrupt.cu.
struct NoiseStage {
  int64_t kind;
  uint64_t seed;
  uint64_t stream;
  uint64_t stage;
  uint64_t rate;
  const uint32_t* rates;
  Float amount;
  int64_t length;
  const uint32_t* of_column;
  const uint32_t* continuous;
  const float* low;
  const float* high;
  int64_t absent;
};

// Chosen is a row of the minibatch: its number in the data set, its position in the part, and
// what the draws of swaps need.
struct Chosen {
  Permutation split;
  uint32_t row, position, step;
};

// choose finds a row, as gather.cu does.
__device__ inline void choose(const Minibatch& b, const uint32_t* clock, int64_t i, Chosen& c) {
  const uint32_t at = clock[kClockCursor] + uint32_t(b.ahead ? b.examples : 0) + uint32_t(i) / uint32_t(b.replicates);
  c.position = b.shuffle ? permute(make_permutation(uint32_t(b.part), b.seed, kStreamPermutation, clock[kClockEpoch]), at) : at;
  c.split = part_permutation(b.data_rows, b.split, b.split_seed);
  c.row = permute(c.split, uint32_t(b.lo) + c.position);
  c.step = clock[kClockStep] + uint32_t(b.ahead);
  b.index[i] = c.row;
  b.index[b.rows + i] = c.position;
}

// FourCells are neighbouring columns of a row, from first on, of which count exist.
struct FourCells {
  int64_t row, first, count;
  Quad x, mask;
};

// corrupt_cells draws a stage of four cells: the draws are those of corrupt.cu.
template <class Kind>
__device__ inline void corrupt_cells(const NoiseStage& s, const Minibatch& b, const Chosen& c, const uint32_t* of_column, const uint32_t* continuous,
                                     FourCells& cells, const Kind& kind) {
  Cell cell;
  cell.position = c.position;
  cell.seed = s.seed;
  cell.at = {uint32_t(s.stream), uint32_t(s.stage), uint32_t(cells.row) % uint32_t(b.replicates), 0, c.step, c.row, 0};
#pragma unroll
  for (int l = 0; l < 4; ++l) {
    if (l >= cells.count) break;
    const uint32_t column = uint32_t(cells.first) + l, unit = of_column ? of_column[column] : column;
    if (l == 0 || unit / 4 != cell.at.block) {
      cell.at.block = unit / 4;
      cell.words = philox_block(cell.at, s.seed);
    }
    if ((s.absent && is_absent(cells.x.at[l])) || (continuous && !continuous[column])) continue;
    cell.lane = int(unit % 4), cell.unit = unit, cell.column = column, cell.x = cells.x.at[l];
    const Outcome out = kind(cell);
    cells.x.at[l] = out.x;
    if (out.destroyed) cells.mask.at[l] = 1;
  }
}

template <class Data>
__device__ inline void corrupt_by_kind(const NoiseStage& s, const Minibatch& b, const Chosen& c, const Data& data, FourCells& cells) {
  const Rate rate = {s.rate, s.rates};
  const float masked = s.absent ? absent() : 0.0f;
  switch (s.kind) {
    case kCorruptGaussian: return corrupt_cells(s, b, c, nullptr, s.continuous, cells, AdditiveGaussian{s.amount.value});
    case kCorruptMasking: return corrupt_cells(s, b, c, s.of_column, nullptr, cells, Masking{rate, masked});
    case kCorruptSaltAndPepper: return corrupt_cells(s, b, c, nullptr, s.continuous, cells, SaltAndPepper{s.rate, s.low, s.high});
    case kCorruptSpeckle: return corrupt_cells(s, b, c, nullptr, s.continuous, cells, Speckle{s.amount.value});
    case kCorruptUniform: return corrupt_cells(s, b, c, nullptr, s.continuous, cells, AdditiveUniform{s.amount.value});
    case kCorruptPoisson: return corrupt_cells(s, b, c, nullptr, s.continuous, cells, Shot{s.amount.value});
    case kCorruptSpan: return corrupt_cells(s, b, c, s.of_column, nullptr, cells, Span{s.rate, uint32_t(s.length), masked});
    case kCorruptSwap:
    case kCorruptSwapRows:
      return corrupt_cells(s, b, c, s.of_column, nullptr, cells,
                           Swap<Data>{rate, s.kind == kCorruptSwapRows, data, uint32_t(b.lo), uint32_t(b.part), c.split});
    default: return;
  }
}

// begin makes the block's row of the minibatch, a thread for every 256th run of four columns.
template <class Data>
__device__ inline void begin(const Minibatch& b, const NoiseStage* stages, const Data& data, const uint32_t* clock) {
  __shared__ Chosen chosen;
  const int64_t i = blockIdx.x;
  if (threadIdx.x == 0) choose(b, clock, i, chosen);
  __syncthreads();
  for (int64_t first = 4 * int64_t(threadIdx.x); first < b.columns; first += 4 * int64_t(blockDim.x)) {
    FourCells cells = {i, first, b.columns - first, {}, {}};
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      if (l < cells.count) cells.x.at[l] = data.at(chosen.row, first + l);
    }
    const int64_t at = i * b.columns + first;
    store_quad(b.x + at, cells.count, cells.x);
    b.beside_x(i, first, cells.count, cells.x);
    if (b.stages == 0) continue;
#pragma unroll 1
    for (int64_t s = 0; s < b.stages; ++s) corrupt_by_kind(stages[s], b, chosen, data, cells);
    if (b.corrupted) store_quad(b.corrupted + at, cells.count, cells.x);
    b.beside_corrupted(i, first, cells.count, cells.x);
    if (b.mask) store_quad(b.mask + at, cells.count, cells.mask);
  }
}

// Sum is of numbers that earlier launches have left; a block adds them as reduce_all does.
struct Sum {
  const float* of;
  int64_t n;
  __device__ float operator()() const {
    float sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += of[i];
    return block_sum(sum);
  }
};

// ParameterCopy is a copy in bfloat16 of the parameters begin to end, as a matrix of so many columns, in words of 8 bytes that Go
// uploads: see narrow.cu. What lies behind the end of its rows is 0 from before.
struct ParameterCopy {
  int64_t begin;
  int64_t end;
  int64_t columns;
  int64_t stride;
  uint16_t* to;
};

// copy_quad leaves in a copy what it has of the parameters i to i + 3. A row may end among them.
__device__ inline void copy_quad(const ParameterCopy& c, int64_t i, const Quad& theta) {
  if (i + 4 <= c.begin || i >= c.end) return;
  int64_t at = i - c.begin;
  if (c.begin % 4 == 0 && c.columns % 4 == 0) {
    Beside{c.to, c.stride}(at / c.columns, at % c.columns, 4, theta);
    return;
  }
#pragma unroll
  for (int l = 0; l < 4; ++l, ++at) {
    if (at >= 0 && at < c.end - c.begin) c.to[at / c.columns * c.stride + at % c.columns] = uint16_t(to_bf16(theta.at[l], 0.0f));
  }
}

// Ending is what the end of a step is told: see update.cu and tick.cu. The mean loss is mean
// times a sum; it and the sum of squares of the gradient are put where loss and grad_sq are.
// Without params the step's other launches have updated them: see apply.cuh.
struct Ending {
  int64_t n, kind;
  Hyper hyper;
  float weight_decay;
  int64_t decayed;
  float clip, decay;
  const float* rates;
  Sum losses, squares;
  float mean;
  float *loss, *grad_sq;
  int64_t guarded;  // the update looks at the loss
  float* spikes;
  float spike_limit;
  float *params, *first, *second, *ema;
  const float* grads;
  int64_t examples;
  const float* values;  // null without a log
  int64_t k;
  float* log;
  int64_t entries;
  int64_t copied;
  const ParameterCopy* copies;
};

// Measured are the step's loss and the sum of squares of its gradient.
struct Measured {
  float loss, squares;
};

// measure adds them up. Every thread of the block must call it, and gets the same.
__device__ inline Measured measure(const Ending& e) { return {e.mean * e.losses(), e.squares()}; }

// update_parameters makes the block's share of the update: every so many runs of four parameters. Where the step is left out
// the copies are current as they are.
__device__ inline void update_parameters(const Ending& e, const Measured& measured, const uint32_t* clock, int64_t share, int64_t shares) {
  __shared__ StepOfRule step;
  if (threadIdx.x == 0) {
    step = step_of_rule(e.hyper, e.clip, e.decay, e.rates, clock, measured.squares, e.guarded ? &measured.loss : nullptr, e.spikes, e.spike_limit);
  }
  __syncthreads();
  if (step.skipped) return;
  for (int64_t i = (share * blockDim.x + threadIdx.x) * 4; i < e.n; i += shares * blockDim.x * 4) {
    const auto leave = [&](const Quad& theta) {
      for (int64_t c = 0; c < e.copied; ++c) copy_quad(e.copies[c], i, theta);
    };
    update_quad(int(e.kind), step, e.n - i, e.decayed - i, e.weight_decay, load_quad(e.grads + i, e.n - i), e.params + i, e.first ? e.first + i : nullptr,
                e.second ? e.second + i : nullptr, e.ema ? e.ema + i : nullptr, [] {}, leave);
  }
}

// end_step keeps loss and norm, logs them, and advances clock and spikes.
__device__ inline void end_step(const Ending& e, const Measured& measured, uint32_t* clock) {
  if (threadIdx.x != 0) return;
  *e.loss = measured.loss;
  *e.grad_sq = measured.squares;
  tick(clock, e.examples, e.values, e.k, e.log, e.entries, e.spikes, e.spike_limit, &measured.loss);
}

// advance is the kernel; rule is that of launches that apply it to the gradient, or null.
template <class Data>
__device__ inline void advance(const Minibatch& b, const NoiseStage* stages, const Data& data, const Ending& e, uint32_t* clock, uint32_t* ticket, void* rule) {
  const bool ends = e.n > 0, makes_row = int64_t(blockIdx.x) < b.rows;
  Measured measured;
  if (rule && blockIdx.x == 0 && threadIdx.x == kWarp) prepare(static_cast<RuleInMemory*>(rule), clock, b.ahead != 0);
  if (makes_row) {
    begin(b, stages, data, clock);
  } else {
    measured = measure(e);
    if (e.params) update_parameters(e, measured, clock, int64_t(blockIdx.x) - b.rows, int64_t(gridDim.x) - b.rows);
  }
  if (!ends || !is_last(ticket, gridDim.x)) return;
  if (makes_row) measured = measure(e);
  end_step(e, measured, clock);
}

}  // namespace gpudae
