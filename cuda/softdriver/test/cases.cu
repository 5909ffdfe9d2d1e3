// cases.cu: kernels of the driver's own tests. Those that begin with bug_ are
// wrong on purpose, each in one way; test.cpp says what must be said of it.

__device__ inline float warp_total(float v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, d);
  return v;
}

extern "C" __global__ void __launch_bounds__(1024) block_totals(const float* x, float* totals, int64_t n) {
  __shared__ float parts[32];
  float v = 0;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) v += x[i];
  v = warp_total(v);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = warp_total(threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) totals[blockIdx.x] = v;
  }
}

extern "C" __global__ void __launch_bounds__(256) reverse_dynamic(const float* in, float* out) {
  extern __shared__ float row[];
  const int t = threadIdx.x;
  row[t] = in[t];
  __syncthreads();
  out[t] = row[blockDim.x - 1 - t];
}

extern "C" __global__ void __launch_bounds__(64) warp_votes(const float* x, unsigned* votes) {
  const bool positive = x[threadIdx.x] > 0;
  const unsigned ballot = __ballot_sync(0xFFFFFFFFu, positive);
  const unsigned any = __any_sync(0xFFFFFFFFu, positive), all = __all_sync(0xFFFFFFFFu, positive);
  if (threadIdx.x % 32 == 0) votes[threadIdx.x / 32 * 3] = ballot, votes[threadIdx.x / 32 * 3 + 1] = any, votes[threadIdx.x / 32 * 3 + 2] = all;
}

extern "C" __global__ void __launch_bounds__(256) count_positive(const float* x, unsigned* count) {
  if (x[blockIdx.x * blockDim.x + threadIdx.x] > 0) atomicAdd(count, 1u);
}

extern "C" __global__ void __launch_bounds__(256) add_one(float* x) { x[blockIdx.x * blockDim.x + threadIdx.x] += 1; }

extern "C" __global__ void __launch_bounds__(256) bug_write_past(float* x, int64_t n) {
  const int64_t i = threadIdx.x;
  if (i <= n) x[i] = 1;  // < was meant
}

extern "C" __global__ void __launch_bounds__(256) bug_read_past(const float* x, float* out, int64_t n) {
  if (threadIdx.x == 0) out[0] = x[n];
}

extern "C" __global__ void __launch_bounds__(64) bug_shared_past(float* x) {
  __shared__ float s[64];
  const int t = threadIdx.x;
  s[t + 1] = float(t);  // the last thread is out of bounds
  __syncthreads();
  if (t > 0) x[t] = s[t];
}

extern "C" __global__ void __launch_bounds__(64) bug_dynamic_past(float* x) {
  extern __shared__ float row[];
  row[threadIdx.x + 1] = 1;
  __syncthreads();
  x[threadIdx.x] = row[threadIdx.x + 1];
}

extern "C" __global__ void __launch_bounds__(256) bug_read_too_early(const float* in, float* out) {
  __shared__ float s[256];
  const int t = threadIdx.x;
  s[t] = in[t];
  out[t] = s[255 - t];  // no barrier before it
}

extern "C" __global__ void __launch_bounds__(256) bug_overwrite_too_early(const float* in, float* out) {
  __shared__ float s[256];
  const int t = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 4; ++round) {
    s[t] = in[t] + float(round);
    __syncthreads();
    sum += s[255 - t];  // no barrier after it
  }
  out[t] = sum;
}

extern "C" __global__ void __launch_bounds__(64) bug_end_before_barrier(float* x) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  x[threadIdx.x] = 1;
}

extern "C" __global__ void __launch_bounds__(64) bug_two_barriers(float* x) {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    x[threadIdx.x] = 2;
    __syncthreads();
  }
  x[threadIdx.x] = 1;
}

extern "C" __global__ void __launch_bounds__(64) bug_half_a_warp(float* x) {
  float v = x[threadIdx.x];
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xFFFFFFFFu, v, 1);
  x[threadIdx.x] = v;
}

extern "C" __global__ void __launch_bounds__(64) bug_lane_outside_mask(float* x) {
  float v = x[threadIdx.x];
  if (threadIdx.x < 16) v = __shfl_sync(0xFFFFu, v, 20);
  x[threadIdx.x] = v;
}

