// gemm.cuh: C[m, n] = epilogue(Σ_k A(m, k)·B(k, n)) by tiles in shared memory
// and fragments in registers.
//
// A block computes a tile of kM × kN elements; its threads form a grid of
// kM/(R·Fm) by kN/(4·Fn), each with Fm × Fn fragments of R×4 elements, spread so
// that the lanes of a warp read neighbouring words of shared memory.
// Panels of kK columns of A and rows of B pass through two buffers: while one
// is multiplied the next is on its way from memory to registers, and one barrier
// a panel is enough.
//
// Every element is one chain of fused multiply-adds in the order of k, whatever
// the tile, so the tile may be chosen by the machine without changing a bit. (But for
// one: where the last product underflows to -0, a tile that pads k adds 0 and gives +0.)
// All shapes and offsets are legal: what lies outside counts as zero and is not
// stored.
#pragma once

#include "share.cuh"
#include "vector.cuh"

namespace gpudae {

// Order says which index of an operand is contiguous in memory.
enum Order { kAlongK, kAcrossK };

constexpr int kPad = 4;  // floats between rows of a buffer: shifts banks, keeps 16-byte alignment

// Tile is the shape of a block's work. Unroll is how many steps of k are one
// piece of straight code: more of them hold more fragments in registers.
template <int M, int N, int K, int R, int Fm, int Fn, int Unroll>
struct Tile {
  static constexpr int kM = M, kN = N, kK = K, kR = R, kFm = Fm, kFn = Fn, kUnroll = Unroll;
  static constexpr int kThreadsM = M / (R * Fm), kThreadsN = N / (4 * Fn), kThreads = kThreadsM * kThreadsN;
  static constexpr int kRows = R * Fm, kColumns = 4 * Fn;  // of a thread
};

using Tile32 = Tile<32, 32, 16, 2, 1, 1, 16>;   // 128 threads: taken where blocks are few, so a block brings a warp to each scheduler
using Tile64 = Tile<64, 64, 16, 4, 1, 1, 16>;   // 256 threads
using Tile128 = Tile<128, 128, 8, 4, 2, 2, 2>;  // 256 threads of at most 128 registers: two blocks fit a multiprocessor

// Buffers are a block's panels of A and B, both with k outermost.
template <class T>
struct alignas(16) Buffers {
  float a[2][T::kK][T::kM + kPad], b[2][T::kK][T::kN + kPad];
};

// Panel moves one operand's panels of W × K elements, one after the other along
// k, from memory through registers to shared memory; each thread carries kQuads
// quads of every panel. The operand has an index w (m of A, n of B) and k.
template <Order order, int W, int K, int Threads>
struct Panel {
  static constexpr int kQuads = W * K / 4 / Threads;
  static_assert(kQuads * Threads * 4 == W * K, "a panel must divide among the threads");

  Quad held[kQuads];
  const float* next[kQuads];  // where the quads of the next panel start
  int inside[kQuads];         // how much of a quad w allows: elements across k, all or nothing along k

  // place is where the q-th quad of this thread starts in the panel.
  struct Place {
    int w, k;
  };
  __device__ static Place place(int q) {
    const int e = q * Threads + int(threadIdx.x);
    if (order == kAlongK) return {e / (K / 4), e % (K / 4) * 4};
    return {e % (W / 4) * 4, e / (W / 4)};
  }

  // Panels of the operand data with extents width and depth of w and k, from w0 on.
  __device__ Panel(const float* data, int64_t width, int64_t depth, int64_t w0) {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const Place p = place(q);
      const int64_t room = width - w0 - p.w;
      inside[q] = room < 0 ? 0 : room < 4 ? int(room) : 4;
      next[q] = order == kAlongK ? data + (w0 + p.w) * depth + p.k : data + p.k * width + w0 + p.w;
    }
  }

  // each hands every quad of the next panel of an operand of so wide rows across k, of
  // which left columns lie inside it, to take(q, where it starts, how many are inside).
  template <class Take>
  __device__ void each(int64_t left, int64_t width, const Take& take) {
    const int depth = left < K ? int(left) : K;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int room = depth - place(q).k;
      take(q, next[q], order == kAlongK ? (inside[q] > 0 ? room : 0) : (room > 0 ? inside[q] : 0));
      next[q] += order == kAlongK ? K : K * width;
    }
  }

  // fetch reads the next panel.
  __device__ void fetch(int64_t left, int64_t width) {
    each(left, width, [this](int q, const float* from, int count) { held[q] = load_quad(from, count); });
  }

  __device__ void store(float (&to)[K][W + kPad]) const {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const Place p = place(q);
      if (order == kAlongK) {
#pragma unroll
        for (int i = 0; i < 4; ++i) to[p.k + i][p.w] = held[q].at[i];
      } else {
        store_aligned(&to[p.k][p.w], held[q]);
      }
    }
  }
};

// Accumulators are a thread's elements of C, fragment by fragment.
template <class T>
struct Accumulators {
  float at[T::kRows][T::kColumns];
};

// load_rows reads R neighbours of a panel, which are aligned.
template <int R>
__device__ inline void load_rows(const float* p, float* to);
template <>
__device__ inline void load_rows<2>(const float* p, float* to) {
  const float2 v = *reinterpret_cast<const float2*>(p);
  to[0] = v.x, to[1] = v.y;
}
template <>
__device__ inline void load_rows<4>(const float* p, float* to) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

