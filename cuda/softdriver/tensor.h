// tensor.h: tensor-core products and asynchronous copies, for kernels/mma.cuh.
//
// A product is computed by the lane that comes last, for the whole warp, from the
// registers that the others have brought. Its rounding is a model, meant to be no
// better than hardware (Fasi, Higham, Mikaitis and Pranesh, "Numerical behavior of
// NVIDIA tensor cores", PeerJ Computer Science 2021): products are exact; they join the
// accumulator four (tf32) or eight (bfloat16) at a time; each term of such a sum is cut
// off below 2⁻²³ of the largest one's power of two, without guard bits, and the sum is
// rounded toward zero. Operands of tf32 are what a tensor core reads: the low 13 bits
// count for nothing.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "launch.h"

inline uint32_t softdriver_float_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float softdriver_bits_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline uint32_t softdriver_to_tf32(float x) {
  const uint32_t bits = softdriver_float_bits(x);
  if (std::isnan(x)) return 0x7FFFFFFF;
  if (std::isinf(x)) return bits;
  return (bits + 0x1000) & ~0x1FFFu;  // the carry of a significand goes into the exponent
}

inline uint32_t softdriver_to_bf16(float x) {
  const uint32_t bits = softdriver_float_bits(x);
  if (std::isnan(x)) return 0x7FFF;
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;  // infinity stays, since its lower half is 0
}

// softdriver_add adds Terms products to each of the eight sums.
template <int Terms>
inline void softdriver_add(float (&sums)[8], const double (&products)[Terms][8]) {
  double largest[8], unit[8], inverse[8], total[8];
  for (int j = 0; j < 8; ++j) largest[j] = std::fabs(double(sums[j]));
  for (int q = 0; q < Terms; ++q) {
    for (int j = 0; j < 8; ++j) {
      const double size = std::fabs(products[q][j]);
      largest[j] = size > largest[j] ? size : largest[j];
    }
  }
  for (int j = 0; j < 8; ++j) {
    uint64_t bits;
    std::memcpy(&bits, &largest[j], sizeof bits);
    bits &= 0x7FF0000000000000u;
    std::memcpy(&unit[j], &bits, sizeof bits);
    unit[j] = unit[j] * 0x1p-23 > 0x1p-149 ? unit[j] * 0x1p-23 : 0x1p-149;
    inverse[j] = 1 / unit[j];
    total[j] = __builtin_trunc(sums[j] * inverse[j]);
  }
  for (int q = 0; q < Terms; ++q) {
    for (int j = 0; j < 8; ++j) total[j] += __builtin_trunc(products[q][j] * inverse[j]);
  }
  for (int j = 0; j < 8; ++j) {
    double plain = sums[j];
    for (int q = 0; q < Terms; ++q) plain += products[q][j];
    double cut = total[j] * unit[j];
    uint64_t bits;
    std::memcpy(&bits, &cut, sizeof bits);
    bits &= ~uint64_t((1u << 29) - 1);
    std::memcpy(&cut, &bits, sizeof bits);
    sums[j] = float(std::isfinite(plain) ? cut : plain);
  }
}

struct SoftdriverProduct {
  float* c;  // of four
  const uint32_t *a, *b;
};

inline const SoftdriverProduct& softdriver_product(void* lane) { return *static_cast<const SoftdriverProduct*>(lane); }

// softdriver_multiply adds A·B, Group terms at a time, to the C of all lanes.
template <int Group, int K>
void softdriver_multiply(const double (&a)[16][K], const double (&b)[K][8], void* const* lanes) {
  float c[16][8];
  for (int l = 0; l < 32; ++l) {
    for (int r = 0; r < 4; ++r) c[l / 4 + 8 * (r / 2)][2 * (l % 4) + r % 2] = softdriver_product(lanes[l]).c[r];
  }
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < K; k += Group) {
      double products[Group][8];
      for (int q = 0; q < Group; ++q) {
        for (int j = 0; j < 8; ++j) products[q][j] = a[i][k + q] * b[k + q][j];
      }
      softdriver_add(c[i], products);
    }
  }
  for (int l = 0; l < 32; ++l) {
    for (int r = 0; r < 4; ++r) softdriver_product(lanes[l]).c[r] = c[l / 4 + 8 * (r / 2)][2 * (l % 4) + r % 2];
  }
}

