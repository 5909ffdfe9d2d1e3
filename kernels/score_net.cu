// ScoreNetBF16x3, ScoreNetBF16: whole steps of training of a score net, as many as are asked for, in a
// cluster of eight blocks that share the minibatch: rows, noise of a level of each row, all
// layers forward, loss, backward, update and tick. They are the operations of a recorded step that package
// gpu/smallnet recognises. small_net.cuh has the description and what is left behind.
//
//   words  SmallNet of small_net.cuh, then ScoreNet     steps  how many
//
// Each block takes an eighth of the rows through its shared memory, in which all weights are.
// A tile of 16×16 weights is two pieces, of 4 weights a lane, as fragments of its
// gradient lie. Each piece is owned by a warp of the cluster, whose threads hold weights and
// moments in float32 in registers as long as the kernel runs. A step's blocks meet twice:
//
//   each block writes its part of the gradient, piece by piece, of biases, and of the loss
//   barrier
//   a piece's owner adds the parts in the order of the blocks, updates, and writes the new
//   weights as numbers of bfloat16
//   barrier
//   each block reads all weights into its shared memory
//
// and once more between the two where the update waits for the norm of the whole gradient. What they hand
// each other goes through global memory, that is the second-level cache: new weights are written
// once, not to seven others, and the port to it is wider than that between multiprocessors.
// Biases are few: each block updates all of them, and gets the same bits.
//
// Where shared memory has no room for all rows of a block, they go through it in passes of as many as it
// has room for, and each pass adds its part of the gradient to that of those before it.
//
// Products are bf16x3 or bf16: a factor is x₁ + x₂ of bfloat16, as small_net_tensor.cu says. Weights, inputs and
// deltas lie in shared memory so, a row's x₁ before its x₂, for ldmatrix to feed them to products;
// strides are odd multiples of four words, so that eight rows meet no bank twice. The deltas of a hidden
// layer take the place of its outputs once those have been used, in the part of the gradient that is
// written before. Pre-activations, where an activation needs them, are kept where small_net.cuh has
// deltas.
//
// Geometry: OneCluster, with dynamic shared memory. Launched by a program of Device.Record.
#include "cluster.cuh"
#include "draws.cuh"
#include "halves.cuh"
#include "mma.cuh"
#include "small_net.cuh"

#ifdef GPUDAE_HAS_CLUSTERS
namespace gpudae {
namespace score {

constexpr int kBlocks = 8, kHeldPieces = 5, kMostTiles = 160;

// ScoreNet is what Go uploads after SmallNet.
struct ScoreNet {
  // As in diffuse.cu, condition.cu, blend.cu and score_match.cu.
  int64_t levels;
  int64_t extra;
  const float* sigma;
  const float* c_in;
  const float* embedding;
  const float* skip;
  const float* out;
  const float* weight;
  uint64_t seed;
  uint64_t stream;
  uint64_t stage;
  Float scale;
  int64_t passes;
  // What blocks hand each other: see Exchange.
  float* exchange;
};

// Exchange is where that lies.
struct Exchange {
  float *parts, *weights, *biases, *losses, *squares, *values;

