// DenseBackward on tensor cores: see dense_backward.cu for what is computed, tensor.cuh for the
// classes of arithmetic that the names say. All tiles of a class give the same bits.
//
// dx_shares and what follows say how blocks share the sums of dX and of dW: see share.cuh, and Cuts.
//
// Geometry: Parts, a block for each share of each tile of dX and of dW and for each run of columns of db. Launch
// bounds give registers to tiles that would spill in as few as ptxas would have: that of 64 of tf32x3 for
// two blocks a multiprocessor, as that of bf16, that of tf32 for three; and keep tiles of 128 of tf32 at two. Launched by Device.DenseBackward.
#include "dense_backward.cuh"
#include "tensor.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128, 5) dense_backward_nn_tf32x3_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor32, true>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nn_tf32x3_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor64, true>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nn_tf32x3_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor128, true>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_nn_tf32_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor32, false>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 3) dense_backward_nn_tf32_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor64, false>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nn_tf32_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor128, false>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128, 5) dense_backward_nn_bf16_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor32>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nn_bf16_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor64>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nn_bf16_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor128>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_nt_tf32x3_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor32, true>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nt_tf32x3_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor64, true>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nt_tf32x3_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor128, true>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_nt_tf32_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor32, false>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 3) dense_backward_nt_tf32_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor64, false>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nt_tf32_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<TensorCores<Tensor128, false>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(128, 5) dense_backward_nt_bf16_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor32>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nt_bf16_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor64>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nt_bf16_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule, int64_t dx_shares, int64_t dx_depth, int64_t dw_shares, int64_t dw_depth, float* partial,
    uint32_t* tickets) {
  dense_backward<HalfTensorCores<Tensor128>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule},
      {dx_shares, dx_depth, dw_shares, dw_depth, partial, tickets});
}
