// small_net.cuh: steps of training of a net that one block holds: its description
// and the parts of a step. Package gpu/smallnet says which nets those are, and lays
// out their memory.
//
// Shared memory holds, in float32:
//
//   weights [out, in]       a layer's, rows Layer::stride() apart
//   biases, their moments   [units] each: those of all layers, one after the other
//   clean, corrupted, mask  [features, stride], the mask only if the loss needs it
//   outputs [out, stride]   of each hidden layer
//   deltas [units, stride]  ∂loss/∂(input of the activation) of each layer. Until the
//                           backward pass, the last layer's hold its output, and those
//                           of a layer whose derivative needs it the activation's input
//
// Matrices of the minibatch have a column for each row of it, so that a layer's units
// lie along the outer index in all three products. Extents are rounded up to four,
// and what is added is 0. Strides are odd multiples of four: eight lanes that read
// quads of eight successive rows meet no bank twice.
#pragma once

#include "activation.cuh"
#include "corruption.cuh"
#include "likelihood.cuh"
#include "reduce.cuh"
#include "update.cuh"

namespace gpudae {

constexpr int kNetThreads = 256, kNetRows = 256, kNetLayers = 8, kNetStages = 4;
constexpr int kNetWarps = kNetThreads / kWarp;

// NetLayer is a dense layer; weight and bias are places in the arenas of parameters,
// w, x and y in shared memory. tile and unit count those of the layers before it.
struct NetLayer {
  int64_t in;
  int64_t out;
  int64_t act;
  int64_t weight;
  int64_t bias;
  int64_t w;
  int64_t x;
  int64_t y;
  int64_t tile;
  int64_t unit;

  __device__ int rows() const { return int(out + 3) / 4 * 4; }
  __device__ int columns() const { return int(in + 3) / 4 * 4; }
  __device__ int stride() const { return columns() | 4; }
};

// NetStage is a stage of the corruption, with the words of corrupt.cu.
struct NetStage {
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
};

// SmallNet is what Go uploads: words of 8 bytes, in this order.
struct SmallNet {
  // The minibatch, and places in shared memory; mask is -1 where there is none.
  int64_t rows;
  int64_t features;
  int64_t stride;
  int64_t units;
  int64_t tiles;
  int64_t floats;
  int64_t clean;
  int64_t corrupted;
  int64_t mask;
  int64_t biases;
  int64_t deltas;
  // As in gather.cu.
  const void* data;
  int64_t bytes;
  Float data_scale;
  int64_t data_rows;
  int64_t lo;
  int64_t part;
  int64_t split;
  uint64_t split_seed;
  int64_t shuffle;
  uint64_t seed;
  int64_t replicates;
  uint32_t* clock;
  // As in likelihood.cu; the loss is mean times the sum of the rows'.
  int64_t likelihood;
  Float sigma;
  Float destroyed;
  Float untouched;
  const float* weights;
  Float scale;
  Float mean;
  // As in update.cu and tick.cu; guarded says that the update looks at the loss.
  int64_t rule;
  int64_t nesterov;
  Float beta1;
  Float beta2;
  Float epsilon;
  Float weight_decay;
  int64_t decayed;
  Float clip;
  Float decay;
  int64_t guarded;
  const float* rates;
  float* spikes;
  Float spike_limit;
  float* params;
  float* first;
  float* second;
  float* ema;
  float* moments;
  int64_t examples;
  float* values;
  float* log;
  int64_t entries;
  int64_t layers;
  int64_t stages;
  NetLayer layer[kNetLayers];
  NetStage noise[kNetStages];

