// philox.cuh: the generator of package device/philox, bit for bit: Philox4x32-10
// (Salmon, Moraes, Dror and Shaw, SC 2011), its distributions, and the
// permutation. That package has the sources of the formulas; here every
// float32 operation is an intrinsic that no compiler may fuse or reorder.
#pragma once

#include "word.cuh"

namespace gpudae {

// Streams, as in device/philox.
enum Stream : uint32_t { kStreamDropout = 2, kStreamPermutation = 3, kStreamSplit = 4 };

struct Block {
  uint32_t word[4];

  // at is the word of a lane 0..3, by selection: an index that is known only at
  // run time would put the block into local memory.
  __device__ uint32_t at(int lane) const { return lane & 2 ? (lane & 1 ? word[3] : word[2]) : (lane & 1 ? word[1] : word[0]); }
};

// Coordinates address a block of four words; see philox.Coordinates.
struct Coordinates {
  uint32_t stream, index, replicate, draw, step, row, block;
};

// philox_block returns the four words at some coordinates under a seed.
__device__ inline Block philox_block(const Coordinates& at, uint64_t seed) {
  uint32_t c0 = at.block, c1 = at.row, c2 = at.step;
  uint32_t c3 = at.stream << 28 | (at.index & 0xFF) << 20 | (at.replicate & 0xFFF) << 8 | (at.draw & 0xFF);
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t hi0 = __umulhi(0xD2511F53u, c0), lo0 = 0xD2511F53u * c0;
    const uint32_t hi1 = __umulhi(0xCD9E8D57u, c2), lo1 = 0xCD9E8D57u * c2;
    c0 = hi1 ^ c1 ^ k0, c1 = lo1, c2 = hi0 ^ c3 ^ k1, c3 = lo0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// fires: see philox.Threshold.
__device__ inline bool fires(uint32_t word, uint64_t threshold) { return uint64_t(word) < threshold; }

// below maps a word to {0, ..., n-1}.
__device__ inline uint32_t below(uint32_t word, uint32_t n) { return __umulhi(word, n); }

// uniform maps a word to [0, 1).
__device__ inline float uniform(uint32_t word) { return __fmul_rn(__uint2float_rn(word >> 8), 0x1p-24f); }

// horner_step is p·x + c with both operations rounded.
__device__ inline float horner_step(float p, float x, float c) { return __fadd_rn(__fmul_rn(p, x), c); }

// log_unit is ln u for u in (0, 1].
__device__ inline float log_unit(float u) {
  const uint32_t raw = __float_as_uint(u);
  int exponent = int(raw >> 23) - 126;
  float m = __uint_as_float((raw & 0x007FFFFFu) | 0x3F000000u);
  if (m < 0.70710678f) {
    --exponent;
    m = __fadd_rn(m, m);
  }
  const float f = __fadd_rn(m, -1.0f), z = __fmul_rn(f, f), e = __int2float_rn(exponent);
  float p = 7.0376836292e-2f;
  p = horner_step(p, f, -1.1514610310e-1f);
  p = horner_step(p, f, 1.1676998740e-1f);
  p = horner_step(p, f, -1.2420140846e-1f);
  p = horner_step(p, f, 1.4249322787e-1f);
  p = horner_step(p, f, -1.6668057665e-1f);
  p = horner_step(p, f, 2.0000714765e-1f);
  p = horner_step(p, f, -2.4999993993e-1f);
  p = horner_step(p, f, 3.3333331174e-1f);
  p = __fmul_rn(__fmul_rn(p, f), z);
  p = __fadd_rn(p, __fmul_rn(e, -2.12194440e-4f));
  p = __fadd_rn(p, -__fmul_rn(0.5f, z));
  return __fadd_rn(__fadd_rn(f, p), __fmul_rn(e, 0.693359375f));
}

struct SinCos {
  float sin, cos;
};

// sincos_turn is the sine and cosine of 2π·w/2³².
__device__ inline SinCos sincos_turn(uint32_t w) {
  const uint32_t quarter = (w + (1u << 29)) >> 30;
  const float x = __fmul_rn(__int2float_rn(int(w - (quarter << 30))), 0x1.921fb6p-30f);  // π/2³¹
  const float z = __fmul_rn(x, x);
  float s = horner_step(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = horner_step(s, z, -1.6666654611e-1f);
  s = __fadd_rn(__fmul_rn(__fmul_rn(s, z), x), x);
  float c = horner_step(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = horner_step(c, z, 4.166664568298827e-2f);
  c = __fmul_rn(__fmul_rn(c, z), z);
  c = __fadd_rn(c, -__fmul_rn(0.5f, z));
  c = __fadd_rn(c, 1.0f);
  // (s, c), (c, -s), (-s, -c) or (-c, s), by signs and a swap and not by cases, of which the lanes of a warp have all four
  const bool odd = quarter & 1;
  const uint32_t sin_sign = (quarter & 2) << 30, cos_sign = ((quarter + 1) & 2) << 30;
  return {__uint_as_float(__float_as_uint(odd ? c : s) ^ sin_sign), __uint_as_float(__float_as_uint(odd ? s : c) ^ cos_sign)};
}

struct NormalPair {
  float z0, z1;
};

// normal maps two words to two independent standard normal draws.
__device__ inline NormalPair normal(uint32_t w0, uint32_t w1) {
  const float u = __fadd_rn(__fmul_rn(__uint2float_rn(w0), 0x1p-32f), 0x1p-33f);
  const float radius = __fsqrt_rn(__fmul_rn(-2.0f, log_unit(u)));
  const SinCos angle = sincos_turn(w1);
  return {__fmul_rn(radius, angle.cos), __fmul_rn(radius, angle.sin)};
}

// exp_negative is exp(-x) for x in [0, 16].
__device__ inline float exp_negative(float x) {
  const float n = floorf(__fadd_rn(__fmul_rn(x, -1.44269504088896341f), 0.5f));
  float r = __fadd_rn(-x, -__fmul_rn(n, 0.693359375f));
  r = __fadd_rn(r, -__fmul_rn(n, -2.12194440e-4f));
  float p = 1.9875691500e-4f;
  p = horner_step(p, r, 1.3981999507e-3f);
  p = horner_step(p, r, 8.3334519073e-3f);
  p = horner_step(p, r, 4.1665795894e-2f);
  p = horner_step(p, r, 1.6666665459e-1f);
  p = horner_step(p, r, 5.0000001201e-1f);
  p = __fadd_rn(__fmul_rn(p, __fmul_rn(r, r)), r);
  p = __fadd_rn(p, 1.0f);
  return __fmul_rn(p, __uint_as_float(uint32_t(int(n) + 127) << 23));
}

constexpr int kPoissonChunk = 16, kPoissonLimit = 255 * 4 * kPoissonChunk;

// invert_poisson is the smallest n whose cumulative probability exceeds u, or,
// where the sum stops short of u, the n whose term no longer changes it.
__device__ inline int invert_poisson(float u, float rate, float start) {
  float term = start, cumulative = start;
  int n = 0;
  while (u >= cumulative) {
    ++n;
    term = __fdiv_rn(__fmul_rn(term, rate), __int2float_rn(n));
    const float next = __fadd_rn(cumulative, term);
    if (next == cumulative) break;
    cumulative = next;
  }
  return n;
}

// poisson draws N ~ Poisson(λ) with the blocks at.draw = 1, 2, ...
__device__ inline float poisson(float lambda, Coordinates at, uint64_t seed) {
  if (!(lambda > 0)) return 0;
  if (lambda > kPoissonLimit) {
    at.draw = 1;
    const Block words = philox_block(at, seed);
    const float z = normal(words.word[0], words.word[1]).z0;
    return fmaxf(floorf(__fadd_rn(__fadd_rn(lambda, __fmul_rn(__fsqrt_rn(lambda), z)), 0.5f)), 0.0f);
  }
  const int chunks = int(ceilf(__fmul_rn(lambda, 1.0f / kPoissonChunk)));
  const float rate = __fdiv_rn(lambda, __int2float_rn(chunks)), start = exp_negative(rate);
  int total = 0;
  Block words = {};
  for (int i = 0; i < chunks; i += 4) {
    at.draw = uint32_t(i / 4 + 1);
    words = philox_block(at, seed);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      if (i + lane < chunks) total += invert_poisson(uniform(words.word[lane]), rate, start);
    }
  }
  return __int2float_rn(total);
}

// Permutation of {0, ..., n-1}; n = 0 is the identity. See philox.Permutation.
struct Permutation {
  uint32_t n, half, keys[6];
};

__device__ inline Permutation identity_permutation() { return {}; }

// make_permutation is philox.NewPermutation.
__device__ inline Permutation make_permutation(uint32_t n, uint64_t seed, Stream stream, uint32_t epoch) {
  Permutation p = {n, 1, {}};
  if (n > 1) p.half = uint32_t(32 - __clz(int(n - 1)) + 1) / 2;
  Coordinates at = {stream, 0, 0, 0, epoch, 0, 0};
  const Block first = philox_block(at, seed);
  at.block = 1;
  const Block second = philox_block(at, seed);
#pragma unroll
  for (int i = 0; i < 6; ++i) p.keys[i] = i < 4 ? first.word[i] : second.word[i - 4];
  return p;
}

// mix is the 32-bit finaliser of MurmurHash3.
__device__ inline uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85EBCA6Bu;
  x ^= x >> 13;
  x *= 0xC2B2AE35u;
  x ^= x >> 16;
  return x;
}

// permute is the image of i < n: the network, walked until it falls below n.
__device__ inline uint32_t permute(const Permutation& p, uint32_t i) {
  if (p.n <= 1) return i;
  const uint32_t mask = (1u << p.half) - 1;
  do {
    uint32_t left = i >> p.half, right = i & mask;
#pragma unroll
    for (int round = 0; round < 6; ++round) {
      const uint32_t next = left ^ (mix(right ^ p.keys[round]) & mask);
      left = right, right = next;
    }
    i = left << p.half | right;
  } while (i >= p.n);
  return i;
}

}  // namespace gpudae
