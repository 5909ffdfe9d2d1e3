// Activate: y = act(x). ActivateBackward: dx = dy ⊙ act'(source), where source
// is x for GELU and SiLU and y = act(x) for the others.
//
//   x, y, source, dy, dx [n]; y may be x, dx may be dy
//
// Geometry: Quads, a thread for four neighbours. Launched by Device.Activate
// and Device.ActivateBackward.
#include "activation.cuh"
#include "vector.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) activate(int64_t n, int64_t act, const float* x, float* y) {
  const int64_t i = grid_thread() * 4;
  if (i >= n) return;
  Quad q = load_quad(x + i, n - i);
#pragma unroll
  for (int l = 0; l < 4; ++l) q.at[l] = activate(int(act), q.at[l]);
  store_quad(y + i, n - i, q);
}

extern "C" __global__ void __launch_bounds__(256) activate_backward(
    int64_t n, int64_t act, const float* __restrict__ source, const float* dy, float* dx) {
  const int64_t i = grid_thread() * 4;
  if (i >= n) return;
  Quad q = load_quad(dy + i, n - i);
  const Quad from = load_quad(source + i, n - i);
#pragma unroll
  for (int l = 0; l < 4; ++l) q.at[l] *= derivative(int(act), from.at[l]);
  store_quad(dx + i, n - i, q);
}