  __device__ int batch() const { return int(rows + 3) / 4 * 4; }
};

// NetState is what a block's threads share besides.
struct NetState {
  SmallNet net;
  Permutation order, split;
  uint32_t row[kNetRows], position[kNetRows];  // of the minibatch's rows: device.GatherArgs
  uint64_t step;
  uint32_t cursor, index;
  float spikes[3];
  Hyper hyper;
  float average, loss;
  int large[kNetWarps];
};

// A delta or an input beyond these makes the threads compute the norm of the gradient
// before they change anything: below them it cannot overflow.
constexpr float kLargeInput = 1e8f, kLargeDelta = 1e6f;

__device__ inline bool beyond(float x, float limit) { return !(fabsf(x) <= limit); }

// clean_value reads a feature of a row of the data set.
__device__ inline float clean_value(const SmallNet& n, uint32_t row, int column) {
  if (n.bytes) return Matrix<uint8_t>{static_cast<const uint8_t*>(n.data), n.data_scale.value, n.features}.at(row, column);
  return Matrix<float>{static_cast<const float*>(n.data), n.data_scale.value, n.features}.at(row, column);
}

// choose finds the rows of the minibatch, and the rule's numbers at this step.
__device__ inline void choose(NetState& s) {
  const SmallNet& n = s.net;
  for (int i = threadIdx.x; i < n.rows; i += kNetThreads) {
    const uint32_t position = permute(s.order, s.cursor + uint32_t(i) / uint32_t(n.replicates));
    s.position[i] = position;
    s.row[i] = permute(s.split, uint32_t(n.lo) + position);
  }
  if (threadIdx.x == kNetThreads - 1) {
    const float t = float(s.step + 1);
    const Hyper rule = {0, n.beta1.value, n.beta2.value, n.epsilon.value, 1, 1, n.nesterov != 0};
    s.hyper = at_step(rule, t, n.rates[s.index]);
    s.average = averaging(n.decay.value, t);
  }
}

// gather reads clean and makes it x̃, with nothing destroyed: a warp for a column, a lane
// for a row. It returns whether the thread saw something large.
__device__ inline bool gather(const NetState& s, float* memory) {
  const SmallNet& n = s.net;
  const int features = int(n.features), rows = int(n.rows), stride = int(n.stride);
  bool large = false;
  for (int i = threadIdx.x % kWarp; i < rows; i += kWarp) {
#pragma unroll 4
    for (int j = int(threadIdx.x) / kWarp; j < features; j += kNetWarps) {
      const float value = clean_value(n, s.row[i], j);
      const int at = j * stride + i;
      memory[n.clean + at] = value, memory[n.corrupted + at] = value;
      if (n.mask >= 0) memory[n.mask + at] = 0;
      large |= beyond(value, kLargeInput);
    }
  }
  return large;
}

// corrupt_stage draws a stage of x̃, as corrupt_quad of corrupt.cu does: a warp for four
// columns, which share a block of the generator, a lane for a row.
template <class Kind>
__device__ inline bool corrupt_stage(const NetState& s, const NetStage& g, float* memory, const Kind& kind) {
  const SmallNet& n = s.net;
  const int stride = int(n.stride);
  bool large = false;
#pragma unroll 1
  for (int first = int(threadIdx.x) / kWarp * 4; first < n.features; first += kNetWarps * 4) {
    const int end = first + 4 < n.features ? first + 4 : int(n.features);
#pragma unroll 1
    for (int i = threadIdx.x % kWarp; i < n.rows; i += kWarp) {
      Cell cell;
      cell.position = s.position[i], cell.seed = g.seed;
      cell.at = {uint32_t(g.stream), uint32_t(g.stage), uint32_t(i) % uint32_t(n.replicates), 0, uint32_t(s.step), s.row[i], 0};
#pragma unroll 1
      for (int j = first; j < end; ++j) {
        const uint32_t unit = g.of_column ? g.of_column[j] : uint32_t(j);
        if (j == first || unit / 4 != cell.at.block) {
          cell.at.block = unit / 4;
          cell.words = philox_block(cell.at, cell.seed);
        }
        if (g.continuous && !g.continuous[j]) continue;
        float* x = memory + n.corrupted + j * stride + i;
        cell.lane = int(unit % 4), cell.unit = unit, cell.column = j, cell.x = *x;
        const Outcome out = kind(cell);
        *x = out.x;
        if (out.destroyed && n.mask >= 0) memory[n.mask + j * stride + i] = 1;
        large |= beyond(out.x, kLargeInput);
      }
    }
  }
  return large;
}

// corrupt_swap is a stage of swaps with rows of the data set.
template <class Element>
__device__ inline bool corrupt_swap(const NetState& s, const NetStage& g, float* memory) {
  const SmallNet& n = s.net;
  const Matrix<Element> data = {static_cast<const Element*>(n.data), n.data_scale.value, n.features};
  return corrupt_stage(s, g, memory, Swap<Matrix<Element>>{{g.rate, g.rates}, g.kind == kCorruptSwapRows, data, uint32_t(n.lo), uint32_t(n.part), s.split});
}

__device__ inline bool corrupt(const NetState& s, const NetStage& g, float* memory) {
  switch (g.kind) {
    case kCorruptGaussian: return corrupt_stage(s, g, memory, AdditiveGaussian{g.amount.value});
    case kCorruptMasking: return corrupt_stage(s, g, memory, Masking{{g.rate, g.rates}, 0.0f});
    case kCorruptSaltAndPepper: return corrupt_stage(s, g, memory, SaltAndPepper{g.rate, g.low, g.high});
    case kCorruptSpeckle: return corrupt_stage(s, g, memory, Speckle{g.amount.value});
    case kCorruptUniform: return corrupt_stage(s, g, memory, AdditiveUniform{g.amount.value});
    case kCorruptPoisson: return corrupt_stage(s, g, memory, Shot{g.amount.value});
    case kCorruptSpan: return corrupt_stage(s, g, memory, Span{g.rate, uint32_t(g.length), 0.0f});
    case kCorruptSwap:
    case kCorruptSwapRows: return s.net.bytes ? corrupt_swap<uint8_t>(s, g, memory) : corrupt_swap<float>(s, g, memory);
    default: return false;
  }
}

// load reads N neighbours, which are aligned.
template <int N>
__device__ inline void load(const float* p, float (&to)[N]) {
  if (N == 4) {
    const Quad q = load_aligned(p);
#pragma unroll
    for (int l = 0; l < N; ++l) to[l] = q.at[l];
  } else if (N == 2) {
    const float2 v = *reinterpret_cast<const float2*>(p);
    to[0] = v.x, to[N - 1] = v.y;
  } else {
#pragma unroll
    for (int l = 0; l < N; ++l) to[l] = p[l];
  }
}

// forward computes a layer's output by tiles of M units by N rows of the minibatch,
// a thread a tile, each sum in the order of k. It returns whether one is large.
template <int M, int N>
__device__ inline bool forward_tiles(const SmallNet& n, const NetLayer& l, float* memory) {
  const int groups = l.rows() / M, across = n.batch() / N, stride = int(n.stride), depth = l.columns(), width = l.stride();
  const float *w = memory + l.w, *x = memory + l.x, *bias = memory + n.biases + l.unit;
  float *y = memory + l.y, *pre = memory + n.deltas + l.unit * stride;
  const int act = int(l.act);
  const bool keeps = act == kGELU || act == kSiLU;
  bool large = false;
  for (int tile = threadIdx.x; tile < groups * across; tile += kNetThreads) {
    const int first = tile / across, i = tile % across * N;  // units first, first + groups, ...
    float sums[M][N] = {};
#pragma unroll 1
    for (int k = 0; k < depth; k += 4) {
      float a[M][4];
#pragma unroll
      for (int j = 0; j < M; ++j) load<4>(w + (first + j * groups) * width + k, a[j]);
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        float b[N];
        load<N>(x + (k + q) * stride + i, b);
#pragma unroll
        for (int j = 0; j < M; ++j) {
#pragma unroll
          for (int c = 0; c < N; ++c) sums[j][c] = __fmaf_rn(a[j][q], b[c], sums[j][c]);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < M; ++j) {
      const int unit = first + j * groups;
#pragma unroll
      for (int c = 0; c < N; ++c) {
        const float sum = unit < l.out ? sums[j][c] + bias[unit] : 0.0f, output = act == kReLU ? activate(kReLU, sum) : sum;
        if (keeps) pre[unit * stride + i + c] = sum;
        y[unit * stride + i + c] = output;
        large |= beyond(output, kLargeInput);
      }
    }
    // The others again over the thread's own elements, so that their code is there once.
#pragma unroll 1
    for (int e = 0; e < (act > kReLU ? M * N : 0); ++e) {
      const int unit = first + e / N * groups;
      if (unit >= l.out) break;
      float* at = y + unit * stride + i + e % N;
      *at = activate(act, *at);
      large |= beyond(*at, kLargeInput);
    }
  }
  return large;
}

// Tiles of 16 elements, or of two where those would leave half of the threads idle.
__device__ inline bool narrow(const SmallNet& n, int units) { return units / 4 * (n.batch() / 4) < kNetThreads / 2; }

__device__ inline bool forward(const SmallNet& n, const NetLayer& l, float* memory) {
  return narrow(n, l.rows()) ? forward_tiles<1, 2>(n, l, memory) : forward_tiles<4, 4>(n, l, memory);
}

// term is -log p(x|a) of feature j in column i of the minibatch, and its derivatives.
__device__ inline Term term_of(const SmallNet& n, const float* a, int64_t second, float x) {
  switch (n.likelihood) {
    case kBernoulli: return bernoulli(*a, x);
    case kGaussianLearned: return gaussian_learned(*a, a[second], x, n.sigma.value);
    case kPoisson: return poisson_counts(*a, x);
    default: return gaussian(*a, x, n.sigma.value);
  }
}

// likelihood turns the last layer's output into the loss's gradient by it, and returns
// the thread's part of the sum of losses.
__device__ inline float likelihood(const SmallNet& n, float* memory, bool* large) {
  const NetLayer& l = n.layer[n.layers - 1];
  const int stride = int(n.stride), second = int(n.features) * stride;
  float sum = 0;
  for (int j = int(threadIdx.x) / kWarp; j < n.features; j += kNetWarps) {
    for (int i = threadIdx.x % kWarp; i < n.batch(); i += kWarp) {
      float* a = memory + l.y + j * stride + i;
      if (i >= n.rows) {
        *a = 0;
        if (n.likelihood == kGaussianLearned) a[second] = 0;
        continue;
      }
      const Term t = term_of(n, a, second, memory[n.clean + j * stride + i]);
      float w = n.mask < 0 ? 1.0f : memory[n.mask + j * stride + i] == 1.0f ? n.destroyed.value : n.untouched.value;
      if (n.weights) w *= n.weights[j];
      sum += w * t.loss;
      *a = n.scale.value * w * t.gradient;
      *large |= beyond(*a, kLargeDelta);
      if (n.likelihood != kGaussianLearned) continue;
      a[second] = n.scale.value * w * t.gradient2;
      *large |= beyond(a[second], kLargeDelta);
    }
  }
  return sum;
}

// backward carries the deltas of a layer to those of the layer below it, by tiles of
// M units of that one by N rows of the minibatch.
template <int M, int N>
__device__ inline bool backward_tiles(const SmallNet& n, const NetLayer& l, const NetLayer& below, float* memory) {
  const int groups = l.columns() / M, across = n.batch() / N, stride = int(n.stride), depth = l.rows(), width = l.stride();
  const float *w = memory + l.w, *delta = memory + n.deltas + l.unit * stride;
  float* to = memory + n.deltas + below.unit * stride;
  const int act = int(below.act);
  const float* from = act == kGELU || act == kSiLU ? to : memory + below.y;
  bool large = false;
  for (int tile = threadIdx.x; tile < groups * across; tile += kNetThreads) {
    const int unit = tile % groups * M, i = tile / groups * N;
    float sums[M][N] = {};
#pragma unroll 4
    for (int k = 0; k < depth; ++k) {
      float a[M], b[N];
      load<M>(w + k * width + unit, a);
      load<N>(delta + k * stride + i, b);
#pragma unroll
      for (int j = 0; j < M; ++j) {
#pragma unroll
        for (int c = 0; c < N; ++c) sums[j][c] = __fmaf_rn(a[j], b[c], sums[j][c]);
      }
    }
    // A pass over the thread's own elements for all slopes but the simplest, whose code
    // is there once.
#pragma unroll 1
    for (int e = 0; e < (act > kReLU ? M * N : 0); ++e) {
      const int at = (unit + e / N) * stride + i + e % N;
      to[at] = derivative(act, from[at]);
    }
#pragma unroll
    for (int j = 0; j < M; ++j) {
#pragma unroll
      for (int c = 0; c < N; ++c) {
        const int at = (unit + j) * stride + i + c;
        const float slope = act == kIdentity ? 1.0f : act == kReLU ? derivative(kReLU, from[at]) : to[at], d = sums[j][c] * slope;
        to[at] = d;
        large |= beyond(d, kLargeDelta);
      }
    }
  }
  return large;
}

__device__ inline bool backward(const SmallNet& n, const NetLayer& l, const NetLayer& below, float* memory) {
  return narrow(n, l.columns()) ? backward_tiles<1, 2>(n, l, below, memory) : backward_tiles<4, 4>(n, l, below, memory);
}

// WeightTile is a tile of 4×4 weights of one layer: units first + j·groups, inputs
// k + c·across, so that the lanes of a warp read neighbouring rows.
struct WeightTile {
  const NetLayer* layer;
  int first, groups, k, across;

  // each calls use(j, c, place) for every weight that is no padding, with its place in
  // the arenas.
  template <class Use>
  __device__ void each(const Use& use) const {
    const int out = int(layer->out), in = int(layer->in);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int unit = first + j * groups, place = int(layer->weight) + unit * in;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int input = k + c * across;
        if (unit < out && input < in) use(j, c, place + input);
      }
    }
  }
};

