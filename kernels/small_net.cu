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
#include "small_net.cuh"

namespace gpudae {

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
    const int stride = t.layer->stride();
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

// begin reads the description, parameters, biases' moments, clock and spikes.
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
  for (int l = 0; l < n.layers; ++l) {
    const NetLayer& layer = n.layer[l];
    for (int e = threadIdx.x; e < layer.out * layer.in; e += kNetThreads) {
      memory[layer.w + e / int(layer.in) * layer.stride() + e % int(layer.in)] = n.params[layer.weight + e];
    }
  }
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const int place = bias_place(n, u);
    if (place < 0) continue;
    float* at = memory + n.biases + u;
    at[0] = n.params[place];
    if (n.first) at[n.units] = n.first[place];
    if (n.second) at[2 * n.units] = n.second[place];
  }
}

// finish writes what begin read.
__device__ inline void finish(const NetState& s, const float* memory) {
  const SmallNet& n = s.net;
  for (int l = 0; l < n.layers; ++l) {
    const NetLayer& layer = n.layer[l];
    for (int e = threadIdx.x; e < layer.out * layer.in; e += kNetThreads) {
      n.params[layer.weight + e] = memory[layer.w + e / int(layer.in) * layer.stride() + e % int(layer.in)];
    }
  }
  for (int u = threadIdx.x; u < n.units; u += kNetThreads) {
    const int place = bias_place(n, u);
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
  const bool any = __any_sync(kWholeWarp, large);
  if (threadIdx.x % kWarp == 0) s.large[threadIdx.x / kWarp] = any;
}

__device__ inline bool any_large(const NetState& s) {
  int any = 0;
#pragma unroll
  for (int w = 0; w < kNetWarps; ++w) any |= s.large[w];
  return any != 0;
}

// learn updates the parameters from deltas and inputs and returns the sum of squares
// of the gradient.
__device__ inline float learn(const NetState& s, float* memory, float loss) {
  const SmallNet& n = s.net;
  bool applied = !(n.guarded && refuses(&loss, n.spikes ? s.spikes : nullptr, n.spike_limit.value));
  float grad_sq = 0;
  const bool first = !applied || n.clip.value > 0 || any_large(s);
  if (first) {
    grad_sq = block_sum(squares(n, memory));
    applied = applied && isfinite(grad_sq);
  }
  if (!applied) return grad_sq;
  const Hyper& h = s.hyper;
  const Change change = {{h.rate, h.beta1, h.beta2, h.epsilon, h.unbias1, h.unbias2, h.nesterov}, shrinking(n.clip.value, grad_sq), n.weight_decay.value,
                         s.average, int(n.decayed), n.ema};
  const float sum = update_all(n, memory, change);
  return first ? grad_sq : block_sum(sum);
}

__device__ inline void train(const uint64_t* words, int64_t steps, float* memory) {
  __shared__ NetState s;
  begin(s, words, memory);
  const SmallNet& n = s.net;
  load_moments(n);
  __syncthreads();
#pragma unroll 1
  for (int64_t step = 0; step < steps; ++step) {
    choose(s);
    __syncthreads();
    bool large = gather(s, memory);
#pragma unroll 1
    for (int g = 0; g < n.stages; ++g) {
      __syncthreads();
      large |= corrupt(s, n.noise[g], memory);
    }
    __syncthreads();
#pragma unroll 1
    for (int l = 0; l < n.layers; ++l) {
      const bool beyond = forward(n, n.layer[l], memory);
      large |= beyond && l + 1 < n.layers;  // the last one's output is no layer's input
      __syncthreads();
    }
    const float loss = n.mean.value * block_sum(likelihood(n, memory, &large));
#pragma unroll 1
    for (int l = int(n.layers) - 1; l > 0; --l) {
      large |= backward(n, n.layer[l], n.layer[l - 1], memory);
      if (l > 1) __syncthreads();
    }
    vote(s, large);
    __syncthreads();
    const float grad_sq = learn(s, memory, loss);
    __syncthreads();
    if (threadIdx.x == 0) tick(s, loss, grad_sq);
    __syncthreads();
  }
  store_moments(n);
  finish(s, memory);
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 1) small_net(const uint64_t* __restrict__ words, int64_t steps) {
  extern __shared__ float net_memory[];
  train(words, steps, net_memory);
}
