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