__device__ inline WeightTile weight_tile(const SmallNet& n, int tile) {
  int l = 0;
  while (l + 1 < n.layers && tile >= n.layer[l + 1].tile) ++l;
  const NetLayer& layer = n.layer[l];
  const int across = layer.columns() / 4, t = tile - int(layer.tile);
  return {&layer, t / across, layer.rows() / 4, t % across, across};
}

// weight_gradient is a tile of Σ_i delta·x, each sum in the order of the rows.
__device__ inline void weight_gradient(const SmallNet& n, const float* memory, const WeightTile& t, float (&sums)[4][4]) {
  const int stride = int(n.stride), batch = n.batch();
  const float* delta = memory + n.deltas + (t.layer->unit + t.first) * stride;
  const float* x = memory + t.layer->x + t.k * stride;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
#pragma unroll
    for (int c = 0; c < 4; ++c) sums[j][c] = 0;
  }
#pragma unroll 1
  for (int i = 0; i < batch; i += 4) {
    float a[4][4], b[4][4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      load<4>(delta + j * t.groups * stride + i, a[j]);
      load<4>(x + j * t.across * stride + i, b[j]);
    }
#pragma unroll
    for (int q = 0; q < 4; ++q) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int c = 0; c < 4; ++c) sums[j][c] = __fmaf_rn(a[j][q], b[c][q], sums[j][c]);
      }
    }
  }
}

