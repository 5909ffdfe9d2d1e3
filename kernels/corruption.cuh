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

// Masking: 0 with probability p, by field.
struct Masking {
  uint64_t rate;
  __device__ Outcome operator()(const Cell& c) const { return fires(c.word(), rate) ? Outcome{0, true} : Outcome{c.x, false}; }
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

// Swap: with probability p, by field, the value of another row of the part.
template <class Element>
struct Swap {
  uint64_t rate;
  const Element* data;
  float scale;
  int64_t columns;
  uint32_t lo, part;
  const Permutation& split;
  __device__ Outcome operator()(const Cell& c) const {
    if (part < 2 || !fires(c.word(), rate)) return {c.x, false};
    Coordinates at = c.at;
    at.draw = 1;
    uint32_t donor = below(philox_block(at, c.seed).at(c.lane), part - 1);
    if (donor >= c.position) ++donor;
    return {widen(data[int64_t(permute(split, lo + donor)) * columns + c.column], scale), true};
  }
};

// noise is a + σ·z, z the standard normal draw of the cell: lanes 0 and 1 are
// the pair of words 0 and 1, lanes 2 and 3 that of words 2 and 3.
__device__ inline float noise(float a, float sigma, const Cell& c) {
  const NormalPair pair = normal(c.words.at(c.lane & 2), c.words.at((c.lane & 2) + 1));
  return __fadd_rn(a, __fmul_rn(sigma, c.lane & 1 ? pair.z1 : pair.z0));
}

// AdditiveGaussian: x + σ·z.
struct AdditiveGaussian {
  float sigma;
  __device__ Outcome operator()(const Cell& c) const { return {noise(c.x, sigma, c), true}; }
};

// Speckle: x·(1 + σ·z).
struct Speckle {
  float sigma;
  __device__ Outcome operator()(const Cell& c) const { return {__fmul_rn(c.x, noise(1, sigma, c)), true}; }
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
