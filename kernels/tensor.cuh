// tensor.cuh: the products of gemm.cuh on tensor cores, C[m, n] = epilogue(Σ_k A(m, k)·B(k, n)),
// in one of three classes of arithmetic, all of which add in float32:
//
//   tf32    factors rounded to the 11 significant bits of tf32
//   bf16    factors rounded to the 8 significant bits of bfloat16
//   tf32x3  factors as the sum of two numbers of tf32, x = x₁ + x₂, and x₁y₁ + x₁y₂ + x₂y₁ for
//           xy: what is left out is below 2⁻²² of it. Tensor cores round sums toward zero, so the
//           sum of eight terms starts at zero and is added to the others by ordinary arithmetic
//           (Ootomo and Yokota, "Recovering single precision accuracy from tensor cores while
//           surpassing the FP32 theoretical peak performance", 2022)
//
// A block's warps form a grid over its tile, and each has Fm × Fn fragments of 16×8. Panels of tf32
// lie in shared memory as they lie in global memory, where asynchronous copies bring them some
// panels ahead; those of bfloat16 pass through registers, where they are rounded. Every element is
// a chain in the order of k for each share of it (share.cuh), whatever the tile, so a tile changes no bit. Infinite factors of
// tf32x3 give NaN. All shapes and offsets are legal.
#pragma once

#include "gemm.cuh"
#include "mma.cuh"
#include "reduce.cuh"

namespace gpudae {

// TensorTile is the shape of a block's work: M × N elements, by WarpsM × WarpsN
// warps; panels of K, or of bfloat16 2·K, columns, Stages of them in shared memory.
// Cut says that its sums may be shared among blocks.
template <int M, int N, int K, int Stages, int WarpsM, int WarpsN, bool Cut = false>
struct TensorTile {
  static constexpr bool kCut = Cut;
  static constexpr int kM = M, kN = N, kK = K, kStages = Stages, kThreads = 32 * WarpsM * WarpsN;
  static constexpr int kWarpM = M / WarpsM, kWarpN = N / WarpsN, kWarpsN = WarpsN;
  static constexpr int kFm = kWarpM / 16, kFn = kWarpN / 8;
  static_assert(kFm * WarpsM * 16 == M && kFn * WarpsN * 8 == N && kFn % 2 == 0, "fragments must fill the tile, those of B by pairs");
};

// The threads are those of gemm.cuh's tiles of the same size. Where blocks are few,
// more panels are on their way and warps have less to do one after the other. A product of
// so many tiles of 128 that it would take them is never cut: that would cost registers.
using Tensor32 = TensorTile<32, 32, 16, 4, 2, 2, true>;      // 128 threads
using Tensor64 = TensorTile<64, 64, 16, 3, 2, 4, true>;      // 256 threads
using Tensor128 = TensorTile<128, 128, 16, 2, 2, 4>;         // 256 threads

// Corner is where a tile and the work of a warp in it begin.
template <class T>
struct Corner {
  int64_t m, n;
  int warp_m, warp_n;
  __device__ Corner(uint32_t tile, int64_t columns) {
    const uint32_t tiles_n = uint32_t((columns + T::kN - 1) / T::kN);
    m = int64_t(tile / tiles_n) * T::kM, n = int64_t(tile % tiles_n) * T::kN;
    const int warp = int(threadIdx.x) / kWarp;
    warp_m = warp / T::kWarpsN * T::kWarpM, warp_n = warp % T::kWarpsN * T::kWarpN;
  }
};

// Sums are a thread's elements of C, fragment by fragment.
template <class T>
struct Sums {
  float at[T::kFm][T::kFn][4];