// bias_gradient is the sum of a unit's deltas, added as column_sums does.
__device__ inline float bias_gradient(const SmallNet& n, const float* memory, int unit) {
  const float* delta = memory + n.deltas + unit * n.stride;
  float part[kRowLanes] = {};
#pragma unroll 1
  for (int i = 0; i < n.batch(); i += kRowLanes) {
    const Quad low = load_aligned(delta + i);
    Quad high = {};
    if (i + 4 < n.batch()) high = load_aligned(delta + i + 4);
#pragma unroll
    for (int c = 0; c < 4; ++c) part[c] += low.at[c], part[c + 4] += high.at[c];
  }
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kRowLanes; ++c) sum += part[c];
  return sum;
}

// bias_place is where a unit's bias lies in the arenas, -1 if it is padding.
__device__ inline int bias_place(const SmallNet& n, int unit) {
  int l = 0;
  while (l + 1 < n.layers && unit >= n.layer[l + 1].unit) ++l;
  const int j = unit - int(n.layer[l].unit);
  return j < n.layer[l].out ? int(n.layer[l].bias) + j : -1;
}

// Change is what an update needs besides a parameter and its gradient.
struct Change {
  Hyper hyper;
  float shrink, weight_decay, average;
  int decayed;
  float* ema;

  // apply updates the parameter at a place of the arenas.
  template <int Rule>
  __device__ State apply(const State& before, float gradient, int place) const {
    return update(Rule, before, gradient * shrink, place < decayed ? weight_decay : 0.0f, hyper);
  }

