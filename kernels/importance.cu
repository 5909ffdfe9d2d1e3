// Importance: the importance-weighted bound of each example (Burda et al. 2016,
// equation 8) from the terms ℓ of its consecutive rows, and the weights of its
// gradient (equation 14; device.ImportanceArgs):
//
//   bounds_i = -ln((1/K)·Σ_k exp(-ℓ_ik))     weights_ik = softmax_k(-ℓ_ik)
//
//   terms, weights [examples, K], weights may be terms or null     bounds [examples]
//
// Geometry: Rows, a block for each example; the smallest term is taken out before
// the exponential. Launched by Device.Importance.
#include "reduce.cuh"

using namespace gpudae;

extern "C" __global__ void __launch_bounds__(256) importance(
    int64_t examples, int64_t replicates, const float* terms, float* __restrict__ bounds, float* weights) {
  const int64_t row = int64_t(blockIdx.x) * replicates;
  float largest = -INFINITY, sum = 0;
  for (int64_t k = threadIdx.x; k < replicates; k += blockDim.x) largest = fmaxf(largest, -terms[row + k]);
  largest = block_max(largest);
  for (int64_t k = threadIdx.x; k < replicates; k += blockDim.x) sum += expf(-terms[row + k] - largest);
  sum = block_sum(sum);
  if (threadIdx.x == 0) bounds[blockIdx.x] = -largest - logf(sum / float(replicates));
  if (!weights) return;
  for (int64_t k = threadIdx.x; k < replicates; k += blockDim.x) weights[row + k] = expf(-terms[row + k] - largest) / sum;
}
