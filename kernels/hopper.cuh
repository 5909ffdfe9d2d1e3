// hopper.cuh: big products on compute capability 9.0 by wgmma, whose operands the tensor memory
// accelerator (TMA) brings to shared memory. PTX of sm_90a (PTX ISA: wgmma, mbarrier, cp.async.bulk.tensor); where the
// compiler is none of CUDA, the software driver's emulation (bulk.h there). In code for other architectures kernels trap.
//
// An operand is the tensor map of a copy by kernel narrow, of boxes of 64×64 elements. A box
// is 64 rows of 128 bytes in shared memory, whose pieces of 16 bytes are permuted by the row, bits 4 to 6 of an
// address by its bits 7 to 9 (128-byte swizzle), as wgmma reads them without conflicts. Rows of a box are of w (m of A, n of B) if
// the operand lies along k, else of k: wgmma takes either, so no product needs a transposed copy.
//
// Blocks stay for the whole launch, one a multiprocessor, and work in clusters of two, on pairs of tiles one above the other: see Hopper.
#pragma once

#include "cluster.cuh"
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

// signal_arrive_in arrives at the signal in the same place of a block of the cluster, by its rank.
__device__ inline void signal_arrive_in(Signal* s, uint32_t rank) {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile(
      "{\n\t.reg .b32 there;\n\t"
      "mapa.shared::cluster.u32 there, %0, %1;\n\t"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];\n\t}" ::"r"(shared_address(s)),
      "r"(rank)
      : "memory");
#endif
#else
  softdriver_signal_arrive_in(s, rank);
#endif
}

// signal_wait waits for the end of the phase of that parity, and not at all for that of the phase before the first, which is odd.
// What the threads have done that arrived, in whichever block of the cluster, came before.
__device__ inline void signal_wait(Signal* s, uint32_t parity) {
#ifdef __CUDACC__
  uint32_t ended;
  do {
    asm volatile(
        "{\n\t.reg .pred p;\n\t"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n\t"
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

// load_box_for brings it to the same place of each block of the cluster whose bit is set, by its rank; the signal in the
// same place there gets its bytes.
__device__ inline void load_box_for(uint32_t blocks, void* to, const void* map, int64_t row, int64_t column, Signal* s) {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(
          shared_address(to)),
      "l"(map), "r"(int(column)), "r"(int(row)), "r"(shared_address(s)), "h"(uint16_t(blocks))
      : "memory");
#endif
#else
  softdriver_load_box_for(blocks, to, map, int(row), int(column), s);
#endif
}

// keep_registers says how many registers the threads of a warpgroup have from here on, all warps of which must say so; what one
// gives away another gets.
template <int Count, bool More>
__device__ inline void keep_registers() {
#ifdef __CUDACC__
#ifndef GPUDAE_NO_HOPPER
  if (More) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
  }
#endif
#else
  softdriver_keep_registers(Count, More);
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

// hold_sums keeps the compiler from moving what is done to accumulators across it.
__device__ inline void hold_sums(float (&c)[128]) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < 128; ++i) asm volatile("" : "+f"(c[i])::"memory");
#endif
}

// Hopper multiplies by wgmma: see NarrowTensorCores. Of a block's three warpgroups two multiply, and have half of the rows of a
// tile each. A warp of the third brings panels, some ahead of them, be it for the next tile, while this one leaves the registers; the
// others sum the columns of a bias' gradient meanwhile.
//
// The two blocks of a cluster have tiles one above the other, and so one panel of B, of which each brings half to both. A stage of the
// ring is full when its bytes have come, half of those of B from the other block, and empty when the warps of both blocks have
// multiplied it: whoever fills it fills it in both.
struct Hopper {
  static constexpr int kM = 128, kN = 256, kK = 64, kStages = 4, kWarps = 8, kBlocks = 2;
  static constexpr int kBox = 64, kBoxBytes = 2 * kBox * kBox, kBoxesA = kM / kBox, kBoxesB = kN / kBox;
  static constexpr int kStageBytes = (kBoxesA + kBoxesB) * kBoxBytes, kSwizzleAlign = 1024;
  static constexpr uint32_t kBandOfPairs = kBand / kBlocks;

