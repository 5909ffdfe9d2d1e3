// device.h: what lets g++ compile the CUDA C++ of kernels/ for this CPU. The
// build includes it before each .cu file.
//
// A thread of a block is a fiber, a block stays on one thread of the operating
// system, and so __shared__ is thread_local. Anything that waits (barriers,
// warp primitives) is a call into the driver, which switches to another fiber.
// Only what kernels/ uses is here; a kernel that needs more fails to compile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "launch.h"

#define __global__
#define __device__
#define __host__
#define __noinline__ inline __attribute__((noinline))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ thread_local

#define threadIdx (softdriver_thread->thread)
#define blockIdx (softdriver_thread->block)
#define blockDim (softdriver_thread->block_size)
#define gridDim (softdriver_thread->grid_size)

using std::isfinite;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Rounded arithmetic: the build forbids contraction, so the plain operators are it.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
inline float __int2float_rn(int a) { return float(a); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __clz(int a) { return a ? __builtin_clz(unsigned(a)) : 32; }

template <class To, class From>
To softdriver_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of another size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __float_as_uint(float a) { return softdriver_bits<unsigned>(a); }
inline float __uint_as_float(unsigned a) { return softdriver_bits<float>(a); }

// The place of a call tells barriers apart: all threads of a block must wait at the same one.
inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { softdriver_barrier(file, line); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { softdriver_warp(kSoftdriverSync, mask, 0, 0); }

inline int softdriver_lane() { return softdriver_thread->number % 32; }

template <class T>
T softdriver_shuffle(unsigned mask, T value, int lane) {
  static_assert(sizeof(T) == 4, "shuffles of 4 bytes only");
  return softdriver_bits<T>(softdriver_warp(kSoftdriverShuffle, mask, softdriver_bits<unsigned>(value), lane));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return softdriver_shuffle(mask, value, lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return softdriver_shuffle(mask, value, softdriver_lane() ^ lanes);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int lanes) {
  const int lane = softdriver_lane() + lanes;
  return softdriver_shuffle(mask, value, lane > 31 ? softdriver_lane() : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int lanes) {
  const int lane = softdriver_lane() - lanes;
  return softdriver_shuffle(mask, value, lane < 0 ? softdriver_lane() : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) { return softdriver_warp(kSoftdriverBallot, mask, predicate != 0, 0); }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

#include "tensor.h"

inline float4 __ldcg(const float4* at) { return *at; }

inline void __threadfence() { softdriver_fence(); }
inline unsigned atomicAdd(unsigned* at, unsigned value) { return softdriver_atomic_add(at, value); }
inline unsigned atomicInc(unsigned* at, unsigned most) { return softdriver_atomic_inc(at, most); }

// Invoke calls a kernel with arguments that lie in words of 8 bytes.
template <auto Kernel>
struct SoftdriverInvoke;
template <class... A, void (*Kernel)(A...)>
struct SoftdriverInvoke<Kernel> {
  static_assert(((sizeof(A) == 8) && ...), "a kernel's parameters are words of 8 bytes");
  static constexpr bool pointers[] = {std::is_pointer_v<A>..., false};

  template <size_t... I>
  static void call(const uint64_t* words, std::index_sequence<I...>) {
    Kernel(softdriver_bits<A>(words[I])...);
  }
  static void invoke(const uint64_t* words) { call(words, std::index_sequence_for<A...>{}); }
};

// SOFTDRIVER_KERNEL enters a kernel in the table that the driver reads.
#define SOFTDRIVER_KERNEL(name, bound, cluster)                                                          \
  __attribute__((section("softdriver_kernels"), used)) static const SoftdriverKernel softdriver_##name = \
      {#name, &SoftdriverInvoke<&::name>::invoke, SoftdriverInvoke<&::name>::pointers,                       \
       int(sizeof SoftdriverInvoke<&::name>::pointers) - 1, bound, cluster}
