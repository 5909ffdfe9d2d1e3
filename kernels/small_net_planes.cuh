// small_net_planes.cuh: factors of a small net's products on tensor cores: how they lie in
// shared memory, and the products of a warp.
//
// A factor is the sum of two numbers of bfloat16, x = x₁ + x₂. They lie in blocks of 8×8, 16 bytes a
// row, as ldmatrix reads them:
//
//   a tile of 16×16 weights         the x₁ of its blocks (0, 0), (1, 0), (0, 1), (1, 1), then their x₂
//   8 units of inputs or deltas     the x₁ of their blocks of 8 rows of the minibatch, then their x₂
//
// A thread's two neighbours of a fragment are the word that has its lane's number in a block: what a
// product leaves is stored without a conflict of banks, and nearly all addresses differ by
// constants.
#pragma once

#include "halves.cuh"
#include "reduce.cuh"

namespace gpudae {

constexpr int kBlockWords = 32, kTileWords = 2 * 4 * kBlockWords;

// positive has all bits of each half of a pair that is more than 0, where none is below.
__device__ inline uint32_t positive(uint32_t pair) {
  const uint32_t signs = pair + 0x7FFF7FFFu;
#ifdef __CUDACC__
  uint32_t bits;
  asm("prmt.b32 %0, %1, 0, 0xBB99;" : "=r"(bits) : "r"(signs));  // copies of the signs of bytes 3 and 1
  return bits;
#else
  return (signs >> 15 & 0x00010001u) * 0xFFFFu;
#endif
}

// relu is activate(kReLU), but never -0.
__device__ inline float relu(float x) {
#ifdef __CUDACC__
  float y;
  asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(y) : "f"(x));
  return y;
#else
  return x < 0 ? 0.0f : x + 0.0f;
#endif
}

// add_squares adds those of a pair to sums by half, of bfloat16: enough to tell whether one of many is large.
__device__ inline uint32_t add_squares(uint32_t sums, uint32_t pair) {
#ifdef __CUDACC__
  uint32_t of;
  asm("fma.rn.bf16x2 %0, %1, %1, %2;" : "=r"(of) : "r"(pair), "r"(sums));
  return of;
#else
  return to_bf16(lower(pair) * lower(pair) + lower(sums), upper(pair) * upper(pair) + upper(sums));
#endif
}

// Planes says how matrices of the minibatch lie, by its rows with padding, in words.
struct Planes {
  int batch;

  __device__ int low() const { return 4 * batch; }    // from x₁ to x₂
  __device__ int octet() const { return 8 * batch; }  // from 8 units to the next
  // place is that of an even row's and the next one's.
  __device__ int place(int unit, int row) const { return unit / 8 * octet() + row / 8 * kBlockWords + unit % 8 * 4 + row % 8 / 2; }
};

// put stores a number.
__device__ inline void put_half(float* matrix, const Planes& planes, int unit, int row, float x) {
  uint16_t* at = reinterpret_cast<uint16_t*>(matrix + planes.place(unit, row)) + row % 2;
  const Halves h = halve(x, 0.0f);
  at[0] = uint16_t(h.high), at[2 * planes.low()] = uint16_t(h.low);
}

// sum_of is x₁ + x₂ of the pair's lower or upper half.
__device__ inline float sum_of(const float* pair, const Planes& planes, bool is_upper) {
  const uint32_t* at = reinterpret_cast<const uint32_t*>(pair);
  return is_upper ? upper(at[0]) + upper(at[planes.low()]) : lower(at[0]) + lower(at[planes.low()]);
}

// LaneReads says where a lane reads the first fragments: of weights for the product by them and by their
// transpose, of the other factor of those, and of the gradient's deltas and inputs.
struct alignas(16) LaneReads {
  int transposed, factor, delta, input;

  __device__ static int weights(int lane) { return lane * 4; }
};

