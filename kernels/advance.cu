// Advance: the end of a step and the beginning of the next in one launch (device.UpdateArgs,
// device.TickArgs, device.GatherArgs, device.CorruptArgs): see advance.cuh.
//
//   rows 0: no minibatch; n 0: no end of a step
//   x, corrupted, mask [rows, columns]   index [2·rows]   stage [stages] of NoiseStage
//   losses [loss_terms]: mean times their sum is the loss   squares [square_terms]: their sum is grad_sq
//   copy_x, copy_corrupted [rows, copy_stride] of bfloat16: see narrow.cu; null where no product reads them
//   copies [copied] of ParameterCopy: what is left beside the parameters
//   ticket: a word that is 0, and is 0 again afterwards
//   params: null where the launches of the gradient apply the rule. Of that, the numbers at the step that begins are left
//   behind its words: see apply.cuh
//   the others as in gather.cu, corrupt.cu, update.cu and tick.cu; spikes, first, second, ema and
//   values may be null; corrupted and mask are null without stages, or where nobody reads them
//
// What of the minibatch does not depend on its number is that of the clock, or, with ahead, of the
// clock that this launch leaves.
//
// Geometry: Parts, of 256 threads: a block for each row, and UpdateBlocks for the parameters.
// Two blocks on a multiprocessor have registers for every corruption.
// Launched by a recorded program of package gpu.
#include "advance.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256, 2) advance_u8(
    int64_t rows, int64_t columns, const uint8_t* __restrict__ data, Float scale, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed, int64_t shuffle,
    uint64_t seed, int64_t replicates, int64_t ahead, float* __restrict__ x, uint32_t* __restrict__ index, float* __restrict__ corrupted,
    float* __restrict__ mask, void* __restrict__ copy_x, void* __restrict__ copy_corrupted, int64_t copy_stride, int64_t stages, const uint64_t* __restrict__ stage, uint32_t* clock, uint32_t* ticket, int64_t n, int64_t kind,
    int64_t nesterov, Float beta1, Float beta2, Float epsilon, Float weight_decay, int64_t decayed, Float clip, Float decay,
    const float* __restrict__ rates, const float* __restrict__ losses, int64_t loss_terms, Float mean, const float* __restrict__ squares,
    int64_t square_terms, float* loss, float* grad_sq, int64_t guarded, float* spikes, Float spike_limit, float* __restrict__ params,
    const float* __restrict__ grads, float* __restrict__ first, float* __restrict__ second, float* __restrict__ ema, int64_t examples,
    const float* values, int64_t k, float* log, int64_t entries, int64_t copied, const uint64_t* __restrict__ copies, void* rule) {
  advance({rows, columns, data_rows, lo, part, split, split_seed, shuffle, seed, replicates, examples, ahead, x, index, corrupted, mask,
           {static_cast<uint16_t*>(copy_x), copy_stride}, {static_cast<uint16_t*>(copy_corrupted), copy_stride}, stages},
          reinterpret_cast<const NoiseStage*>(stage), Matrix<uint8_t>{data, scale.value, columns},
          {n, kind, {0, beta1.value, beta2.value, epsilon.value, 1, 1, nesterov != 0}, weight_decay.value, decayed, clip.value, decay.value, rates,
           {losses, loss_terms}, {squares, square_terms}, mean.value, loss, grad_sq, guarded, spikes, spike_limit.value, params, first, second, ema,
           grads, examples, values, k, log, entries, copied, reinterpret_cast<const ParameterCopy*>(copies)},
          clock, ticket, rule);
}

