// vector.cuh: access to four consecutive floats, in one 16-byte transaction
// where address and bounds allow it and one by one where they do not. So every
// shape and every offset is legal, and the common ones are wide.
#pragma once

#include "word.cuh"

namespace gpudae {

struct Quad {
  float at[4];
};

// aligned16 says that p can be the address of a float4.
__device__ inline bool aligned16(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

// load_aligned reads the four floats at p, which is aligned.
__device__ inline Quad load_aligned(const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {{v.x, v.y, v.z, v.w}};
}

// store_aligned writes q to p, which is aligned.
__device__ inline void store_aligned(float* p, const Quad& q) {
  *reinterpret_cast<float4*>(p) = make_float4(q.at[0], q.at[1], q.at[2], q.at[3]);
}

// load_quad reads the first four of the count floats at p; what is missing is 0.
__device__ inline Quad load_quad(const float* p, int64_t count) {
  if (count >= 4 && aligned16(p)) return load_aligned(p);
  Quad q = {{0, 0, 0, 0}};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) q.at[i] = p[i];
  }
  return q;
}

// store_quad writes q to the first four of the count floats at p.
__device__ inline void store_quad(float* p, int64_t count, const Quad& q) {
  if (count >= 4 && aligned16(p)) {
    store_aligned(p, q);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < count) p[i] = q.at[i];
  }
}

}  // namespace gpudae