  // of_all makes them those over all of k, in one of the blocks of a tile: see add_shares.
  __device__ bool of_all(const Shares& shares, const Share& share) {
    if constexpr (!T::kCut) return true;
    else return shares.count <= 1 || add_shares<T::kThreads>(shares, share, at);
  }
};

// from is where an operand of so many rows across k begins whose first terms are left out.
template <Order order>
__device__ inline const float* from(const float* data, int64_t width, int64_t first) {
  return data + (order == kAlongK ? first : first * width);
}

// Side says whether 16 rows of an operand are one fragment of A or two of B: which
// of the two bits of a matrix's number counts along k.
enum Side { kSideA, kSideB };

// matrix_row is which element begins the row that this lane names to ldmatrix, of
// matrices that are Depth elements of k wide.
struct Element {
  int w, k;
};
template <Side side, Order order, int Depth>
__device__ inline Element matrix_row() {
  const int lane = int(threadIdx.x) % kWarp, low = lane / 8 % 2, high = lane / 16;
  const int of_w = side == kSideA ? low : high, of_k = side == kSideA ? high : low;
  if (order == kAlongK) return {lane % 8 + 8 * of_w, Depth * of_k};
  return {8 * of_w, lane % 8 + 8 * of_k};
}

// Slab is a panel of floats in shared memory: rows along k, or rows across k. Its
// padding puts what a warp reads at once into different banks.
template <Order order, int W, int K>
struct alignas(16) Slab {
  static constexpr int kStride = order == kAlongK ? K + 4 : W + 8;
  float at[(order == kAlongK ? W : K) * kStride];

  __device__ static int place(int w, int k) { return order == kAlongK ? w * kStride + k : k * kStride + w; }

  // load reads the fragments of 16 rows from w and 8 columns from k on.
  template <Side side>
  __device__ void load(int w, int k, uint32_t (&to)[4]) const {
    if (order == kAlongK) {
      const Element row = matrix_row<side, kAlongK, 4>();
      ldmatrix(to, &at[place(w + row.w, k + row.k)]);
      return;
    }
    const int lane = int(threadIdx.x) % kWarp;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int of_w = side == kSideA ? r % 2 : r / 2, of_k = side == kSideA ? r / 2 : r % 2;
      to[r] = __float_as_uint(at[place(w + lane / 4 + 8 * of_w, k + lane % 4 + 4 * of_k)]);
    }
  }
};

// start_copy brings count of four floats to shared memory, and zeros for the others.
__device__ inline void start_copy(float* to, const float* from, int count) {
  if (count >= 4 && aligned16(from)) {
    copy_async<16>(to, from, 16);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) copy_async<4>(to + i, i < count ? from + i : from, i < count ? 4 : 0);
}

// start_panel brings the next panel of an operand to a slab.
template <Order order, int W, int K, int Threads>
__device__ inline void start_panel(Panel<order, W, K, Threads>& panel, Slab<order, W, K>& to, int64_t left, int64_t width) {
  panel.each(left, width, [&](int q, const float* from, int count) {
    const auto p = panel.place(q);
    start_copy(&to.at[to.place(p.w, p.k)], from, count);
  });
}

// Split is a number as the sum of two of tf32, of four registers.
template <int N>
struct Split {
  uint32_t high[N], low[N];
  template <bool Both>
  __device__ void set(int i, uint32_t bits) {
    const float x = __uint_as_float(bits);
    high[i] = to_tf32(x);
    if (Both) low[i] = to_tf32(x - __uint_as_float(high[i]));
  }
};

// multiply_slabs adds the products of one pair of panels, of tf32x3 if Exact.
template <class T, bool Exact, class SlabA, class SlabB>
__device__ inline void multiply_slabs(const SlabA& a, const SlabB& b, const Corner<T>& corner, Sums<T>& c) {
#pragma unroll
  for (int k = 0; k < T::kK; k += 8) {
    Split<2> columns[T::kFn];
#pragma unroll
    for (int j = 0; j < T::kFn; j += 2) {
      uint32_t pair[4];
      b.template load<kSideB>(corner.warp_n + 8 * j, k, pair);
#pragma unroll
      for (int r = 0; r < 4; ++r) columns[j + r / 2].template set<Exact>(r % 2, pair[r]);
    }
#pragma unroll
    for (int i = 0; i < T::kFm; ++i) {
      uint32_t fragment[4];
      a.template load<kSideA>(corner.warp_m + 16 * i, k, fragment);
      Split<4> rows;
#pragma unroll
      for (int r = 0; r < 4; ++r) rows.template set<Exact>(r, fragment[r]);
#pragma unroll
      for (int j = 0; j < T::kFn; ++j) {
        if (!Exact) {
          mma_tf32(c.at[i][j], rows.high, columns[j].high);
          continue;
        }
        float sum[4] = {0, 0, 0, 0};
        mma_tf32(sum, rows.low, columns[j].high);
        mma_tf32(sum, rows.high, columns[j].low);
        mma_tf32(sum, rows.high, columns[j].high);
#pragma unroll
        for (int r = 0; r < 4; ++r) c.at[i][j][r] += sum[r];
      }
    }
  }
}

