// stream.cpp: launches, streams and events. Work waits in its stream until the
// host synchronises: a host that reads too early reads old values.
#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "block.h"
#include "checker.h"
#include "fault.h"
#include "machine.h"
#include "settings.h"

namespace softdriver {
namespace {

CUresult run_nodes(Context& context, const Graph& graph);
CUresult run_one(Stream& s);

// take lets so many microseconds pass.
void take(Setting time) {
  if (number(time)) std::this_thread::sleep_for(std::chrono::microseconds(number(time)));
}

void run_kernel(const Node& n) {
  if (strike(Setting::kFailLaunch)) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: failed on request", n.function->kernel->name);
    return;
  }
  for (int i = 0; i < n.function->kernel->parameters; ++i) {
    const void* p = reinterpret_cast<const void*>(n.words[size_t(i)]);
    if (n.function->kernel->pointers[i] && p && !find_allocation(p)) {
      raise_fault(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: parameter %d is no live memory of a device", n.function->kernel->name, i);
      return;
    }
  }
  ++machine().counters.kernels;
  ++machine().ran[n.function->kernel->name];
  take(Setting::kKernelTime);
  run_grid({n.function->kernel, n.function->image, n.words.data(), n.words.size(), n.grid, n.block, n.dynamic_shared,
            uint64_t(number(Setting::kSeed))});
  if (!faulted()) check_guards(n.function->kernel->name);
}

void run_library(const Node& n) {
  if (strike(Setting::kFailLaunch)) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: failed on request", n.library.c_str());
    return;
  }
  for (const softdriver_span& s : n.spans) {
    if (!inside(s.at, s.bytes)) {
      raise_fault(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: %zu bytes at %p are not within one live allocation", n.library.c_str(), size_t(s.bytes), s.at);
      return;
    }
  }
  ++machine().counters.kernels;
  ++machine().ran[n.library];
  take(Setting::kLibraryTime);
  n.work(n.copy.data());
  for (const softdriver_span& s : n.spans) {
    if (s.written) check_written(s.at, s.bytes);
  }
  check_guards(n.library.c_str());
}

void run_copy(const Node& n) {
  softdriver_counters& c = machine().counters;
  const bool to_device = inside(n.to, n.size) && find_allocation(n.to)->where == Where::kDevice;
  const bool from_device = inside(n.from, n.size) && find_allocation(n.from)->where == Where::kDevice;
  std::memmove(n.to, n.staged ? n.staged->data() : n.from, n.size);
  if (inside(n.to, n.size)) check_written(n.to, n.size);
  if (to_device && from_device) {
    c.on_device_bytes += n.size;
  } else if (to_device) {
    ++c.to_device, c.to_device_bytes += n.size;
  } else {
    ++c.to_host, c.to_host_bytes += n.size;
  }
}

void run_fill(const Node& n) {
  char* to = static_cast<char*>(n.to);
  for (size_t i = 0; i < n.size; i += size_t(n.width)) std::memcpy(to + i, &n.value, size_t(n.width));
  check_written(n.to, n.size);
  machine().counters.on_device_bytes += n.size;
}

// run_until_done runs the stream of a recording until that has happened.
void run_until_done(Ticket& t) {
  while (!t.done && !t.stream->queue.empty()) run_one(*t.stream);
}

CUresult run_node(Context& context, const Node& n) {
  switch (n.kind) {
    case Node::kKernel: run_kernel(n); break;
    case Node::kCopy: run_copy(n); break;
    case Node::kFill: run_fill(n); break;
    case Node::kHost: n.call(n.argument); break;
    case Node::kLibrary: run_library(n); break;
    case Node::kEmpty: break;
    case Node::kGraph: return run_nodes(context, *n.graph);
    case Node::kRecord: n.ticket->done = true, n.ticket->time = std::chrono::steady_clock::now(); break;
    case Node::kWait: run_until_done(*n.ticket); break;
    case Node::kFree:
      if (const Allocation* a = find_allocation(n.to)) release(*a);
      break;
  }
  if (const int code = take_fault()) context.error = CUresult(code);
  return context.error;
}

// run_nodes runs a graph in a topological order: the first, or one by the seed.
CUresult run_nodes(Context& context, const Graph& graph) {
  std::vector<const Node*> order;
  for (const auto& n : graph.nodes) order.push_back(n.get());
  if (const uint64_t seed = uint64_t(number(Setting::kSeed)); seed && order.size() > 1) {
    std::mt19937_64 random(seed);
    std::vector<const Node*> left = std::move(order), done;
    while (!left.empty()) {
      std::vector<size_t> free;
      for (size_t i = 0; i < left.size(); ++i) {
        if (std::all_of(left[i]->after.begin(), left[i]->after.end(), [&](const Node* d) { return std::find(done.begin(), done.end(), d) != done.end(); })) {
          free.push_back(i);
        }
      }
      const size_t i = free[random() % free.size()];
      done.push_back(left[i]);
      left.erase(left.begin() + std::ptrdiff_t(i));
    }
    order = std::move(done);
  }
  for (const Node* n : order) {
    if (context.error) return context.error;
    run_node(context, *n);
  }
  return context.error;
}

// run_one runs the oldest work of a stream.
CUresult run_one(Stream& s) {
  const Node n = std::move(s.queue.front());
  s.queue.pop_front();
  return run_node(*s.context, n);
}

Stream& legacy_stream(Context* context) {
  std::unique_ptr<Stream>& s = machine().legacy[context];
  if (!s) s.reset(new Stream{context, true, 0, {}, nullptr, {}});
  return *s;
}

CUresult capture_node(Stream& s, Node node) {
  if (s.capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  s.tail = {s.capture->graph->add(std::move(node), s.tail)};
  return CUDA_SUCCESS;
}

}  // namespace

Stream* find_stream(Context* context, CUstream handle) {
  if (!handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return &legacy_stream(context);
  return machine().streams.find(handle);
}

CUresult drain(Stream& s) {
  while (!s.queue.empty() && !s.context->error) run_one(s);
  return s.context->error;
}

CUresult drain_blocking(Context& context) {
  for (Stream* s : machine().streams) {
    if (s->context == &context && s->blocking) drain(*s);
  }
  return drain(legacy_stream(&context));
}

CUresult drain_context(Context& context) {
  drain_blocking(context);
  for (Stream* s : machine().streams) {
    if (s->context == &context) drain(*s);
  }
  return context.error;
}

void poison(const Node& n) {
  if (inside(n.to, n.size) && find_allocation(n.to)->where == Where::kPinned) std::memset(n.to, 0xFF, n.size);
}

CUresult launch_node(Function* f, SoftdriverDim grid, SoftdriverDim block, unsigned dynamic, void** parameters, Node* out) {
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!f || !grid.x || !grid.y || !grid.z || !threads || threads > 1024 || block.z > 64 || grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535 ||
      int(threads) > f->most_threads() || dynamic > unsigned(f->dynamic_limit)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (f->kernel->cluster > 1 && (number(Setting::kCapability) < 90 || grid.x % unsigned(f->kernel->cluster) || grid.y != 1 || grid.z != 1)) {
    return CUDA_ERROR_INVALID_CLUSTER_SIZE;
  }
  Node n{};
  n.kind = Node::kKernel, n.function = f, n.grid = grid, n.block = block, n.dynamic_shared = dynamic;
  for (int i = 0; i < f->kernel->parameters; ++i) {
    if (!parameters || !parameters[i]) return CUDA_ERROR_INVALID_VALUE;
    uint64_t word;
    std::memcpy(&word, parameters[i], sizeof word);
    n.words.push_back(word);
  }
  *out = std::move(n);
  return CUDA_SUCCESS;
}

CUresult submit(Stream& s, Node node) {
  if (s.capture) return capture_node(s, std::move(node));
  Stream& legacy = legacy_stream(s.context);
  if (&s == &legacy) {
    for (Stream* other : machine().streams) {
      if (other->context == s.context && other->blocking) drain(*other);
    }
  } else if (s.blocking) {
    drain(legacy);
  }
  s.queue.push_back(std::move(node));
  return number(Setting::kEager) ? drain(s) : s.context->error;
}

}  // namespace softdriver

using namespace softdriver;

SOFTDRIVER_API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned dynamic, CUstream handle,
                              void** parameters, void** extra) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  if (extra) return CUDA_ERROR_NOT_SUPPORTED;
  Node n;
  if (const CUresult r = launch_node(reinterpret_cast<Function*>(f), {gx, gy, gz}, {bx, by, bz}, dynamic, parameters, &n)) return r;
  if (!s->capture) {
    if (strike(Setting::kRefuseLaunch)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    ++machine().counters.launches;
  }
  return submit(*s, std::move(n));
}

extern "C" __attribute__((visibility("default"))) int softdriver_submit(void* stream, const char* name, const softdriver_span* spans, int count,
                                                                         void (*run)(const void*), const void* argument, uint64_t bytes) {
  ENTER;
  Stream* s = find_stream(context, static_cast<CUstream>(stream));
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  Node n{};
  n.kind = Node::kLibrary, n.library = name, n.work = run;
  n.spans.assign(spans, spans + count);
  n.copy.assign(static_cast<const char*>(argument), static_cast<const char*>(argument) + bytes);
  if (!s->capture) {
    if (strike(Setting::kRefuseLaunch)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    ++machine().counters.launches;
  }
  return submit(*s, std::move(n));
}

SOFTDRIVER_API cuLaunchHostFunc(CUstream handle, CUhostFn call, void* argument) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  Node n{};
  n.kind = Node::kHost, n.call = call, n.argument = argument;
  return submit(*s, std::move(n));
}

SOFTDRIVER_API cuStreamCreateWithPriority(CUstream* out, unsigned flags, int priority) {
  ENTER;
  *out = reinterpret_cast<CUstream>(machine().streams.add(new Stream{context, !(flags & CU_STREAM_NON_BLOCKING), priority, {}, nullptr, {}}));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuStreamCreate(CUstream* out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }

SOFTDRIVER_API cuStreamDestroy(CUstream handle) {
  ENTER;
  Stream* s = machine().streams.find(handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  const CUresult result = drain(*s);
  machine().streams.remove(s);
  return result;
}

SOFTDRIVER_API cuStreamSynchronize(CUstream handle) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  if (s->capture) {
    s->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  ++machine().counters.synchronizations;
  const CUresult result = s == &legacy_stream(context) ? drain_blocking(*context) : drain(*s);
  trim_pools(context->device);
  return result;
}

// A query makes progress by one piece of work, as a device would meanwhile.
SOFTDRIVER_API cuStreamQuery(CUstream handle) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  if (s->queue.empty()) return CUDA_SUCCESS;
  const CUresult result = run_one(*s);
  return result ? result : s->queue.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

SOFTDRIVER_API cuStreamGetFlags(CUstream handle, unsigned* flags) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  *flags = s->blocking ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING;
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuStreamGetPriority(CUstream handle, int* priority) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  *priority = s->priority;
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  ENTER;
  Stream* s = find_stream(context, handle);
  Event* e = machine().events.find(event);
  if (!s || !e) return CUDA_ERROR_INVALID_HANDLE;
  if (e->capture) {  // fork or join within a capture
    if (s->capture && s->capture != e->capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    s->capture = e->capture;
    for (Node* n : e->captured_tail) {
      if (std::find(s->tail.begin(), s->tail.end(), n) == s->tail.end()) s->tail.push_back(n);
    }
    return CUDA_SUCCESS;
  }
  if (s->capture) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  if (!e->ticket) return CUDA_SUCCESS;
  Node n{};
  n.kind = Node::kWait, n.ticket = e->ticket;
  return submit(*s, std::move(n));
}

SOFTDRIVER_API cuEventCreate(CUevent* out, unsigned) {
  ENTER;
  *out = reinterpret_cast<CUevent>(machine().events.add(new Event));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuEventDestroy(CUevent handle) {
  ENTER;
  Event* e = machine().events.find(handle);
  if (!e) return CUDA_ERROR_INVALID_HANDLE;
  machine().events.remove(e);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuEventRecord(CUevent handle, CUstream stream) {
  ENTER;
  Event* e = machine().events.find(handle);
  Stream* s = find_stream(context, stream);
  if (!e || !s) return CUDA_ERROR_INVALID_HANDLE;
  e->capture = s->capture;
  if (s->capture) {
    e->captured_tail = s->tail;
    return CUDA_SUCCESS;
  }
  e->ticket = std::make_shared<Ticket>();
  e->ticket->stream = s;
  Node n{};
  n.kind = Node::kRecord, n.ticket = e->ticket;
  return submit(*s, std::move(n));
}
SOFTDRIVER_API cuEventSynchronize(CUevent handle) {
  ENTER;
  Event* e = machine().events.find(handle);
  if (!e) return CUDA_ERROR_INVALID_HANDLE;
  if (e->capture) return CUDA_ERROR_CAPTURED_EVENT;
  ++machine().counters.synchronizations;
  if (e->ticket) run_until_done(*e->ticket);
  trim_pools(context->device);
  return context->error;
}
SOFTDRIVER_API cuEventQuery(CUevent handle) {
  ENTER;
  Event* e = machine().events.find(handle);
  if (!e) return CUDA_ERROR_INVALID_HANDLE;
  if (e->capture) return CUDA_ERROR_CAPTURED_EVENT;
  if (!e->ticket || e->ticket->done) return CUDA_SUCCESS;
  const CUresult result = run_one(*e->ticket->stream);
  return result ? result : e->ticket->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
SOFTDRIVER_API cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  ENTER;
  Event *a = machine().events.find(from), *b = machine().events.find(to);
  if (!a || !b || !a->ticket || !b->ticket) return CUDA_ERROR_INVALID_HANDLE;
  if (!a->ticket->done || !b->ticket->done) return CUDA_ERROR_NOT_READY;
  *milliseconds = std::chrono::duration<float, std::milli>(b->ticket->time - a->ticket->time).count();
  return CUDA_SUCCESS;
}
// The name under which the call was before CUDA 13, with the same parameters.
#undef cuEventElapsedTime
SOFTDRIVER_API cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) { return cuEventElapsedTime_v2(milliseconds, from, to); }
