// narrow.cuh: big products of dense layers, whose operands kernel narrow has copied to
// bfloat16, by mma.sync; hopper.cuh has those of compute capability 9.0. What is computed, and in what class, is that of
// dense.cuh and dense_backward.cuh with HalfTensorCores.
//
// A block makes a tile. Tiles are counted down the columns of a band of kBand rows of them, so that those
// of one wave read the same panels of both operands, from the second-level cache.
#pragma once

#include "dense.cuh"
#include "dense_backward.cuh"
#include "tensor.cuh"

namespace gpudae {

constexpr int kHalfAlign = 8;  // rows of a copy start at multiples of so many elements, 16 bytes

__device__ inline int64_t narrow_stride(int64_t columns) { return (columns + kHalfAlign - 1) / kHalfAlign * kHalfAlign; }

constexpr uint32_t kBand = 16;

// banded is the place, row after row, of the tile with that number, in bands of so many rows of tiles.
__device__ inline uint32_t banded(uint32_t tile, uint32_t tiles_m, uint32_t tiles_n, uint32_t band = kBand) {
  const uint32_t first = tile / (band * tiles_n) * band, rows = tiles_m - first < band ? tiles_m - first : band;
  const uint32_t in_band = tile - first * tiles_n;
  return (first + in_band % rows) * tiles_n + in_band / rows;
}

// NarrowPanel brings one operand's panels of W × K elements to shared memory: see Panel. What lies behind the
// end of a row in a copy is 0, so that 16 bytes are there or are not.
template <Order order, int W, int K, int Threads>
struct NarrowPanel {
  static constexpr int kPieces = W * K / 8 / Threads;
  static_assert(kPieces * Threads * 8 == W * K, "a panel must divide among the threads");

  const uint16_t* next[kPieces];
  bool inside[kPieces];  // of w

  __device__ static Element place(int q) {
    const int e = q * Threads + int(threadIdx.x);
    if (order == kAlongK) return {e / (K / 8), e % (K / 8) * 8};
    return {e % (W / 8) * 8, e / (W / 8)};
  }

  __device__ NarrowPanel(const void* data, int64_t width, int64_t depth, int64_t w0) {
#pragma unroll
    for (int q = 0; q < kPieces; ++q) {
      const Element p = place(q);
      inside[q] = w0 + p.w < width;
      next[q] = static_cast<const uint16_t*>(data) + (order == kAlongK ? (w0 + p.w) * narrow_stride(depth) + p.k : p.k * narrow_stride(width) + w0 + p.w);
    }
  }

  // start begins to copy the next panel, of which left elements along k are inside.
  __device__ void start(HalfSlab<order, W, K>& to, int64_t left, int64_t width) {
#pragma unroll
    for (int q = 0; q < kPieces; ++q) {
      const Element p = place(q);
      copy_async<16>(&to.at[to.place(p.w, p.k)], next[q], inside[q] && p.k < left ? 16 : 0);
      next[q] += order == kAlongK ? K : K * narrow_stride(width);
    }
  }
};

// NarrowTensorCores multiplies by mma.sync, with panels that asynchronous copies bring. It adds in the
// order of HalfTensorCores, and so gives its bits.
template <class T>
struct NarrowTensorCores {
  static constexpr int kK = 2 * T::kK, kM = T::kM, kN = T::kN;

  template <Order OrderA, Order OrderB>
  struct Panels {
    HalfSlab<OrderA, kM, kK> a[T::kStages];
    HalfSlab<OrderB, kN, kK> b[T::kStages];
  };

  __device__ static uint32_t tiles_m(int64_t m) { return uint32_t((m + kM - 1) / kM); }
  __device__ static uint32_t tiles_n(int64_t n) { return uint32_t((n + kN - 1) / kN); }

  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static void multiply(uint32_t tile, int64_t m, int64_t n, int64_t k, const void* a, const void* b, const Epilogue& epilogue, void* memory) {
    auto& panels = *static_cast<Panels<OrderA, OrderB>*>(memory);
    const Corner<T> corner(banded(tile, tiles_m(m), tiles_n(n)), n);
    NarrowPanel<OrderA, kM, kK, T::kThreads> panel_a(a, m, k, corner.m);
    NarrowPanel<OrderB, kN, kK, T::kThreads> panel_b(b, n, k, corner.n);
    Sums<T> c = {};

    int64_t left = k;  // of k that no copy was started for
    const auto start = [&](int stage) {
      if (left > 0) {
        panel_a.start(panels.a[stage], left, m);
        panel_b.start(panels.b[stage], left, n);
        left -= kK;
      }
      commit_copies();  // also of nothing, so that a group is a panel
    };
    for (int stage = 0; stage + 1 < T::kStages; ++stage) start(stage);
    int stage = 0;
    for (int64_t done = 0; done < k; done += kK) {
      wait_copies<T::kStages - 2>();
      __syncthreads();  // the panel is there, and nobody reads the one before it any more
      start(stage == 0 ? T::kStages - 1 : stage - 1);
      multiply_half_slabs(panels.a[stage], panels.b[stage], corner, c);
      stage = stage + 1 < T::kStages ? stage + 1 : 0;
    }
    wait_copies<0>();
    finish(corner, m, n, c, epilogue);
  }
};

using Narrow128 = NarrowTensorCores<TensorTile<128, 128, 16, 4, 2, 4>>;  // 256 threads, 80 KiB: two blocks fit a multiprocessor of 8.0

// OutputOrLoss is Output or, with sums of losses, takes the output for its gradient before it is stored: see lose.
struct OutputOrLoss {
  Output output;
  Loss loss;
  float* sum;  // of this thread's losses
  __device__ void operator()(int64_t row, int64_t column, int64_t count, Quad sums) const {
    if (!loss.sums) {
      output(row, column, count, sums);
      return;
    }
    const int64_t at = row * output.n + column;
    const Quad target = load_quad(loss.target + at, count), bias = output.bias ? load_quad(output.bias + column, count) : Quad{{0, 0, 0, 0}};
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      if (l >= count) break;
      const Term t = one_feature(loss.kind, output.bias ? sums.at[l] + bias.at[l] : sums.at[l], target.at[l], loss.sigma);
      const float w = loss.weight(at + l, column + l);
      *sum += w * t.loss;
      sums.at[l] = loss.scale * w * t.gradient;
    }
    store_quad(output.y + at, count, sums);
    output.beside(row, column, count, sums);
  }
};

