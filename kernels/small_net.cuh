// small_net.cuh: steps of training of a net that one block holds: its description
// and the parts of a step. Package gpu/smallnet says which nets those are, and lays
// out their memory.
//
// Shared memory holds
//
//   weights [out, in]       a layer's
//   biases, their moments   [units] each, and where they lie in the arenas: those of all
//                           layers, one after the other
//   clean, corrupted, mask  [features, stride], in float32, the mask only if the loss needs it
//   inputs [in, batch]      of the products of each layer
//   deltas [units, batch]   ∂loss/∂(input of the activation) of each layer
//
// Matrices of the minibatch have a column for each row of it, so that a layer's units
// lie along the outer index in all three products. Extents are rounded up, to what the
// arithmetic of the products is made for, and what is added is 0.
//
// The arithmetic of the products is a class, of which train says what it has, in small_net.cu
// and small_net_tensor.cu. How weights, inputs and deltas lie is its own.
#pragma once

#include "activation.cuh"
#include "corruption.cuh"
#include "likelihood.cuh"
#include "reduce.cuh"
#include "update.cuh"

namespace gpudae {

constexpr int kNetThreads = 256, kNetRows = 256, kNetLayers = 8, kNetStages = 4;
constexpr int kNetWarps = kNetThreads / kWarp;

// settled is p, an address of shared memory, in a register: the compiler would compute it
// anew, with three instructions, wherever it is used.
template <class T>
__device__ inline T* settled(T* p) {
#ifdef __CUDACC__
  uint32_t at = uint32_t(__cvta_generic_to_shared(p));
  asm volatile("" : "+r"(at));
  return reinterpret_cast<T*>(__cvta_shared_to_generic(at));
#else
  return p;
#endif
}

// settled_global is the same for an address of global memory.
template <class T>
__device__ inline T* settled_global(T* p) {
#ifdef __CUDACC__
  asm volatile("" : "+l"(p));
#endif
  return p;
}

// net_thread is the thread's number, as if it were another each time: what follows from it alone
// would else be kept in registers from the first step to the last.
__device__ inline int net_thread() {
  int t = threadIdx.x;
#ifdef __CUDACC__
  asm volatile("" : "+r"(t));
  __builtin_assume(t >= 0 && t < kNetThreads);
#endif
  return t;
}

// NetLayer is a dense layer, columns and rows its extents with padding; weight and bias
// are places in the arenas of parameters, w, x and y in shared memory. tile and unit
// count those of the layers before it.
struct NetLayer {
  int64_t in;
  int64_t out;
  int64_t columns;
  int64_t rows;
  int64_t act;
  int64_t weight;
  int64_t bias;
  int64_t w;
  int64_t x;
  int64_t y;
  int64_t tile;
  int64_t unit;
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
  // The minibatch, batch its rows with padding, and places in shared memory; mask is -1
  // where there is none.
  int64_t rows;
  int64_t batch;
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

// net_state is the block's.
__device__ inline NetState& net_state() {
  __shared__ NetState state;
  return state;
}

// A delta or an input beyond these makes the threads compute the norm of the gradient
// before they change anything: below them it cannot overflow.
constexpr float kLargeInput = 1e8f, kLargeDelta = 1e6f;

__device__ inline bool beyond(float x, float limit) { return !(fabsf(x) <= limit); }

// choose finds the rows of the minibatch, and the rule's numbers at this step.
template <class Products>
__device__ inline void choose(NetState& s, const Products& products) {
  const int thread = net_thread();
  const SmallNet& n = s.net;
  for (int i = (thread + 3 * kWarp) % kNetThreads; i < n.rows; i += kNetThreads) {  // a few rows are those of the sixth warp, which has less to do besides
    const uint32_t position = permute(s.order, s.cursor + uint32_t(i) / uint32_t(n.replicates));
    s.position[i] = position;
    s.row[i] = permute(s.split, uint32_t(n.lo) + position);
  }
  if (thread == kNetThreads - 1) {
    const float t = float(s.step + 1);
    const Hyper rule = {0, n.beta1.value, n.beta2.value, n.epsilon.value, 1, 1, n.nesterov != 0};
    s.hyper = at_step(rule, t, n.rates[s.index]);
    s.average = averaging(n.decay.value, t);
    products.prepare();
  }
}

// net_sum is the sum of v over the block, the same in every thread. Every thread must call it.
__device__ inline float net_sum(float v) {
  const int thread = net_thread();
  __shared__ float partial[kNetWarps];
  v = warp_sum(v);
  if (thread % kWarp == 0) partial[thread / kWarp] = v;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kNetWarps; ++w) sum += partial[w];
  __syncthreads();  // partial may be written again by the next call
  return sum;
}

// gather_rows reads clean and makes it x̃, with nothing destroyed: a warp for a column, a
// lane for a row. It returns whether the thread saw something large.
template <class Element>
__device__ inline bool gather_rows(const NetState& s, const Element* data, float* memory) {
  const int thread = net_thread();
  const SmallNet& n = s.net;
  const int features = int(n.features), rows = int(n.rows), stride = int(n.stride), clean = int(n.clean), corrupted = int(n.corrupted);
  const int mask = int(n.mask);
  const float scale = n.data_scale.value;
  bool large = false;
#pragma unroll 1
  for (int i = thread % kWarp; i < rows; i += kWarp) {
    const Element* row = data + int64_t(s.row[i]) * features;
#pragma unroll 1
    for (int first = thread / kWarp; first < features; first += 4 * kNetWarps) {
      Element read[4] = {};  // at once, since each comes from afar
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        if (first + q * kNetWarps < features) read[q] = row[first + q * kNetWarps];
      }
      float* at = memory + first * stride + i;
#pragma unroll
      for (int q = 0; q < 4; ++q, at += kNetWarps * stride) {
        if (first + q * kNetWarps >= features) break;
        const float value = widen(read[q], scale);
        at[clean] = value, at[corrupted] = value;
        if (mask >= 0) at[mask] = 0;
        large |= beyond(value, kLargeInput);
      }
    }
  }
  return large;
}

