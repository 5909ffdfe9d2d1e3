// DenseBackward, from DA = ∂/∂A of Dense (device.DenseBackwardArgs), in one launch:
//
//   dX = (DA·W) ⊙ act'(source)   nn, or with Wᵀ: nt
//   dW = DAᵀ·X (+ dW)            or for a tied decoder, nt, Xᵀ·DA
//   db = column sums of DA
//
//   da [rows, out]   x, source, dx [rows, in]   dbias [out]
//   w, dw [out, in] (nn) or [in, out] (nt)
//   source is X or, for GELU and SiLU, X before its activation; not read if act is
//   the identity. dx, dw and dbias may be null
//   squares [blocks of dw and dbias] or null: see dense_backward.cuh
//   rule or null: of an optimiser that is applied in place of storing dw and dbias, see apply.cuh. So w is not __restrict__:
//   blocks that make dw write it, once those that make dx have read it
//
// Geometry: Parts, a block for each tile of dX and of dW and for each run of columns of
// db. Launched by Device.DenseBackward.
#include "dense_backward.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(128) dense_backward_nn_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile32>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nn_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile64>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nn_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile128>, false>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}

extern "C" __global__ void __launch_bounds__(128) dense_backward_nt_32(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile32>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}

extern "C" __global__ void __launch_bounds__(256) dense_backward_nt_64(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile64>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}

extern "C" __global__ void __launch_bounds__(256, 2) dense_backward_nt_128(
    int64_t rows, int64_t in, int64_t out, const float* __restrict__ da, const float* w, int64_t act,
    const float* __restrict__ source, float* __restrict__ dx, const float* __restrict__ x, int64_t accumulate, float* __restrict__ dw,
    float* __restrict__ dbias, float* __restrict__ squares, void* rule) {
  dense_backward<Chain<Tile128>, true>({rows, in, out, da, w, act, source, dx, x, accumulate, dw, dbias, squares, rule});
}
