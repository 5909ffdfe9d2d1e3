// SmallNet: whole steps of training, as many as are asked for, in one block: rows of
// the minibatch, corruption, all layers forward, loss, backward, update and tick, with
// the weights in shared memory and no gradient in memory at all. It is the operations
// of a recorded step (device.Device.Record) that package gpu/smallnet recognises, in
// the arithmetic of their kernels: the parameters are theirs bit for bit, loss and norm
// of the gradient up to the order of the additions.
//
//   words  SmallNet of small_net.cuh     steps  how many
//
// Of what a step leaves, the arenas of parameters, moments and average, the clock, the
// moments of the losses, the log and the last step's values are written, the arenas as
// the kernel ends. The epoch does not change while it runs.
//
// The moments of the weights are in global memory, in the threads' own order, as long as
// the kernel runs; gradients are in registers from their products to the update.
//
// A step whose gradient may not be finite, one that is clipped and one that is not
// applied take the products of the gradient twice, the first time for their norm
// alone. That it cannot overflow otherwise is known from the greatest delta and input.
//
// Geometry: Once, with dynamic shared memory. Launched by a program of Device.Record.
//
// Rows of weights, and of matrices of the minibatch, lie odd multiples of four apart: eight lanes
// that read quads of eight successive rows meet no bank twice.
#include "small_net.cuh"

namespace gpudae {

// weight_stride is how far a layer's rows of weights are apart.
__device__ inline int weight_stride(const NetLayer& l) { return int(l.columns) | 4; }

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
  const int groups = int(l.rows) / M, across = int(n.batch) / N, stride = int(n.stride), depth = int(l.columns), width = weight_stride(l);
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
__device__ inline bool narrow(const SmallNet& n, int units) { return units / 4 * (int(n.batch) / 4) < kNetThreads / 2; }

__device__ inline bool forward(const SmallNet& n, const NetLayer& l, float* memory) {
  return narrow(n, int(l.rows)) ? forward_tiles<1, 2>(n, l, memory) : forward_tiles<4, 4>(n, l, memory);
}

// backward carries the deltas of a layer to those of the layer below it, by tiles of
// M units of that one by N rows of the minibatch.
template <int M, int N>
__device__ inline bool backward_tiles(const SmallNet& n, const NetLayer& l, const NetLayer& below, float* memory) {
  const int groups = int(l.columns) / M, across = int(n.batch) / N, stride = int(n.stride), depth = int(l.rows), width = weight_stride(l);
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
  return narrow(n, int(l.columns)) ? backward_tiles<1, 2>(n, l, below, memory) : backward_tiles<4, 4>(n, l, below, memory);
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
  const int across = int(layer.columns) / 4, t = tile - int(layer.tile);
  return {&layer, t / across, int(layer.rows) / 4, t % across, across};
}

// weight_gradient is a tile of Σ_i delta·x, each sum in the order of the rows.
__device__ inline void weight_gradient(const SmallNet& n, const float* memory, const WeightTile& t, float (&sums)[4][4]) {
  const int stride = int(n.stride), batch = int(n.batch);
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
  for (int i = 0; i < int(n.batch); i += kRowLanes) {
    const Quad low = load_aligned(delta + i);
    Quad high = {};
    if (i + 4 < int(n.batch)) high = load_aligned(delta + i + 4);
#pragma unroll
    for (int c = 0; c < 4; ++c) part[c] += low.at[c], part[c + 4] += high.at[c];
  }
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kRowLanes; ++c) sum += part[c];
  return sum;
}

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
    const int place = bias_place(n, memory, u);
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

// TileMoments are the moments of a tile's weights. While the kernel runs they lie in
// global memory in the order in which threads take them: by row j of the tile a quad of
// each thread's, the threads side by side; those of padding are 0.
struct TileMoments {
  float* at;  // of this tile's thread
  int64_t second;

  __device__ static TileMoments of(const SmallNet& n, int tile) {
    const int rounds = (int(n.tiles) + kNetThreads - 1) / kNetThreads;
    return {n.moments + tile / kNetThreads * (16 * kNetThreads) + tile % kNetThreads * 4, int64_t(rounds) * 16 * kNetThreads};
  }
  __device__ float* first_row(int j) const { return at + j * (4 * kNetThreads); }
  __device__ float* second_row(int j) const { return at + second + j * (4 * kNetThreads); }
};

// load_weights copies the weights from their arena, and store_weights to it.
__device__ inline void load_weights(const SmallNet& n, float* memory) {
  for (int l = 0; l < n.layers; ++l) {
    const NetLayer& layer = n.layer[l];
    for (int e = threadIdx.x; e < layer.out * layer.in; e += kNetThreads) {
      memory[layer.w + e / int(layer.in) * weight_stride(layer) + e % int(layer.in)] = n.params[layer.weight + e];
    }
  }
}

__device__ inline void store_weights(const SmallNet& n, const float* memory) {
  for (int l = 0; l < n.layers; ++l) {
    const NetLayer& layer = n.layer[l];
    for (int e = threadIdx.x; e < layer.out * layer.in; e += kNetThreads) {
      n.params[layer.weight + e] = memory[layer.w + e / int(layer.in) * weight_stride(layer) + e % int(layer.in)];
    }
  }
}