// multiply_panel adds the products of one pair of panels.
template <class T>
__device__ inline void multiply_panel(const float (&a)[T::kK][T::kM + kPad], const float (&b)[T::kK][T::kN + kPad], int tm, int tn,
                                      Accumulators<T>& c) {
#pragma unroll T::kUnroll
  for (int k = 0; k < T::kK; ++k) {
    float rows[T::kRows], columns[T::kColumns];
#pragma unroll
    for (int f = 0; f < T::kFm; ++f) load_rows<T::kR>(&a[k][f * (T::kM / T::kFm) + tm * T::kR], &rows[f * T::kR]);
#pragma unroll
    for (int g = 0; g < T::kFn; ++g) load_rows<4>(&b[k][g * (T::kN / T::kFn) + tn * 4], &columns[g * 4]);
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
#pragma unroll
      for (int j = 0; j < T::kColumns; ++j) c.at[i][j] = __fmaf_rn(rows[i], columns[j], c.at[i][j]);
    }
  }
}

// copy_row copies a row of sums.
__device__ inline void copy_row(const float& from, float& to) { to = from; }
template <class Part, int N>
__device__ inline void copy_row(const Part (&from)[N], Part (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) copy_row(from[i], to[i]);
}

// kIsLong says of an epilogue that it is much code.
template <class Epilogue>
constexpr bool kIsLong = false;

// each_row hands a thread's rows of sums to take(row, number). Where a long epilogue follows, that is a loop, in which the rows
// move down, so that registers have fixed places, and the code is there once.
template <class Epilogue, class Row, int Rows, class Take>
__device__ inline void each_row(Row (&rows)[Rows], const Take& take) {
  if constexpr (kIsLong<Epilogue>) {
#pragma unroll 1
    for (int i = 0; i < Rows; ++i) {
      take(rows[0], i);
#pragma unroll
      for (int r = 1; r < Rows; ++r) copy_row(rows[r], rows[r - 1]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Rows; ++i) take(rows[i], i);
  }
}

// gemm computes a tile, counted row after row of them, and hands it to epilogue(m, n, count,
// quad) by rows of four: quad holds the sums at (m, n), ..., (m, n+3), of which the first
// count lie inside the matrix.
template <class T, Order OrderA, Order OrderB, class Epilogue>
__device__ inline void gemm(uint32_t tile, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                            Buffers<T>& buffers) {
  const uint32_t tiles_n = uint32_t((n + T::kN - 1) / T::kN);
  const int64_t m0 = int64_t(tile / tiles_n) * T::kM, n0 = int64_t(tile % tiles_n) * T::kN;
  const int tm = int(threadIdx.x) / T::kThreadsN, tn = int(threadIdx.x) % T::kThreadsN;
  Panel<OrderA, T::kM, T::kK, T::kThreads> panel_a(a, m, k, m0);
  Panel<OrderB, T::kN, T::kK, T::kThreads> panel_b(b, n, k, n0);
  Accumulators<T> c = {};

  panel_a.fetch(k, m);
  panel_b.fetch(k, n);
  int buffer = 0;
  for (int64_t left = k; left > 0; left -= T::kK) {
    panel_a.store(buffers.a[buffer]);
    panel_b.store(buffers.b[buffer]);
    __syncthreads();  // the buffer is full, and nobody reads the other one any more
    if (left > T::kK) {
      panel_a.fetch(left - T::kK, m);
      panel_b.fetch(left - T::kK, n);
    }
    multiply_panel<T>(buffers.a[buffer], buffers.b[buffer], tm, tn, c);
    buffer ^= 1;
  }

  each_row<Epilogue>(c.at, [&](const float (&sums)[T::kColumns], int i) {
    const int64_t row = m0 + i / T::kR * (T::kM / T::kFm) + tm * T::kR + i % T::kR;
    if (row >= m) return;
#pragma unroll
    for (int g = 0; g < T::kFn; ++g) {
      const int64_t column = n0 + g * (T::kN / T::kFn) + tn * 4;
      if (column >= n) continue;
      epilogue(row, column, n - column, Quad{{sums[g * 4], sums[g * 4 + 1], sums[g * 4 + 2], sums[g * 4 + 3]}});
    }
  });
}

// Chain is the arithmetic of these products: how a kernel that is written for any
// arithmetic multiplies, and in what memory that the block shares.
template <class T>
struct Chain {
  using Tile = T;

  template <Order OrderA, Order OrderB>
  using Panels = Buffers<T>;

  // multiply does a part of a product, and says whether the block has stored the part's tile.
  // A strict sum is one chain, whose tile is the part.
  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static bool multiply(uint32_t part, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                                  Buffers<T>& panels, const Shares&) {
    gemm<T, OrderA, OrderB>(part, m, n, k, a, b, epilogue, panels);
    return true;
  }
  __device__ static uint32_t tiles(int64_t m, int64_t n) { return uint32_t((m + T::kM - 1) / T::kM) * uint32_t((n + T::kN - 1) / T::kN); }
};

}  // namespace gpudae