extern "C" __global__ void __launch_bounds__(64) bug_blocks_race(float* x) {
  if (threadIdx.x == 0) x[0] += 1;
}

extern "C" __global__ void __launch_bounds__(64) bug_uninitialised(const float* never_written, float* out) {
  out[threadIdx.x] = never_written[threadIdx.x] + 1;
}

extern "C" __global__ void __launch_bounds__(64) bug_undefined_shift(const float* x, unsigned* out) {
  out[threadIdx.x] = unsigned(1 << (int(x[threadIdx.x]) + 32));
}

extern "C" __global__ void __launch_bounds__(64) bug_misaligned(const float* x, float* out) {
  const float4 v = *reinterpret_cast<const float4*>(x + 1);  // a device faults at any address that is no multiple of 16
  out[threadIdx.x] = v.x + v.w;
}

#include "cluster.cuh"
#include "mma.cuh"

// Fragments of 16×8 by 8×8 of tf32 as the tables of mma.m16n8k8 in the PTX ISA give them; operands are
// rounded where round says so.
extern "C" __global__ void __launch_bounds__(32) product_tf32(const float* a, const float* b, const float* c, float* d, int64_t round) {
  const int group = int(threadIdx.x) >> 2, thread_in_group = int(threadIdx.x) % 4;
  uint32_t fa[4], fb[2];
  float fc[4];
  for (int i = 0; i < 4; ++i) {
    const int row = i == 0 || i == 2 ? group : group + 8, column = i < 2 ? thread_in_group : thread_in_group + 4;
    fa[i] = round ? gpudae::to_tf32(a[row * 8 + column]) : __float_as_uint(a[row * 8 + column]);
  }
  for (int i = 0; i < 2; ++i) {
    const int row = i == 0 ? thread_in_group : thread_in_group + 4;
    fb[i] = round ? gpudae::to_tf32(b[row * 8 + group]) : __float_as_uint(b[row * 8 + group]);
  }
  for (int i = 0; i < 4; ++i) fc[i] = c[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)];
  gpudae::mma_tf32(fc, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)] = fc[i];
}

// The same of 16×16 by 16×8 of bfloat16 (mma.m16n8k16): elements a0..a7 and b0..b3, two in a register.
extern "C" __global__ void __launch_bounds__(32) product_bf16(const float* a, const float* b, const float* c, float* d) {
  const int group = int(threadIdx.x) >> 2, thread_in_group = int(threadIdx.x) % 4;
  float ea[8], eb[4];
  uint32_t fa[4], fb[2];
  float fc[4];
  for (int i = 0; i < 8; ++i) {
    const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8, column = i < 4 ? thread_in_group * 2 + (i & 1) : thread_in_group * 2 + (i & 1) + 8;
    ea[i] = a[row * 16 + column];
  }
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? thread_in_group * 2 + (i & 1) : thread_in_group * 2 + (i & 1) + 8;
    eb[i] = b[row * 8 + group];
  }
  for (int i = 0; i < 4; ++i) fa[i] = gpudae::to_bf16(ea[2 * i], ea[2 * i + 1]);
  for (int i = 0; i < 2; ++i) fb[i] = gpudae::to_bf16(eb[2 * i], eb[2 * i + 1]);
  for (int i = 0; i < 4; ++i) fc[i] = c[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)];
  gpudae::mma_bf16(fc, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)] = fc[i];
}

extern "C" __global__ void __launch_bounds__(64) round_operands(const float* x, unsigned* tf32, unsigned* bf16) {
  tf32[threadIdx.x] = gpudae::to_tf32(x[threadIdx.x]);
  bf16[threadIdx.x] = gpudae::to_bf16(x[threadIdx.x], -x[threadIdx.x]);
}

// Four matrices of 8×8 halves that count up from 0; out gets the four registers of each lane.
extern "C" __global__ void __launch_bounds__(32) load_matrices(unsigned* out, int64_t transposed) {
  __shared__ __align__(16) uint16_t matrices[4][8][8];
  for (int i = int(threadIdx.x); i < 256; i += 32) matrices[i / 64][i / 8 % 8][i % 8] = uint16_t(i);
  __syncwarp();
  uint32_t r[4];
  const void* row = matrices[threadIdx.x / 8][threadIdx.x % 8];
  transposed ? gpudae::ldmatrix_transposed(r, row) : gpudae::ldmatrix(r, row);
  for (int m = 0; m < 4; ++m) out[threadIdx.x * 4 + m] = r[m];
}

