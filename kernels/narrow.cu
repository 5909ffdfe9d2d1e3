// Narrow: a copy of a matrix with its elements rounded to bfloat16, to nearest and ties to
// even, as the operand of dense_*_narrow and dense_*_hopper.
//
//   from [rows, columns]   to [rows, stride], stride the next multiple of 8: what lies between is 0
//
// Geometry: RowQuads of (rows, stride). Launched before Dense and DenseBackward where a copy is
// not current.
#include "mma.cuh"
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) narrow(int64_t rows, int64_t stride, int64_t columns, const float* __restrict__ from,
                                                         void* __restrict__ to) {
  const RowQuad q = row_quad(rows, stride);
  if (!q.inside) return;
  const int64_t column = 4 * q.quad;
  const Quad x = load_quad(from + q.row * columns + column, columns - column);
  *reinterpret_cast<uint2*>(static_cast<uint16_t*>(to) + q.row * stride + column) = make_uint2(to_bf16(x.at[0], x.at[1]), to_bf16(x.at[2], x.at[3]));
}
