// checker.h: what the driver tells the access checker. The checker exists in the
// build variant "check" only, where the kernels are compiled with calls before
// each access; elsewhere these functions are empty.
#pragma once

#include <cstddef>
#include <cstdint>

namespace softdriver {

struct Range {
  const char* begin;
  size_t size;
  bool holds(const void* p, size_t n) const {
    const char* a = static_cast<const char*>(p);
    return a >= begin && a + n <= begin + size;
  }
};

// BlockRanges are the memory of a running block: its shared variables, the
// dynamic ones among them, the stacks of its threads, and what the driver keeps
// about them.
struct BlockRanges {
  Range shared, dynamic, stacks, threads, words;
  size_t dynamic_used;
};

#ifdef SOFTDRIVER_CHECK
constexpr bool kChecked = true;
void check_launch();
void check_block(const char* kernel, uint32_t block, const BlockRanges& ranges, int cluster);
void check_barrier();
void check_phase(int phase);
void check_warp(int warp);
void check_arrival(const void* signal);
void check_phase_end(const void* signal);
void check_waited(const void* signal);
void check_atomic(void* at, size_t size, void* caller);
void check_fence();
void check_acquired(const void* at);
void check_copy_start(void* to, size_t size, void* caller);
void check_copy_end(void* to, const void* from, size_t size, size_t bytes, void* caller);
void check_allocated(void* at, size_t size);
void check_released(void* at);
void check_written(void* at, size_t size);
#else
constexpr bool kChecked = false;
inline void check_launch() {}
inline void check_block(const char*, uint32_t, const BlockRanges&, int) {}
inline void check_barrier() {}
inline void check_phase(int) {}
inline void check_warp(int) {}
inline void check_arrival(const void*) {}
inline void check_phase_end(const void*) {}
inline void check_waited(const void*) {}
inline void check_atomic(void*, size_t, void*) {}
inline void check_fence() {}
inline void check_acquired(const void*) {}
inline void check_copy_start(void*, size_t, void*) {}
inline void check_copy_end(void*, const void*, size_t, size_t, void*) {}
inline void check_allocated(void*, size_t) {}
inline void check_released(void*) {}
inline void check_written(void*, size_t) {}
#endif

}  // namespace softdriver