  // parts [piece][block][lane][4]     biases [block][units]
  // weights  as they lie in shared memory, from its begin to the biases
  // losses [warp of the cluster][2]   of the rows, and whether something was large
  // squares [warp of the cluster]     of the gradient     values [block][2]  for nobody to read
  __device__ Exchange(const SmallNet& n, float* at) {
    const int64_t pieces = 2 * n.tiles;
    parts = at, weights = parts + pieces * kBlocks * 4 * kWarp, biases = weights + n.biases;
    losses = biases + kBlocks * n.units, squares = losses + 2 * kBlocks * kNetWarps, values = squares + kBlocks * kNetWarps;
  }
};

// ScoreState is what a block's threads share besides NetState.
struct ScoreState {
  ScoreNet net;
  int first, rows;  // of the minibatch, those of the block
  int before;       // the pass's first; how many they are is in SmallNet::rows
  uint32_t level[kNetRows];
};

// halves_at is a row's number at i.
__device__ inline float halves_at(const float* row, int batch, int i) {
  const uint32_t* at = reinterpret_cast<const uint32_t*>(row) + i / 2;
  return i % 2 ? upper(at[0]) + upper(at[batch / 2]) : lower(at[0]) + lower(at[batch / 2]);
}

// put stores a number of a row of inputs or deltas.
__device__ inline void put(float* row, int batch, int i, float x) {
  uint16_t* at = reinterpret_cast<uint16_t*>(row) + i;
  const Halves h = halve(x, 0.0f);
  at[0] = uint16_t(h.high), at[batch] = uint16_t(h.low);
}

// width is how many words a row of a layer's weights takes.
__device__ inline int width(const NetLayer& l) { return int(l.columns) + 4; }

// diffuse_rows reads the block's rows, draws their noise levels and x̃, as diffuse.cu does, and
// makes c_in·x̃ the first columns of the input: a thread for four columns of a row.
template <class Element>
__device__ inline void diffuse_rows(const NetState& s, ScoreState& score, const Element* data, float* memory) {
  const SmallNet& n = s.net;
  const ScoreNet& m = score.net;
  const int features = int(n.features), rows = int(n.rows), stride = int(n.stride), batch = int(n.batch);
#pragma unroll 1
  for (int t = threadIdx.x; t < rows * ((features + 3) / 4); t += kNetThreads) {
    const int quad = t / rows, i = t - quad * rows, count = features - 4 * quad;
    Coordinates at = {uint32_t(m.stream), uint32_t(m.stage), uint32_t(score.before + i) % uint32_t(n.replicates), 0, uint32_t(s.step), s.row[i], 0};
    const Element* row = data + int64_t(s.row[i]) * features + 4 * quad;
    Element read[4] = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (k < count) read[k] = row[k];
    }
    uint32_t level = 0;
    if (m.levels > 1) {
      at.draw = 1;
      level = below(philox_block(at, m.seed).word[0], uint32_t(m.levels));
      at.draw = 0;
    }
    if (quad == 0) score.level[i] = level;
    at.block = uint32_t(quad);
    const Quad z = normal_quad(philox_block(at, m.seed));
    const float sigma = m.sigma[level], scale = m.c_in[level];
    float* to = memory + 4 * quad * stride + i;
    float* input = memory + n.layer[0].x + 4 * quad * stride;
#pragma unroll
    for (int k = 0; k < 4; ++k, to += stride, input += stride) {
      if (k >= count) break;
      const float x = widen(read[k], n.data_scale.value), noisy = __fadd_rn(x, __fmul_rn(sigma, z.at[k]));
      to[n.clean] = x, to[n.corrupted] = noisy;
      put(input, batch, i, scale * noisy);
    }
  }
}

// embed_levels makes the embedding of its level the other columns of a row's input.
__device__ inline void embed_levels(const SmallNet& n, const ScoreState& score, float* memory) {
  const int extra = int(score.net.extra), rows = int(n.rows), stride = int(n.stride);
  float* input = memory + n.layer[0].x + n.features * stride;
#pragma unroll 1
  for (int i = threadIdx.x % kWarp; i < rows; i += kWarp) {
    const float* from = score.net.embedding + score.level[i] * extra;
#pragma unroll 1
    for (int e = int(threadIdx.x) / kWarp; e < extra; e += kNetWarps) put(input + e * stride, int(n.batch), i, from[e]);
  }
}

// match makes deltas of the output F, as blend.cu and score_match.cu do, and returns the thread's part of
// the sum of losses.
__device__ inline float match(const SmallNet& n, const ScoreState& score, float* memory, bool* large) {
  const ScoreNet& m = score.net;
  const NetLayer& l = n.layer[n.layers - 1];
  const int stride = int(n.stride), features = int(n.features);
  float sum = 0;
#pragma unroll 1
  for (int i = threadIdx.x % kWarp; i < int(n.batch); i += kWarp) {
    const bool there = i < int(n.rows);
    const uint32_t level = there ? score.level[i] : 0;
    const float skip = m.skip[level], out = m.out[level], weight = m.weight[level], factor = m.scale.value * weight * out;
#pragma unroll 1
    for (int j = int(threadIdx.x) / kWarp; j < features; j += kNetWarps) {
      const float* at = memory + j * stride + i;
      const float denoised = __fadd_rn(__fmul_rn(skip, at[n.corrupted]), __fmul_rn(out, at[l.y])), e = denoised - at[n.clean];
      const float delta = there ? factor * e : 0.0f;
      sum += there ? 0.5f * weight * (e * e) : 0.0f;
      put(memory + n.deltas + (int(l.unit) + j) * stride, int(n.batch), i, delta);
      *large |= beyond(delta, kLargeDelta);
    }
  }
  return sum;
}

// cluster_sum is the sum of what warps have written, the same in every thread of the cluster.
__device__ inline float cluster_sum(float v) {
#pragma unroll
  for (int d = kWarp / 2; d > 0; d /= 2) v += __shfl_xor_sync(kWholeWarp, v, d);
  return v;
}

// product multiplies 16 rows of W, or of its transpose, by N fragments of rows of the minibatch; x₂ are
// low words behind x₁. sums has fragments of 16×8 one after the other.
template <int N, bool Transposed, bool Exact>
__device__ inline void product(const float* w, int width, int low, const float* planes, int stride, int batch, int depth, float (&sums)[4 * N]) {
  const int lane = int(threadIdx.x) % kWarp;
  float of_high[N][4] = {}, of_low[N][4] = {};
  w += Transposed ? (lane % 8 + lane / 16 * 8) * width + lane / 8 % 2 * 4 : lane % 16 * width + lane / 16 * 4;
  planes += lane % 16 * stride + lane / 16 * (batch / 2);
#pragma unroll 1
  for (int k = 0; k < depth; k += 16) {
    uint32_t a_high[4], a_low[4];
    Transposed ? ldmatrix_transposed(a_high, w) : ldmatrix(a_high, w);
    if (Exact) Transposed ? ldmatrix_transposed(a_low, w + low) : ldmatrix(a_low, w + low);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      uint32_t b[4];
      ldmatrix_transposed(b, planes + 4 * j);
      const uint32_t b_high[2] = {b[0], b[1]}, b_low[2] = {b[2], b[3]};
      if (Exact) {
        mma_bf16(of_low[j], a_high, b_low);
        mma_bf16(of_low[j], a_low, b_high);
      }
      mma_bf16(of_high[j], a_high, b_high);
    }
    w += Transposed ? 16 * width : 8;
    planes += 16 * stride;
  }
#pragma unroll
  for (int e = 0; e < 4 * N; ++e) sums[e] = Exact ? of_high[e / 4][e % 4] + of_low[e / 4][e % 4] : of_high[e / 4][e % 4];
}

