// hopper.cuh: big products on compute capability 9.0 by wgmma, whose operands the tensor memory
// accelerator (TMA) brings to shared memory. PTX of sm_90a (PTX ISA: wgmma, mbarrier, cp.async.bulk.tensor); where the
// compiler is none of CUDA, the software driver's emulation (bulk.h there). In code for other architectures kernels trap.
//
// An operand is the tensor map of a copy by kernel narrow, of boxes of 64×64 elements. A box
// is 64 rows of 128 bytes in shared memory, whose pieces of 16 bytes are permuted by the row, bits 4 to 6 of an
// address by its bits 7 to 9 (128-byte swizzle), as wgmma reads them without conflicts. Rows of a box are of w (m of A, n of B) if
// the operand lies along k, else of k: wgmma takes either, so no product needs a transposed copy.
#pragma once

#include "narrow.cuh"

#if defined(__CUDACC__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GPUDAE_NO_HOPPER
#endif

namespace gpudae {

// Signal is an mbarrier. It ends a phase when as many threads have arrived as it counts, and all bytes that they announced.
using Signal = uint64_t;

__device__ inline void signal_init(Signal* s, int arrivals) {
#ifdef __CUDACC__
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(s)), "r"(arrivals) : "memory");
#else
  softdriver_signal_init(s, arrivals);
#endif
}

// signals_visible makes what was initialised visible to the accelerator; other threads need a barrier besides.
__device__ inline void signals_visible() {
#ifdef __CUDACC__
  asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// signal_expect announces bytes, and arrives.
__device__ inline void signal_expect(Signal* s, int bytes) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(s)), "r"(bytes) : "memory");
#else
  softdriver_signal_expect(s, bytes);
#endif
}

__device__ inline void signal_arrive(Signal* s) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(s)) : "memory");
#else
  softdriver_signal_arrive(s);
#endif
}

// signal_wait waits for the end of the phase of that parity, and not at all for that of the phase before the first, which is odd.
__device__ inline void signal_wait(Signal* s, uint32_t parity) {
#ifdef __CUDACC__
  uint32_t ended;
  do {
    asm volatile(
        "{\n\t.reg .pred p;\n\t"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
        "selp.u32 %0, 1, 0, p;\n\t}"
        : "=r"(ended)
        : "r"(shared_address(s)), "r"(parity)
        : "memory");
  } while (!ended);
#else
  softdriver_signal_wait(s, parity);
#endif
}

// map_visible makes a tensor map that a copy has brought to global memory visible to the accelerator.
__device__ inline void map_visible(const void* map) {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
#endif
#else
  softdriver_map_visible(map);
#endif
}

// load_box starts to bring the box of a matrix that begins at (row, column) to shared memory, with zeros for what lies outside
// the matrix; the signal gets its bytes.
__device__ inline void load_box(void* to, const void* map, int64_t row, int64_t column, Signal* s) {
#ifdef __CUDACC__
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
               "l"(map), "r"(int(column)), "r"(int(row)), "r"(shared_address(s))
               : "memory");
#else
  softdriver_load_box(to, map, int(row), int(column), s);
#endif
}

#ifndef __CUDACC__
inline uint32_t shared_address(const void* p) { return softdriver_shared_address(p); }
#endif

// operand describes boxes in shared memory to wgmma, from an address on: 8 rows after 8 others follow in 1,024 bytes,
// and across k a box after the other in so many.
__device__ inline uint64_t operand(const void* at, uint32_t boxed) {
  constexpr uint64_t kEightRows = 1024, kSwizzle128 = 1;
  return uint64_t((shared_address(at) & 0x3FFFF) >> 4) | uint64_t(boxed >> 4) << 16 | kEightRows >> 4 << 32 | kSwizzle128 << 62;
}

// multiply_fence orders what was done to accumulators before the next multiplication, multiply_commit makes a group
// of those since the last, multiply_wait waits until at most the last Pending groups are on their way.
__device__ inline void multiply_fence() {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
#else
  softdriver_wgmma_fence();
#endif
}
__device__ inline void multiply_commit() {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
#else
  softdriver_wgmma_commit();
#endif
}
template <int Pending>
__device__ inline void multiply_wait() {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#endif
#else
  softdriver_wgmma_wait(Pending);
#endif
}

