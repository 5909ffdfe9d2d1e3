// context.cpp: initialisation, devices, contexts, modules, functions, errors.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "machine.h"
#include "settings.h"

namespace softdriver {
namespace {

thread_local std::vector<Context*> context_stack;

int devices() { return int(std::min<int64_t>(number(Setting::kDevices), kMostDevices)); }

bool exists(CUdevice d) { return d >= 0 && d < devices(); }

// The error codes that this driver can answer, with the driver's own words.
struct ErrorText {
  CUresult code;
  const char *name, *text;
};
#define ERROR_TEXT(code, text) {code, #code, text}
const ErrorText error_texts[] = {
    ERROR_TEXT(CUDA_SUCCESS, "no error"),
    ERROR_TEXT(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR_TEXT(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR_TEXT(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    ERROR_TEXT(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    ERROR_TEXT(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR_TEXT(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    ERROR_TEXT(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR_TEXT(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    ERROR_TEXT(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
    ERROR_TEXT(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the provided PTX was compiled with an unsupported toolchain."),
    ERROR_TEXT(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    ERROR_TEXT(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
    ERROR_TEXT(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ERROR_TEXT(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    ERROR_TEXT(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ERROR_TEXT(CUDA_ERROR_NOT_READY, "device not ready"),
    ERROR_TEXT(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    ERROR_TEXT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    ERROR_TEXT(CUDA_ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size"),
    ERROR_TEXT(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    ERROR_TEXT(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    ERROR_TEXT(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_MERGE, "operation would result in a merge of separate capture sequences"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "dependency created on uncaptured work in another stream"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR_TEXT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from another thread"),
    ERROR_TEXT(CUDA_ERROR_CAPTURED_EVENT, "operation not permitted on an event last recorded in a capturing stream"),
    ERROR_TEXT(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update"),
};

const ErrorText* error_text(CUresult code) {
  for (const ErrorText& e : error_texts) {
    if (e.code == code) return &e;
  }
  return nullptr;
}

// runs_here reports whether a fatbin holds something that the simulated device
// and driver can run: machine code of its major version up to its minor one, that of sm_90a
// and the like on that alone, or PTX of at most its capability; from toolkits of the driver's own major version.
CUresult runs_here(const char* image) {
  struct Header {
    uint32_t magic;
    uint16_t version, header;
    uint64_t size;
  } header;
  std::memcpy(&header, image, sizeof header);
  const int capability = int(number(Setting::kCapability));
  for (const char* p = image + header.header; p < image + header.header + header.size;) {
    uint16_t kind;
    uint32_t skip, architecture;
    uint64_t size, flags;
    std::memcpy(&kind, p, 2);
    std::memcpy(&skip, p + 4, 4);
    std::memcpy(&size, p + 8, 8);
    std::memcpy(&architecture, p + 28, 4);
    std::memcpy(&flags, p + 40, 8);
    const int sm = int(architecture);
    const bool only = flags >> 20 & 1;
    if (only && sm != capability) {
      p += skip + size;
      continue;
    }
    if ((kind == 2 && sm / 10 == capability / 10 && sm % 10 <= capability % 10) || (kind == 1 && sm <= capability)) return CUDA_SUCCESS;
    p += skip + size;
  }
  return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult load(CUmodule* out, const std::string& path) {
  const Image* image = open_image(path);
  if (!image) return CUDA_ERROR_INVALID_IMAGE;
  auto* m = new Module{image, {}};
  for (const SoftdriverKernel& k : image->kernels) m->functions[k.name] = {&k, image};
  *out = reinterpret_cast<CUmodule>(machine().modules.add(m));
  return CUDA_SUCCESS;
}

}  // namespace

Machine& machine() {
  static Machine* m = [] {
    auto* made = new Machine;  // outlives static destruction
    for (int d = 0; d < kMostDevices; ++d) made->primary[d].device = d;
    return made;
  }();
  return *m;
}

int Function::most_threads() const { return std::min<int>(kernel->bound, int(number(Setting::kBlock))); }

Context* current_context() { return context_stack.empty() ? nullptr : context_stack.back(); }

// empty ends what a context does, and takes its memory and its streams away.
void empty(Context& c) {
  Machine& m = machine();
  drain_context(c);
  context_stack.erase(std::remove(context_stack.begin(), context_stack.end(), &c), context_stack.end());
  std::vector<Allocation> memory;
  for (const auto& [at, a] : m.allocations) {
    if (a.owner == &c) memory.push_back(a);
  }
  for (const Allocation& a : memory) release(a);
  std::vector<Stream*> streams;
  for (Stream* s : m.streams) {
    if (s->context == &c) streams.push_back(s);
  }
  for (Stream* s : streams) m.streams.remove(s);
  m.legacy.erase(&c);
}

bool alive(Context* c) { return machine().contexts.find(c) || (c >= machine().primary && c < machine().primary + kMostDevices && c->retained > 0); }

}  // namespace softdriver

using namespace softdriver;

extern "C" void softdriver_read(softdriver_counters* out) {
  std::lock_guard lock(machine().mutex);
  *out = machine().counters;
}
extern "C" void softdriver_reset(void) {
  std::lock_guard lock(machine().mutex);
  const uint64_t held = machine().counters.bytes_allocated;
  machine().counters = {};
  machine().counters.bytes_allocated = held;
  machine().ran.clear();
}
extern "C" uint64_t softdriver_ran(const char* kernel) {
  std::lock_guard lock(machine().mutex);
  const auto found = machine().ran.find(kernel);
  return found == machine().ran.end() ? 0 : found->second;
}

SOFTDRIVER_API cuInit(unsigned) { return devices() > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }
SOFTDRIVER_API cuDriverGetVersion(int* version) {
  *version = int(number(Setting::kVersion));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGetErrorName(CUresult code, const char** out) {
  const ErrorText* e = error_text(code);
  *out = e ? e->name : nullptr;
  return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
SOFTDRIVER_API cuGetErrorString(CUresult code, const char** out) {
  const ErrorText* e = error_text(code);
  *out = e ? e->text : nullptr;
  return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SOFTDRIVER_API cuDeviceGetCount(int* count) {
  *count = devices();
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGet(CUdevice* out, int number) {
  if (!exists(number)) return CUDA_ERROR_INVALID_DEVICE;
  *out = number;
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGetName(char* out, int size, CUdevice device) {
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(out, size_t(size), "Software driver on this CPU");
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceTotalMem(size_t* out, CUdevice device) {
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  *out = size_t(number(Setting::kMemory));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGetUuid(CUuuid* out, CUdevice device) {
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::memset(out->bytes, 0, sizeof out->bytes);
  out->bytes[15] = char(device + 1);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGetPCIBusId(char* out, int size, CUdevice device) {
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(out, size_t(size), "0000:%02X:00.0", device + 1);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDeviceGetAttribute(int* out, CUdevice_attribute attribute, CUdevice device) {
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *out = int(number(Setting::kCapability)) / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *out = int(number(Setting::kCapability)) % 10; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *out = int(number(Setting::kMultiprocessors)); break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *out = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *out = 64; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *out = 0x7FFFFFFF; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *out = 65535; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *out = 32; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *out = 48 << 10; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *out = 227 << 10; break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *out = 1000000; break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: *out = 1; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: *out = number(Setting::kPools) != 0; break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *out = device + 1; break;
    default: *out = 0;
  }
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  std::lock_guard lock(machine().mutex);
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  Context& c = machine().primary[device];
  if (c.retained++ == 0) c.error = CUDA_SUCCESS;
  *out = reinterpret_cast<CUcontext>(&c);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDevicePrimaryCtxRelease(CUdevice device) {
  std::lock_guard lock(machine().mutex);
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  Context& c = machine().primary[device];
  if (c.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--c.retained == 0) empty(c);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned) { return exists(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; }
SOFTDRIVER_API cuDevicePrimaryCtxReset(CUdevice device) {
  std::lock_guard lock(machine().mutex);
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  machine().primary[device].error = CUDA_SUCCESS;
  return CUDA_SUCCESS;
}
extern "C" __attribute__((visibility("default"))) CUresult CUDAAPI cuCtxCreate_v2(CUcontext* out, unsigned, CUdevice device) {
  std::lock_guard lock(machine().mutex);
  if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  Context* c = machine().contexts.add(new Context{device});
  context_stack.push_back(c);
  *out = reinterpret_cast<CUcontext>(c);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxCreate(CUcontext* out, CUctxCreateParams*, unsigned flags, CUdevice device) { return cuCtxCreate_v2(out, flags, device); }
SOFTDRIVER_API cuCtxDestroy(CUcontext handle) {
  Machine& m = machine();
  std::lock_guard lock(m.mutex);
  Context* c = m.contexts.find(handle);
  if (!c) return CUDA_ERROR_INVALID_CONTEXT;
  empty(*c);
  m.contexts.remove(c);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxSetCurrent(CUcontext handle) {
  std::lock_guard lock(machine().mutex);
  if (handle && !alive(reinterpret_cast<Context*>(handle))) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context_stack.empty()) context_stack.pop_back();
  if (handle) context_stack.push_back(reinterpret_cast<Context*>(handle));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxGetCurrent(CUcontext* out) {
  *out = reinterpret_cast<CUcontext>(current_context());
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxPushCurrent(CUcontext handle) {
  context_stack.push_back(reinterpret_cast<Context*>(handle));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxPopCurrent(CUcontext* out) {
  if (context_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (out) *out = reinterpret_cast<CUcontext>(context_stack.back());
  context_stack.pop_back();
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxGetDevice(CUdevice* out) {
  const Context* c = current_context();
  if (!c) return CUDA_ERROR_INVALID_CONTEXT;
  *out = c->device;
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return CUDA_SUCCESS;
}
extern "C" __attribute__((visibility("default"))) CUresult CUDAAPI cuCtxSynchronize(void) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  ++machine().counters.synchronizations;
  const CUresult result = drain_context(*context);
  trim_pools(context->device);
  return result;
}

// A fatbin, PTX or cubin stands for its twin on this CPU.
SOFTDRIVER_API cuModuleLoadData(CUmodule* out, const void* image) {
  ENTER;
  if (unsafe_in_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const char* bytes = static_cast<const char*>(image);
  if (std::strncmp(bytes, "//", 2) != 0) {  // no PTX
    uint32_t magic;
    std::memcpy(&magic, bytes, sizeof magic);
    const bool fatbin = magic == 0xBA55ED50, cubin = magic == 0x464C457F;
    if (!fatbin && !cubin) return CUDA_ERROR_INVALID_IMAGE;
    const CUresult result = fatbin ? runs_here(bytes) : CUDA_SUCCESS;
    if (result) return result;
  }
  const std::string path = text(Setting::kKernels);
  return load(out, path.empty() ? default_image() : path);
}
SOFTDRIVER_API cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned, CUjit_option*, void**) { return cuModuleLoadData(out, image); }
SOFTDRIVER_API cuModuleLoadFatBinary(CUmodule* out, const void* image) { return cuModuleLoadData(out, image); }
SOFTDRIVER_API cuModuleLoad(CUmodule* out, const char* path) {
  ENTER;
  return load(out, path);
}
SOFTDRIVER_API cuModuleUnload(CUmodule handle) {
  ENTER;
  Module* m = machine().modules.find(handle);
  if (!m) return CUDA_ERROR_INVALID_HANDLE;
  const CUresult result = drain_context(*context);
  machine().modules.remove(m);
  return result;
}
SOFTDRIVER_API cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
  ENTER;
  Module* m = machine().modules.find(handle);
  if (!m) return CUDA_ERROR_INVALID_HANDLE;
  const auto f = m->functions.find(name);
  if (f == m->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *out = reinterpret_cast<CUfunction>(&f->second);
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuFuncGetAttribute(int* out, CUfunction_attribute attribute, CUfunction handle) {
  ENTER;
  const Function* f = reinterpret_cast<const Function*>(handle);
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *out = f->most_threads(); break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *out = f->dynamic_limit; break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *out = f->carveout; break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH: *out = f->kernel->cluster > 1 && number(Setting::kCapability) >= 90 ? f->kernel->cluster : 0; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *out = int(number(Setting::kCapability)); break;
    default: *out = 0;
  }
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  ENTER;
  Function* f = reinterpret_cast<Function*>(handle);
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      if (value < 0 || value > 227 << 10) return CUDA_ERROR_INVALID_VALUE;
      f->dynamic_limit = value;
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      if (value < -1 || value > 100) return CUDA_ERROR_INVALID_VALUE;
      f->carveout = value;
      return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;  // read only, or unknown here
  }
}
SOFTDRIVER_API cuFuncGetParamInfo(CUfunction handle, size_t index, size_t* offset, size_t* size) {
  ENTER;
  if (index >= size_t(reinterpret_cast<const Function*>(handle)->kernel->parameters)) return CUDA_ERROR_INVALID_VALUE;
  *offset = 8 * index;
  if (size) *size = 8;
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, CUfunction, int threads, size_t) {
  *out = 2048 / threads;
  return CUDA_SUCCESS;
}