// Tile is a tile of 16×16 weights: places in shared memory of its weights and of the rows of
// inputs and deltas that its gradient is the product of.
struct alignas(16) Tile {
  int w, x, delta;
  int16_t width;
  int16_t decays;
};

// Rule is the update of a weight, the same formula for every optimiser (see
// optimizer.cuh):
//
//   g ← g + λ·θ    m ← a·m + b·g    v ← c·v + d·g²    θ ← keep·θ - rate·(m + ahead·g)/(scale·√v + ε)
//
// Clipping is in b, d, λ and ahead.
struct Rule {
  float a, b, c, d, decay, keep, ahead, rate, scale, epsilon;

  __device__ void set(int rule, const Hyper& h, float weight_decay) {
    const bool adam = rule == kAdam || rule == kAdamW, squares = rule != kSGD, looks_ahead = !squares && h.nesterov && h.beta1 > 0;
    a = adam || !squares ? h.beta1 : 0.0f, b = adam ? 1.0f - h.beta1 : 1.0f;
    c = rule == kAdagrad ? 1.0f : squares ? h.beta2 : 0.0f, d = rule == kAdagrad ? 1.0f : squares ? 1.0f - h.beta2 : 0.0f;
    decay = rule == kAdamW ? 0.0f : weight_decay, keep = rule == kAdamW ? 1.0f - h.rate * weight_decay : 1.0f;
    ahead = looks_ahead ? quotient(1.0f, h.beta1) : 0.0f;
    rate = adam ? h.rate * h.unbias1 : looks_ahead ? h.rate * h.beta1 : h.rate;
    scale = adam ? root(h.unbias2) : squares ? 1.0f : 0.0f;
    epsilon = squares ? h.epsilon : 1.0f;
  }

  // clipped is the rule for a gradient that has to be multiplied by shrink first.
  __device__ Rule clipped(float shrink) const {
    Rule r = *this;
    r.b *= shrink, r.d *= shrink * shrink, r.ahead *= shrink, r.decay = quotient(decay, shrink);
    return r;
  }

  __device__ bool plain() const { return decay == 0 && keep == 1 && ahead == 0; }

  // apply changes θ and its moments by the rule, which is plain if Plain.
  template <bool Plain>
  __device__ void apply(float& theta, float& m, float& v, float g, bool decays) const {
    if (!Plain && decays) g = __fmaf_rn(decay, theta, g);
    m = __fmaf_rn(a, m, b * g);
    v = __fmaf_rn(d * g, g, c * v);
    const float step = (Plain ? m : __fmaf_rn(ahead, g, m)) * approximate_reciprocal(__fmaf_rn(scale, approximate_root(v), epsilon));
    theta = __fmaf_rn(-rate, step, !Plain && decays ? keep * theta : theta);
  }
};

// Products are those of a block, bf16x3 if Exact, and what its threads own.
template <bool Exact>
struct Products {
  const NetState& s;
  const SmallNet& n;
  const Tile* tiles;
  Rule* rule;  // of the step
  const Exchange exchange;
  const int rank;
  struct Held {
    float theta[4], m[4], v[4];
  } held[kHeldPieces];