__device__ inline void set_reads(LaneReads& reads, const Planes& planes, int lane) {
  const int m = lane / 8, row = lane % 8 * 4;  // of ldmatrix's four blocks, and the row of it
  reads = {(m / 2 + m % 2 * 2) * kBlockWords + row, m % 2 * planes.octet() + m / 2 * planes.low() + row, m % 2 * planes.octet() + m / 2 * kBlockWords + row,
          m / 2 * planes.octet() + m % 2 * kBlockWords + row};
}

// put_weights stores a lane's part of a tile.
__device__ inline void put_weights(float* tile, int lane, const float (&w)[2][4]) {
  uint32_t* at = reinterpret_cast<uint32_t*>(tile) + lane;
#pragma unroll
  for (int b = 0; b < 4; ++b) {
    const Halves h = halve(w[b / 2][b % 2 * 2], w[b / 2][b % 2 * 2 + 1]);
    at[b * kBlockWords] = h.high, at[(4 + b) * kBlockWords] = h.low;
  }
}

// Two biases, of the units of a thread's fragments.
struct Start {
  float at[2];
};

// Product multiplies 16 rows of W, or of its transpose, by N fragments of rows of the
// minibatch. Each step takes 16 terms.
template <int N, bool Exact>
struct Product {
  __device__ explicit Product(const Start& start) {
#pragma unroll
    for (int e = 0; e < 4 * N; ++e) {
      of_high[e / 4][e % 4] = Exact ? 0 : start.at[e % 4 / 2];
      of_low[e / 4][e % 4] = Exact ? start.at[e % 4 / 2] : 0;
    }
  }

  // run is v, from all terms: tiles lie so far apart, from the first on, as the lane reads them.
  template <bool Transposed>
  __device__ void run(const float* tile, int apart, const float* x, const Planes& planes, int steps, float (&v)[4 * N]) {
    const int along = 2 * planes.octet();
    if (steps == 1) {  // of which the large products may be added to the others
      one<Transposed>(tile, x, v);
    } else if (steps % 4 == 0) {  // the first apart, which begins at what the compiler knows
      some<Transposed, 4>(tile, apart, x, along);
#pragma unroll 1
      for (steps -= 4; steps > 0; steps -= 4) {
        tile += 4 * apart, x += 4 * along;
        some<Transposed, 4>(tile, apart, x, along);
      }
      sums(v);
    } else {
#pragma unroll 1
      for (; steps > 0; --steps) {
        some<Transposed, 1>(tile, apart, x, along);
        tile += apart, x += along;
      }
      sums(v);
    }
  }

 private:
  float of_high[N][4], of_low[N][4];

  // read is a step's weights, and add multiplies a fragment of rows by them.
  template <bool Transposed>
  __device__ static void read(const float* tile, uint32_t (&high)[4], uint32_t (&low)[4]) {
    Transposed ? ldmatrix_transposed(high, tile) : ldmatrix(high, tile);
    if (Exact) Transposed ? ldmatrix_transposed(low, tile + kTileWords / 2) : ldmatrix(low, tile + kTileWords / 2);
  }

  __device__ static void add(float (&large)[4], float (&small)[4], const uint32_t (&high)[4], const uint32_t (&low)[4], const float* x) {
    uint32_t b[4];
    ldmatrix_transposed(b, x);
    const uint32_t b_high[2] = {b[0], b[1]}, b_low[2] = {b[2], b[3]};
    if (Exact) mma_bf16(small, high, b_low), mma_bf16(small, low, b_high);
    mma_bf16(large, high, b_high);
  }