// finish hands the sums to epilogue(m, n, count, quad) as gemm does. Of two
// neighbouring lanes, which hold two columns each of rows g and g+8, one gets the
// first row's four columns and the other the second row's.
template <class T, class Epilogue>
__device__ inline void finish(const Corner<T>& corner, int64_t m, int64_t n, Sums<T>& c, const Epilogue& epilogue) {
  const int lane = int(threadIdx.x) % kWarp;
  const bool second = lane % 2;
  each_row<Epilogue>(c.at, [&](float (&fragments)[T::kFn][4], int i) {
    each_row<Epilogue>(fragments, [&](const float (&own)[4], int j) {
      const float x = __shfl_xor_sync(kWholeWarp, second ? own[0] : own[2], 1), y = __shfl_xor_sync(kWholeWarp, second ? own[1] : own[3], 1);
      const int64_t row = corner.m + corner.warp_m + 16 * i + lane / 4 + (second ? 8 : 0);
      const int64_t column = corner.n + corner.warp_n + 8 * j + lane % 4 / 2 * 4;
      if (row < m && column < n) epilogue(row, column, n - column, second ? Quad{{x, y, own[2], own[3]}} : Quad{{own[0], own[1], x, y}});
    });
  });
}

template <class T, Order OrderA, Order OrderB>
struct Slabs {
  Slab<OrderA, T::kM, T::kK> a[T::kStages];
  Slab<OrderB, T::kN, T::kK> b[T::kStages];
};

// tensor_gemm computes a share of a tile in the class tf32x3 if Exact, else tf32. In the block that
// comes last of the tile's it hands that to epilogue, as gemm does: it says whether this is the one.
template <class T, bool Exact, Order OrderA, Order OrderB, class Epilogue>
__device__ inline bool tensor_gemm(const Share& share, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                                   Slabs<T, OrderA, OrderB>& slabs, const Shares& shares) {
  const Corner<T> corner(share.tile, n);
  Panel<OrderA, T::kM, T::kK, T::kThreads> panel_a(from<OrderA>(a, m, share.first), m, k, corner.m);
  Panel<OrderB, T::kN, T::kK, T::kThreads> panel_b(from<OrderB>(b, n, share.first), n, k, corner.n);
  Sums<T> c = {};

  int64_t left = share.terms;  // for which no copy was started
  const auto start = [&](int stage) {
    if (left > 0) {
      start_panel(panel_a, slabs.a[stage], left, m);
      start_panel(panel_b, slabs.b[stage], left, n);
      left -= T::kK;
    }
    commit_copies();  // also of nothing, so that a group is a panel
  };
  for (int stage = 0; stage + 1 < T::kStages; ++stage) start(stage);
  int stage = 0;
  for (int64_t done = 0; done < share.terms; done += T::kK) {
    wait_copies<T::kStages - 2>();
    __syncthreads();  // the panel is there, and nobody reads the one before it any more
    start(stage == 0 ? T::kStages - 1 : stage - 1);
    multiply_slabs<T, Exact>(slabs.a[stage], slabs.b[stage], corner, c);
    stage = stage + 1 < T::kStages ? stage + 1 : 0;
  }
  if (!c.of_all(shares, share)) return false;
  finish(corner, m, n, c, epilogue);
  return true;
}

// HalfSlab is a panel of bfloat16 in shared memory, two in a word.
template <Order order, int W, int K>
struct alignas(16) HalfSlab {
  static constexpr int kStride = (order == kAlongK ? K : W) / 2 + 4;
  uint32_t at[(order == kAlongK ? W : K) * kStride];

  __device__ static int place(int w, int k) { return order == kAlongK ? w * kStride + k / 2 : k * kStride + w / 2; }

  // store rounds what a panel holds.
  template <int Threads>
  __device__ void store(const Panel<order, W, K, Threads>& panel) {
#pragma unroll
    for (int q = 0; q < panel.kQuads; ++q) {
      const auto p = panel.place(q);
      const float(&x)[4] = panel.held[q].at;
      *reinterpret_cast<uint2*>(&at[place(p.w, p.k)]) = make_uint2(to_bf16(x[0], x[1]), to_bf16(x[2], x[3]));
    }
  }