  __device__ Products(const NetState& state, float* at) : s(state), n(state.net), exchange(state.net, at), rank(int(blockIdx.x)) {
    __shared__ Tile table[kMostTiles];
    __shared__ Rule shared;
    tiles = table, rule = &shared;
    for (int t = threadIdx.x; t < n.tiles; t += kNetThreads) {
      const Placed of = placed(n, t);
      const NetLayer& l = *of.layer;
      table[t] = {int(l.w) + of.unit * width(l) + of.input / 2, int(l.x + of.input * n.stride), deltas(l) + of.unit * int(n.stride), int16_t(width(l)),
                  int16_t(l.weight < n.decayed)};
    }
  }

  __device__ static int warp() { return int(threadIdx.x) / kWarp; }
  __device__ static int lane() { return int(threadIdx.x) % kWarp; }

  // deltas is where those of a layer begin.
  __device__ int deltas(const NetLayer& l) const { return int(&l == n.layer + n.layers - 1 ? n.deltas + l.unit * n.stride : l.y); }

  __device__ int global_warp() const { return rank * kNetWarps + warp(); }

  // own is the warp's piece number j, mine how many it has.
  __device__ int own(int j) const { return warp() * kBlocks + rank + j * (kBlocks * kNetWarps); }
  __device__ int mine() const { return (2 * int(n.tiles) - own(0) + kBlocks * kNetWarps - 1) / (kBlocks * kNetWarps); }