template <Order OrderW>
__device__ inline void narrow_dense(int64_t m, int64_t n, int64_t k, const void* x, const void* w, const Output& output, const Loss& loss, void* memory) {
  float sum = 0;
  Narrow128::multiply<kAlongK, OrderW>(blockIdx.x, m, n, k, x, w, OutputOrLoss{output, loss, &sum}, memory);
  if (!loss.sums) return;
  sum = block_sum(sum);
  if (threadIdx.x == 0) loss.sums[blockIdx.x] = sum;
}

constexpr int kBiasColumns = 4 * kWarp;  // of a block of narrow_backward

// wide_bias_gradient is bias_gradient with four columns a lane: it adds in the same order.
__device__ inline float wide_bias_gradient(const Backward& g, int64_t first, void* memory, const Applying* rule) {
  auto& partial = *static_cast<float(*)[kRowLanes][kBiasColumns]>(memory);
  const int l = int(threadIdx.x) / kWarp, place = int(threadIdx.x) % kWarp * 4;
  if (l < kRowLanes) {
    const int64_t column = first + place;
    float sum[4] = {0, 0, 0, 0};
    if (column < g.out) {
#pragma unroll 8
      for (int64_t i = l; i < g.rows; i += kRowLanes) {
        const Quad x = load_quad(g.da + i * g.out + column, g.out - column);
#pragma unroll
        for (int c = 0; c < 4; ++c) sum[c] += x.at[c];
      }
    }
#pragma unroll
    for (int c = 0; c < 4; ++c) partial[l][place + c] = sum[c];
  }
  __syncthreads();
  const int64_t column = first + threadIdx.x;
  if (int(threadIdx.x) >= kBiasColumns || column >= g.out) return 0;
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kRowLanes; ++i) sum += partial[i][threadIdx.x];
  store_bias(g, column, sum, rule);
  return sum * sum;
}

// Copies are the operands in bfloat16, and where those of dx and of the updated weights go, if they are there. The operands of
// Backward are not read, but for da, by the columns' sums.
struct Copies {
  const void *da, *w, *x;
  void *dx, *updated = nullptr;
};

// beside is for a copy of rows of so many columns.
__device__ inline Beside beside(void* copy, int64_t columns) { return {static_cast<uint16_t*>(copy), narrow_stride(columns)}; }

// narrow_backward makes the block's part: see dense_backward.
template <bool Transposed>
__device__ inline void narrow_backward(const Backward& g, const Copies& copies, void* memory) {
  constexpr Order kOrderW = Transposed ? kAlongK : kAcrossK;
  const int64_t m = Transposed ? g.in : g.out, n = Transposed ? g.out : g.in;  // of dW
  const uint32_t of_dx = g.dx ? Narrow128::tiles_m(g.rows) * Narrow128::tiles_n(g.in) : 0, of_dw = g.dw ? Narrow128::tiles_m(m) * Narrow128::tiles_n(n) : 0;
  __shared__ Applying applying;
  const Applying* const rule = g.rule ? &applying : nullptr;
  uint32_t part = rule ? applying.begin(static_cast<RuleInMemory*>(g.rule), of_dx, of_dw) : blockIdx.x;
  if (part < of_dx) {
    Narrow128::multiply<kAlongK, kOrderW>(part, g.rows, g.in, g.out, copies.da, copies.w, InputGradient{g.in, int(g.act), g.source, g.dx, beside(copies.dx, g.in)}, memory);
    if (rule) rule->have_read();
    return;
  }
  part -= of_dx;
  float squares = 0;
  bool waited = false;
  const bool of_weights = part < of_dw;
  if (of_weights) {
    Narrow128::multiply<kAcrossK, kAcrossK>(part, m, n, g.rows, Transposed ? copies.x : copies.da, Transposed ? copies.da : copies.x,
                                                  WeightGradient{n, g.accumulate, g.dw, &squares, rule, &waited, beside(copies.updated, n)}, memory);
  } else {
    squares = wide_bias_gradient(g, int64_t(part - of_dw) * kBiasColumns, memory, rule);
  }
  if (!g.squares) return;
  squares = block_sum(squares);
  if (threadIdx.x == 0) g.squares[part] = squares;
  if (rule && of_weights) rule->have_written();
}

}  // namespace gpudae