__device__ inline bool gather(const NetState& s, float* memory) {
  if (s.net.bytes) return gather_rows(s, static_cast<const uint8_t*>(s.net.data), memory);
  return gather_rows(s, static_cast<const float*>(s.net.data), memory);
}

// Normals are the four standard normal draws of a block, for the kinds that take them.
struct Normals {
  float z[4];
  __device__ void draw(const Block& words) {
    const NormalPair first = normal(words.word[0], words.word[1]), second = normal(words.word[2], words.word[3]);
    z[0] = first.z0, z[1] = first.z1, z[2] = second.z0, z[3] = second.z1;
  }
  __device__ float at(int lane) const { return lane & 2 ? (lane & 1 ? z[3] : z[2]) : (lane & 1 ? z[1] : z[0]); }
};
struct NoNormals {
  __device__ void draw(const Block&) {}
};

template <class Kind>
struct NormalsOf {
  using Type = NoNormals;
};
template <>
struct NormalsOf<AdditiveGaussian> {
  using Type = Normals;
};
template <>
struct NormalsOf<Speckle> {
  using Type = Normals;
};

template <class Kind>
__device__ inline Outcome outcome(const Kind& kind, const Cell& c, const Normals& normals) { return kind.with(c.x, normals.at(c.lane)); }
template <class Kind>
__device__ inline Outcome outcome(const Kind& kind, const Cell& c, const NoNormals&) { return kind(c); }