// Rounds of 256 floats pass through two buffers; of the last one rest are there. Waits
// says after how many groups the copies are waited for: 1 is right.
template <int Waits, bool Barrier>
__device__ inline void through_buffers(const float* in, float* out, int64_t rounds, int64_t rest) {
  __shared__ __align__(16) float buffers[2][256];
  const int t = int(threadIdx.x);
  const auto fetch = [&](int64_t round) {
    const int64_t left = (round + 1 < rounds ? 256 : rest) - 4 * t;
    if (round < rounds) gpudae::copy_async<16>(&buffers[round % 2][4 * t], in + round * 256 + 4 * t, left >= 4 ? 16 : left > 0 ? int(left) * 4 : 0);
    gpudae::commit_copies();
  };
  fetch(0);
  for (int64_t round = 0; round < rounds; ++round) {
    fetch(round + 1);
    gpudae::wait_copies<Waits>();
    __syncthreads();
    for (int i = 0; i < 4; ++i) out[round * 256 + i * 64 + t] = buffers[round % 2][255 - (i * 64 + t)];
    if (Barrier) __syncthreads();
  }
  gpudae::wait_copies<0>();
}

extern "C" __global__ void __launch_bounds__(64) copy_through_buffers(const float* in, float* out, int64_t rounds, int64_t rest) {
  through_buffers<1, true>(in, out, rounds, rest);
}

extern "C" __global__ void __launch_bounds__(64) bug_waits_for_too_little(const float* in, float* out, int64_t rounds, int64_t rest) {
  through_buffers<2, true>(in, out, rounds, rest);
}

extern "C" __global__ void __launch_bounds__(64) bug_copies_too_early(const float* in, float* out, int64_t rounds, int64_t rest) {
  through_buffers<1, false>(in, out, rounds, rest);  // others may read the buffer still
}

