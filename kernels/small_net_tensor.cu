// SmallNetBF16x3, SmallNetBF16: small_net.cu with products on tensor cores.
//
// A factor of a product is the sum of two numbers of bfloat16, x = x₁ + x₂ and 16
// significant bits. bf16x3 takes x₁y₁ + x₁y₂ + x₂y₁ for xy, which is off by 2⁻¹⁶ of it at
// most and, as errors of many factors go both ways, by about 10⁻⁶ of a product's norm;
// bf16 takes x₁y₁. x₁y₁ and the others are added apart, or the others first: those are some 2⁻⁸ of
// it, and so is what tensor cores, which round sums toward zero, make of them.
//
// Factors, weights too, are rounded where they are computed, and lie in shared memory as
// small_net_planes.cuh says. In float32 there are clean, corrupted and mask, of rows 8 more than
// the minibatch's apart; the output of the last layer, if no epilogue takes it, is where x̃ was.
//
// A warp has 16 units by 8, 16 or 32 rows of a layer's output; of the gradient, tiles of
// 16×16 weights, every eighth. Those weights in float32 and their moments, as fragments of the
// gradient lie, are in registers as long as the kernel runs, of the first kHeldTiles of them, and
// those of others in global memory. So a gradient goes from its product into the update, and
// from there the factors of the next step into shared memory.
//
// Two common things are done at once: rows of four times as many features, corrupted by
// gaussian noise alone, go from the data set through the noise into the first layer's input; and the
// gaussian loss is the epilogue of the last layer. Both leave what the parts leave that they stand
// for, bit for bit, but for the order in which losses are added. For 32 rows with padding there is code with their
// number known.
//
// Geometry: Once, with dynamic shared memory. Launched by a program of Device.Record.
#include "small_net.cuh"
#include "small_net_planes.cuh"

namespace gpudae {

constexpr int kHeldTiles = 5, kNetTiles = 232;

// NetTile is a tile of 16×16 weights: places in shared memory of the rows of deltas and inputs that
// its gradient is the product of.
struct alignas(16) NetTile {
  int delta, x, decays, none;  // which is 0: four words are read at once
};

// Fragment is what a thread has of a matrix of the size of a tile: (g + 8·h, 8·f + 2p + c)
// at [f][2·h + c].
struct Fragment {
  float at[2][4];
};

// Held are the parameters of a tile and their moments.
struct Held {
  Fragment theta, m, v;
};

// unit_of is what a rule's gradients come as multiples of: that which makes the weight of their
// squares 1, where it is not 1 anyway and squares count.
__device__ inline float unit_of(int rule, float beta2) {
  const bool weighs = rule == kAdam || rule == kAdamW || rule == kRMSprop;
  return weighs && beta2 < 1 ? sqrtf(1.0f - beta2) : 1.0f;
}

// TileRule is the update of a weight, the same formula for every optimiser (see
// optimizer.cuh):
//
//   g ← g + λ·θ    m ← a·m + b·g    v ← c·v + d·g²    θ ← keep·θ + (m + ahead·g)/(scale·√v + ε)
//
// The learning rate is in scale and ε, clipping in b, d, λ and ahead. g is unit times the gradient, as
// deltas are, so that d is 1 but for clipping.
struct TileRule {
  float a, b, c, d, decay, keep, ahead, scale, epsilon;

  __device__ void set(int rule, const Hyper& h, float weight_decay, float unit) {
    const bool adam = rule == kAdam || rule == kAdamW, squares = rule != kSGD, looks_ahead = !squares && h.nesterov && h.beta1 > 0;
    const float over = quotient(1.0f, unit);
    a = adam || !squares ? h.beta1 : 0.0f, b = (adam ? 1.0f - h.beta1 : 1.0f) * over;
    c = rule == kAdagrad ? 1.0f : squares ? h.beta2 : 0.0f, d = 1;
    decay = rule == kAdamW ? 0.0f : unit * weight_decay, keep = rule == kAdamW ? 1.0f - h.rate * weight_decay : 1.0f;
    ahead = looks_ahead ? quotient(1.0f, h.beta1) : 0.0f;
    const float rate = adam ? h.rate * h.unbias1 : looks_ahead ? h.rate * h.beta1 : h.rate;
    const bool still = rate < FLT_MIN;  // which has no inverse
    const float inverse = quotient(-1.0f, still ? 1.0f : rate);
    scale = still || !squares ? 0.0f : adam ? root(h.unbias2) * inverse : inverse;
    epsilon = still ? -FLT_MAX : squares ? h.epsilon * inverse : inverse;
  }