  // Shared is what a block has beside its panels.
  struct Shared {
    Signal full[kStages], empty[kStages];
    Signal summed;
    float sums[2][kWarps];
    Signal columns_there, columns_taken;
    float columns[kRowLanes][kBiasColumns];
  };

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

  // Product is a matrix product by pairs of tiles. The cluster takes those of its number and every so many behind it.
  struct Product {
    int64_t m, n, k;
    const void *a, *b;
    __device__ uint32_t tiles_m() const { return uint32_t((m + kM - 1) / kM); }
    __device__ uint32_t tiles_n() const { return uint32_t((n + kN - 1) / kN); }
    __device__ uint32_t pairs() const { return (tiles_m() + kBlocks - 1) / kBlocks * tiles_n(); }
  };

  // Place is the tile of this block in a pair: where it begins, and its number among all. Below the last row a tile is
  // multiplied like the others, since its block brings what the other one needs, and nothing is left of it.
  struct Place {
    int64_t m, n;
    uint32_t number;
    __device__ Place(const Product& p, uint32_t pair) {
      const uint32_t at = banded(pair, (p.tiles_m() + kBlocks - 1) / kBlocks, p.tiles_n(), kBandOfPairs);
      const uint32_t row = at / p.tiles_n() * kBlocks + rank(), column = at % p.tiles_n();
      m = int64_t(row) * kM, n = int64_t(column) * kN, number = row * p.tiles_n() + column;
    }
  };

  __device__ static uint32_t rank() { return blockIdx.x % kBlocks; }
  __device__ static uint32_t cluster() { return blockIdx.x / kBlocks; }
  __device__ static uint32_t clusters() { return gridDim.x / kBlocks; }
  __device__ static bool multiplies() { return int(threadIdx.x) / kWarp < kWarps; }
  __device__ static bool brings() { return threadIdx.x == kWarps * kWarp; }

  // Registers of the threads of a warpgroup: at the start all have the same.
  static constexpr int kMultiplying = 208, kOthers = 88;

  // show makes the maps of a product visible to the accelerator.
  __device__ static void show(const Product& p) {
    if (p.k == 0) return;
    map_visible(p.a);
    map_visible(p.b);
  }

  // begin makes the ring, which nobody fills before both blocks have one.
  __device__ static Ring begin(Shared& shared, void* memory) {
    if (threadIdx.x == 0) {
      for (int s = 0; s < kStages; ++s) {
        signal_init(&shared.full[s], 1);
        signal_init(&shared.empty[s], kBlocks * kWarps);
      }
      signal_init(&shared.summed, kWarps);
      signal_init(&shared.columns_there, kColumnWarps);
      signal_init(&shared.columns_taken, 1);
      signals_visible();
    }
    __syncwarp();
#ifndef GPUDAE_NO_HOPPER
    cluster_barrier();
#endif
    char* const start = static_cast<char*>(memory);
    return {start + (kSwizzleAlign - reinterpret_cast<uintptr_t>(start) % kSwizzleAlign) % kSwizzleAlign, shared.full, shared.empty, 0, 0};
  }

  // end keeps the block until the other one does not write to its memory any more.
  __device__ static void end() {
    __syncwarp();
#ifndef GPUDAE_NO_HOPPER
    cluster_barrier();
#endif
  }

  // load brings a box of an operand, from w and k on, to some blocks of the cluster, or to this one alone.
  template <Order order>
  __device__ static void load(char* to, const void* map, int64_t w, int64_t k, Signal* full, uint32_t blocks) {
    const int64_t row = order == kAlongK ? w : k, column = order == kAlongK ? k : w;
    if (blocks) {
      load_box_for(blocks, to, map, row, column, full);
    } else {
      load_box(to, map, row, column, full);
    }
  }