  template <bool Transposed>
  __device__ void one(const float* tile, const float* x, float (&v)[4 * N]) {
    uint32_t high[4], low[4];
    read<Transposed>(tile, high, low);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      float(&sum)[4] = Exact ? of_low[j] : of_high[j];
      add(sum, sum, high, low, x + j * kBlockWords);
#pragma unroll
      for (int r = 0; r < 4; ++r) v[4 * j + r] = sum[r];
    }
  }

  // some takes so many steps, known to the compiler.
  template <bool Transposed, int Steps>
  __device__ void some(const float* tile, int apart, const float* x, int along) {
#pragma unroll
    for (int k = 0; k < Steps; ++k) {
      uint32_t high[4], low[4];
      read<Transposed>(tile + k * apart, high, low);
#pragma unroll
      for (int j = 0; j < N; ++j) add(of_high[j], of_low[j], high, low, x + k * along + j * kBlockWords);
    }
  }

  __device__ void sums(float (&v)[4 * N]) const {
#pragma unroll
    for (int e = 0; e < 4 * N; ++e) v[e] = Exact ? of_high[e / 4][e % 4] + of_low[e / 4][e % 4] : of_high[e / 4][e % 4];
  }
};

// Gradient is a tile of Σ_i delta·x: the small products first, so that they and the large ones
// make one sum, of which the cores round the large alone as often as a sum of those.
template <bool Exact>
struct Gradient {
  const float *deltas, *inputs;  // where the lane reads of the first rows
  int low;

  __device__ Gradient(const float* memory, const Planes& planes, const LaneReads& lane) : deltas(memory + lane.delta), inputs(memory + lane.input), low(planes.low()) {}

  // Kept are the inputs of 32 rows that were read last, and where: shared memory is what
  // the update waits for.
  struct Kept {
    int place;
    uint32_t high[2][4], low[2][4];
  };

  __device__ static void add(float (&sums)[2][4], const uint32_t (&delta)[4], const uint32_t (&x)[4]) {
    const uint32_t left[2] = {x[0], x[1]}, right[2] = {x[2], x[3]};
    mma_bf16(sums[0], delta, left), mma_bf16(sums[1], delta, right);
  }
  // add_small reads the small deltas, and adds what they and the small inputs are factors of.
  __device__ void add_small(float (&sums)[2][4], const float* delta, const uint32_t (&high)[4], const uint32_t (&x)[4], const uint32_t (&x_low)[4]) const {
    uint32_t small[4];
    ldmatrix(small, delta + low);
    add(sums, high, x_low), add(sums, small, x);
  }

  // run takes all rows of the minibatch, of the units at a place of memory and the inputs at
  // another.
  template <int Batch>
  __device__ void run(int delta_place, int x_place, int batch, Kept& kept, float (&sums)[2][4]) const {
    constexpr int kStep = 2 * kBlockWords;
    const float *delta = deltas + delta_place, *x = inputs + x_place;
    if (Batch == 32) {
      if (x_place != kept.place) {
        kept.place = x_place;
        ldmatrix(kept.high[0], x), ldmatrix(kept.high[1], x + kStep);
        if (Exact) ldmatrix(kept.low[0], x + low), ldmatrix(kept.low[1], x + low + kStep);
      }
      uint32_t first[4], second[4];
      ldmatrix(first, delta), ldmatrix(second, delta + kStep);
      if (Exact) add_small(sums, delta, first, kept.high[0], kept.low[0]), add_small(sums, delta + kStep, second, kept.high[1], kept.low[1]);
      add(sums, first, kept.high[0]), add(sums, second, kept.high[1]);
      return;
    }
    const int end = batch / 16 * kStep;
    uint32_t high[4], of_x[4], x_low[4];
    if (Exact) {
#pragma unroll 1
      for (int i = 0; i < end; i += kStep) {
        ldmatrix(high, delta + i), ldmatrix(of_x, x + i), ldmatrix(x_low, x + i + low);
        add_small(sums, delta + i, high, of_x, x_low);
      }
    }
#pragma unroll 1
    for (int i = 0; i < end; i += kStep) {
      ldmatrix(high, delta + i), ldmatrix(of_x, x + i);
      add(sums, high, of_x);
    }
  }
};

}  // namespace gpudae