extern "C" __global__ void __launch_bounds__(64) bug_no_barrier_after_copies(const float* in, float* out) {
  __shared__ float buffer[64];
  gpudae::copy_async<4>(&buffer[threadIdx.x], in + threadIdx.x, 4);
  gpudae::commit_copies();
  gpudae::wait_copies<0>();
  out[threadIdx.x] = buffer[63 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(64) bug_ends_with_copies(const float* in) {
  __shared__ float buffer[64];
  gpudae::copy_async<4>(&buffer[threadIdx.x], in + threadIdx.x, 4);
}

extern "C" __global__ void __launch_bounds__(32) bug_copies_off_alignment(const float* in) {
  __shared__ __align__(16) float buffer[256];
  gpudae::copy_async<16>(&buffer[4 * threadIdx.x + 1], in + 4 * threadIdx.x, 16);
  gpudae::wait_copies<0>();
}

extern "C" __global__ void __launch_bounds__(32) bug_half_a_warp_multiplies(const float* x, float* out) {
  float c[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16) gpudae::mma_tf32(c, a, b);
  out[threadIdx.x] = c[0] + x[0];
}

// The block that is the last to take a ticket writes what all have read.
extern "C" __global__ void __launch_bounds__(64) last_block_writes(float* x, float* sums, unsigned* ticket) {
  __shared__ bool last;
  sums[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x] + float(blockIdx.x);
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    __threadfence();
    if (last) *ticket = 0;
  }
  __syncthreads();
  if (!last) return;
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += sums[b * 64 + threadIdx.x];
  x[threadIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(64) bug_ticket_without_fence(float* x, float* sums, unsigned* ticket) {
  __shared__ bool last;
  sums[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  __syncthreads();
  if (last) x[threadIdx.x] = sums[threadIdx.x];
}

// Blocks of a cluster hand what they have to the next one, over and over.
extern "C" __global__ void GPUDAE_CLUSTER(4) __launch_bounds__(64) cluster_hands_on(float* x, int64_t rounds) {
  const unsigned first = blockIdx.x / 4 * 4, next = first + (blockIdx.x + 1) % 4;
  for (int64_t r = 0; r < rounds; ++r) {
    const float mine = x[next * 64 + threadIdx.x];
    gpudae::cluster_barrier();
    x[blockIdx.x * 64 + threadIdx.x] = mine + 1;
    gpudae::cluster_barrier();
  }
}

extern "C" __global__ void GPUDAE_CLUSTER(4) __launch_bounds__(64) bug_cluster_reads_early(const float* x, float* sums, float* totals) {
  sums[blockIdx.x * 64 + threadIdx.x] = x[threadIdx.x];
  __syncthreads();  // of the block alone
  float total = 0;
  for (int b = 0; b < 4; ++b) total += sums[b * 64 + threadIdx.x];
  totals[blockIdx.x * 64 + threadIdx.x] = total;
}

extern "C" __global__ void GPUDAE_CLUSTER(4) __launch_bounds__(64) bug_cluster_writes_early(float* x) {
  const float mine = x[(blockIdx.x + 1) % 4 * 64 + threadIdx.x];
  x[blockIdx.x * 64 + threadIdx.x] = mine;
}

extern "C" __global__ void GPUDAE_CLUSTER(4) __launch_bounds__(64) bug_block_leaves_cluster(float* x) {
  if (blockIdx.x == 2) return;
  gpudae::cluster_barrier();
  x[blockIdx.x * 64 + threadIdx.x] = 1;
}

extern "C" __global__ void __launch_bounds__(64) bug_barrier_without_cluster(float* x) {
  gpudae::cluster_barrier();
  x[threadIdx.x] = 1;
}

#include "hopper.cuh"

extern __shared__ float2 case_panels[];

enum HopperBug { kNone, kWrongParity, kSumsTooEarly, kWrongStride, kNoArrival, kArrivalTooEarly, kNoMapFence, kNoFence, kNoWaitForSums };

// C = A·B, 64 rows by 256 columns, by one warpgroup and a warp that brings panels of 64 of k to two stages.
// The sums are stored as the table of wgmma's accumulators in the PTX ISA gives them.
template <gpudae::Order OrderA, gpudae::Order OrderB>
__device__ inline void hopper_product(const void* a, const void* b, float* c, int64_t panels, int64_t bug) {
  __shared__ gpudae::Signal full[2], empty[2];
  constexpr int kBox = 8192;
  char* stages = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(case_panels) + 1023) / 1024 * 1024);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) gpudae::signal_init(&full[s], 1), gpudae::signal_init(&empty[s], 4);
    gpudae::signals_visible();
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x > 128) return;
    if (bug != kNoMapFence) gpudae::map_visible(a), gpudae::map_visible(b);
    for (int p = 0; p < panels; ++p) {
      gpudae::Signal* s = &full[p % 2];
      char* to = stages + p % 2 * 5 * kBox;
      gpudae::signal_wait(&empty[p % 2], uint32_t(p / 2 % 2) ^ 1);
      gpudae::signal_expect(s, 5 * kBox);
      OrderA == gpudae::kAlongK ? gpudae::load_box(to, a, 0, 64 * p, s) : gpudae::load_box(to, a, 64 * p, 0, s);
      for (int i = 0; i < 4; ++i) {
        char* box = to + (i + 1) * kBox;
        OrderB == gpudae::kAlongK ? gpudae::load_box(box, b, 64 * i, 64 * p, s) : gpudae::load_box(box, b, 64 * p, 64 * i, s);
      }
    }
    return;
  }
  float sums[128] = {};
  for (int p = 0; p < panels; ++p) {
    gpudae::signal_wait(&full[p % 2], uint32_t(p / 2 % 2) ^ uint32_t(bug == kWrongParity));
    if (bug != kNoFence) gpudae::multiply_fence();
    for (int s = 0; s < 4; ++s) {
      const char* at = stages + p % 2 * 5 * kBox;
      uint64_t of_a = gpudae::operand(at + s * (OrderA == gpudae::kAlongK ? 32 : 2048), kBox);
      const uint64_t of_b = gpudae::operand(at + kBox + s * (OrderB == gpudae::kAlongK ? 32 : 2048), kBox);
      if (bug == kWrongStride) of_a ^= uint64_t(3) << 37;  // 512 bytes in place of 1024
      gpudae::multiply_async<OrderA, OrderB>(sums, of_a, of_b);
    }
    gpudae::multiply_commit();
    if (bug != kArrivalTooEarly && bug != kSumsTooEarly && bug != kNoWaitForSums) gpudae::multiply_wait<0>();
    if (bug != kNoArrival && threadIdx.x % 32 == 0) gpudae::signal_arrive(&empty[p % 2]);
  }
  if (bug == kArrivalTooEarly) gpudae::multiply_wait<0>();
  const int warp = int(threadIdx.x) / 32, group = int(threadIdx.x) % 32 / 4, place = int(threadIdx.x) % 4;
  for (int i = 0; i < 128; ++i) c[(16 * warp + group + (i % 4 < 2 ? 0 : 8)) * 256 + 8 * (i / 4) + 2 * place + i % 2] = sums[i];
  if (bug == kSumsTooEarly) gpudae::multiply_wait<0>();
}

