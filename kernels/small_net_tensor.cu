// SmallNetBF16x3, SmallNetBF16: small_net.cu with products on tensor cores.
//
// A factor of a product is the sum of two numbers of bfloat16, x = x₁ + x₂ and 16
// significant bits. bf16x3 takes x₁y₁ + x₁y₂ + x₂y₁ for xy, which is off by 2⁻¹⁶ of it at
// most and, as errors of many factors go both ways, by about 10⁻⁶ of a product's norm;
// bf16 takes x₁y₁. x₁y₁ and the others are added apart: those are some 2⁻⁸ of it, and so
// is what tensor cores, which round sums toward zero, make of them.
//
// In shared memory, a row of inputs or deltas of the minibatch has all x₁, then all x₂.
// They are rounded where they are computed, weights where they are multiplied. So are
// the output of the last layer and x̃ through the stages of its corruption, which have
// one matrix of float32 after another.
//
// A warp has 16 units by 8, 16 or 32 rows of a layer's output; of the gradient, tiles of
// 16×16 weights, every eighth. Moments of the first kHeldTiles of them are in registers as
// long as the kernel runs, as fragments of the gradient lie, which thus goes from its
// product into the update. Those of other tiles are in global memory.
//
// Geometry: Once, with dynamic shared memory. Launched by a program of Device.Record.
#include "mma.cuh"
#include "small_net.cuh"