inline void softdriver_multiply_tf32(void* const* lanes) {
  double a[16][8], b[8][8];
  const auto value = [](uint32_t bits) { return double(softdriver_bits_float(bits & ~0x1FFFu)); };
  for (int l = 0; l < 32; ++l) {
    const SoftdriverProduct& of = softdriver_product(lanes[l]);
    const int g = l / 4, p = l % 4;
    for (int r = 0; r < 4; ++r) a[g + 8 * (r % 2)][p + 4 * (r / 2)] = value(of.a[r]);
    for (int r = 0; r < 2; ++r) b[p + 4 * r][g] = value(of.b[r]);
  }
  softdriver_multiply<4>(a, b, lanes);
}

inline void softdriver_multiply_bf16(void* const* lanes) {
  double a[16][16], b[16][8];
  const auto value = [](uint32_t half) { return double(softdriver_bits_float(half << 16)); };
  for (int l = 0; l < 32; ++l) {
    const SoftdriverProduct& of = softdriver_product(lanes[l]);
    const int g = l / 4, p = l % 4;
    for (int h = 0; h < 2; ++h) {
      for (int r = 0; r < 4; ++r) a[g + 8 * (r % 2)][2 * p + h + 8 * (r / 2)] = value(of.a[r] >> 16 * h & 0xFFFF);
      for (int r = 0; r < 2; ++r) b[2 * p + h + 8 * r][g] = value(of.b[r] >> 16 * h & 0xFFFF);
    }
  }
  softdriver_multiply<8>(a, b, lanes);
}

inline void softdriver_mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  SoftdriverProduct mine = {c, a, b};
  softdriver_together(&softdriver_multiply_tf32, &mine);
}
inline void softdriver_mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  SoftdriverProduct mine = {c, a, b};
  softdriver_together(&softdriver_multiply_bf16, &mine);
}

// SoftdriverRows is what a lane of ldmatrix brings, the row that it names, and gets.
struct SoftdriverRows {
  uint32_t row[4], to[4];
};

inline void softdriver_spread(void* const* lanes) {
  for (int l = 0; l < 32; ++l) {
    for (int m = 0; m < 4; ++m) {
      static_cast<SoftdriverRows*>(lanes[l])->to[m] = static_cast<const SoftdriverRows*>(lanes[8 * m + l / 4])->row[l % 4];
    }
  }
}

inline void softdriver_spread_transposed(void* const* lanes) {
  const auto half = [&](int m, int row, int column) {
    return static_cast<const SoftdriverRows*>(lanes[8 * m + row])->row[column / 2] >> 16 * (column % 2) & 0xFFFF;
  };
  for (int l = 0; l < 32; ++l) {
    for (int m = 0; m < 4; ++m) {
      static_cast<SoftdriverRows*>(lanes[l])->to[m] = half(m, 2 * (l % 4), l / 4) | half(m, 2 * (l % 4) + 1, l / 4) << 16;
    }
  }
}

inline void softdriver_ldmatrix(uint32_t (&to)[4], const void* row, bool transposed) {
  softdriver_check_shared(row, 16, "ldmatrix");
  SoftdriverRows mine;
  for (int w = 0; w < 4; ++w) mine.row[w] = static_cast<const uint32_t*>(row)[w];
  softdriver_together(transposed ? &softdriver_spread_transposed : &softdriver_spread, &mine);
  for (int m = 0; m < 4; ++m) to[m] = mine.to[m];
}
