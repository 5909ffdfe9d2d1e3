// apply.cuh: the optimiser where the gradient is made (device.UpdateArgs). A launch of dense_backward that is told a rule
// applies it to the elements of dW and db as they leave the registers, and no gradient goes to memory.
//
// The products of dX in the same launch read W meanwhile. A block that makes dX counts itself when it has read W, and one
// that makes dW waits before it writes until all of those have. What is waited for is sure to run: blocks take their parts
// in the order in which they start, those of dX first, and dX waits for nobody. The two counts are 0 again after the launch.
//
// Whether a step is left out for its loss is known before any gradient is made. Its norm is not: in place of the whole step,
// the elements are left out whose gradient is not finite.
#pragma once

#include "reduce.cuh"
#include "ticket.cuh"
#include "update.cuh"

namespace gpudae {

// UpdateRule is an optimiser and what it works on, in words of 8 bytes that Go uploads (kernels.RuleWords): see update.cu. mean times
// the sum of losses is the loss at which the step is looked at if it is guarded. grads is where the gradient would be: an element
// of it stands for the parameter in the same place.
struct UpdateRule {
  int64_t kind;
  int64_t nesterov;
  Float beta1;
  Float beta2;
  Float epsilon;
  Float weight_decay;
  int64_t decayed;
  Float decay;
  const float* rates;
  int64_t steps;
  const float* losses;
  int64_t loss_terms;
  Float mean;
  int64_t guarded;
  const float* spikes;
  Float spike_limit;
  const float* grads;
  float* params;
  float* first;
  float* second;
  float* ema;
};

// RuleInMemory is where the words lie, and behind them what launches leave for each other: the rule's numbers at the step
// at hand, and how many blocks of a launch have begun, and have read W or written it.
struct RuleInMemory {
  UpdateRule rule;
  StepOfRule step;
  uint32_t begun, met;
};
static_assert(sizeof(RuleInMemory) == sizeof(UpdateRule) + 48, "Go allocates so much (kernels.RuleBytes)");

// prepare leaves the rule's numbers at the step of the clock, or of the one behind it, for one thread.
__device__ inline void prepare(RuleInMemory* to, const uint32_t* clock, uint32_t ahead) {
  const UpdateRule& r = to->rule;
  const float t = float((uint64_t(clock[kClockStepHigh]) << 32 | clock[kClockStep]) + ahead + 1);
  const int64_t index = int64_t(clock[kClockIndex]) + ahead;
  const Hyper hyper = {0, r.beta1.value, r.beta2.value, r.epsilon.value, 1, 1, r.nesterov != 0};
  to->step = {at_step(hyper, t, index < r.steps ? r.rates[index] : 0.0f), 1.0f, averaging(r.decay.value, t), false};  // behind the table no step follows
}

// refused says, to a warp of which all threads call it, that the step's loss forbids it.
__device__ inline bool refused(const UpdateRule& r) {
  if (!r.guarded) return false;
  const float loss = r.mean.value * sum_by_warp(r.losses, r.loss_terms);
  return refuses(&loss, r.spikes, r.spike_limit.value);
}

// prefetch brings the 32 bytes at an address to the second-level cache, or does nothing.
__device__ inline void prefetch([[maybe_unused]] const float* at) {
#ifdef __CUDACC__
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
#endif
}

// Applying is a rule with what a block knows, in its shared memory.
struct Applying {
  UpdateRule rule;
  StepOfRule step;
  uint32_t* met;
  uint32_t part, readers, writers;  // readers: blocks that read W; 0 if nobody waits

  // begin returns the block's part, of readers and writers the blocks that make dX and the tiles of dW. All threads call it.
  __device__ uint32_t begin(RuleInMemory* from, uint32_t of_dx, uint32_t tiles_dw) {
    const bool meet = of_dx > 0 && tiles_dw > 0;
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    if (threadIdx.x == 0) part = meet ? atomicInc(&from->begun, gridDim.x - 1) : blockIdx.x;
    if (warp == 1) {
      const bool left_out = refused(from->rule);
      if (lane == 0) step.skipped = left_out;
    }
    if (warp == 2 && lane == 0) {
      rule = from->rule;
      step.hyper = from->step.hyper, step.shrink = from->step.shrink, step.average = from->step.average;
      met = &from->met, readers = meet ? of_dx : 0, writers = tiles_dw;
    }
    __syncthreads();
    return part;
  }

  // ask has what update reads of a tile of dW of m × n elements brought to the second-level cache, beside the products. The tiles that do so are
  // small: of those that are on their way at a time the cache holds all.
  template <int M, int N>
  __device__ void ask(const float* dw, uint32_t tile, int64_t m, int64_t n) const {
    constexpr int kSector = 8;  // floats of 32 bytes, which memory gives out at a time
    const uint32_t tiles_n = uint32_t((n + N - 1) / N);
    const int64_t row0 = int64_t(tile / tiles_n) * M, column0 = int64_t(tile % tiles_n) * N;
    for (int s = int(threadIdx.x); s < M * N / kSector; s += int(blockDim.x)) {
      const int64_t row = row0 + s / (N / kSector), column = column0 + s % (N / kSector) * kSector;
      if (row >= m || column >= n) continue;
      const int64_t i = dw - rule.grads + row * n + column;
      prefetch(rule.params + i);
      if (rule.first) prefetch(rule.first + i);
      if (rule.second) prefetch(rule.second + i);
      if (rule.ema) prefetch(rule.ema + i);
    }
  }

  // have_read says that the block will not read W any more, have_written that its threads have not to wait any more.
  __device__ void have_read() const {
    if (readers == 0) return;
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      atomicInc(met, readers + writers - 1);
    }
  }
  __device__ void have_written() const {  // behind a barrier
    if (readers > 0 && threadIdx.x == 0) atomicInc(met, readers + writers - 1);
  }

  // wait returns once W has been read.
  __device__ void wait() const {
    if (readers > 0) wait_for(met, readers);
  }

  // update updates the parameters of four neighbouring elements of the gradient, of which count exist: see
  // update_quad. The step must not be one that is left out.
  template <class Ready, class Leave>
  __device__ void update(const float* gradient, int64_t count, const Quad& g, const Ready& ready, const Leave& leave) const {
    forget();
    const int64_t i = gradient - rule.grads;
    update_quad(int(rule.kind), step, count, rule.decayed - i, rule.weight_decay.value, g, rule.params + i, rule.first ? rule.first + i : nullptr,
                rule.second ? rule.second + i : nullptr, rule.ema ? rule.ema + i : nullptr, ready, leave);
  }
};

}  // namespace gpudae