  // bring fills the ring with a pair's panels.
  template <Order OrderA, Order OrderB>
  __device__ static void bring(Ring& ring, const Product& p, uint32_t pair) {
    constexpr int kHalf = kBoxesB / kBlocks;
    const Place place(p, pair);
    for (int64_t done = 0; done < p.k; done += kK) {
      signal_wait(&ring.empty[ring.stage], ring.parity ^ 1);
      Signal* const full = &ring.full[ring.stage];
      signal_expect(full, kStageBytes);
      char* const to = ring.at();
      for (int i = 0; i < kBoxesA; ++i) load<OrderA>(to + i * kBoxBytes, p.a, place.m + kBox * i, done, full, 0);
      for (int i = int(rank()) * kHalf; i < int(rank() + 1) * kHalf; ++i) {
        load<OrderB>(to + (kBoxesA + i) * kBoxBytes, p.b, place.n + kBox * i, done, full, (1 << kBlocks) - 1);
      }
      ring.next();
    }
  }

  // give_back tells both blocks that the warp has multiplied a stage.
  __device__ static void give_back(Signal* empty) {
    if (threadIdx.x % kWarp < kBlocks) signal_arrive_in(empty, threadIdx.x % kWarp);
  }

  template <Order OrderA, Order OrderB>
  __device__ static void consume(Ring& ring, int64_t k, float (&c)[128]) {
    constexpr int kStepA = OrderA == kAlongK ? 32 : 16 * 128, kStepB = OrderB == kAlongK ? 32 : 16 * 128;  // bytes, from 16 of k to the next
    const int group = int(threadIdx.x) / (4 * kWarp);
    Signal* multiplied = nullptr;  // of the stage before, which may be read still
    __syncwarp();                  // behind a tile before, whose lanes may have gone apart
    hold_sums(c);
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
      if (multiplied) give_back(multiplied);
      multiplied = &ring.empty[ring.stage];
      ring.next();
    }
    multiply_wait<0>();
    hold_sums(c);
    if (multiplied) give_back(multiplied);
  }

  // finish hands the sums to epilogue(m, n, count, quad). Of two neighbouring lanes, which hold two columns each of two
  // fragments of 8, one gets the first fragment's and the other the second's; so a row's four lanes have 16 columns next to each other.
  // The sums move down in their registers, so that the epilogue is there for kFragments of them and not for all.
  template <class Epilogue>
  __device__ static void finish(const Place& place, int64_t m, int64_t n, float (&c)[128], const Epilogue& epilogue) {
    constexpr int kFragments = 4;
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    const bool second = lane % 2;
    const int64_t row = place.m + warp * 16 + lane / 4;
    int64_t column = place.n + (second ? 8 : 0) + lane % 4 / 2 * 4;
#pragma unroll 1
    for (int done = 0; done < kN / 8; done += kFragments) {
#pragma unroll
      for (int j = 0; j < kFragments; j += 2, column += 16) {
        float own[4], other[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          own[r] = second ? c[4 * j + 4 + r] : c[4 * j + r];
          other[r] = __shfl_xor_sync(kWholeWarp, second ? c[4 * j + r] : c[4 * j + 4 + r], 1);
        }
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const Quad q = second ? Quad{{other[2 * h], other[2 * h + 1], own[2 * h], own[2 * h + 1]}}
                                : Quad{{own[2 * h], own[2 * h + 1], other[2 * h], other[2 * h + 1]}};
          if (row + 8 * h < m && column < n) epilogue(row + 8 * h, column, n - column, q);
        }
      }
#pragma unroll
      for (int i = 0; i + 4 * kFragments < 128; ++i) c[i] = c[i + 4 * kFragments];
    }
  }

  // multiply makes the block's tile of a pair.
  template <Order OrderA, Order OrderB, class Epilogue>
  __device__ static void multiply(Ring& ring, const Product& p, const Place& place, const Epilogue& epilogue) {
    float c[128] = {};
    consume<OrderA, OrderB>(ring, p.k, c);
    finish(place, p.m, p.n, c, epilogue);
  }

  // add_up leaves at to the sum of what the threads that multiply have, each warp's in its turn; all of them call it, the turn-th time. A
  // warp that is ahead waits for the turn before, behind which nobody reads where it writes.
  __device__ static void add_up(Shared& shared, uint32_t turn, float sum, float* to) {
    sum = warp_sum(sum);
    if (threadIdx.x % kWarp != 0) return;
    const int warp = int(threadIdx.x) / kWarp;
    if (turn > 0) signal_wait(&shared.summed, (turn - 1) % 2);
    shared.sums[turn % 2][warp] = sum;
    signal_arrive(&shared.summed);
    if (warp != 0) return;
    signal_wait(&shared.summed, turn % 2);
    sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += shared.sums[turn % 2][w];
    if (to) *to = sum;
  }

  // The warps behind the one that brings panels add up columns, of which a lane has four.
  static constexpr int kFirstColumnWarp = kWarps + 1, kColumnWarps = 3, kLanesOfWarp = (kRowLanes + kColumnWarps - 1) / kColumnWarps;
  __device__ static bool sums_columns() { return int(threadIdx.x) / kWarp >= kFirstColumnWarp; }

  // bias_gradient makes every so many of the parts of db, of kBiasColumns each: see bias_gradient of dense_backward.cuh, which adds in
  // the same order. A warp has every third of the lanes of rows.
  __device__ static void bias_gradient(const Backward& g, Shared& shared, uint32_t squares_before, const Applying* rule) {
    const int helper = int(threadIdx.x) / kWarp - kFirstColumnWarp, lane = int(threadIdx.x) % kWarp;
    uint32_t turn = 0;
    for (int64_t part = blockIdx.x; part * kBiasColumns < g.out; part += gridDim.x, ++turn) {
      const int64_t column = part * kBiasColumns + 4 * lane;
      float sum[kLanesOfWarp][4] = {};
      if (column < g.out) {
#pragma unroll 4
        for (int64_t i = helper; i < g.rows + helper; i += kRowLanes) {
#pragma unroll
          for (int q = 0; q < kLanesOfWarp; ++q) {
            if (helper + kColumnWarps * q >= kRowLanes || i + kColumnWarps * q >= g.rows) continue;
            const Quad x = load_quad(g.da + (i + kColumnWarps * q) * g.out + column, g.out - column);
#pragma unroll
            for (int l = 0; l < 4; ++l) sum[q][l] += x.at[l];
          }
        }
      }
      if (turn > 0) signal_wait(&shared.columns_taken, (turn - 1) % 2);
#pragma unroll
      for (int q = 0; q < kLanesOfWarp; ++q) {
        if (helper + kColumnWarps * q < kRowLanes) store_aligned(&shared.columns[helper + kColumnWarps * q][4 * lane], {{sum[q][0], sum[q][1], sum[q][2], sum[q][3]}});
      }
      __syncwarp();
      if (lane == 0) signal_arrive(&shared.columns_there);
      if (helper != 0) continue;
      signal_wait(&shared.columns_there, turn % 2);
      const float squares = warp_sum(add_lanes(g, shared, column, lane, rule));
      if (lane == 0 && g.squares) g.squares[squares_before + part] = squares;
      __syncwarp();
      if (lane == 0) signal_arrive(&shared.columns_taken);
    }
  }

  // add_lanes stores a lane's four columns, and returns their squares.
  __device__ static float add_lanes(const Backward& g, const Shared& shared, int64_t column, int lane, const Applying* rule) {
    float squares = 0;
    Quad sum = {};
    for (int i = 0; i < kRowLanes; ++i) {
#pragma unroll
      for (int l = 0; l < 4; ++l) sum.at[l] += shared.columns[i][4 * lane + l];
    }
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      if (column + l >= g.out) break;
      store_bias(g, column + l, sum.at[l], rule);
      squares += sum.at[l] * sum.at[l];
    }
    return squares;
  }
};