// multiply_async starts to add A·B to C, 64×16 by 16×256 of bfloat16, for the four warps of a warpgroup. Warp w has the
// rows 16w to 16w + 15 of C; of the columns 8j to 8j + 7, registers 4j to 4j + 3 hold what C in mma.cuh says.
template <Order OrderA, Order OrderB>
__device__ inline void multiply_async(float (&c)[128], uint64_t a, uint64_t b) {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile(
      "{\n\t.reg .pred add;\n\tsetp.eq.u32 add, 0, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, "
      "%40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63, "
      "%64, %65, %66, %67, %68, %69, %70, %71, "
      "%72, %73, %74, %75, %76, %77, %78, %79, "
      "%80, %81, %82, %83, %84, %85, %86, %87, "
      "%88, %89, %90, %91, %92, %93, %94, %95, "
      "%96, %97, %98, %99, %100, %101, %102, %103, "
      "%104, %105, %106, %107, %108, %109, %110, %111, "
      "%112, %113, %114, %115, %116, %117, %118, %119, "
      "%120, %121, %122, %123, %124, %125, %126, %127"
      "}, %128, %129, add, 1, 1, %130, %131;\n\t}"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]),
        "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]),
        "+f"(c[8]), "+f"(c[9]), "+f"(c[10]), "+f"(c[11]),
        "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]),
        "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19]),
        "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]),
        "+f"(c[24]), "+f"(c[25]), "+f"(c[26]), "+f"(c[27]),
        "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]),
        "+f"(c[32]), "+f"(c[33]), "+f"(c[34]), "+f"(c[35]),
        "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]),
        "+f"(c[40]), "+f"(c[41]), "+f"(c[42]), "+f"(c[43]),
        "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]),
        "+f"(c[48]), "+f"(c[49]), "+f"(c[50]), "+f"(c[51]),
        "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]),
        "+f"(c[56]), "+f"(c[57]), "+f"(c[58]), "+f"(c[59]),
        "+f"(c[60]), "+f"(c[61]), "+f"(c[62]), "+f"(c[63]),
        "+f"(c[64]), "+f"(c[65]), "+f"(c[66]), "+f"(c[67]),
        "+f"(c[68]), "+f"(c[69]), "+f"(c[70]), "+f"(c[71]),
        "+f"(c[72]), "+f"(c[73]), "+f"(c[74]), "+f"(c[75]),
        "+f"(c[76]), "+f"(c[77]), "+f"(c[78]), "+f"(c[79]),
        "+f"(c[80]), "+f"(c[81]), "+f"(c[82]), "+f"(c[83]),
        "+f"(c[84]), "+f"(c[85]), "+f"(c[86]), "+f"(c[87]),
        "+f"(c[88]), "+f"(c[89]), "+f"(c[90]), "+f"(c[91]),
        "+f"(c[92]), "+f"(c[93]), "+f"(c[94]), "+f"(c[95]),
        "+f"(c[96]), "+f"(c[97]), "+f"(c[98]), "+f"(c[99]),
        "+f"(c[100]), "+f"(c[101]), "+f"(c[102]), "+f"(c[103]),
        "+f"(c[104]), "+f"(c[105]), "+f"(c[106]), "+f"(c[107]),
        "+f"(c[108]), "+f"(c[109]), "+f"(c[110]), "+f"(c[111]),
        "+f"(c[112]), "+f"(c[113]), "+f"(c[114]), "+f"(c[115]),
        "+f"(c[116]), "+f"(c[117]), "+f"(c[118]), "+f"(c[119]),
        "+f"(c[120]), "+f"(c[121]), "+f"(c[122]), "+f"(c[123]),
        "+f"(c[124]), "+f"(c[125]), "+f"(c[126]), "+f"(c[127])
      : "l"(a), "l"(b), "n"(OrderA == kAcrossK), "n"(OrderB == kAcrossK));
#endif
#else
  softdriver_wgmma(c, 256, a, b, OrderA == kAcrossK, OrderB == kAcrossK);
#endif
}

// Hopper multiplies by wgmma: see NarrowTensorCores. Two warpgroups have half of the rows of a tile each, and
// a warp more brings panels, some ahead of them. A stage of the ring is full when its bytes have come, and
// empty when all eight warps have multiplied it.
struct Hopper {
  static constexpr int kM = 128, kN = 256, kK = 64, kStages = 4, kWarps = 8;
  static constexpr int kBox = 64, kBoxBytes = 2 * kBox * kBox, kBoxesA = kM / kBox, kBoxesB = kN / kBox;
  static constexpr int kStageBytes = (kBoxesA + kBoxesB) * kBoxBytes, kSwizzleAlign = 1024;

  // Ring is where the stages are, and their signals.
  struct Ring {
    char* stages;
    Signal *full, *empty;
    int stage;
    uint32_t parity;
    __device__ char* at() const { return stages + stage * kStageBytes; }
    __device__ void next() {
      stage = stage + 1 < kStages ? stage + 1 : 0;
      parity ^= stage == 0;
    }
  };

  __device__ static uint32_t tiles_m(int64_t m) { return uint32_t((m + kM - 1) / kM); }
  __device__ static uint32_t tiles_n(int64_t n) { return uint32_t((n + kN - 1) / kN); }

  // load_panel brings the boxes of a panel of an operand, from w and k on.
  template <Order order>
  __device__ static void load_panel(char* to, const void* map, int boxes, int64_t w, int64_t k, Signal* full) {
    for (int i = 0; i < boxes; ++i) {
      const int64_t of_w = w + kBox * i;
      load_box(to + i * kBoxBytes, map, order == kAlongK ? of_w : k, order == kAlongK ? k : of_w, full);
    }
  }