  // clipped is the rule for a gradient that has to be multiplied by shrink first.
  __device__ TileRule clipped(float shrink) const {
    TileRule r = *this;
    r.b *= shrink, r.d *= shrink * shrink, r.ahead *= shrink, r.decay = quotient(decay, shrink);
    return r;
  }

  __device__ bool plain() const { return d == 1 && decay == 0 && keep == 1 && ahead == 0; }

  // apply changes θ and its moments by the rule, which is plain if Plain, and adds g² to sum.
  template <bool Plain>
  __device__ void apply(float& theta, float& m, float& v, float g, bool decays, float& sum) const {
    const float of_loss = g;
    if (!Plain && decays) g = __fmaf_rn(decay, theta, g);
    m = __fmaf_rn(a, m, b * g);
    const float square = of_loss * of_loss;
    v = __fmaf_rn(c, v, Plain ? square : d * g * g);
    const float step = Plain ? m : __fmaf_rn(ahead, g, m), over = approximate_reciprocal(__fmaf_rn(scale, approximate_root(v), epsilon));
    theta = __fmaf_rn(step, over, !Plain && decays ? keep * theta : theta);
    sum += square;
  }
};

// read_four are four neighbours of the data set, which are aligned.
__device__ inline void read_four(const SmallNet& n, int64_t at, float (&x)[4]) {
  if (n.bytes) {
    const uint32_t word = *reinterpret_cast<const uint32_t*>(static_cast<const uint8_t*>(n.data) + at);
#pragma unroll
    for (int c = 0; c < 4; ++c) x[c] = widen(uint8_t(word >> 8 * c), n.data_scale.value);
    return;
  }
  const Quad q = load_aligned(static_cast<const float*>(n.data) + at);
#pragma unroll
  for (int c = 0; c < 4; ++c) x[c] = q.at[c];
}

// TensorState is what a block's threads share besides.
struct TensorState {
  NetTile tile[kNetTiles];
  TileRule rule;                    // of the step
  float unit, per_square;           // unit_of and its square's inverse
  float precision, slope, entropy;  // 1/σ, -1/σ² and ln σ + ½ ln 2π
  LaneReads lane[kWarp];
};

__device__ inline TensorState& tensor_state() {
  __shared__ TensorState state;
  return state;
}

// TensorProducts are those of tensor cores, bf16x3 if Exact, and the weights and moments that a
// thread holds: see train. Batch is the number of rows with padding, 0 if it is not known.
template <bool Exact, int Batch>
struct TensorProducts {
  const NetState& s;
  const SmallNet& n;
  TensorState* shared;
  int whole_draw, whole_loss;  // what is done at once
  float losses;
  uint32_t inputs, deltas;  // sums of squares of those of the step that the thread saw: see add_squares
  Held held[kHeldTiles];

  __device__ explicit TensorProducts(const NetState& state) : s(state), n(state.net), shared(settled(&tensor_state())), losses(0), inputs(0), deltas(0) {
    const float precision = 1 / n.sigma.value;
    const float unit = unit_of(int(n.rule), n.beta2.value);
    if (threadIdx.x == 0) shared->unit = unit, shared->per_square = 1 / (unit * unit);
    if (threadIdx.x == 0) shared->precision = precision, shared->slope = -precision * precision, shared->entropy = logf(n.sigma.value) + kHalfLogTwoPi;
    if (threadIdx.x < kWarp) set_reads(shared->lane[threadIdx.x], planes(), int(threadIdx.x));
    for (int t = threadIdx.x; t < n.tiles; t += kNetThreads) {
      const Placed of = placed(n, t);
      const NetLayer& l = *of.layer;
      shared->tile[t] = {int(n.deltas) + (int(l.unit) + of.unit) * batch(), int(l.x) + of.input * batch(), l.weight < n.decayed, 0};
    }
    whole_draw = n.stages == 1 && n.noise[0].kind == kCorruptGaussian && !n.noise[0].continuous && n.mask < 0 && n.features % 4 == 0 && aligned16(n.data);
    whole_loss = n.likelihood == kGaussian && n.mask < 0 && !n.weights;
  }