extern "C" __global__ void __launch_bounds__(256, 2) advance_f32(
    int64_t rows, int64_t columns, const float* __restrict__ data, Float scale, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed, int64_t shuffle,
    uint64_t seed, int64_t replicates, int64_t ahead, float* __restrict__ x, uint32_t* __restrict__ index, float* __restrict__ corrupted,
    float* __restrict__ mask, void* __restrict__ copy_x, void* __restrict__ copy_corrupted, int64_t copy_stride, int64_t stages, const uint64_t* __restrict__ stage, uint32_t* clock, uint32_t* ticket, int64_t n, int64_t kind,
    int64_t nesterov, Float beta1, Float beta2, Float epsilon, Float weight_decay, int64_t decayed, Float clip, Float decay,
    const float* __restrict__ rates, const float* __restrict__ losses, int64_t loss_terms, Float mean, const float* __restrict__ squares,
    int64_t square_terms, float* loss, float* grad_sq, int64_t guarded, float* spikes, Float spike_limit, float* __restrict__ params,
    const float* __restrict__ grads, float* __restrict__ first, float* __restrict__ second, float* __restrict__ ema, int64_t examples,
    const float* values, int64_t k, float* log, int64_t entries, int64_t copied, const uint64_t* __restrict__ copies, void* rule) {
  advance({rows, columns, data_rows, lo, part, split, split_seed, shuffle, seed, replicates, examples, ahead, x, index, corrupted, mask,
           {static_cast<uint16_t*>(copy_x), copy_stride}, {static_cast<uint16_t*>(copy_corrupted), copy_stride}, stages},
          reinterpret_cast<const NoiseStage*>(stage), Matrix<float>{data, scale.value, columns},
          {n, kind, {0, beta1.value, beta2.value, epsilon.value, 1, 1, nesterov != 0}, weight_decay.value, decayed, clip.value, decay.value, rates,
           {losses, loss_terms}, {squares, square_terms}, mean.value, loss, grad_sq, guarded, spikes, spike_limit.value, params, first, second, ema,
           grads, examples, values, k, log, entries, copied, reinterpret_cast<const ParameterCopy*>(copies)},
          clock, ticket, rule);
}

extern "C" __global__ void __launch_bounds__(256, 2) advance_records(
    int64_t rows, int64_t columns, const uint8_t* __restrict__ data, int64_t stride, const uint32_t* __restrict__ cells,
    const float* __restrict__ table, int64_t data_rows, int64_t lo, int64_t part, int64_t split, uint64_t split_seed, int64_t shuffle,
    uint64_t seed, int64_t replicates, int64_t ahead, float* __restrict__ x, uint32_t* __restrict__ index, float* __restrict__ corrupted,
    float* __restrict__ mask, void* __restrict__ copy_x, void* __restrict__ copy_corrupted, int64_t copy_stride, int64_t stages, const uint64_t* __restrict__ stage, uint32_t* clock, uint32_t* ticket, int64_t n, int64_t kind,
    int64_t nesterov, Float beta1, Float beta2, Float epsilon, Float weight_decay, int64_t decayed, Float clip, Float decay,
    const float* __restrict__ rates, const float* __restrict__ losses, int64_t loss_terms, Float mean, const float* __restrict__ squares,
    int64_t square_terms, float* loss, float* grad_sq, int64_t guarded, float* spikes, Float spike_limit, float* __restrict__ params,
    const float* __restrict__ grads, float* __restrict__ first, float* __restrict__ second, float* __restrict__ ema, int64_t examples,
    const float* values, int64_t k, float* log, int64_t entries, int64_t copied, const uint64_t* __restrict__ copies, void* rule) {
  advance({rows, columns, data_rows, lo, part, split, split_seed, shuffle, seed, replicates, examples, ahead, x, index, corrupted, mask,
           {static_cast<uint16_t*>(copy_x), copy_stride}, {static_cast<uint16_t*>(copy_corrupted), copy_stride}, stages},
          reinterpret_cast<const NoiseStage*>(stage), Records{data, stride, cells, table},
          {n, kind, {0, beta1.value, beta2.value, epsilon.value, 1, 1, nesterov != 0}, weight_decay.value, decayed, clip.value, decay.value, rates,
           {losses, loss_terms}, {squares, square_terms}, mean.value, loss, grad_sq, guarded, spikes, spike_limit.value, params, first, second, ema,
           grads, examples, values, k, log, entries, copied, reinterpret_cast<const ParameterCopy*>(copies)},
          clock, ticket, rule);
}