  template <Order OrderA, Order OrderB>
  __device__ static void produce(Ring ring, int64_t m0, int64_t n0, int64_t k, const void* a, const void* b) {
    if (k == 0) return;
    map_visible(a);
    map_visible(b);
    for (int64_t done = 0; done < k; done += kK) {
      signal_wait(&ring.empty[ring.stage], ring.parity ^ 1);
      Signal* full = &ring.full[ring.stage];
      signal_expect(full, kStageBytes);
      load_panel<OrderA>(ring.at(), a, kBoxesA, m0, done, full);
      load_panel<OrderB>(ring.at() + kBoxesA * kBoxBytes, b, kBoxesB, n0, done, full);
      ring.next();
    }
  }

  template <Order OrderA, Order OrderB>
  __device__ static void consume(Ring ring, int64_t k, float (&c)[128]) {
    constexpr int kStepA = OrderA == kAlongK ? 32 : 16 * 128, kStepB = OrderB == kAlongK ? 32 : 16 * 128;  // bytes, from 16 of k to the next
    const int group = int(threadIdx.x) / (4 * kWarp);
    Signal* multiplied = nullptr;  // of the stage before, which may be read still
    for (int64_t done = 0; done < k; done += kK) {
      signal_wait(&ring.full[ring.stage], ring.parity);
      multiply_fence();
#pragma unroll
      for (int s = 0; s < kK / 16; ++s) {
        multiply_async<OrderA, OrderB>(c, operand(ring.at() + group * kBoxBytes + s * kStepA, kBoxBytes),
                                       operand(ring.at() + kBoxesA * kBoxBytes + s * kStepB, kBoxBytes));
      }
      multiply_commit();
      multiply_wait<1>();
      if (multiplied && threadIdx.x % kWarp == 0) signal_arrive(multiplied);
      multiplied = &ring.empty[ring.stage];
      ring.next();
    }
    multiply_wait<0>();
  }

  // finish hands the sums to epilogue(m, n, count, quad), through shared memory, which nobody multiplies any more: each warp
  // writes its 16 rows there, and reads them by whole rows, in few instructions and to neighbouring places.
  template <class Epilogue>
  __device__ static void finish(float* memory, int64_t m0, int64_t n0, int64_t m, int64_t n, const float (&c)[128], const Epilogue& epilogue) {
    constexpr int kStride = kN + 8;  // floats: eight rows lie in different banks
    static_assert(kWarps * 16 * kStride * 4 <= kStages * kStageBytes, "a tile must find room");
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    float* const rows = memory + warp * 16 * kStride;
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
      float* const to = rows + lane / 4 * kStride + 8 * j + lane % 4 * 2;
      *reinterpret_cast<float2*>(to) = make_float2(c[4 * j], c[4 * j + 1]);
      *reinterpret_cast<float2*>(to + 8 * kStride) = make_float2(c[4 * j + 2], c[4 * j + 3]);
    }
    __syncwarp();
#pragma unroll 1
    for (int q = lane; q < 16 * kN / 4; q += kWarp) {
      const int64_t row = m0 + warp * 16 + q / (kN / 4), column = n0 + q % (kN / 4) * 4;
      if (row < m && column < n) epilogue(row, column, n - column, load_aligned(rows + q / (kN / 4) * kStride + q % (kN / 4) * 4));
    }
  }

  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static void multiply(uint32_t tile, int64_t m, int64_t n, int64_t k, const void* a, const void* b, const Epilogue& epilogue, void* memory) {
    __shared__ Signal full[kStages], empty[kStages];
    if (threadIdx.x == 0) {
      for (int s = 0; s < kStages; ++s) {
        signal_init(&full[s], 1);
        signal_init(&empty[s], kWarps);
      }
      signals_visible();
    }
    __syncthreads();
    const uint32_t place = banded(tile, tiles_m(m), tiles_n(n));
    const int64_t m0 = int64_t(place / tiles_n(n)) * kM, n0 = int64_t(place % tiles_n(n)) * kN;
    char* const start = static_cast<char*>(memory);
    const Ring ring = {start + (kSwizzleAlign - reinterpret_cast<uintptr_t>(start) % kSwizzleAlign) % kSwizzleAlign, full, empty, 0, 0};
    const bool multiplies = int(threadIdx.x) / kWarp < kWarps;
    float c[128] = {};
    if (multiplies) {
      consume<OrderA, OrderB>(ring, k, c);
    } else if (threadIdx.x % kWarp == 0) {
      produce<OrderA, OrderB>(ring, m0, n0, k, a, b);
    }
    __syncthreads();  // nobody multiplies any more
    if (multiplies) finish(reinterpret_cast<float*>(ring.stages), m0, n0, m, n, c, epilogue);
  }
};

}  // namespace gpudae