// load_moments copies the moments of the weights from their arenas, and store_moments
// to them.
__device__ inline void load_moments(const SmallNet& n) {
#pragma unroll 1
  for (int tile = threadIdx.x; tile < n.tiles; tile += kNetThreads) {
    const TileMoments to = TileMoments::of(n, tile);
#pragma unroll
    for (int j = 0; j < 4; ++j) store_aligned(to.first_row(j), Quad{}), store_aligned(to.second_row(j), Quad{});
    weight_tile(n, tile).each([&](int j, int c, int place) {
      if (n.first) to.first_row(j)[c] = n.first[place];
      if (n.second) to.second_row(j)[c] = n.second[place];
    });
  }
}

__device__ inline void store_moments(const SmallNet& n) {
#pragma unroll 1
  for (int tile = threadIdx.x; tile < n.tiles; tile += kNetThreads) {
    const TileMoments from = TileMoments::of(n, tile);
    weight_tile(n, tile).each([&](int j, int c, int place) {
      if (n.first) n.first[place] = from.first_row(j)[c];
      if (n.second) n.second[place] = from.second_row(j)[c];
    });
  }
}

// update_weights takes a step on the weights and returns the thread's part of the sum of
// squares of their gradients. Padding has no gradient and stays 0.
template <int Rule>
__device__ inline float update_weights(const SmallNet& n, float* memory, const Change& change) {
  constexpr bool has_first = Rule == kSGD || Rule == kAdam || Rule == kAdamW, has_second = Rule != kSGD;
  float sum = 0;
#pragma unroll 1
  for (int tile = threadIdx.x; tile < n.tiles; tile += kNetThreads) {
    const WeightTile t = weight_tile(n, tile);
    const TileMoments moments = TileMoments::of(n, tile);
    const int stride = weight_stride(*t.layer);
    float* w = memory + t.layer->w + t.first * stride + t.k;
    float g[4][4];
    weight_gradient(n, memory, t, g);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      Quad m = {}, v = {};
      if (has_first) m = load_aligned(moments.first_row(j));
      if (has_second) v = load_aligned(moments.second_row(j));
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        sum += g[j][c] * g[j][c];
        float* theta = w + j * t.groups * stride + c * t.across;
        const State s = change.apply<Rule>({*theta, m.at[c], v.at[c]}, g[j][c], int(t.layer->weight));
        *theta = s.theta, m.at[c] = s.m, v.at[c] = s.v;
      }
      if (has_first) store_aligned(moments.first_row(j), m);
      if (has_second) store_aligned(moments.second_row(j), v);
    }
    if (change.ema) {
      t.each([&](int j, int c, int place) { change.follow(place, w[j * t.groups * stride + c * t.across]); });
    }
  }
  return sum;
}

template <int Rule>
__device__ inline float update_by(const SmallNet& n, float* memory, const Change& change) {
  return update_weights<Rule>(n, memory, change) + update_biases<Rule>(n, memory, change);
}

// update_all updates all parameters: code of its own for each rule.
__device__ inline float update_all(const SmallNet& n, float* memory, const Change& change) {
  switch (n.rule) {
    case kSGD: return update_by<kSGD>(n, memory, change);
    case kAdam: return update_by<kAdam>(n, memory, change);
    case kAdamW: return update_by<kAdamW>(n, memory, change);
    case kRMSprop: return update_by<kRMSprop>(n, memory, change);
    default: return update_by<kAdagrad>(n, memory, change);
  }
}

// ExactProducts are those of a chain of float32's fused multiply-adds, as Strict's kernels
// add them: see train.
struct ExactProducts {
  const SmallNet& n;

  __device__ explicit ExactProducts(const NetState& s) : n(s.net) {}
  __device__ void load(float* memory) const { load_weights(n, memory), load_moments(n); }
  __device__ void store(const float* memory) const { store_weights(n, memory), store_moments(n); }
  __device__ void prepare() const {}
  __device__ bool minibatch(float*) const { return false; }
  __device__ bool large() const { return false; }
  __device__ void input(float*) const {}
  __device__ bool forward(const NetLayer& l, float* memory, bool last) const { return gpudae::forward(n, l, memory) && !last; }
  __device__ bool has_loss() const { return false; }
  __device__ float loss() const { return 0; }
  __device__ float unit() const { return 1; }
  __device__ auto gaussian() const {
    return [sigma = n.sigma.value](const float* a, int, float x) { return gpudae::gaussian(*a, x, sigma); };
  }
  __device__ void put(float* deltas, int unit, int i, float x) const { deltas[unit * n.stride + i] = x; }
  __device__ bool backward(const NetLayer& l, const NetLayer& below, float* memory) const { return gpudae::backward(n, l, below, memory); }
  __device__ float squares(const float* memory) const { return gpudae::squares(n, memory); }
  __device__ float update(float* memory, const Change& change) const { return update_all(n, memory, change); }
};

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 1) small_net(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  train<ExactProducts>(words, steps, net_memory);
}