  // load reads the fragments of 16 rows from w and 16 columns from k on.
  template <Side side>
  __device__ void load(int w, int k, uint32_t (&to)[4]) const {
    const Element row = matrix_row<side, order, 8>();
    const uint32_t* from = &at[place(w + row.w, k + row.k)];
    order == kAlongK ? ldmatrix(to, from) : ldmatrix_transposed(to, from);
  }
};

template <class T, class SlabA, class SlabB>
__device__ inline void multiply_half_slabs(const SlabA& a, const SlabB& b, const Corner<T>& corner, Sums<T>& c) {
#pragma unroll
  for (int k = 0; k < 2 * T::kK; k += 16) {
    uint32_t columns[T::kFn][2];
#pragma unroll
    for (int j = 0; j < T::kFn; j += 2) {
      uint32_t pair[4];
      b.template load<kSideB>(corner.warp_n + 8 * j, k, pair);
#pragma unroll
      for (int r = 0; r < 4; ++r) columns[j + r / 2][r % 2] = pair[r];
    }
#pragma unroll
    for (int i = 0; i < T::kFm; ++i) {
      uint32_t rows[4];
      a.template load<kSideA>(corner.warp_m + 16 * i, k, rows);
#pragma unroll
      for (int j = 0; j < T::kFn; ++j) mma_bf16(c.at[i][j], rows, columns[j]);
    }
  }
}

template <class T, Order OrderA, Order OrderB>
struct HalfSlabs {
  HalfSlab<OrderA, T::kM, 2 * T::kK> a[2];
  HalfSlab<OrderB, T::kN, 2 * T::kK> b[2];
};

// tensor_gemm_bf16 computes a share of a tile in the class bf16: see tensor_gemm.
template <class T, Order OrderA, Order OrderB, class Epilogue>
__device__ inline bool tensor_gemm_bf16(const Share& share, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                                        HalfSlabs<T, OrderA, OrderB>& slabs, const Shares& shares) {
  constexpr int kK = 2 * T::kK;
  const Corner<T> corner(share.tile, n);
  Panel<OrderA, T::kM, kK, T::kThreads> panel_a(from<OrderA>(a, m, share.first), m, k, corner.m);
  Panel<OrderB, T::kN, kK, T::kThreads> panel_b(from<OrderB>(b, n, share.first), n, k, corner.n);
  Sums<T> c = {};

  panel_a.fetch(share.terms, m);
  panel_b.fetch(share.terms, n);
  int buffer = 0;
  for (int64_t left = share.terms; left > 0; left -= kK) {
    slabs.a[buffer].store(panel_a);
    slabs.b[buffer].store(panel_b);
    __syncthreads();  // the buffer is full, and nobody reads the other one any more
    if (left > kK) {
      panel_a.fetch(left - kK, m);
      panel_b.fetch(left - kK, n);
    }
    multiply_half_slabs(slabs.a[buffer], slabs.b[buffer], corner, c);
    buffer ^= 1;
  }
  if (!c.of_all(shares, share)) return false;
  finish(corner, m, n, c, epilogue);
  return true;
}

// TensorCores is the arithmetic tf32x3 if Exact, else tf32: see Chain.
template <class T, bool Exact>
struct TensorCores : Chain<T> {
  template <Order OrderA, Order OrderB>
  using Panels = Slabs<T, OrderA, OrderB>;

  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static bool multiply(uint32_t part, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                                  Slabs<T, OrderA, OrderB>& panels, const Shares& shares) {
    return tensor_gemm<T, Exact, OrderA, OrderB>({part, Chain<T>::tiles(m, n), k, shares}, m, n, k, a, b, epilogue, panels, shares);
  }
};

// HalfTensorCores is the arithmetic bf16.
template <class T>
struct HalfTensorCores : Chain<T> {
  template <Order OrderA, Order OrderB>
  using Panels = HalfSlabs<T, OrderA, OrderB>;

  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static bool multiply(uint32_t part, int64_t m, int64_t n, int64_t k, const float* a, const float* b, const Epilogue& epilogue,
                                  HalfSlabs<T, OrderA, OrderB>& panels, const Shares& shares) {
    return tensor_gemm_bf16<T, OrderA, OrderB>({part, Chain<T>::tiles(m, n), k, shares}, m, n, k, a, b, epilogue, panels, shares);
  }
};

}  // namespace gpudae