extern "C" __global__ void __launch_bounds__(160) boxes_multiplied(const void* a, const void* b, float* c, int64_t panels, int64_t across_a, int64_t across_b,
                                                                   int64_t bug) {
  using namespace gpudae;
  if (across_a) {
    across_b ? hopper_product<kAcrossK, kAcrossK>(a, b, c, panels, bug) : hopper_product<kAcrossK, kAlongK>(a, b, c, panels, bug);
  } else {
    across_b ? hopper_product<kAlongK, kAcrossK>(a, b, c, panels, bug) : hopper_product<kAlongK, kAlongK>(a, b, c, panels, bug);
  }
}

enum PairBug { kNoBug, kGivenBackHere, kNoBarrierBefore, kNoBarrierAfter, kOneBlock, kOneRank, kOwnBytes, kParityAnew, kSumsAnew };

// C = A·B, 128 rows by 256 columns with 64 rows for each block of a cluster of two, twice: see hopper_product. Each block brings its rows of A, and to
// both blocks half of B. The second time follows without a barrier. The sums of what each warp stores are added up by the first.
extern "C" __global__ void GPUDAE_CLUSTER(2) __launch_bounds__(160) boxes_shared_by_two(const void* a, const void* b, float* c, float* total, int64_t panels, int64_t bug) {
  using namespace gpudae;
  constexpr int kBox = 8192, kTimes = 2;
  __shared__ Signal full[2], empty[2], summed;
  __shared__ float sums[2][4];
  const uint32_t rank = blockIdx.x % 2;
  char* stages = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(case_panels) + 1023) / 1024 * 1024);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) signal_init(&full[s], 1), signal_init(&empty[s], bug == kGivenBackHere ? 4 : 8);
    signal_init(&summed, 4);
    signals_visible();
  }
  bug == kNoBarrierBefore ? __syncthreads() : cluster_barrier();
  if (threadIdx.x == 128) {
    map_visible(a), map_visible(b);
    for (int p = 0; p < kTimes * panels; ++p) {
      Signal* s = &full[p % 2];
      char* to = stages + p % 2 * 5 * kBox;
      signal_wait(&empty[p % 2], uint32_t(p / 2 % 2) ^ 1);
      signal_expect(s, (bug == kOwnBytes ? 3 : 5) * kBox);
      load_box(to, a, 64 * rank, p % panels * 64, s);
      for (uint32_t i = 2 * rank; i < 2 * rank + 2; ++i) load_box_for(bug == kOneBlock ? 1 << rank : 3, to + (i + 1) * kBox, b, 64 * i, p % panels * 64, s);
    }
  } else if (threadIdx.x < 128) {
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    for (int p = 0, time = 0; time < kTimes; ++time) {
      float of_thread[128] = {}, sum = 0;
      for (int done = 0; done < panels; ++done, ++p) {
        const int phase = bug == kParityAnew ? done : p;
        signal_wait(&full[p % 2], uint32_t(phase / 2 % 2));
        multiply_fence();
        for (int s = 0; s < 4; ++s) {
          const char* at = stages + p % 2 * 5 * kBox;
          multiply_async<kAlongK, kAlongK>(of_thread, operand(at + s * 32, kBox), operand(at + kBox + s * 32, kBox));
        }
        multiply_commit();
        multiply_wait<0>();
        if (bug == kGivenBackHere && lane == 0) signal_arrive(&empty[p % 2]);
        if (bug != kGivenBackHere && lane < 2) signal_arrive_in(&empty[p % 2], bug == kOneRank ? rank : uint32_t(lane));
      }
      for (int i = 0; i < 128; ++i) {
        c[(64 * rank + 16 * warp + lane / 4 + (i % 4 < 2 ? 0 : 8)) * 256 + 8 * (i / 4) + 2 * (lane % 4) + i % 2] = of_thread[i];
        sum += of_thread[i];
      }
      sum = warp_sum(sum);
      if (lane > 0) continue;
      if (time > 0 && bug != kSumsAnew) signal_wait(&summed, uint32_t(time - 1) % 2);
      sums[bug == kSumsAnew ? 0 : time % 2][warp] = sum;
      signal_arrive(&summed);
      if (warp > 0) continue;
      if (bug != kSumsAnew) signal_wait(&summed, uint32_t(time) % 2);
      total[2 * time + rank] = sums[bug == kSumsAnew ? 0 : time % 2][0] + sums[bug == kSumsAnew ? 0 : time % 2][1] + sums[bug == kSumsAnew ? 0 : time % 2][2] + sums[bug == kSumsAnew ? 0 : time % 2][3];
    }
  }
  if (bug != kNoBarrierAfter) cluster_barrier();
}