  __device__ static int warp() { return net_thread() / kWarp; }
  __device__ static int lane() { return net_thread() % kWarp; }
  __device__ const LaneReads& places(int lane) const { return shared->lane[lane]; }
  __device__ int batch() const { return Batch ? Batch : int(n.batch); }
  __device__ int stride() const { return Batch ? Batch + 8 : int(n.stride); }
  __device__ Planes planes() const { return {batch()}; }

  // Places of weights and, in global memory, of the thread's quad q of a warp's tile: two of
  // the first moments, two of the second, two of the weights.
  static constexpr int kQuads = 4 * kNetThreads;  // a quad of each thread
  __device__ float* weights(float* memory, int tile) const { return memory + int(n.layer[0].w) + tile * kTileWords; }
  __device__ float* quads(int slot, int q) const { return n.moments + net_thread() * 4 + (slot * 6 + q) * kQuads; }

  // mine is the number of the warp's tiles.
  __device__ int mine() const { return (int(n.tiles) - warp() + kNetWarps - 1) / kNetWarps; }

  // each_weight calls use(slot, element, place) for the thread's weights that are no padding, with
  // their places in the arenas.
  template <class Use>
  __device__ void each_weight(const Use& use) const {
#pragma unroll 1
    for (int t = warp(); t < n.tiles; t += kNetWarps) {
      const Placed of = placed(n, t);
      const int lane = this->lane();
#pragma unroll 1
      for (int e = 0; e < 8; ++e) {
        const int unit = of.unit + lane / 4 + e % 4 / 2 * 8, input = of.input + e / 4 * 8 + lane % 4 * 2 + e % 2;
        if (unit < of.layer->out && input < of.layer->in) use(t / kNetWarps, e, int(of.layer->weight) + unit * int(of.layer->in) + input);
      }
    }
  }

  __device__ static Fragment get(const float* quads) {
    const Quad low = load_aligned(quads), high = load_aligned(quads + kQuads);
    return {{{low.at[0], low.at[1], low.at[2], low.at[3]}, {high.at[0], high.at[1], high.at[2], high.at[3]}}};
  }
  __device__ static void put(float* quads, const Fragment& f) {
    store_aligned(quads, Quad{{f.at[0][0], f.at[0][1], f.at[0][2], f.at[0][3]}});
    store_aligned(quads + kQuads, Quad{{f.at[1][0], f.at[1][1], f.at[1][2], f.at[1][3]}});
  }
  __device__ static Held get_held(const float* quads) { return {get(quads + 4 * kQuads), get(quads), get(quads + 2 * kQuads)}; }
  __device__ static void put_held(float* quads, const Held& h) { put(quads + 4 * kQuads, h.theta), put(quads, h.m), put(quads + 2 * kQuads, h.v); }

  __device__ void load(float* memory) {
    const int mine = this->mine();
#pragma unroll 1
    for (int j = 0; j < mine; ++j) put_held(quads(j, 0), Held{});
    each_weight([&](int slot, int e, int place) {
      if (n.first) quads(slot, e / 4)[e % 4] = n.first[place];
      if (n.second) quads(slot, 2 + e / 4)[e % 4] = n.second[place];
      quads(slot, 4 + e / 4)[e % 4] = n.params[place];
    });
#pragma unroll 1
    for (int j = 0; j < mine; ++j) put_weights(weights(memory, warp() + j * kNetWarps), lane(), get(quads(j, 4)).at);
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) held[j] = j < mine ? get_held(quads(j, 0)) : Held{};
  }