  // each_owned calls use(j, e, place) for the weights that the thread owns, with their places in
  // the arenas.
  template <class Use>
  __device__ void each_owned(const Use& use) const {
    const int mine = this->mine();
#pragma unroll
    for (int j = 0; j < kHeldPieces; ++j) {
      if (j < mine) {
        const int piece = own(j);
        const Placed of = placed(n, piece / 2);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int unit = of.unit + lane() / 4 + e / 2 * 8, input = of.input + piece % 2 * 8 + lane() % 4 * 2 + e % 2;
          if (unit < of.layer->out && input < of.layer->in) use(j, e, int(of.layer->weight) + unit * int(of.layer->in) + input);
        }
      }
    }
  }

  __device__ void load(float* memory) {
#pragma unroll
    for (int j = 0; j < kHeldPieces; ++j) held[j] = Held{};
    each_owned([&](int j, int e, int place) {
      held[j].theta[e] = n.params[place];
      if (n.first) held[j].m[e] = n.first[place];
      if (n.second) held[j].v[e] = n.second[place];
    });
    for (int i = threadIdx.x; i < (rank == 0 ? int(n.biases) : 0); i += kNetThreads) exchange.weights[i] = 0;  // padding, which nobody writes
    for (int l = 0; l < n.layers; ++l) {
      const NetLayer& layer = n.layer[l];
      for (int e = threadIdx.x; e < layer.out * layer.in; e += kNetThreads) {
        const Halves h = halve(n.params[layer.weight + e], 0.0f);
        uint16_t* at = reinterpret_cast<uint16_t*>(memory + layer.w + e / int(layer.in) * width(layer)) + e % int(layer.in);
        at[0] = uint16_t(h.high), at[layer.columns] = uint16_t(h.low);
      }
    }
  }

  __device__ void store() const {
    each_owned([&](int j, int e, int place) {
      n.params[place] = held[j].theta[e];
      if (n.first) n.first[place] = held[j].m[e];
      if (n.second) n.second[place] = held[j].v[e];
    });
  }

  // ratio is t divided by a small number of which it gets the inverse.
  __device__ static int ratio(int t, float inverse) { return int((float(t) + 0.5f) * inverse); }

  // forward_tiles computes a layer's output by tiles of 16 units by N fragments of rows.
  template <int N>
  __device__ bool forward_tiles(const NetLayer& l, float* memory) const {
    const int stride = int(n.stride), batch = int(n.batch), across = batch / (8 * N), act = int(l.act);
    const float inverse = approximate_reciprocal(float(across));
    const bool last = &l == n.layer + n.layers - 1, keeps = act == kGELU || act == kSiLU;
    bool large = false;
#pragma unroll 1
    for (int t = warp(); t < int(l.rows) / 16 * across; t += kNetWarps) {
      const int tile = ratio(t, inverse), first = 16 * tile, from = (t - tile * across) * 8 * N, unit = first + lane() / 4, row = from + lane() % 4 * 2;
      float v[4 * N];
      product<N, false, Exact>(memory + l.w + first * width(l), width(l), int(l.columns) / 2, memory + l.x + from / 2, stride, batch, int(l.columns), v);
      const float *bias = memory + n.biases + l.unit + unit, biases[2] = {bias[0], bias[8]};
      float *y = memory + l.y + unit * stride, *pre = memory + n.deltas + (l.unit + unit) * stride;
#pragma unroll
      for (int e = 0; e < 4 * N; ++e) v[e] += biases[e % 4 / 2];
      if (last) {
#pragma unroll
        for (int e = 0; e < 4 * N; e += 2) *reinterpret_cast<float2*>(y + e % 4 / 2 * 8 * stride + row + e / 4 * 8) = make_float2(v[e], v[e + 1]);
        continue;
      }
      if (keeps) put_all<N>(pre, row, v);
      if (act == kReLU) {
#pragma unroll
        for (int e = 0; e < 4 * N; ++e) v[e] = activate(kReLU, v[e]);
      } else if (act != kIdentity) {
        in_turn(v, [&](int e, float x) { return unit + e % 4 / 2 * 8 < l.out ? activate(act, x) : 0.0f; });
      }
      put_all<N>(y, row, v);
#pragma unroll
      for (int e = 0; e < 4 * N; ++e) large |= beyond(v[e], kLargeInput);
    }
    return large;
  }

  // put_all stores a thread's part of a tile, in its first unit's line from a row on.
  template <int N>
  __device__ void put_all(float* at, int row, const float (&v)[4 * N]) const {
    uint32_t* const begin = reinterpret_cast<uint32_t*>(at) + (row >> 1);
    uint32_t* const first[2] = {begin, begin + 8 * int(n.stride)};
    const int low = int(n.batch) >> 1;
#pragma unroll
    for (int e = 0; e < 4 * N; e += 2) {
      const Halves h = halve(v[e], v[e + 1]);
      uint32_t* to = first[e % 4 / 2] + e / 4 * 4;
      to[0] = h.high, to[low] = h.low;
    }
  }

  // backward_tiles carries the deltas of a layer to those of the layer below it, by tiles of
  // 16 units of that one by N fragments of rows.
  template <int N>
  __device__ bool backward_tiles(const NetLayer& l, const NetLayer& below, float* memory) const {
    const int stride = int(n.stride), batch = int(n.batch), across = batch / (8 * N), act = int(below.act);
    const float inverse = approximate_reciprocal(float(across));
    bool large = false;
#pragma unroll 1
    for (int t = warp(); t < int(l.columns) / 16 * across; t += kNetWarps) {
      const int tile = ratio(t, inverse), first = 16 * tile, from = (t - tile * across) * 8 * N, unit = first + lane() / 4, row = from + lane() % 4 * 2;
      float v[4 * N];
      product<N, true, Exact>(memory + l.w + first / 2, width(l), int(l.columns) / 2, memory + deltas(l) + from / 2, stride, batch, int(l.rows), v);
      float* to = memory + deltas(below) + unit * stride;
      const float* y = act == kGELU || act == kSiLU ? memory + n.deltas + (below.unit + unit) * stride : to;
      if (act == kReLU) {
#pragma unroll
        for (int e = 0; e < 4 * N; e += 2) {
          const uint32_t of = reinterpret_cast<const uint32_t*>(y + e % 4 / 2 * 8 * stride)[(row + e / 4 * 8) / 2];
          v[e] *= derivative(kReLU, lower(of)), v[e + 1] *= derivative(kReLU, upper(of));
        }
      } else if (act != kIdentity) {
        in_turn(v, [&](int e, float x) { return x * derivative(act, halves_at(y + e % 4 / 2 * 8 * stride, batch, row + e / 4 * 8 + e % 2)); });
      }
      put_all<N>(to, row, v);
#pragma unroll
      for (int e = 0; e < 4 * N; ++e) large |= beyond(v[e], kLargeDelta);
    }
    return large;
  }

  // wide says how many fragments of rows a warp takes at once: as many as leave every warp with work.
  __device__ int wide(int units) const {
    const int batch = int(n.batch), fragments = units / 16 * batch / (8 * kNetWarps);  // for each warp
    return fragments >= 8 && batch % 64 == 0 ? 8 : fragments >= 4 && batch % 32 == 0 ? 4 : fragments >= 2 ? 2 : 1;
  }

  __device__ bool forward(const NetLayer& l, float* memory) const {
    const int wide = this->wide(int(l.rows));
    if (wide == 8) return forward_tiles<8>(l, memory);
    if (wide == 4) return forward_tiles<4>(l, memory);
    if (wide == 2) return forward_tiles<2>(l, memory);
    if (wide == 1) return forward_tiles<1>(l, memory);
    return false;
  }

  __device__ bool backward(const NetLayer& l, const NetLayer& below, float* memory) const {
    const int wide = this->wide(int(l.columns));
    if (wide == 8) return backward_tiles<8>(l, below, memory);
    if (wide == 4) return backward_tiles<4>(l, below, memory);
    if (wide == 2) return backward_tiles<2>(l, below, memory);
    if (wide == 1) return backward_tiles<1>(l, below, memory);
    return false;
  }

  // hand_out writes the block's part of a layer's gradient, or adds to it what a later pass has.
  __device__ void hand_out(const NetLayer& l, const float* memory, bool adds) const {
    const bool odd = int(l.columns) / 16 % 2 == 1;
    if (odd) hand_out_tiles<1>(l, memory, adds);
    if (!odd) hand_out_tiles<2>(l, memory, adds);
  }

  // hand_out_tiles does so by Wide neighbouring tiles, which have their units in common. The first of a
  // row of tiles takes the biases of its units along, in products by ones.
  template <int Wide>
  __device__ void hand_out_tiles(const NetLayer& l, const float* memory, bool adds) const {
    const int stride = int(n.stride), batch = int(n.batch), lane = this->lane(), end = int(l.tile) + int(l.rows) / 16 * (int(l.columns) / 16);
    const uint32_t ones[2] = {0x3F803F80u, 0x3F803F80u};
#pragma unroll 1
    for (int tile = int(l.tile) + Wide * warp(); tile < end; tile += Wide * kNetWarps) {
      const Tile t = tiles[tile];
      const bool first = t.x == l.x;
      const float *a = memory + t.delta + lane % 16 * stride + lane / 16 * 4, *b = memory + t.x + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 4;
      float of_high[2 * Wide][4] = {}, of_low[2 * Wide][4] = {}, bias[4] = {};
#pragma unroll 1
      for (int i = 0; i < batch; i += 16) {
        uint32_t delta[4], delta_low[4];
        ldmatrix(delta, a);
        ldmatrix(delta_low, a + batch / 2);
#pragma unroll
        for (int w = 0; w < Wide; ++w) {
          uint32_t x[4];
          ldmatrix(x, b + w * 16 * stride);
          const uint32_t high[2][2] = {{x[0], x[1]}, {x[2], x[3]}};
          if (Exact) {
            ldmatrix(x, b + w * 16 * stride + batch / 2);
            const uint32_t low[2][2] = {{x[0], x[1]}, {x[2], x[3]}};
#pragma unroll
            for (int f = 0; f < 2; ++f) mma_bf16(of_low[2 * w + f], delta, low[f]), mma_bf16(of_low[2 * w + f], delta_low, high[f]);
          }
#pragma unroll
          for (int f = 0; f < 2; ++f) mma_bf16(of_high[2 * w + f], delta, high[f]);
        }
        if (first) mma_bf16(bias, delta, ones), mma_bf16(bias, delta_low, ones);
        a += 8, b += 8;
      }
      float* part = exchange.parts + ((2 * tile * kBlocks + rank) * kWarp + lane) * 4;
#pragma unroll
      for (int f = 0; f < 2 * Wide; ++f) {
        Quad sum;
#pragma unroll
        for (int e = 0; e < 4; ++e) sum.at[e] = Exact ? of_high[f][e] + of_low[f][e] : of_high[f][e];
        add_or_store(part + f * (kBlocks * kWarp * 4), sum, adds);
      }
      if (first && lane % 4 == 0) {
        float* at = exchange.biases + rank * int(n.units) + int(l.unit) + (t.delta - this->deltas(l)) / stride + lane / 4;
        at[0] = adds ? at[0] + bias[0] : bias[0], at[8] = adds ? at[8] + bias[2] : bias[2];
      }
    }
  }

  __device__ static void add_or_store(float* at, Quad sum, bool adds) {
    if (adds) {
      const Quad before = load_aligned(at);
#pragma unroll
      for (int e = 0; e < 4; ++e) sum.at[e] += before.at[e];
    }
    store_aligned(at, sum);
  }

  // gather adds up the parts of the pieces that the warp owns, and returns the sum of squares of
  // the thread's.
  __device__ float gather(float (&g)[kHeldPieces][4]) const {
    const int mine = this->mine();
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kHeldPieces; ++j) {
      if (j < mine) {
        const float* at = exchange.parts + (own(j) * kBlocks * kWarp + lane()) * 4;
        Quad part[kBlocks];
#pragma unroll
        for (int r = 0; r < kBlocks; ++r) part[r] = load_far(at + r * 4 * kWarp);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          float total = part[0].at[e];
#pragma unroll
          for (int r = 1; r < kBlocks; ++r) total += part[r].at[e];
          g[j][e] = total, sum = __fmaf_rn(total, total, sum);
        }
      }
    }
    return sum;
  }

  __device__ float bias_sum(int unit) const {
    float part[kBlocks], sum = 0;
#pragma unroll
    for (int r = 0; r < kBlocks; ++r) part[r] = load_one_far(exchange.biases + r * int(n.units) + unit);
#pragma unroll
    for (int r = 0; r < kBlocks; ++r) sum += part[r];
    return sum;
  }

  // update_own updates what the warp owns, and hands out the new weights.
  template <bool Plain>
  __device__ void update_own(const Rule& rule, const float (&g)[kHeldPieces][4]) {
    const int mine = this->mine();
#pragma unroll
    for (int j = 0; j < kHeldPieces; ++j) {
      if (j < mine) {
        Held& h = held[j];
        const Tile t = tiles[own(j) / 2];
#pragma unroll
        for (int e = 0; e < 4; ++e) rule.apply<Plain>(h.theta[e], h.m[e], h.v[e], g[j][e], t.decays);
        const Halves upper = halve(h.theta[0], h.theta[1]), lower = halve(h.theta[2], h.theta[3]);
        uint32_t* at = reinterpret_cast<uint32_t*>(exchange.weights) + t.w + lane() / 4 * t.width + own(j) % 2 * 4 + lane() % 4;
        const int low = (t.width - 4) / 2, down = 8 * t.width;
        at[0] = upper.high, at[low] = upper.low, at[down] = lower.high, at[down + low] = lower.low;
      }
    }
  }

  __device__ void update_biases(float* memory, const Change& change, const Rule& rule) const {
    const int units = int(n.units);
#pragma unroll 1
    for (int u = threadIdx.x; u < units; u += kNetThreads) {
      const int place = bias_place(n, memory, u);
      if (place < 0) continue;
      float* at = memory + int(n.biases) + u;
      float theta = at[0], m = at[units], v = at[2 * units];
      rule.apply<false>(theta, m, v, bias_sum(u), place < change.decayed);
      at[0] = theta, at[units] = m, at[2 * units] = v;
      if (change.ema && rank == 0) change.follow(place, theta);
    }
  }

  // take_in reads all weights, which are there after a barrier.
  __device__ void take_in(float* memory) const {
    const int left = int(n.biases) - 4 * int(threadIdx.x);
    const float* from = exchange.weights + 4 * threadIdx.x;
    float* to = memory + 4 * threadIdx.x;
#pragma unroll 1
    for (int done = 0; done < left; done += 16 * kNetThreads, from += 16 * kNetThreads, to += 16 * kNetThreads) {
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        if (done + q * 4 * kNetThreads < left) copy_async<16>(to + q * 4 * kNetThreads, from + q * 4 * kNetThreads, 16);
      }
    }
    commit_copies();
    wait_copies<0>();
  }

  // learn updates the parameters from the parts of all blocks, and returns the loss and the
  // sum of squares of the gradient.
  __device__ float2 learn(const NetState& s, float* memory, float loss, bool large) {
    loss = cluster_sum(loss), large = __any_sync(kWholeWarp, large);
    if (lane() == 0) *reinterpret_cast<float2*>(exchange.losses + 2 * global_warp()) = make_float2(loss, large ? 1.0f : 0.0f);
    cluster_barrier();
    const Quad two = load_far(exchange.losses + 4 * lane());
    loss = n.mean.value * cluster_sum(two.at[0] + two.at[2]);
    large = __any_sync(kWholeWarp, two.at[1] + two.at[3] > 0);

    float g[kHeldPieces][4];
    float squares = gather(g);
#pragma unroll 1
    for (int u = threadIdx.x; u < (rank == 0 ? int(n.units) : 0); u += kNetThreads) {
      const float b = bias_sum(u);
      squares = __fmaf_rn(b, b, squares);
    }
    squares = cluster_sum(squares);
    if (lane() == 0) exchange.squares[global_warp()] = squares;

    bool applied = !(n.guarded && refuses(&loss, n.spikes ? s.spikes : nullptr, n.spike_limit.value));
    float grad_sq = 0;
    const bool first = !applied || n.clip.value > 0 || large;
    if (first) {
      cluster_barrier();
      grad_sq = all_squares();
      applied = applied && isfinite(grad_sq);
    }
    if (applied) {
      const Hyper& h = s.hyper;
      const Change change = {{h.rate, h.beta1, h.beta2, h.epsilon, h.unbias1, h.unbias2, h.nesterov}, shrinking(n.clip.value, grad_sq), n.weight_decay.value,
                             s.average, int(n.decayed), n.ema};
      const Rule rule = n.clip.value > 0 ? this->rule->clipped(change.shrink) : *this->rule;
      if (rule.plain()) {
        update_own<true>(rule, g);
      } else {
        update_own<false>(rule, g);
      }
      if (change.ema) each_owned([&](int j, int e, int place) { change.follow(place, held[j].theta[e]); });
      update_biases(memory, change, rule);
      cluster_barrier();
      take_in(memory);
    }
    return make_float2(loss, first ? grad_sq : all_squares());
  }

  __device__ float all_squares() const {
    return cluster_sum(load_one_far(exchange.squares + lane()) + load_one_far(exchange.squares + kWarp + lane()));
  }
};

