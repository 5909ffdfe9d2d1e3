// cluster.cuh: blocks that run at the same time and wait for each other (PTX ISA:
// barrier.cluster), on compute capability 9.0 and later. There is none on earlier ones, and in
// PTX for them: a kernel of a cluster has no body there, and the driver says that its clusters have
// a width of 0 (cuda.ClusterWidth).
#pragma once

#include "vector.cuh"

// GPUDAE_CLUSTER says how many blocks a kernel's clusters have.
#if !defined(__CUDACC__) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900)
#define GPUDAE_CLUSTER(blocks)
#else
#define GPUDAE_CLUSTER(blocks) __cluster_dims__(blocks, 1, 1)
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define GPUDAE_HAS_CLUSTERS
#endif

namespace gpudae {

// cluster_barrier waits until every thread of the cluster is there. What they have written before
// is seen after it, global memory included, where it is read past the first-level cache.
#ifdef __CUDACC__
#ifdef GPUDAE_HAS_CLUSTERS
__device__ inline void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
#endif
#else
inline void cluster_barrier(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { softdriver_cluster_barrier(file, line); }
#endif

// load_far reads four floats that another block of the cluster has written; at is aligned.
__device__ inline Quad load_far(const float* at) {
#ifdef __CUDACC__
  const float4 v = __ldcg(reinterpret_cast<const float4*>(at));
  return {{v.x, v.y, v.z, v.w}};
#else
  return load_aligned(at);
#endif
}

__device__ inline float load_one_far(const float* at) {
#ifdef __CUDACC__
  return __ldcg(at);
#else
  return *at;
#endif
}

}  // namespace gpudae