  // put_all_held brings what registers hold to global memory.
  __device__ void put_all_held() const {
    const int mine = this->mine();
    float* const to = settled_global(quads(0, 0));
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) {
      if (j < mine) put_held(to + 6 * j * kQuads, held[j]);
    }
  }

  __device__ void store(float*) const {
    put_all_held();
    each_weight([&](int slot, int e, int place) {
      if (n.first) n.first[place] = quads(slot, e / 4)[e % 4];
      if (n.second) n.second[place] = quads(slot, 2 + e / 4)[e % 4];
      n.params[place] = quads(slot, 4 + e / 4)[e % 4];
    });
  }

  __device__ void prepare() const { shared->rule.set(int(n.rule), s.hyper, n.weight_decay.value, shared->unit); }

  __device__ void put(float* deltas, int unit, int i, float x) const { put_half(deltas, planes(), unit, i, x); }

  __device__ bool minibatch(float* memory) {
    inputs = 0, deltas = 0;
    if (!whole_draw) return false;
    draw_rows(memory);
    __syncthreads();
    return true;
  }

  // large says whether the thread saw an input or a delta so large that the gradient might overflow.
  __device__ bool large() const {
    const float of_input = kLargeInput * kLargeInput, of_delta = unit() * kLargeDelta * (unit() * kLargeDelta);
    return beyond(lower(inputs) + upper(inputs), of_input) | beyond(lower(deltas) + upper(deltas), of_delta);
  }

  // draw_rows makes four columns of two rows at a time: clean, and the first layer's input.
  __device__ void draw_rows(float* memory) {
    const NetStage& g = n.noise[0];
    const int features = int(n.features), rows = int(n.rows), pairs = batch() / 2, replicates = int(n.replicates);
    const float sigma = g.amount.value;
#pragma unroll 1
    for (int item = net_thread(); item < features / 4 * pairs; item += kNetThreads) {
      const int quad = item / pairs, i = 2 * (item - quad * pairs), next = i + 1 < rows ? i + 1 : i;
      if (i >= rows) continue;
      float x[2][4];
      const uint32_t row[2] = {s.row[i], s.row[next]};
      Coordinates at = {uint32_t(g.stream), uint32_t(g.stage), 0, 0, uint32_t(s.step), row[0], uint32_t(quad)};
      read_four(n, int64_t(row[0]) * features + 4 * quad, x[0]);
      read_four(n, int64_t(row[1]) * features + 4 * quad, x[1]);
      if (replicates > 1) at.replicate = uint32_t(i % replicates);
      Normals z[2];
      z[0].draw(philox_block(at, g.seed));
      at.row = row[1];
      if (replicates > 1) at.replicate = uint32_t(next % replicates);
      z[1].draw(philox_block(at, g.seed));
      float *clean = memory + int(n.clean) + 4 * quad * stride() + i, *input = memory + int(n.layer[0].x) + planes().place(4 * quad, i);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        *reinterpret_cast<float2*>(clean + c * stride()) = make_float2(x[0][c], x[1][c]);
        const Halves h = halve(noise(x[0][c], sigma, z[0].z[c]), noise(x[1][c], sigma, z[1].z[c]));
        put_pair(input + 4 * c, h);
        inputs = add_squares(inputs, h.high);
      }
    }
  }

  __device__ void input(float* memory) const {
    const int rows = int(n.rows), features = int(n.features);
    const float* from = memory + int(n.corrupted);
    float* to = memory + int(n.layer[0].x);
#pragma unroll 1
    for (int i = lane(); i < batch(); i += kWarp) {
#pragma unroll 1
      for (int j = warp(); j < features; j += kNetWarps) put_half(to, planes(), j, i, i < rows ? from[j * stride() + i] : 0.0f);
    }
    __syncthreads();
  }

  __device__ auto gaussian() const {
    return [precision = shared->precision, slope = shared->slope, entropy = shared->entropy](const float* a, int, float x) {
      const float r = x - *a, z = r * precision;
      return Term{__fmaf_rn(0.5f * z, z, entropy), r * slope, 0};
    };
  }

  __device__ bool has_loss() const { return whole_loss; }

  // unit is what the deltas are multiples of: see TileRule.
  __device__ float unit() const { return shared->unit; }

  __device__ float loss() {
    const float half = -0.5f * shared->slope * losses;
    losses = 0;
    return threadIdx.x == 0 ? __fmaf_rn(float(int(n.rows) * int(n.features)), shared->entropy, half) : half;
  }

  // put_pair stores what two neighbours of a fragment are.
  __device__ void put_pair(float* at, const Halves& h) const {
    uint32_t* const to = reinterpret_cast<uint32_t*>(at);
    to[0] = h.high, to[planes().low()] = h.low;
  }

  // pair_at is where a thread has the e-th and the next number of its fragments.
  __device__ float* pair_at(float* tile, int e) const { return tile + e % 4 / 2 * planes().octet() + e / 4 * kBlockWords; }

  template <int N>
  __device__ void put_all(float* tile, const float (&v)[4 * N], uint32_t* squares) const {
#pragma unroll
    for (int e = 0; e < 4 * N; e += 2) {
      const Halves h = halve(v[e], v[e + 1]);
      put_pair(pair_at(tile, e), h);
      *squares = add_squares(*squares, h.high);
    }
  }

  // gaussian_tile takes a tile of the last layer's output, from a unit and row of it on, into the loss
  // and makes the deltas of it. Padding has none.
  template <int N>
  __device__ void gaussian_tile(float* memory, int unit, int row, float* to, float (&v)[4 * N]) {
    const float *clean = memory + int(n.clean) + unit * stride() + row, slope = shared->slope, scale = this->unit() * n.scale.value;
    const int left = int(n.rows) - row;
#pragma unroll
    for (int e = 0; e < 4 * N; e += 2) {
      const float2 x = *reinterpret_cast<const float2*>(clean + e % 4 / 2 * 8 * stride() + e / 4 * 8);
      const float r[2] = {e / 4 * 8 < left ? x.x - v[e] : 0.0f, e / 4 * 8 + 1 < left ? x.y - v[e + 1] : 0.0f};
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        losses = __fmaf_rn(r[c], r[c], losses);
        v[e + c] = scale * (r[c] * slope);
      }
    }
    put_all<N>(to, v, &deltas);
  }

  // forward_tiles computes a layer's output by tiles of 16 units by N fragments of rows.
  template <int N>
  __device__ void forward_tiles(const NetLayer& l, float* memory, bool last) {
    const int across = batch() / (8 * N), steps = int(l.columns) / 16, act = int(l.act), work = int(l.rows) / 16 * across;
    const int lane = this->lane();
    const float *weights = memory + int(l.w) + LaneReads::weights(lane), *x = memory + int(l.x) + places(lane).factor;
    const bool keeps = act == kGELU || act == kSiLU;
#pragma unroll 1
    for (int t = warp(); t < work; t += kNetWarps) {
      const int tile = t / across, fragment = (t - tile * across) * N, unit = 16 * tile + lane / 4, row = fragment * 8 + lane % 4 * 2;
      const int place = 2 * tile * planes().octet() + fragment * kBlockWords + lane;
      const float* bias = memory + int(n.biases) + int(l.unit) + unit;
      Product<N, Exact> product(Start{{bias[0], bias[8]}});
      float v[4 * N];
      product.template run<false>(weights + tile * steps * kTileWords, kTileWords, x + fragment * kBlockWords, planes(), steps, v);
      float* const to = memory + int(n.deltas) + int(l.unit) * batch() + place;
      if (last && whole_loss) {
        gaussian_tile<N>(memory, unit, row, to, v);
      } else if (last) {
        float* y = memory + int(l.y) + unit * stride() + row;
#pragma unroll
        for (int e = 0; e < 4 * N; e += 2) *reinterpret_cast<float2*>(y + e % 4 / 2 * 8 * stride() + e / 4 * 8) = make_float2(v[e], v[e + 1]);
      } else {
        if (keeps) put_all<N>(to, v, &inputs);
        if (act == kReLU) {
#pragma unroll
          for (int e = 0; e < 4 * N; ++e) v[e] = relu(v[e]);
        } else if (act != kIdentity) {
          in_turn(v, [&](int e, float x) { return unit + e % 4 / 2 * 8 < l.out ? activate(act, x) : 0.0f; });
        }
        put_all<N>(memory + int(l.y) + place, v, &inputs);
      }
    }
  }

  // backward_tiles carries the deltas of a layer to those of the layer below it, by tiles of
  // 16 units of that one by N fragments of rows.
  template <int N>
  __device__ void backward_tiles(const NetLayer& l, const NetLayer& below, float* memory) {
    const int across = batch() / (8 * N), wide = int(l.columns) / 16, steps = int(l.rows) / 16, act = int(below.act), lane = this->lane();
    const LaneReads& at = places(lane);
    const float *weights = memory + int(l.w) + at.transposed, *above = memory + int(n.deltas) + int(l.unit) * batch() + at.factor;
#pragma unroll 1
    for (int t = warp(); t < wide * across; t += kNetWarps) {
      const int tile = t / across, fragment = (t - tile * across) * N;
      const int place = 2 * tile * planes().octet() + fragment * kBlockWords + lane;
      Product<N, Exact> product(Start{{0, 0}});
      float v[4 * N];
      product.template run<true>(weights + tile * kTileWords, wide * kTileWords, above + fragment * kBlockWords, planes(), steps, v);
      float *const to = memory + int(n.deltas) + int(below.unit) * batch() + place, *const y = memory + int(below.y) + place;
      if (act == kReLU) {
#pragma unroll
        for (int e = 0; e < 4 * N; e += 2) {
          const uint32_t slopes = positive(*reinterpret_cast<const uint32_t*>(pair_at(y, e)));
          const Halves h = halve(v[e], v[e + 1]);
          put_pair(pair_at(to, e), {h.high & slopes, h.low & slopes});
          deltas = add_squares(deltas, h.high);
        }
      } else {
        if (act != kIdentity) {
          float* const from = act == kGELU || act == kSiLU ? to : y;
          in_turn(v, [&](int e, float x) { return x * derivative(act, sum_of(pair_at(from, e), planes(), e % 2)); });
        }
        put_all<N>(to, v, &deltas);
      }
    }
  }

  // wide says how many fragments of rows a warp takes at once: as many as leave all schedulers
  // with work.
  __device__ int wide(int units) const { return units < 64 ? 1 : batch() % 32 == 0 ? 4 : 2; }

  __device__ bool forward(const NetLayer& l, float* memory, bool last) {
    switch (wide(int(l.rows))) {
      case 4: forward_tiles<4>(l, memory, last); break;
      case 2: forward_tiles<2>(l, memory, last); break;
      default: forward_tiles<1>(l, memory, last);
    }
    return false;  // large sees it
  }

  __device__ bool backward(const NetLayer& l, const NetLayer& below, float* memory) {
    switch (wide(int(l.columns))) {
      case 4: backward_tiles<4>(l, below, memory); break;
      case 2: backward_tiles<2>(l, below, memory); break;
      default: backward_tiles<1>(l, below, memory);
    }
    return false;
  }

  using Kept = typename Gradient<Exact>::Kept;

  __device__ Fragment gradient(const Gradient<Exact>& product, const NetTile& t, Kept& kept) const {
    Fragment sums = {};
    product.template run<Batch>(t.delta, t.x, batch(), kept, sums.at);
    return sums;
  }

  __device__ static float squared(const Fragment& f) {
    float sum = 0;
#pragma unroll
    for (int e = 0; e < 8; ++e) sum = __fmaf_rn(f.at[e / 4][e % 4], f.at[e / 4][e % 4], sum);
    return sum;
  }

  // bias_gradient is that of the lane's unit of 16 from first on: see bias_unit.
  __device__ float bias_gradient(const Gradient<Exact>& product, int first, int lane) const {
    const float* at = product.deltas + int(n.deltas) + first * batch();
    const uint32_t ones[2] = {0x3F803F80u, 0x3F803F80u};
    float sums[4] = {};
    const auto add = [&](const float* rows) {
      uint32_t delta[4];
      ldmatrix(delta, rows + planes().low()), mma_bf16(sums, delta, ones);
      ldmatrix(delta, rows), mma_bf16(sums, delta, ones);
    };
    constexpr int kStep = 2 * kBlockWords;
    if (Batch == 32) {
      add(at), add(at + kStep);
    } else {
#pragma unroll 1
      for (int i = 0; i < batch(); i += 16, at += kStep) add(at);
    }
    return lane % 2 ? sums[2] : sums[0];
  }

  // bias_unit is which of 16 units a lane has, with the first two of each group of four.
  __device__ static int bias_unit(int lane) { return lane / 4 + lane % 2 * 8; }
  __device__ static bool has_bias(int lane) { return lane % 4 < 2; }

  __device__ float squares(const float* memory) const {
    const int lane = this->lane();
    const Gradient<Exact> product(memory, planes(), places(lane));
    Kept kept = {-1, {}, {}};
    float sum = 0;
#pragma unroll 1
    for (int t = warp(); t < n.tiles; t += kNetWarps) sum += squared(gradient(product, shared->tile[t], kept));
#pragma unroll 1
    for (int u = warp() * 16; u < n.units; u += kNetWarps * 16) {
      const float g = bias_gradient(product, u, lane);
      if (has_bias(lane)) sum += g * g;
    }
    return sum * shared->per_square;
  }

  // Update is what the update of a warp's tiles has in common.
  struct Update {
    Gradient<Exact> product;
    const NetTile* tile;  // the first
    float* weights;
    int lane;
  };

  // update_tile takes a step on the weights of a warp's j-th tile and adds the squares of their gradients to sum.
  // Padding has no gradient and stays 0.
  template <bool Plain>
  __device__ void update_tile(const Update& u, int j, const TileRule& rule, Kept& kept, Held& h, float& sum) const {
    const NetTile t = u.tile[j * kNetWarps];
    const Fragment g = gradient(u.product, t, kept);
#pragma unroll
    for (int e = 0; e < 8; ++e) rule.apply<Plain>(h.theta.at[e / 4][e % 4], h.m.at[e / 4][e % 4], h.v.at[e / 4][e % 4], g.at[e / 4][e % 4], t.decays, sum);
    put_weights(u.weights + j * kNetWarps * kTileWords, u.lane, h.theta.at);
  }

  template <bool Plain>
  __device__ float update_tiles(float* memory, const TileRule& rule) {
    const int mine = this->mine(), lane = this->lane(), warp = this->warp();
    const Update u = {Gradient<Exact>(memory, planes(), places(lane)), shared->tile + warp, weights(memory, warp), lane};
    Kept kept = {-1, {}, {}};
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kHeldTiles; ++j) {
      if (j < mine) update_tile<Plain>(u, j, rule, kept, held[j], sum);
    }
