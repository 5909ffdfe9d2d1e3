// Embed: the network's input of a table's rows (device.EmbedArgs): numbers and
// bits as they are, 0 where they are absent; the vector of a code; 1 in a column's
// indicator where it is absent.
//
//   words [columns, 8] of table.cuh     x [rows, columns]     y [rows, width]
//   params holds the vectors            d_y like y            grads like params
//
// Geometry: embed: Rows, a block for each row: a thread for a number, a warp for a
// vector. embed_backward: Elements of codes × 32, a warp for each vector of each
// column, which goes over the rows in their order; so no two threads add to the
// same element, and every vector is written, those that no row uses too.
// Launched by Device.Embed and Device.EmbedBackward.
#include "reduce.cuh"
#include "table.cuh"

namespace gpudae {

// column_of_code finds the column that a vector belongs to, numbered over all
// columns: the last one that begins no later.
__device__ inline int64_t column_of_code(const uint32_t* words, int64_t columns, int64_t code) {
  int64_t low = 0, high = columns;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (table_column(words, middle).first_code() <= code) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace gpudae

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) embed(
    int64_t rows, int64_t columns, int64_t width, const uint32_t* __restrict__ words, const float* __restrict__ x,
    const float* __restrict__ params, float* __restrict__ y) {
  const float* from = x + int64_t(blockIdx.x) * columns;
  float* to = y + int64_t(blockIdx.x) * width;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) {
    const TableColumn column = table_column(words, j);
    if (!column.categorical()) to[column.input()] = is_absent(from[j]) ? 0.0f : from[j];
    if (column.indicator() != kNoIndicator) to[column.indicator()] = is_absent(from[j]) ? 1.0f : 0.0f;
  }
  for (int64_t j = threadIdx.x / kWarp; j < columns; j += blockDim.x / kWarp) {
    const TableColumn column = table_column(words, j);
    if (!column.categorical()) continue;
    const int64_t n = column.embedding();
    const float* vector = params + column.vectors() + column.code(from[j]) * n;
    for (int64_t k = threadIdx.x % kWarp; k < n; k += kWarp) to[column.input() + k] = vector[k];
  }
}

extern "C" __global__ void __launch_bounds__(256) embed_backward(
    int64_t codes, int64_t rows, int64_t columns, int64_t width, const uint32_t* __restrict__ words, const float* __restrict__ x,
    const float* __restrict__ d_y, float* __restrict__ grads) {
  const int64_t slot = grid_thread() / kWarp;
  if (slot >= codes) return;
  const int64_t j = column_of_code(words, columns, slot);
  const TableColumn column = table_column(words, j);
  const int64_t code = slot - column.first_code(), n = column.embedding();
  for (int64_t k = threadIdx.x % kWarp; k < n; k += kWarp) {
    float sum = 0;
    for (int64_t i = 0; i < rows; ++i) {
      if (column.code(x[i * columns + j]) == code) sum += d_y[i * width + column.input() + k];
    }
    grads[column.vectors() + code * n + k] = sum;
  }
}