template <Order OrderW>
__device__ inline void hopper_dense(int64_t m, int64_t n, int64_t k, const void* x, const void* w, const Output& output, const Loss& loss, void* memory) {
  __shared__ Hopper::Shared shared;
  const Hopper::Product product = {m, n, k, x, w};
  Hopper::Ring ring = Hopper::begin(shared, memory);
  if (Hopper::multiplies()) {
    keep_registers<Hopper::kMultiplying, true>();
    uint32_t turn = 0;
    for (uint32_t pair = Hopper::cluster(); pair < product.pairs(); pair += Hopper::clusters(), ++turn) {
      float sum = 0;
      const Hopper::Place place(product, pair);
      Hopper::multiply<kAlongK, OrderW>(ring, product, place, OutputOrLoss{output, loss, &sum});
      if (loss.sums) Hopper::add_up(shared, turn, sum, place.m < m ? loss.sums + place.number : nullptr);
    }
  } else {
    keep_registers<Hopper::kOthers, false>();
    if (Hopper::brings()) {
      Hopper::show(product);
      for (uint32_t pair = Hopper::cluster(); pair < product.pairs(); pair += Hopper::clusters()) Hopper::bring<kAlongK, OrderW>(ring, product, pair);
    }
  }
  Hopper::end();
}

