// mma.cuh: what a warp asks of the tensor cores, and copies to shared memory that
// run beside it. PTX of sm_80 and up (PTX ISA: mma, ldmatrix, cp.async); where the
// compiler is none of CUDA, the software driver's emulation (tensor.h there).
//
// In fragments, lane l has group g = l/4 and place p = l%4, and register r of
//
//   A of mma_tf32 (16×8)    holds (g + 8·(r%2), p + 4·(r/2))
//   B of mma_tf32 (8×8)     holds (k, n) = (p + 4·r, g)
//   A of mma_bf16 (16×16)   holds (g + 8·(r%2), 2p + 8·(r/2)) and its right neighbour, in the upper half
//   B of mma_bf16 (16×8)    holds (k, n) = (2p + 8·r, g) and the one below, in the upper half
//   C of both (16×8)        holds (g + 8·(r/2), 2p + r%2)
//
// All 32 lanes of a warp must make each call of mma and ldmatrix together.
#pragma once

#include "word.cuh"

namespace gpudae {

// to_tf32 rounds to the 11 significant bits of tf32, to nearest and ties away from zero.
__device__ inline uint32_t to_tf32(float x) {
#ifdef __CUDACC__
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  return softdriver_to_tf32(x);
#endif
}

// to_bf16 rounds two numbers to the 8 significant bits of bfloat16, to nearest and
// ties to even; low is in the lower half of the word.
__device__ inline uint32_t to_bf16(float low, float high) {
#ifdef __CUDACC__
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#else
  return softdriver_to_bf16(low) | softdriver_to_bf16(high) << 16;
#endif
}

// mma_tf32 adds A·B to C: 16×8 by 8×8, tf32, added in float32.
__device__ inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  softdriver_mma_tf32(c, a, b);
#endif
}

// mma_bf16 adds A·B to C: 16×16 by 16×8, bfloat16, added in float32.
__device__ inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  softdriver_mma_bf16(c, a, b);
#endif
}

#ifdef __CUDACC__
__device__ inline uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }
#endif

// ldmatrix reads four matrices of 8 rows of 16 bytes from shared memory. Lane l says
// where row l%8 of matrix l/8 starts, a multiple of 16 bytes, and gets of matrix m in
// to[m] the p-th word of row g.
__device__ inline void ldmatrix(uint32_t (&to)[4], const void* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
#else
  softdriver_ldmatrix(to, row, false);
#endif
}

// ldmatrix_transposed gives the g-th halves of rows 2p and 2p+1, the latter in the upper half.
__device__ inline void ldmatrix_transposed(uint32_t (&to)[4], const void* row) {
#ifdef __CUDACC__
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
#else
  softdriver_ldmatrix(to, row, true);
#endif
}

// copy_async starts a copy of Size bytes, 4 or 16 and both addresses multiples of it,
// from global to shared memory: the first bytes are read, the others become zero.
// What it brings is there for this thread after wait_copies, and for the block after
// a barrier behind that.
template <int Size>
__device__ inline void copy_async(void* to, const void* from, int bytes) {
  static_assert(Size == 4 || Size == 16, "cp.async moves words and quads");
#ifdef __CUDACC__
  if (Size == 16) {  // past the first-level cache
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
  }
#else
  softdriver_copy_async(to, from, Size, bytes);
#endif
}

// commit_copies makes a group of the copies that this thread has started since the last.
__device__ inline void commit_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  softdriver_commit_copies();
#endif
}

// wait_copies waits until at most the last Pending groups of this thread are on their way.
template <int Pending>
__device__ inline void wait_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#else
  softdriver_wait_copies(Pending);
#endif
}

}  // namespace gpudae