// choose finds the rows of the minibatch of this pass, and the rule's numbers at this step.
__device__ inline void choose(NetState& s, const ScoreState& score, Rule& rule) {
  const SmallNet& n = s.net;
  for (int i = threadIdx.x; i < n.rows; i += kNetThreads) {
    s.row[i] = permute(s.split, uint32_t(n.lo) + permute(s.order, s.cursor + uint32_t(score.before + i) / uint32_t(n.replicates)));
  }
  if (threadIdx.x == kNetThreads - 1) {
    const float t = float(s.step + 1);
    const Hyper numbers = {0, n.beta1.value, n.beta2.value, n.epsilon.value, 1, 1, n.nesterov != 0};
    s.hyper = at_step(numbers, t, n.rates[s.index]);
    s.average = averaging(n.decay.value, t);
    rule.set(int(n.rule), s.hyper, n.weight_decay.value);
  }
}

// take_pass takes rows of the block from noise to gradients, and returns the thread's part of the sum
// of losses.
template <bool Exact>
__device__ inline float take_pass(Products<Exact>& products, NetState& s, ScoreState& score, float* memory, int pass, bool* large) {
  const SmallNet& n = s.net;
  if (score.net.passes > 1) {
    if (threadIdx.x == 0) {
      const int done = pass * int(n.batch), left = score.rows - done;
      score.before = score.first + done, s.net.rows = left < 0 ? 0 : left < int(n.batch) ? left : int(n.batch);
    }
    __syncthreads();
  }
  choose(s, score, *products.rule);
  __syncthreads();
  if (n.bytes) {
    diffuse_rows(s, score, static_cast<const uint8_t*>(n.data), memory);
  } else {
    diffuse_rows(s, score, static_cast<const float*>(n.data), memory);
  }
  __syncthreads();
  if (score.net.extra > 0) {
    embed_levels(n, score, memory);
    __syncthreads();
  }
#pragma unroll 1
  for (int l = 0; l < n.layers; ++l) {
    const bool beyond = products.forward(n.layer[l], memory);
    *large |= beyond && l + 1 < n.layers;
    __syncthreads();
  }
  const float loss = match(n, score, memory, large);
  __syncthreads();
#pragma unroll 1
  for (int l = int(n.layers) - 1; l >= 0; --l) {
    products.hand_out(n.layer[l], memory, pass > 0);
    __syncthreads();  // outputs have been used
    if (l > 0) {
      *large |= products.backward(n.layer[l], n.layer[l - 1], memory);
      __syncthreads();
    }
  }
  return loss;
}