namespace gpudae {

constexpr int kHeldTiles = 6, kNetTiles = 232;

// Halves are two numbers as sums of two of bfloat16, of which high is the larger.
struct Halves {
  uint32_t high, low;
};

__device__ inline float lower(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float upper(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

__device__ inline Halves halve(float x, float y) {
  const uint32_t high = to_bf16(x, y);
  return {high, to_bf16(x - lower(high), y - upper(high))};
}

// halves_at is a row's number at i.
__device__ inline float halves_at(const float* row, int batch, int i) {
  const uint32_t* at = reinterpret_cast<const uint32_t*>(row) + i / 2;
  return i % 2 ? upper(at[0]) + upper(at[batch / 2]) : lower(at[0]) + lower(at[batch / 2]);
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

// plane_product multiplies 16 rows of W, or of its transpose, by N fragments of rows of the
// minibatch; sums has fragments of 16×8 one after the other.
template <int N, bool Transposed, bool Exact>
__device__ inline void plane_product(const float* w, int width, const float* planes, int stride, int batch, int depth, float (&sums)[4 * N]) {
  const int lane = int(threadIdx.x) % kWarp, g = lane / 4, p = lane % 4;
  float of_high[N][4] = {}, of_low[N][4] = {};
  w += Transposed ? 2 * p * width + g : g * width + 2 * p;
  planes += lane % 16 * stride + lane / 16 * (batch / 2);
#pragma unroll 1
  for (int k = 0; k < depth; k += 16) {
    uint32_t high[4], low[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const float* at = w + (Transposed ? 8 * (r / 2) * width + 8 * (r % 2) : 8 * (r % 2) * width + 8 * (r / 2));
      const float2 pair = Transposed ? make_float2(at[0], at[width]) : *reinterpret_cast<const float2*>(at);
      const Halves h = halve(pair.x, pair.y);
      high[r] = h.high, low[r] = h.low;
    }
#pragma unroll
    for (int j = 0; j < N; ++j) {
      uint32_t b[4];
      ldmatrix_transposed(b, planes + 4 * j);
      const uint32_t b_high[2] = {b[0], b[1]}, b_low[2] = {b[2], b[3]};
      if (Exact) {
        mma_bf16(of_low[j], high, b_low);
        mma_bf16(of_low[j], low, b_high);
      }
      mma_bf16(of_high[j], high, b_high);
    }
    w += Transposed ? 16 * width : 16;
    planes += 16 * stride;
  }
#pragma unroll
  for (int e = 0; e < 4 * N; ++e) sums[e] = Exact ? of_high[e / 4][e % 4] + of_low[e / 4][e % 4] : of_high[e / 4][e % 4];
}

// NetTile is a tile of 16×16 weights: places in shared memory of its weights and of the
// rows of inputs and deltas that it is the product of.
struct alignas(16) NetTile {
  int w, x, delta;
  int16_t width;
  int16_t decays;
};

// Placed is a tile by its layer.
struct Placed {
  const NetLayer* layer;
  int unit, input;
};

__device__ inline Placed placed(const SmallNet& n, int tile) {
  int l = 0;
  while (l + 1 < n.layers && tile >= n.layer[l + 1].tile) ++l;
  const NetLayer& layer = n.layer[l];
  const int across = int(layer.columns) / 16, t = tile - int(layer.tile);
  return {&layer, t / across * 16, t % across * 16};
}

// Fragment is what a thread has of a matrix of the size of a tile: (g + 8·h, 8·f + 2p + c)
// at [f][2·h + c].
struct Fragment {
  float at[2][4];
};

// TileRule is the update of a weight, the same formula for every optimiser (see
// optimizer.cuh):
//
//   g ← g + λ·θ    m ← a·m + b·g    v ← c·v + d·g²    θ ← keep·θ - rate·(m + ahead·g)/(scale·√v + ε)
//
// Clipping is in b, d, λ and ahead.
struct TileRule {
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
  __device__ TileRule clipped(float shrink) const {
    TileRule r = *this;
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

// TensorProducts are those of tensor cores, bf16x3 if Exact, and the moments that a
// thread holds: see train.
template <bool Exact>
struct TensorProducts {
  const NetState& s;
  const SmallNet& n;
  const NetTile* tiles;
  struct Numbers {
    TileRule rule;             // of the step
    float precision, entropy;  // 1/σ and ln σ + ½ ln 2π
  }* numbers;
  Fragment first[kHeldTiles], second[kHeldTiles];

  __device__ explicit TensorProducts(const NetState& state) : s(state), n(state.net) {
    __shared__ NetTile table[kNetTiles];
    __shared__ Numbers shared;
    tiles = table, numbers = &shared;
    if (threadIdx.x == 0) shared.precision = 1 / n.sigma.value, shared.entropy = logf(n.sigma.value) + kHalfLogTwoPi;
    for (int t = threadIdx.x; t < n.tiles; t += kNetThreads) {
      const Placed of = placed(n, t);
      const NetLayer& l = *of.layer;
      table[t] = {int(l.w) + of.unit * l.stride() + of.input, int(l.x + of.input * n.stride), int(n.deltas + (l.unit + of.unit) * n.stride), int16_t(l.stride()),
                  int16_t(l.weight < n.decayed)};
    }
  }

  __device__ static int warp() { return int(threadIdx.x) / kWarp; }
  __device__ static int lane() { return int(threadIdx.x) % kWarp; }

  // moments is where the thread's quad q of its slot-th tile is in global memory: two of
  // the first moments, then two of the second.
  __device__ float* moments(int slot, int q) const { return n.moments + threadIdx.x * 4 + (slot * 4 + q) * (kNetThreads * 4); }

  // mine is the number of the warp's tiles.
  __device__ int mine() const { return (int(n.tiles) - warp() + kNetWarps - 1) / kNetWarps; }

  // each_weight calls use(slot, element, place) for the thread's weights that are no padding, with
  // their places in the arenas.
  template <class Use>
  __device__ void each_weight(const Use& use) const {
#pragma unroll 1
    for (int t = warp(); t < n.tiles; t += kNetWarps) {
      const Placed of = placed(n, t);
#pragma unroll 1
      for (int e = 0; e < 8; ++e) {
        const int unit = of.unit + lane() / 4 + e % 4 / 2 * 8, input = of.input + e / 4 * 8 + lane() % 4 * 2 + e % 2;
        if (unit < of.layer->out && input < of.layer->in) use(t / kNetWarps, e, int(of.layer->weight) + unit * int(of.layer->in) + input);
      }
    }
  }

  __device__ static Fragment get(const float* quads) {
    const Quad low = load_aligned(quads), high = load_aligned(quads + 4 * kNetThreads);
    return {{{low.at[0], low.at[1], low.at[2], low.at[3]}, {high.at[0], high.at[1], high.at[2], high.at[3]}}};
  }
  __device__ static void put(float* quads, const Fragment& f) {
    store_aligned(quads, Quad{{f.at[0][0], f.at[0][1], f.at[0][2], f.at[0][3]}});
    store_aligned(quads + 4 * kNetThreads, Quad{{f.at[1][0], f.at[1][1], f.at[1][2], f.at[1][3]}});
  }

  __device__ void load() {
    for (int t = warp(); t < n.tiles; t += kNetWarps) put(moments(t / kNetWarps, 0), Fragment{}), put(moments(t / kNetWarps, 2), Fragment{});
    each_weight([&](int slot, int e, int place) {
      if (n.first) moments(slot, e / 4)[e % 4] = n.first[place];
      if (n.second) moments(slot, 2 + e / 4)[e % 4] = n.second[place];
    });
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) {
      const bool there = j < mine();
      first[j] = there ? get(moments(j, 0)) : Fragment{}, second[j] = there ? get(moments(j, 2)) : Fragment{};
    }
  }

  __device__ void store() const {
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) {
      if (j < mine()) put(moments(j, 0), first[j]), put(moments(j, 2), second[j]);
    }
    each_weight([&](int slot, int e, int place) {
      if (n.first) n.first[place] = moments(slot, e / 4)[e % 4];
      if (n.second) n.second[place] = moments(slot, 2 + e / 4)[e % 4];
    });
  }

  // put stores a number of a row.
  __device__ static void put(float* row, int batch, int i, float x) {
    uint16_t* at = reinterpret_cast<uint16_t*>(row) + i;
    const Halves h = halve(x, 0.0f);
    at[0] = uint16_t(h.high), at[batch] = uint16_t(h.low);
  }

  __device__ void input(float* memory) const {
    const int rows = int(n.rows), stride = int(n.stride), batch = int(n.batch), features = int(n.features);
    const float* from = memory + int(n.corrupted);
    float* to = memory + int(n.layer[0].x);
#pragma unroll 1
    for (int i = lane(); i < batch; i += kWarp) {
#pragma unroll 1
      for (int j = warp(); j < features; j += kNetWarps) put(to + j * stride, batch, i, i < rows ? from[j * stride + i] : 0.0f);
    }
    if (threadIdx.x == 0) numbers->rule.set(int(n.rule), s.hyper, n.weight_decay.value);
    __syncthreads();
  }

  __device__ auto gaussian() const {
    return [precision = numbers->precision, entropy = numbers->entropy](const float* a, int, float x) {
      const float z = (x - *a) * precision;
      return Term{__fmaf_rn(0.5f * z, z, entropy), -z * precision, 0};
    };
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
      plane_product<N, false, Exact>(memory + l.w + first * l.stride(), l.stride(), memory + l.x + from / 2, stride, batch, int(l.columns), v);
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
      plane_product<N, true, Exact>(memory + l.w + first, l.stride(), memory + n.deltas + l.unit * stride + from / 2, stride, batch, int(l.rows), v);
      float* to = memory + n.deltas + (below.unit + unit) * stride;
      const float* y = act == kGELU || act == kSiLU ? to : memory + below.y + unit * stride;
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

  // wide says how many fragments of rows a warp takes at once: as many as leave four warps
  // with work, one to each scheduler.
  __device__ int wide(int units) const { return units < 64 ? 1 : n.batch % 32 == 0 ? 4 : 2; }

  __device__ bool forward(const NetLayer& l, float* memory) const {
    switch (wide(int(l.rows))) {
      case 4: return forward_tiles<4>(l, memory);
      case 2: return forward_tiles<2>(l, memory);
      default: return forward_tiles<1>(l, memory);
    }
  }

  __device__ bool backward(const NetLayer& l, const NetLayer& below, float* memory) const {
    switch (wide(int(l.columns))) {
      case 4: return backward_tiles<4>(l, below, memory);
      case 2: return backward_tiles<2>(l, below, memory);
      default: return backward_tiles<1>(l, below, memory);
    }
  }

  // gradient is a tile of Σ_i delta·x.
  __device__ Fragment gradient(const float* memory, const NetTile& t) const {
    const int stride = int(n.stride), batch = int(n.batch), l = lane();
    const float *a = memory + t.delta + l % 16 * stride + l / 16 * 4, *b = memory + t.x + (l % 8 + l / 16 * 8) * stride + l / 8 % 2 * 4;
    float of_high[2][4] = {}, of_low[2][4] = {};
#pragma unroll 1
    for (int i = 0; i < batch; i += 16) {
      uint32_t delta[4], x[4];
      ldmatrix(delta, a);
      ldmatrix(x, b);
      const uint32_t high[2][2] = {{x[0], x[1]}, {x[2], x[3]}};
      if (Exact) {
        uint32_t delta_low[4];
        ldmatrix(delta_low, a + batch / 2);
        ldmatrix(x, b + batch / 2);
        const uint32_t low[2][2] = {{x[0], x[1]}, {x[2], x[3]}};
#pragma unroll
        for (int f = 0; f < 2; ++f) mma_bf16(of_low[f], delta, low[f]), mma_bf16(of_low[f], delta_low, high[f]);
      }
#pragma unroll
      for (int f = 0; f < 2; ++f) mma_bf16(of_high[f], delta, high[f]);
      a += 8, b += 8;
    }
    Fragment sums;
#pragma unroll
    for (int e = 0; e < 8; ++e) sums.at[e / 4][e % 4] = Exact ? of_high[e / 4][e % 4] + of_low[e / 4][e % 4] : of_high[e / 4][e % 4];
    return sums;
  }

  __device__ static float squared(const Fragment& f) {
    float sum = 0;
#pragma unroll
    for (int e = 0; e < 8; ++e) sum = __fmaf_rn(f.at[e / 4][e % 4], f.at[e / 4][e % 4], sum);
    return sum;
  }

  // bias_gradient is that of the lane's unit, lane % 16 of 16 from first on.
  __device__ float bias_gradient(const float* memory, int first) const {
    const int l = lane(), batch = int(n.batch);
    const float* a = memory + int(n.deltas) + (first + l % 16) * int(n.stride) + l / 16 * 4;
    const uint32_t ones[2] = {0x3F803F80u, 0x3F803F80u};
    float sums[4] = {};
#pragma unroll 1
    for (int i = 0; i < batch; i += 16, a += 16) {  // words, of both numbers
#pragma unroll
      for (int h = 0; h < 16; h += 8) {
        uint32_t delta[4];
        ldmatrix(delta, a + h);
        mma_bf16(sums, delta, ones);
      }
    }
    const float low = __shfl_sync(kWholeWarp, sums[0], l % 8 * 4), high = __shfl_sync(kWholeWarp, sums[2], l % 8 * 4);
    return l & 8 ? high : low;
  }

  __device__ float squares(const float* memory) const {
    float sum = 0;
#pragma unroll 1
    for (int t = warp(); t < n.tiles; t += kNetWarps) sum += squared(gradient(memory, tiles[t]));
#pragma unroll 1
    for (int u = warp() * 16; u < n.units; u += kNetWarps * 16) {
      const float g = bias_gradient(memory, u);
      if (lane() < 16) sum += g * g;
    }
    return sum;
  }

  // update_tile takes a step on a tile's weights and returns the thread's part of the sum of
  // squares of their gradients. Padding has no gradient and stays 0.
  template <bool Plain>
  __device__ float update_tile(float* memory, int tile, const TileRule& rule, Fragment& m, Fragment& v) const {
    const NetTile t = tiles[tile];
    const Fragment g = gradient(memory, t);
    float* w = memory + t.w + lane() / 4 * t.width + lane() % 4 * 2;
#pragma unroll
    for (int e = 0; e < 8; e += 2) {
      float2* at = reinterpret_cast<float2*>(w + e % 4 / 2 * 8 * t.width + e / 4 * 8);
      float2 theta = *at;
      rule.apply<Plain>(theta.x, m.at[e / 4][e % 4], v.at[e / 4][e % 4], g.at[e / 4][e % 4], t.decays);
      rule.apply<Plain>(theta.y, m.at[e / 4][e % 4 + 1], v.at[e / 4][e % 4 + 1], g.at[e / 4][e % 4 + 1], t.decays);
      *at = theta;
    }
    return squared(g);
  }

  template <bool Plain>
  __device__ float update_tiles(float* memory, const TileRule& rule) {
    const int mine = this->mine();
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) {
      if (j < mine) sum += update_tile<Plain>(memory, warp() + j * kNetWarps, rule, first[j], second[j]);
    }
#pragma unroll 1
    for (int j = kHeldTiles; j < mine; ++j) {
      float* at = moments(j, 0);
      Fragment m = get(at), v = get(at + 8 * kNetThreads);
      sum += update_tile<Plain>(memory, warp() + j * kNetWarps, rule, m, v);
      put(at, m), put(at + 8 * kNetThreads, v);
    }
    return sum;
  }

  // update_biases updates those of every eighth 16 units, whose moments lie beside them.
  __device__ float update_biases(float* memory, const Change& change, const TileRule& rule) const {
    const int units = int(n.units), decayed = int(n.decayed);
    float sum = 0;
#pragma unroll 1
    for (int u = warp() * 16; u < units; u += kNetWarps * 16) {
      const float g = bias_gradient(memory, u);
      const int unit = u + lane() % 16, place = bias_place(n, memory, unit);
      if (lane() >= 16 || place < 0) continue;
      float* at = memory + int(n.biases) + unit;
      float theta = at[0], m = at[units], v = at[2 * units];
      rule.apply<false>(theta, m, v, g, place < decayed);
      at[0] = theta, at[units] = m, at[2 * units] = v;
      if (change.ema) change.follow(place, theta);
      sum += g * g;
    }
    return sum;
  }

  __device__ float update(float* memory, const Change& change) {
    const TileRule rule = n.clip.value > 0 ? numbers->rule.clipped(change.shrink) : numbers->rule;
    float sum = update_biases(memory, change, rule);
    if (rule.plain()) {
      sum += update_tiles<true>(memory, rule);
    } else {
      sum += update_tiles<false>(memory, rule);
    }
    if (change.ema) {
      each_weight([&](int slot, int e, int place) {
        const NetTile& t = tiles[warp() + slot * kNetWarps];
        change.follow(place, memory[t.w + (lane() / 4 + e % 4 / 2 * 8) * t.width + e / 4 * 8 + lane() % 4 * 2 + e % 2]);
      });
    }
    return sum;
  }
};

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 1) small_net_bf16x3(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  train<TensorProducts<true>>(words, steps, net_memory);
}

extern "C" __global__ void __launch_bounds__(256, 1) small_net_bf16(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  train<TensorProducts<false>>(words, steps, net_memory);
}