// corrupt_stage draws a stage of x̃, as corrupt_quad of corrupt.cu does: a warp for four
// columns, which share a block of the generator, a lane for a row.
template <class Kind>
__device__ inline bool corrupt_stage(const NetState& s, const NetStage& g, float* memory, const Kind& kind) {
  const int thread = net_thread();
  const SmallNet& n = s.net;
  const int stride = int(n.stride), features = int(n.features), rows = int(n.rows);
  const uint32_t *of_column = g.of_column, *continuous = g.continuous;
  const bool masks = n.mask >= 0;
  bool large = false;
#pragma unroll 1
  for (int first = thread / kWarp * 4; first < features; first += kNetWarps * 4) {
    const int end = first + 4 < features ? first + 4 : features;
#pragma unroll 1
    for (int i = thread % kWarp; i < rows; i += kWarp) {
      Cell cell;
      cell.words = {};
      typename NormalsOf<Kind>::Type normals = {};  // so that no register waits for the first block
      cell.position = s.position[i], cell.seed = g.seed;
      cell.at = {uint32_t(g.stream), uint32_t(g.stage), uint32_t(i) % uint32_t(n.replicates), 0, uint32_t(s.step), s.row[i], 0};
      float* x = memory + int(n.corrupted) + first * stride + i;
#pragma unroll 1
      for (int j = first; j < end; ++j, x += stride) {
        const uint32_t unit = of_column ? of_column[j] : uint32_t(j);
        if (j == first || unit / 4 != cell.at.block) {
          cell.at.block = unit / 4;
          cell.words = philox_block(cell.at, cell.seed);
          normals.draw(cell.words);
        }
        if (continuous && !continuous[j]) continue;
        cell.lane = int(unit % 4), cell.unit = unit, cell.column = j, cell.x = *x;
        const Outcome out = outcome(kind, cell, normals);
        *x = out.x;
        if (masks && out.destroyed) memory[n.mask + j * stride + i] = 1;
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

// likelihood_of makes deltas of the last layer's output, and returns the thread's part of
// the sum of losses; term(a, second, x) is -log p(x|a) and its derivatives, by Two numbers
// of the output.
template <bool Two, class Products, class Family>
__device__ inline float likelihood_of(const Products& products, const SmallNet& n, float* memory, bool* large, const Family& term) {
  const int thread = net_thread();
  const NetLayer& l = n.layer[n.layers - 1];
  const int stride = int(n.stride), features = int(n.features), second = features * stride, batch = int(n.batch), rows = int(n.rows);
  float* deltas = memory + n.deltas;
  const bool masks = n.mask >= 0;
  const int to_clean = int(n.clean - l.y), to_mask = masks ? int(n.mask - l.y) : to_clean;
  const float unit = products.unit(), scale = unit * n.scale.value, limit = unit * kLargeDelta, destroyed = masks ? n.destroyed.value : 1.0f, untouched = masks ? n.untouched.value : 1.0f;
  const float* weights = n.weights;
  float sum = 0;
#pragma unroll 1
  for (int i = thread % kWarp; i < batch; i += kWarp) {
    const bool there = i < rows;
    const float* output = memory + int(l.y) + thread / kWarp * stride + i;
#pragma unroll 1
    for (int j = thread / kWarp; j < features; j += kNetWarps, output += kNetWarps * stride) {
      const Term t = term(output, second, there ? output[to_clean] : 0.0f);
      float w = output[to_mask] == 1.0f ? destroyed : untouched;
      if (weights) w *= weights[j];
      sum += there ? w * t.loss : 0.0f;
      const float delta = there ? scale * w * t.gradient : 0.0f;
      products.put(deltas, int(l.unit) + j, i, delta);
      *large |= beyond(delta, limit);
      if (Two) {
        const float delta2 = there ? scale * w * t.gradient2 : 0.0f;
        products.put(deltas, int(l.unit) + features + j, i, delta2);
        *large |= beyond(delta2, limit);
      }
    }
  }
  return sum;
}

template <class Products>
__device__ inline float likelihood(const Products& products, const SmallNet& n, float* memory, bool* large) {
  switch (n.likelihood) {
    case kBernoulli: return likelihood_of<false>(products, n, memory, large, [](const float* a, int, float x) { return bernoulli(*a, x); });
    case kPoisson: return likelihood_of<false>(products, n, memory, large, [](const float* a, int, float x) { return poisson_counts(*a, x); });
    case kGaussianLearned:
      return likelihood_of<true>(products, n, memory, large, [&](const float* a, int second, float x) { return gaussian_learned(*a, a[second], x, n.sigma.value); });
    default: return likelihood_of<false>(products, n, memory, large, products.gaussian());
  }
}

// Placed is a tile by its layer.
struct Placed {
  const NetLayer* layer;
  int unit, input;
};

// placed is the tile, where tiles are of 16×16.
__device__ inline Placed placed(const SmallNet& n, int tile) {
  int l = 0;
  while (l + 1 < n.layers && tile >= n.layer[l + 1].tile) ++l;
  const NetLayer& layer = n.layer[l];
  const int across = int(layer.columns) / 16, t = tile - int(layer.tile);
  return {&layer, t / across * 16, t % across * 16};
}

// in_turn is v[e] = f(e, v[e]), with the code of f there once.
template <int N, class F>
__device__ inline void in_turn(float (&v)[N], const F& f) {
#pragma unroll 1
  for (int e = 0; e < N; ++e) {
    const float x = f(e, v[0]);
#pragma unroll
    for (int i = 0; i + 1 < N; ++i) v[i] = v[i + 1];
    v[N - 1] = x;
  }
}

// find_bias is where a unit's bias lies in the arenas, -1 if it is padding; bias_place is
// the same, once begin has found it.
__device__ inline int find_bias(const SmallNet& n, int unit) {
  int l = 0;
  while (l + 1 < n.layers && unit >= n.layer[l + 1].unit) ++l;
  const int j = unit - int(n.layer[l].unit);
  return j < n.layer[l].out ? int(n.layer[l].bias) + j : -1;
}

__device__ inline int bias_place(const SmallNet& n, const float* memory, int unit) { return int(__float_as_uint(memory[n.biases + 3 * n.units + unit])); }

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

// begin reads the description, biases with their moments, clock and spikes.
__device__ inline void begin(NetState& s, const uint64_t* words, float* memory) {
  uint64_t* to = reinterpret_cast<uint64_t*>(&s.net);
  for (int i = threadIdx.x; i < int(sizeof s.net / 8); i += kNetThreads) to[i] = words[i];
  __syncthreads();
  const SmallNet& n = s.net;
  for (int i = threadIdx.x; i < n.floats; i += kNetThreads) memory[i] = 0;
  if (threadIdx.x == 0) {
    s.order = n.shuffle ? make_permutation(uint32_t(n.part), n.seed, kStreamPermutation, n.clock[kClockEpoch]) : identity_permutation();
    s.split = part_permutation(n.data_rows, n.split, n.split_seed);
    s.step = uint64_t(n.clock[kClockStepHigh]) << 32 | n.clock[kClockStep];
    s.cursor = n.clock[kClockCursor], s.index = n.clock[kClockIndex];
    for (int i = 0; n.spikes && i < 3; ++i) s.spikes[i] = n.spikes[i];
  }
  __syncthreads();
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const int place = find_bias(n, u);
    float* at = memory + n.biases + u;
    at[3 * n.units] = __uint_as_float(uint32_t(place));
    if (place < 0) continue;
    at[0] = n.params[place];
    if (n.first) at[n.units] = n.first[place];
    if (n.second) at[2 * n.units] = n.second[place];
  }
}

// finish writes what begin read.
__device__ inline void finish(const NetState& s, const float* memory) {
  const SmallNet& n = s.net;
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const int place = bias_place(n, memory, u);
    if (place < 0) continue;
    const float* at = memory + n.biases + u;
    n.params[place] = at[0];
    if (n.first) n.first[place] = at[n.units];
    if (n.second) n.second[place] = at[2 * n.units];
  }
  if (threadIdx.x != 0) return;
  n.clock[kClockStep] = uint32_t(s.step), n.clock[kClockStepHigh] = uint32_t(s.step >> 32);
  n.clock[kClockCursor] = s.cursor, n.clock[kClockIndex] = s.index;
  for (int i = 0; n.spikes && i < 3; ++i) n.spikes[i] = s.spikes[i];
}

// tick logs the step and goes on to the next; one thread calls it.
__device__ inline void tick(NetState& s, float loss, float grad_sq) {
  const SmallNet& n = s.net;
  n.values[0] = loss, n.values[1] = grad_sq;
  if (n.log) {
    float* line = n.log + 2 * (int64_t(s.index) % n.entries);
    line[0] = loss, line[1] = grad_sq;
  }
  ++s.step, ++s.index;
  s.cursor += uint32_t(n.examples);
  if (n.spikes) advance_spikes(s.spikes, loss, n.spike_limit.value);
}

// vote tells the block whether a thread saw something large: any_large, after a barrier.
__device__ inline void vote(NetState& s, bool large) {
  const int thread = net_thread();
  const bool any = __any_sync(kWholeWarp, large);
  if (thread % kWarp == 0) s.large[thread / kWarp] = any;
}

__device__ inline bool any_large(const NetState& s) {
  int any = 0;
#pragma unroll
  for (int w = 0; w < kNetWarps; ++w) any |= s.large[w];
  return any != 0;
}

// learn updates the parameters from deltas and inputs and returns the sum of squares
// of the gradient.
template <class Products>
__device__ inline float learn(Products& products, const NetState& s, float* memory, float loss) {
  const SmallNet& n = s.net;
  bool applied = !(n.guarded && refuses(&loss, n.spikes ? s.spikes : nullptr, n.spike_limit.value));
  float grad_sq = 0;
  const bool first = !applied || n.clip.value > 0 || any_large(s);
  if (first) {
    grad_sq = net_sum(products.squares(memory));
    applied = applied && isfinite(grad_sq);
  }
  if (!applied) return grad_sq;
  const Hyper& h = s.hyper;
  Change change = {{h.rate, h.beta1, h.beta2, h.epsilon, h.unbias1, h.unbias2, h.nesterov}, 1, n.weight_decay.value, s.average, int(n.decayed), n.ema};
  if (n.clip.value > 0) change.shrink = shrinking(n.clip.value, grad_sq);
  const float sum = products.update(memory, change);
  return first ? grad_sq : net_sum(sum);
}

// train takes the steps. Of Products, the arithmetic, it asks
//
//   Products(state)
//   load(memory), store(memory)           weights and their moments from the arenas and to them
//   prepare()                             what else follows from the rule's numbers; one thread calls it
//   minibatch(memory)                     all of gather, corrupt and input, or false if it cannot
//   input(memory)                         the first layer's input, from corrupted; like minibatch, with a barrier behind it
//   forward(layer, memory, last)          its output; whether it is large and a layer's input
//   has_loss(), loss()                    whether the last layer's forward has left its deltas, and the thread's part of the loss
//   gaussian(), unit()                    the family, and what deltas are multiples of, for likelihood_of
//   put(deltas, unit, i, x)               a delta
//   backward(layer, below, memory)        deltas of the layer below; whether one is large
//   large()                               whether something else was large
//   squares(memory)                       the thread's part of the gradient's sum of squares
//   update(memory, change)                the same, and new parameters
//
// with a barrier of the block between any two that differ in what they write.
template <class Products>
__device__ __forceinline__ void train(const uint64_t* words, int64_t steps, float* memory) {
  NetState& s = *settled(&net_state());
  memory = settled(memory);
  begin(s, words, memory);
  const SmallNet& n = s.net;
  Products products(s);
  products.load(memory);
  __syncthreads();
#pragma unroll 1
  for (int64_t step = 0; step < steps; ++step) {
    choose(s, products);
    __syncthreads();
    const int layers = int(n.layers);
    bool large = false;
    const bool drawn = products.minibatch(memory);
    if (!drawn) {
      large = gather(s, memory);
#pragma unroll 1
      for (int g = 0; g < n.stages; ++g) {
        __syncthreads();
        large |= corrupt(s, n.noise[g], memory);
      }
      __syncthreads();
      products.input(memory);
    }
#pragma unroll 1
    for (int l = 0; l < layers; ++l) {
      if (products.forward(n.layer[l], memory, l + 1 == layers)) large = true;
      __syncthreads();
    }
    float part = products.loss();
    if (!products.has_loss()) part = likelihood(products, n, memory, &large);
    const float loss = n.mean.value * net_sum(part);
#pragma unroll 1
    for (int l = layers - 1; l > 0; --l) {
      if (products.backward(n.layer[l], n.layer[l - 1], memory)) large = true;
      if (l > 1) __syncthreads();
    }
    vote(s, large | products.large());
    __syncthreads();
    const float grad_sq = learn(products, s, memory, loss);
    __syncthreads();
    if (threadIdx.x == 2 * kWarp) tick(s, loss, grad_sq);
    __syncthreads();
  }
  products.store(memory);
  finish(s, memory);
}

}  // namespace gpudae