#pragma unroll 1
    for (int j = kHeldTiles; j < mine; ++j) {
      float* const at = quads(j, 0);
      Held h = get_held(at);
      update_tile<Plain>(u, j, rule, kept, h, sum);
      put_held(at, h);
    }
    return sum;
  }

  // update_biases updates those of every eighth 16 units, whose moments lie beside them.
  __device__ float update_biases(float* memory, const Change& change, const TileRule& rule) const {
    const int units = int(n.units), decayed = int(n.decayed), lane = this->lane();
    const Gradient<Exact> product(memory, planes(), places(lane));
    float sum = 0;
#pragma unroll 1
    for (int u = warp() * 16; u < units; u += kNetWarps * 16) {
      const float g = bias_gradient(product, u, lane);
      const int unit = u + bias_unit(lane), place = bias_place(n, memory, unit);
      if (has_bias(lane) && place >= 0) {
        float* at = memory + int(n.biases) + unit;
        float theta = at[0], m = at[units], v = at[2 * units];
        rule.apply<false>(theta, m, v, g, place < decayed, sum);
        at[0] = theta, at[units] = m, at[2 * units] = v;
        if (change.ema) change.follow(place, theta);
      }
    }
    return sum;
  }

  __device__ float update(float* memory, const Change& change) {
    const TileRule rule = n.clip.value > 0 ? shared->rule.clipped(change.shrink) : shared->rule;
    float sum = update_biases(memory, change, rule);
    if (rule.plain()) {
      sum += update_tiles<true>(memory, rule);
    } else {
      sum += update_tiles<false>(memory, rule);
    }
    if (change.ema) {
      put_all_held();
      each_weight([&](int slot, int e, int place) { change.follow(place, quads(slot, 4 + e / 4)[e % 4]); });
    }
    return sum * shared->per_square;
  }
};

// small_net_of trains with the minibatch's rows known, if they are that many.
template <bool Exact>
__device__ __forceinline__ void small_net_of(const uint64_t* words, int64_t steps, float* memory) {
  if (reinterpret_cast<const SmallNet*>(words)->batch == 32) {
    train<TensorProducts<Exact, 32>>(words, steps, memory);
    return;
  }
  train<TensorProducts<Exact, 0>>(words, steps, memory);
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 1) small_net_bf16x3(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  small_net_of<true>(words, steps, net_memory);
}

extern "C" __global__ void __launch_bounds__(256, 1) small_net_bf16(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  small_net_of<false>(words, steps, net_memory);
}
