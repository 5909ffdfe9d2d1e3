// dataset.cuh: the resident data set and a part of it (device.Table, device.Rows).
#pragma once

#include "philox.cuh"

namespace gpudae {

// absent is what stands for a value that is not there: the quiet NaN of Go.
__device__ inline float absent() { return __uint_as_float(0x7FC00000u); }

// widen is an element as a float32: Scale·value, rounded once, for bytes.
__device__ inline float widen(uint8_t value, float scale) { return __fmul_rn(scale, __uint2float_rn(value)); }
__device__ inline float widen(float value, float) { return value; }

// Matrix is a data set of elements of one type.
template <class Element>
struct Matrix {
  const Element* data;
  float scale;
  int64_t columns;
  __device__ float at(int64_t row, int64_t column) const { return widen(data[row * columns + column], scale); }
};

// Cell types, as in device/records.go.
enum CellType { kCellBit, kCellUint8, kCellUint16, kCellFloat32 };

// Column says how a column of records is read: the type of its cells, the byte
// (or bit) where they are, and the values of its numbers: where they start among
// all values, kPlain if a number stands for itself, and how many they are.
struct Column {
  uint32_t cell, offset, values, count;
};

constexpr uint32_t kPlain = 0xFFFFFFFFu;

// Records are a data set of device.Records.
struct Records {
  const uint8_t* bytes;
  int64_t stride;
  const uint32_t* columns;  // of Column
  const float* values;

  __device__ Column column(int64_t j) const {
    const uint32_t* at = columns + 4 * j;
    return {at[0], at[1], at[2], at[3]};
  }

  __device__ float at(int64_t row, int64_t j) const {
    const Column c = column(j);
    const uint8_t* record = bytes + row * stride;
    int64_t number = -1;
    switch (c.cell) {
      case kCellBit: number = record[c.offset / 8] >> (c.offset % 8) & 1; break;
      case kCellUint8: number = int64_t(record[c.offset]) - 1; break;
      case kCellUint16: number = int64_t(*reinterpret_cast<const uint16_t*>(record + c.offset)) - 1; break;
      default: return *reinterpret_cast<const float*>(record + c.offset);
    }
    if (number < 0) return absent();
    if (c.values == kPlain) return float(number);
    return number < int64_t(c.count) ? values[c.values + number] : absent();
  }
};

// part_permutation is device.Rows.Permutation for a data set of so many rows.
__device__ inline Permutation part_permutation(int64_t rows, int64_t split, uint64_t split_seed) {
  return split ? make_permutation(uint32_t(rows), split_seed, kStreamSplit, 0) : identity_permutation();
}

}  // namespace gpudae
