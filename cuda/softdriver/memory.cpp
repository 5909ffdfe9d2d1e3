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

CUresult allocate(Context* context, size_t size, Where where, void** out) {
  Machine& m = machine();
  if (!out || size == 0) return CUDA_ERROR_INVALID_VALUE;
  const size_t limit = size_t(number(Setting::kMemory));
  if (where == Where::kDevice && size > limit - std::min(limit, m.used[context->device])) return CUDA_ERROR_OUT_OF_MEMORY;
  void* p = nullptr;
  if (posix_memalign(&p, kAlignment, size + 2 * kGuard)) return CUDA_ERROR_OUT_OF_MEMORY;
  char* begin = static_cast<char*>(p) + kGuard;
  std::memset(p, kGuardByte, kGuard);
  std::memset(begin, 0xFF, size);  // NaN in every format
  std::memset(begin + size, kGuardByte, kGuard);
  m.allocations[reinterpret_cast<uintptr_t>(begin)] = {begin, size, where, context->device, context};
  if (where == Where::kDevice) {
    m.used[context->device] += size;
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
  return a && a->where == Where::kPinned;
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
    if (!intact(a.begin - kGuard) || !intact(a.begin + a.size)) {
      raise_fault(CUDA_ERROR_ILLEGAL_ADDRESS, "%s wrote %s an allocation of %zu bytes", culprit, intact(a.begin - kGuard) ? "past the end of" : "before", a.size);
    }
  }
}

void release(const Allocation& a) {
  Machine& m = machine();
  const Allocation gone = a;
  if (gone.where == Where::kDevice) {
    m.used[gone.device] -= gone.size;
    m.counters.bytes_allocated -= gone.size;
  }
  check_released(gone.begin);
  m.allocations.erase(reinterpret_cast<uintptr_t>(gone.begin));
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

SOFTDRIVER_API cuMemAllocAsync(CUdeviceptr* out, size_t size, CUstream stream) {
  ENTER;
  Stream* s = find_stream(context, stream);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  if (s->capture) return CUDA_ERROR_NOT_SUPPORTED;
  return allocate(context, size, Where::kDevice, reinterpret_cast<void**>(out));
}

SOFTDRIVER_API cuMemAllocFromPoolAsync(CUdeviceptr* out, size_t size, CUmemoryPool, CUstream stream) { return cuMemAllocAsync(out, size, stream); }

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

// Memory pools: one a device, whose handle is its number plus 1; all attributes are accepted and forgotten.
SOFTDRIVER_API cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
  *pool = reinterpret_cast<CUmemoryPool>(uintptr_t(device) + 1);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) { return cuDeviceGetDefaultMemPool(pool, device); }
SOFTDRIVER_API cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void*) { return CUDA_SUCCESS; }
SOFTDRIVER_API cuMemPoolTrimTo(CUmemoryPool, size_t) { return CUDA_SUCCESS; }

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
