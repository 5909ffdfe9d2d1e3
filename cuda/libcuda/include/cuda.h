/* cuda.h: the toolkit's header, with the prototypes that gorgonia.org/cu v0.9.6
   was written for. CUDA 13 gave new parameters to six functions and renamed the
   old ones; the driver still exports the old ones under the names below, so this
   folder stands before the toolkit's in the search path (see scripts/cuda-env). */
#include_next <cuda.h>
#if CUDA_VERSION >= 13000 && !defined(GPUDAE_CUDA_12_PROTOTYPES)
#define GPUDAE_CUDA_12_PROTOTYPES
#undef cuCtxCreate
#undef cuMemAdvise
#undef cuMemPrefetchAsync
#undef cuGraphAddDependencies
#undef cuGraphGetEdges
#undef cuEventElapsedTime
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device);
#define cuCtxCreate cuCtxCreate_v2
CUresult CUDAAPI cuMemAdvise(CUdeviceptr at, size_t bytes, CUmem_advise advice, CUdevice device);
CUresult CUDAAPI cuMemPrefetchAsync(CUdeviceptr at, size_t bytes, CUdevice device, CUstream stream);
CUresult CUDAAPI cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t count);
CUresult CUDAAPI cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count);
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end);
#endif