// train takes the steps.
template <bool Exact>
__device__ inline void train(const uint64_t* words, int64_t steps, float* memory) {
  __shared__ NetState state;
  __shared__ ScoreState score;
  NetState& s = *settled(&state);
  memory = settled(memory);
  begin(s, words, memory);
  const SmallNet& n = s.net;
  uint64_t* to = reinterpret_cast<uint64_t*>(&score.net);
  for (int i = threadIdx.x; i < int(sizeof score.net / 8); i += kNetThreads) to[i] = words[sizeof s.net / 8 + i];
  __syncthreads();
  Products<Exact> products(s, score.net.exchange);
  if (threadIdx.x == 0) {
    const int share = (int(n.rows) + kBlocks - 1) / kBlocks, first = int(blockIdx.x) * share, left = int(n.rows) - first;
    score.first = first, score.rows = left < 0 ? 0 : left < share ? left : share;
    score.before = first;
    s.net.rows = score.rows < int(n.batch) ? score.rows : int(n.batch);
    if (blockIdx.x > 0) s.net.log = nullptr, s.net.values = products.exchange.values + 2 * blockIdx.x;  // the first block logs
  }
  products.load(memory);
  __syncthreads();
#pragma unroll 1
  for (int64_t step = 0; step < steps; ++step) {
    bool large = false;
    float loss = 0;
#pragma unroll 1
    for (int pass = 0; pass < score.net.passes; ++pass) loss += take_pass(products, s, score, memory, pass, &large);
    const float2 sums = products.learn(s, memory, loss, large);
    if (threadIdx.x == 0) tick(s, sums.x, sums.y);
    __syncthreads();
  }
  products.store();
  if (blockIdx.x == 0) finish(s, memory);
}

}  // namespace score
}  // namespace gpudae
#endif

extern "C" __global__ void GPUDAE_CLUSTER(8) __launch_bounds__(256, 1) score_net_bf16x3(const uint64_t* __restrict__ words, int64_t steps) {
#ifdef GPUDAE_HAS_CLUSTERS
  extern __shared__ float net_memory[];
  gpudae::score::train<true>(words, steps, net_memory);
#endif
}

extern "C" __global__ void GPUDAE_CLUSTER(8) __launch_bounds__(256, 1) score_net_bf16(const uint64_t* __restrict__ words, int64_t steps) {
#ifdef GPUDAE_HAS_CLUSTERS
  extern __shared__ float net_memory[];
  gpudae::score::train<false>(words, steps, net_memory);
#endif
}