  __device__ void follow(int place, float theta) const { ema[place] = average * ema[place] + (1.0f - average) * theta; }
};

// squares is the thread's part of the sum of squares of the gradient.
__device__ inline float squares(const SmallNet& n, const float* memory) {
  float sum = 0;
  for (int tile = threadIdx.x; tile < n.tiles; tile += kNetThreads) {
    float g[4][4];
    weight_gradient(n, memory, weight_tile(n, tile), g);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int c = 0; c < 4; ++c) sum += g[j][c] * g[j][c];
    }
  }
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const float g = bias_gradient(n, memory, u);
    sum += g * g;
  }
  return sum;
}

// update_biases updates those of the thread's units, whose moments lie beside them,
// and returns the sum of squares of their gradients.
template <int Rule>
__device__ inline float update_biases(const SmallNet& n, float* memory, const Change& change) {
  float sum = 0;
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const int place = bias_place(n, u);
    if (place < 0) continue;
    const float g = bias_gradient(n, memory, u);
    float* at = memory + n.biases + u;
    const State s = change.apply<Rule>({at[0], at[n.units], at[2 * n.units]}, g, place);
    at[0] = s.theta, at[n.units] = s.m, at[2 * n.units] = s.v;
    if (change.ema) change.follow(place, s.theta);
    sum += g * g;
  }
  return sum;
}

}  // namespace gpudae