// hopper_backward makes the block's parts: see dense_backward. The pairs of tiles of dX come before those of dW. Pairs are dealt out, not
// drawn: a block must not wait for the tiles of another cluster, which may not have started. So with a rule there is dX or dW, and a launch
// for each.
template <bool Transposed>
__device__ inline void hopper_backward(const Backward& g, const Copies& copies, void* memory) {
  constexpr Order kOrderW = Transposed ? kAlongK : kAcrossK;
  __shared__ Hopper::Shared shared;
  __shared__ Applying applying;
  const Applying* const rule = g.rule ? &applying : nullptr;
  const Hopper::Product dx = {g.rows, g.in, g.out, copies.da, copies.w};
  const Hopper::Product dw = {Transposed ? g.in : g.out, Transposed ? g.out : g.in, g.rows, Transposed ? copies.x : copies.da, Transposed ? copies.da : copies.x};
  const uint32_t of_dx = g.dx ? dx.pairs() : 0, all = of_dx + (g.dw ? dw.pairs() : 0);
  const uint32_t tiles_dw = g.dw ? dw.tiles_m() * dw.tiles_n() : 0;
  if (rule) applying.begin(static_cast<RuleInMemory*>(g.rule), 0, tiles_dw);
  Hopper::Ring ring = Hopper::begin(shared, memory);
  if (Hopper::multiplies()) {
    keep_registers<Hopper::kMultiplying, true>();
    uint32_t turn = 0, pair = Hopper::cluster();
    for (; pair < of_dx; pair += Hopper::clusters()) {
      Hopper::multiply<kAlongK, kOrderW>(ring, dx, Hopper::Place(dx, pair), InputGradient{g.in, int(g.act), g.source, g.dx, beside(copies.dx, g.in)});
    }
    for (; pair < all; pair += Hopper::clusters(), ++turn) {
      float squares = 0;
      bool waited = true;  // for nobody
      const Hopper::Place place(dw, pair - of_dx);
      Hopper::multiply<kAcrossK, kAcrossK>(ring, dw, place, WeightGradient{dw.n, g.accumulate, g.dw, &squares, rule, &waited, beside(copies.updated, dw.n)});
      if (g.squares) Hopper::add_up(shared, turn, squares, place.m < dw.m ? g.squares + place.number : nullptr);
    }
  } else {
    keep_registers<Hopper::kOthers, false>();
    if (Hopper::brings()) {
      if (of_dx > 0) Hopper::show(dx);
      if (all > of_dx) Hopper::show(dw);
      uint32_t pair = Hopper::cluster();
      for (; pair < of_dx; pair += Hopper::clusters()) Hopper::bring<kAlongK, kOrderW>(ring, dx, pair);
      for (; pair < all; pair += Hopper::clusters()) Hopper::bring<kAcrossK, kAcrossK>(ring, dw, pair - of_dx);
    } else if (g.dbias && Hopper::sums_columns()) {
      Hopper::bias_gradient(g, shared, tiles_dw, rule);
    }
  }
  Hopper::end();
}

}  // namespace gpudae