extern "C" __global__ void __launch_bounds__(64) bug_arrives_without_cluster(float* x) {
  __shared__ gpudae::Signal signal;
  if (threadIdx.x == 0) {
    gpudae::signal_init(&signal, 1);
    gpudae::signal_arrive_in(&signal, 1);
  }
  x[threadIdx.x] = 1;
}

// Two warpgroups of a block say how many registers they keep: 256 threads have 255 at first, that is 248.
extern "C" __global__ void __launch_bounds__(256) registers_kept(float* x, int64_t bug) {
  if (threadIdx.x < 128) {
    bug == 1 ? gpudae::keep_registers<248, false>() : gpudae::keep_registers<40, false>();
  } else if (bug != 2 || threadIdx.x >= 160) {
    gpudae::keep_registers<256, true>();
  }
  x[threadIdx.x] = 1;
}

// The first half of the blocks read x, and then count themselves; the others write to it once all of those have. Which they are
// follows from the order in which they start.
__device__ inline unsigned half_that_reads(unsigned* counts) {
  __shared__ unsigned place;
  if (threadIdx.x == 0) place = atomicInc(&counts[0], gridDim.x - 1);
  __syncthreads();
  return place;
}

__device__ inline void read_and_count(const float* x, float* sums, unsigned place, unsigned* counts) {
  sums[place * 64 + threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicInc(&counts[1], gridDim.x - 1);
  }
}

extern "C" __global__ void __launch_bounds__(64) writers_wait_for_readers(float* x, float* sums, unsigned* counts) {
  const unsigned place = half_that_reads(counts), readers = gridDim.x / 2;
  if (place < readers) return read_and_count(x, sums, place, counts);
  if (threadIdx.x % (gridDim.x - readers) == place - readers) {
    softdriver_wait_for(&counts[1], readers);
    x[threadIdx.x] = -1;
  }
  __syncthreads();
  if (threadIdx.x == 0) atomicInc(&counts[1], gridDim.x - 1);
}

extern "C" __global__ void __launch_bounds__(64) bug_writers_do_not_wait(float* x, float* sums, unsigned* counts) {
  const unsigned place = half_that_reads(counts), readers = gridDim.x / 2;
  if (place < readers) return read_and_count(x, sums, place, counts);
  if (threadIdx.x % (gridDim.x - readers) == place - readers) x[threadIdx.x] = -1;
}

extern "C" __global__ void __launch_bounds__(64) bug_waits_for_later_blocks(float*, float*, unsigned* counts) {
  const unsigned place = half_that_reads(counts), readers = gridDim.x / 2;
  if (place < readers) softdriver_wait_for(&counts[1], gridDim.x - readers);
  __syncthreads();
  if (place >= readers && threadIdx.x == 0) atomicInc(&counts[1], gridDim.x);
}
