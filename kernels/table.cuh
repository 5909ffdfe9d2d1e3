// table.cuh: the columns of a table of mixed columns (device.TableColumns).
#pragma once

#include "kinds.cuh"
#include "word.cuh"

namespace gpudae {

constexpr int64_t kTableColumnWords = 8;
constexpr int kNoIndicator = -1;

// TableColumn is a column's place in a network's input and output; the fields are
// those of device.TableColumn, in the order of their words.
struct TableColumn {
  const uint32_t* words;

  __device__ int family() const { return int(words[0]); }
  __device__ int64_t categories() const { return words[1]; }
  __device__ int64_t input() const { return words[2]; }
  __device__ int64_t embedding() const { return words[3]; }
  __device__ int64_t vectors() const { return words[4]; }
  __device__ int indicator() const { return int(words[5]); }
  __device__ int64_t param() const { return words[6]; }
  __device__ int64_t first_code() const { return words[7]; }  // vectors of the columns before it
  __device__ bool categorical() const { return family() == kFamilyCategorical; }

  // code is the row of the column's vectors that a value has: the last one where
  // the value is absent.
  __device__ int64_t code(float x) const { return is_absent(x) ? categories() : int64_t(x); }
};

__device__ inline TableColumn table_column(const uint32_t* words, int64_t j) { return {words + kTableColumnWords * j}; }

}  // namespace gpudae
