// corruption.cuh: the scalar twin of each kind of device.Corruption: what it
// makes of one feature, in the order of roundings of device.CorruptArgs. A new
// kind is a struct here and an entry in corrupt.cu.
#pragma once

#include "dataset.cuh"

namespace gpudae {

// Cell is one feature of one row: all that its corruption may depend on. The
// unit that is drawn for is the column, or its field; words is the block at
// draw 0 that holds the unit's word, at lane.
struct Cell {
  float x;
  int64_t column;
  uint32_t unit;
  uint32_t position;  // of the row's example in the part
  uint64_t seed;
  Coordinates at;  // of words
  Block words;
  int lane;

  __device__ uint32_t word() const { return words.at(lane); }
};

// Outcome is a corrupted value, and whether the draw destroyed the clean one.
struct Outcome {
  float x;
  bool destroyed;
};

// None: x̃ = x.
struct None {
  __device__ Outcome operator()(const Cell& c) const { return {c.x, false}; }
};

// Rate is the probability with which a field is destroyed: one for all, or, with
// words, that of each field (device.RateWord).
struct Rate {
  uint64_t threshold;
  const uint32_t* words;
  __device__ bool fires(const Cell& c) const {
    if (!words) return gpudae::fires(c.word(), threshold);
    const uint32_t rate = words[c.unit];
    return rate != 0 && c.word() <= rate;
  }
};

// Masking: 0, or absent, with probability p, by field.
struct Masking {
  Rate rate;
  float masked;
  __device__ Outcome operator()(const Cell& c) const { return rate.fires(c) ? Outcome{masked, true} : Outcome{c.x, false}; }
};

// Span: masked if a run starts at one of the places that reach the field.
struct Span {
  uint64_t rate;  // of a start
  uint32_t length;
  float masked;
  __device__ Outcome operator()(const Cell& c) const {
    Coordinates at = c.at;
    Block words = c.words;
    for (uint32_t start = c.unit; start < c.unit + length; ++start) {
      if (start / 4 != at.block) {
        at.block = start / 4;
        words = philox_block(at, c.seed);
      }
      if (fires(words.at(int(start % 4)), rate)) return {masked, true};
    }
    return {c.x, false};
  }
};

// SaltAndPepper: the column's low or high, each with probability p/2.
struct SaltAndPepper {
  uint64_t rate;
  const float *low, *high;
  __device__ Outcome operator()(const Cell& c) const {
    if (fires(c.word(), rate / 2)) return {low[c.column], true};
    if (fires(c.word(), rate)) return {high[c.column], true};
    return {c.x, false};
  }
};

// Swap: with probability p, by field, the value of another row of the part, which
// each field chooses for itself or all choose together.
template <class Data>
struct Swap {
  Rate rate;
  bool together;
  Data data;
  uint32_t lo, part;
  const Permutation& split;
  __device__ Outcome operator()(const Cell& c) const {
    if (part < 2 || !rate.fires(c)) return {c.x, false};
    Coordinates at = c.at;
    at.draw = 1;
    if (together) at.block = 0;
    uint32_t donor = below(philox_block(at, c.seed).at(together ? 0 : c.lane), part - 1);
    if (donor >= c.position) ++donor;
    return {data.at(permute(split, lo + donor), c.column), true};
  }
};

// standard_normal is the draw of the cell: lanes 0 and 1 are the pair of words 0 and 1,
// lanes 2 and 3 that of words 2 and 3.
__device__ inline float standard_normal(const Cell& c) {
  const NormalPair pair = normal(c.words.at(c.lane & 2), c.words.at((c.lane & 2) + 1));
  return c.lane & 1 ? pair.z1 : pair.z0;
}

// noise is a + σ·z.
__device__ inline float noise(float a, float sigma, float z) { return __fadd_rn(a, __fmul_rn(sigma, z)); }

// AdditiveGaussian: x + σ·z.
struct AdditiveGaussian {
  float sigma;
  __device__ Outcome with(float x, float z) const { return {noise(x, sigma, z), true}; }
  __device__ Outcome operator()(const Cell& c) const { return with(c.x, standard_normal(c)); }
};

// Speckle: x·(1 + σ·z).
struct Speckle {
  float sigma;
  __device__ Outcome with(float x, float z) const { return {__fmul_rn(x, noise(1, sigma, z)), true}; }
  __device__ Outcome operator()(const Cell& c) const { return with(c.x, standard_normal(c)); }
};

// AdditiveUniform: x + a·(2u - 1); 2u - 1 is exact.
struct AdditiveUniform {
  float a;
  __device__ Outcome operator()(const Cell& c) const {
    const float u = uniform(c.word());
    return {__fadd_rn(c.x, __fmul_rn(a, __fadd_rn(__fmul_rn(2.0f, u), -1.0f))), true};
  }
};

// Shot: N/peak with N ~ Poisson(peak·max(x, 0)); its blocks are the column's own.
struct Shot {
  float peak;
  __device__ Outcome operator()(const Cell& c) const {
    Coordinates at = c.at;
    at.block = uint32_t(c.column);
    return {__fdiv_rn(poisson(__fmul_rn(peak, c.x), at, c.seed), peak), true};
  }
};

}  // namespace gpudae
