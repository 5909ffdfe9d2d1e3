// memory.cpp: device and pinned memory, copies and fills.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "checker.h"
#include "fault.h"
#include "machine.h"
#include "settings.h"

namespace softdriver {
namespace {

constexpr size_t kAlignment = 256;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kGuard = 0;  // the sanitizer's own red zones are exact
#else
constexpr size_t kGuard = 256;
#endif
constexpr unsigned char kGuardByte = 0xA5;

bool intact(const char* p) {
  for (size_t i = 0; i < kGuard; ++i) {
    if (static_cast<unsigned char>(p[i]) != kGuardByte) return false;
  }
  return true;
}

CUresult allocate(Context* context, size_t size, Where where, void** out, Pool* pool = nullptr) {
  Machine& m = machine();
  if (!out || size == 0) return CUDA_ERROR_INVALID_VALUE;
  const int device = pool ? pool->device : context->device;
  const size_t limit = size_t(number(Setting::kMemory)), held = pool ? std::min(size, pool->reserved - pool->used) : 0;
  if (where == Where::kDevice && size - held > limit - std::min(limit, m.used[device])) return CUDA_ERROR_OUT_OF_MEMORY;
  void* p = nullptr;
  if (posix_memalign(&p, kAlignment, size + 2 * kGuard)) return CUDA_ERROR_OUT_OF_MEMORY;
  char* begin = static_cast<char*>(p) + kGuard;
  std::memset(p, kGuardByte, kGuard);
  std::memset(begin, 0xFF, size);  // NaN in every format
  std::memset(begin + size, kGuardByte, kGuard);
  m.allocations[reinterpret_cast<uintptr_t>(begin)] = {begin, size, where, device, pool ? nullptr : context, pool};
  if (pool) pool->used += size, pool->reserved += size - held;
  if (where == Where::kDevice) {
    m.used[device] += size - held;
    ++m.counters.allocations;
    m.counters.bytes_allocated += size;
  }
  check_allocated(begin, size);
  if (where == Where::kPinned) check_written(begin, size);
  *out = begin;
  return CUDA_SUCCESS;
}

// allocation_at is the live allocation that begins at p.
const Allocation* allocation_at(const void* p, Where where) {
  const Allocation* a = find_allocation(p);
  return a && a->begin == p && a->where == where ? a : nullptr;
}

bool pinned(const void* p) {
  const Allocation* a = find_allocation(p);
  return a && a->where != Where::kDevice;
}

CUresult out_of_range(const char* call, const void* p, size_t size) {
  std::fprintf(stderr, "softdriver: %s: %zu bytes at %p are not within one live allocation\n", call, size, p);
  return CUDA_ERROR_INVALID_VALUE;
}

void* address(CUdeviceptr p) { return reinterpret_cast<void*>(p); }

// copy_now is a copy that the host waits for, ordered like the legacy stream.
CUresult copy_now(Context* context, void* to, const void* from, size_t size) {
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  ++machine().counters.synchronizations;
  Stream* legacy = find_stream(context, nullptr);
  Node n{};
  n.kind = Node::kCopy, n.to = to, n.from = from, n.size = size;
  const CUresult submitted = submit(*legacy, std::move(n));
  return submitted ? submitted : drain(*legacy);
}

// copy_later is a copy in the order of a stream. What comes from pageable memory
// is read at once; what goes to it is waited for.
CUresult copy_later(Context* context, void* to, const void* from, size_t size, CUstream handle, bool from_host, bool to_host) {
  Stream* stream = find_stream(context, handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  Node n{};
  n.kind = Node::kCopy, n.to = to, n.from = from, n.size = size;
  const bool captured = stream->capture;
  if (from_host && !captured && !pinned(from)) {
    const char* bytes = static_cast<const char*>(from);
    n.staged = std::make_shared<std::vector<char>>(bytes, bytes + size);
  }
  if (to_host && !captured && pinned(to)) poison(n);
  const CUresult result = submit(*stream, std::move(n));
  if (result || !to_host || captured || pinned(to)) return result;
  ++machine().counters.synchronizations;
  return drain(*stream);
}

CUresult fill(Context* context, CUdeviceptr to, uint32_t value, int width, size_t count, CUstream handle, const char* call) {
  Stream* stream = find_stream(context, handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (!inside(address(to), count * size_t(width))) return out_of_range(call, address(to), count * size_t(width));
  if (to % size_t(width)) return CUDA_ERROR_INVALID_VALUE;
  Node n{};
  n.kind = Node::kFill, n.to = address(to), n.value = value, n.width = width, n.size = count * size_t(width);
  return submit(*stream, std::move(n));
}

}  // namespace

const Allocation* find_allocation(const void* p) {
  const auto& all = machine().allocations;
  auto it = all.upper_bound(reinterpret_cast<uintptr_t>(p));
  if (it == all.begin()) return nullptr;
  const Allocation& a = (--it)->second;
  return static_cast<const char*>(p) < a.begin + a.size ? &a : nullptr;
}

bool inside(const void* p, size_t size) {
  const Allocation* a = find_allocation(p);
  return a && size <= size_t(a->begin + a->size - static_cast<const char*>(p));
}

void check_guards(const char* culprit) {
  for (const auto& [start, a] : machine().allocations) {
    if (a.where == Where::kRegistered) continue;
    if (!intact(a.begin - kGuard) || !intact(a.begin + a.size)) {
      raise_fault(CUDA_ERROR_ILLEGAL_ADDRESS, "%s wrote %s an allocation of %zu bytes", culprit, intact(a.begin - kGuard) ? "past the end of" : "before", a.size);
    }
  }
}

void trim(Pool& pool, size_t keep) {
  keep = std::min(std::max(keep, pool.used), pool.reserved);
  machine().used[pool.device] -= pool.reserved - keep;
  pool.reserved = keep;
}

void trim_pools(int device) {
  for (Pool* p : machine().pools) {
    if (p->device == device) trim(*p, size_t(p->threshold));
  }
}

void release(const Allocation& a) {
  Machine& m = machine();
  const Allocation gone = a;
  if (gone.where == Where::kDevice) m.counters.bytes_allocated -= gone.size;
  if (gone.pool) {
    gone.pool->used -= gone.size;
    if (gone.pool->destroyed && gone.pool->used == 0) trim(*gone.pool, 0), m.pools.remove(gone.pool);
  } else if (gone.where == Where::kDevice) {
    m.used[gone.device] -= gone.size;
  }
  check_released(gone.begin);
  m.allocations.erase(reinterpret_cast<uintptr_t>(gone.begin));
  if (gone.where == Where::kRegistered) return;
  std::memset(gone.begin, 0xFF, gone.size);
  std::free(gone.begin - kGuard);
}

}  // namespace softdriver

using namespace softdriver;

SOFTDRIVER_API cuMemGetInfo(size_t* free, size_t* total) {
  ENTER;
  *total = size_t(number(Setting::kMemory));
  *free = *total - std::min(*total, machine().used[context->device]);
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuMemAlloc(CUdeviceptr* out, size_t size) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return allocate(context, size, Where::kDevice, reinterpret_cast<void**>(out));
}

SOFTDRIVER_API cuMemFree(CUdeviceptr p) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (!p) return CUDA_SUCCESS;
  const Allocation* a = allocation_at(address(p), Where::kDevice);
  if (!a) return CUDA_ERROR_INVALID_VALUE;
  ++machine().counters.synchronizations;
  const CUresult result = drain_context(*context);
  check_guards("a copy or kernel");
  release(*a);
  return result;
}

SOFTDRIVER_API cuMemAllocFromPoolAsync(CUdeviceptr* out, size_t size, CUmemoryPool handle, CUstream stream) {
  ENTER;
  Stream* s = find_stream(context, stream);
  Pool* pool = machine().pools.find(handle);
  if (!s || !pool || pool->destroyed) return CUDA_ERROR_INVALID_HANDLE;
  if (s->capture) return CUDA_ERROR_NOT_SUPPORTED;
  return allocate(context, size, Where::kDevice, reinterpret_cast<void**>(out), pool);
}

SOFTDRIVER_API cuMemFreeAsync(CUdeviceptr p, CUstream stream) {
  ENTER;
  Stream* s = find_stream(context, stream);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  if (s->capture) return CUDA_ERROR_NOT_SUPPORTED;
  if (!allocation_at(address(p), Where::kDevice)) return CUDA_ERROR_INVALID_VALUE;
  Node n{};
  n.kind = Node::kFree, n.to = address(p);
  return submit(*s, std::move(n));
}

SOFTDRIVER_API cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* p) {
  ENTER;
  if (!number(Setting::kPools)) return CUDA_ERROR_NOT_SUPPORTED;
  if (p->allocType != CU_MEM_ALLOCATION_TYPE_PINNED || p->location.type != CU_MEM_LOCATION_TYPE_DEVICE || p->handleTypes || p->location.id < 0 ||
      p->location.id >= kMostDevices) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = reinterpret_cast<CUmemoryPool>(machine().pools.add(new Pool{p->location.id}));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuMemPoolDestroy(CUmemoryPool handle) {
  ENTER;
  Pool* pool = machine().pools.find(handle);
  if (!pool || pool->destroyed) return CUDA_ERROR_INVALID_VALUE;
  pool->destroyed = true;
  pool->threshold = 0;
  if (pool->used == 0) trim(*pool, 0), machine().pools.remove(pool);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  ENTER;
  Pool* pool = machine().pools.find(handle);
  if (!pool || attribute != CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) return CUDA_ERROR_INVALID_VALUE;
  pool->threshold = *static_cast<const cuuint64_t*>(value);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  ENTER;
  Pool* pool = machine().pools.find(handle);
  if (!pool) return CUDA_ERROR_INVALID_VALUE;
  cuuint64_t& out = *static_cast<cuuint64_t*>(value);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: out = pool->threshold; break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT: out = pool->reserved; break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT: out = pool->used; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuMemPoolTrimTo(CUmemoryPool handle, size_t keep) {
  ENTER;
  Pool* pool = machine().pools.find(handle);
  if (!pool) return CUDA_ERROR_INVALID_VALUE;
  trim(*pool, keep);
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuMemHostAlloc(void** out, size_t size, unsigned) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return allocate(context, size, Where::kPinned, out);
}
SOFTDRIVER_API cuMemAllocHost(void** out, size_t size) { return cuMemHostAlloc(out, size, 0); }

SOFTDRIVER_API cuMemFreeHost(void* p) {
  ENTER;
  const Allocation* a = allocation_at(p, Where::kPinned);
  if (!a) return CUDA_ERROR_INVALID_VALUE;
  ++machine().counters.synchronizations;
  const CUresult result = drain_context(*context);
  release(*a);
  return result;
}

SOFTDRIVER_API cuMemHostRegister(void* p, size_t size, unsigned) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (!p || size == 0 || !number(Setting::kRegister)) return CUDA_ERROR_INVALID_VALUE;
  if (find_allocation(p)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  char* begin = static_cast<char*>(p);
  machine().allocations[reinterpret_cast<uintptr_t>(begin)] = {begin, size, Where::kRegistered, context->device, context, nullptr};
  check_allocated(begin, size);
  check_written(begin, size);
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuMemHostUnregister(void* p) {
  ENTER;
  const Allocation* a = allocation_at(p, Where::kRegistered);
  if (!a) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  ++machine().counters.synchronizations;
  const CUresult result = drain_context(*context);
  release(*a);
  return result;
}

SOFTDRIVER_API cuMemHostGetDevicePointer(CUdeviceptr* out, void* p, unsigned) {
  ENTER;
  if (!pinned(p)) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuMemGetAddressRange(CUdeviceptr* base, size_t* size, CUdeviceptr p) {
  ENTER;
  const Allocation* a = find_allocation(address(p));
  if (!a) return CUDA_ERROR_NOT_FOUND;
  if (base) *base = reinterpret_cast<CUdeviceptr>(a->begin);
  if (size) *size = a->size;
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr p) {
  ENTER;
  const Allocation* a = find_allocation(address(p));
  if (!a) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(value) = a->where == Where::kDevice ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(value) = a->device;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

SOFTDRIVER_API cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t size) {
  ENTER;
  return inside(address(to), size) ? copy_now(context, address(to), from, size) : out_of_range(__func__, address(to), size);
}
SOFTDRIVER_API cuMemcpyDtoH(void* to, CUdeviceptr from, size_t size) {
  ENTER;
  return inside(address(from), size) ? copy_now(context, to, address(from), size) : out_of_range(__func__, address(from), size);
}
SOFTDRIVER_API cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t size) {
  ENTER;
  if (!inside(address(from), size)) return out_of_range(__func__, address(from), size);
  return inside(address(to), size) ? copy_now(context, address(to), address(from), size) : out_of_range(__func__, address(to), size);
}
SOFTDRIVER_API cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
  ENTER;
  return inside(address(to), size) ? copy_later(context, address(to), from, size, stream, true, false) : out_of_range(__func__, address(to), size);
}
SOFTDRIVER_API cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t size, CUstream stream) {
  ENTER;
  return inside(address(from), size) ? copy_later(context, to, address(from), size, stream, false, true)
                                     : out_of_range(__func__, address(from), size);
}
SOFTDRIVER_API cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  ENTER;
  if (!inside(address(from), size)) return out_of_range(__func__, address(from), size);
  return inside(address(to), size) ? copy_later(context, address(to), address(from), size, stream, false, false)
                                   : out_of_range(__func__, address(to), size);
}

SOFTDRIVER_API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  ENTER;
  return fill(context, to, value, 1, count, stream, __func__);
}
SOFTDRIVER_API cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
  ENTER;
  return fill(context, to, value, 2, count, stream, __func__);
}
SOFTDRIVER_API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  ENTER;
  return fill(context, to, value, 4, count, stream, __func__);
}
SOFTDRIVER_API cuMemsetD8(CUdeviceptr to, unsigned char value, size_t count) { return cuMemsetD8Async(to, value, count, nullptr); }
SOFTDRIVER_API cuMemsetD16(CUdeviceptr to, unsigned short value, size_t count) { return cuMemsetD16Async(to, value, count, nullptr); }
SOFTDRIVER_API cuMemsetD32(CUdeviceptr to, unsigned value, size_t count) { return cuMemsetD32Async(to, value, count, nullptr); }
