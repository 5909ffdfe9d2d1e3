// stream.cpp: streams, events, capture and graphs. Work waits in its stream
// until the host synchronises: a host that reads too early reads old values.
#include <algorithm>
#include <cstring>
#include <random>

#include "block.h"
#include "checker.h"
#include "fault.h"
#include "machine.h"
#include "settings.h"

namespace softdriver {
namespace {

thread_local int strict_captures = 0;  // begun by this thread, not relaxed
int global_captures = 0;               // of mode global, by any thread

CUresult run_nodes(Context& context, const Graph& graph);

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
  run_grid({n.function->kernel, n.function->image, n.words.data(), n.words.size(), n.grid, n.block, n.dynamic_shared,
            uint64_t(number(Setting::kSeed))});
  if (!faulted()) check_guards(n.function->kernel->name);
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
  while (!t.done && !t.stream->queue.empty()) {
    const Node n = std::move(t.stream->queue.front());
    t.stream->queue.pop_front();
    Graph one;
    one.add(n, {});
    run_nodes(*t.stream->context, one);
  }
}

CUresult run_node(Context& context, const Node& n) {
  switch (n.kind) {
    case Node::kKernel: run_kernel(n); break;
    case Node::kCopy: run_copy(n); break;
    case Node::kFill: run_fill(n); break;
    case Node::kHost: n.call(n.argument); break;
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

// joined reports whether everything that was captured leads to the origin's tail.
bool joined(const Capture& c) {
  std::vector<const Node*> reached(c.origin->tail.begin(), c.origin->tail.end());
  for (size_t i = 0; i < reached.size(); ++i) {
    for (const Node* d : reached[i]->after) {
      if (std::find(reached.begin(), reached.end(), d) == reached.end()) reached.push_back(d);
    }
  }
  return reached.size() == c.graph->nodes.size();
}

void end_capture(Capture* c) {
  for (Stream* s : machine().streams) {
    if (s->capture == c) s->capture = nullptr, s->tail.clear();
  }
  for (Event* e : machine().events) {
    if (e->capture == c) e->capture = nullptr;
  }
  if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED) --strict_captures;
  if (c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL) --global_captures;
  delete c;
}

// same_form reports whether two nodes differ in their arguments only.
bool same_form(const Graph& a, const Graph& b) {
  if (a.nodes.size() != b.nodes.size()) return false;
  std::map<const Node*, size_t> in_a, in_b;
  for (size_t i = 0; i < a.nodes.size(); ++i) in_a[a.nodes[i].get()] = i, in_b[b.nodes[i].get()] = i;
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    const Node &x = *a.nodes[i], &y = *b.nodes[i];
    if (x.kind != y.kind || x.function != y.function || x.after.size() != y.after.size()) return false;
    for (size_t k = 0; k < x.after.size(); ++k) {
      if (in_a[x.after[k]] != in_b[y.after[k]]) return false;
    }
  }
  return true;
}

// launch_node checks a launch as a driver does and makes its node.
CUresult launch_node(Function* f, SoftdriverDim grid, SoftdriverDim block, unsigned dynamic, void** parameters, Node* out) {
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!f || !grid.x || !grid.y || !grid.z || !threads || threads > 1024 || block.z > 64 || grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535 ||
      int(threads) > f->kernel->bound || dynamic > unsigned(f->dynamic_limit)) {
    return CUDA_ERROR_INVALID_VALUE;
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

}  // namespace

Node* Graph::add(Node node, std::vector<Node*> after) {
  node.after = std::move(after);
  nodes.push_back(std::make_unique<Node>(std::move(node)));
  return nodes.back().get();
}

std::shared_ptr<Graph> Graph::copy(std::map<const Node*, Node*>* places) const {
  auto g = std::make_shared<Graph>();
  for (const auto& n : nodes) {
    std::vector<Node*> after;
    for (const Node* d : n->after) after.push_back(places->at(d));
    (*places)[n.get()] = g->add(*n, std::move(after));
  }
  return g;
}

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

bool unsafe_in_capture() {
  if (!strict_captures && !global_captures) return false;
  for (Stream* s : machine().streams) {
    if (s->capture && s->capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED) s->capture->invalid = true;
  }
  return true;
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
  return s == &legacy_stream(context) ? drain_blocking(*context) : drain(*s);
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
// Both versions of the call have the same parameters.
extern "C" __attribute__((visibility("default"))) CUresult CUDAAPI cuEventElapsedTime_v2(float* milliseconds, CUevent from, CUevent to) {
  ENTER;
  Event *a = machine().events.find(from), *b = machine().events.find(to);
  if (!a || !b || !a->ticket || !b->ticket) return CUDA_ERROR_INVALID_HANDLE;
  if (!a->ticket->done || !b->ticket->done) return CUDA_ERROR_NOT_READY;
  *milliseconds = std::chrono::duration<float, std::milli>(b->ticket->time - a->ticket->time).count();
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
  ENTER;
  Stream* s = machine().streams.find(handle);
  if (!s) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // the legacy stream
  if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  s->capture = new Capture{std::make_unique<Graph>(), s, mode, false, ++machine().captures};
  if (mode != CU_STREAM_CAPTURE_MODE_RELAXED) ++strict_captures;
  if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL) ++global_captures;
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuStreamEndCapture(CUstream handle, CUgraph* out) {
  ENTER;
  Stream* s = machine().streams.find(handle);
  if (!s || !s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  Capture* c = s->capture;
  *out = nullptr;
  if (c->origin != s) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  CUresult result = c->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : joined(*c) ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  if (!result) *out = reinterpret_cast<CUgraph>(machine().graphs.add(c->graph.release()));
  end_capture(c);
  return result;
}
SOFTDRIVER_API cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  ENTER;
  Stream* s = find_stream(context, handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  *status = !s->capture ? CU_STREAM_CAPTURE_STATUS_NONE : s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuGraphCreate(CUgraph* out, unsigned) {
  ENTER;
  *out = reinterpret_cast<CUgraph>(machine().graphs.add(new Graph));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphDestroy(CUgraph handle) {
  ENTER;
  Graph* g = machine().graphs.find(handle);
  if (!g) return CUDA_ERROR_INVALID_VALUE;
  machine().graphs.remove(g);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
  ENTER;
  Graph* g = machine().graphs.find(handle);
  if (!g) return CUDA_ERROR_INVALID_VALUE;
  if (nodes) {
    for (size_t i = 0; i < std::min(*count, g->nodes.size()); ++i) nodes[i] = reinterpret_cast<CUgraphNode>(g->nodes[i].get());
  }
  *count = g->nodes.size();
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType* type) {
  ENTER;
  switch (reinterpret_cast<Node*>(handle)->kind) {
    case Node::kKernel: *type = CU_GRAPH_NODE_TYPE_KERNEL; break;
    case Node::kCopy: *type = CU_GRAPH_NODE_TYPE_MEMCPY; break;
    case Node::kFill: *type = CU_GRAPH_NODE_TYPE_MEMSET; break;
    case Node::kHost: *type = CU_GRAPH_NODE_TYPE_HOST; break;
    case Node::kGraph: *type = CU_GRAPH_NODE_TYPE_GRAPH; break;
    default: *type = CU_GRAPH_NODE_TYPE_EMPTY;
  }
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphAddKernelNode(CUgraphNode* out, CUgraph handle, const CUgraphNode* after, size_t count, const CUDA_KERNEL_NODE_PARAMS* p) {
  ENTER;
  Graph* g = machine().graphs.find(handle);
  if (!g) return CUDA_ERROR_INVALID_VALUE;
  Node n;
  if (const CUresult r = launch_node(reinterpret_cast<Function*>(p->func), {p->gridDimX, p->gridDimY, p->gridDimZ}, {p->blockDimX, p->blockDimY, p->blockDimZ},
                                     p->sharedMemBytes, p->kernelParams, &n)) {
    return r;
  }
  std::vector<Node*> before;
  for (size_t i = 0; i < count; ++i) before.push_back(reinterpret_cast<Node*>(after[i]));
  *out = reinterpret_cast<CUgraphNode>(g->add(std::move(n), std::move(before)));
  return CUDA_SUCCESS;
}

SOFTDRIVER_API cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph handle, unsigned long long) {
  ENTER;
  Graph* g = machine().graphs.find(handle);
  if (!g) return CUDA_ERROR_INVALID_VALUE;
  auto* x = new Executable;
  x->graph = g->copy(&x->places);
  *out = reinterpret_cast<CUgraphExec>(machine().executables.add(x));
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphExecDestroy(CUgraphExec handle) {
  ENTER;
  Executable* x = machine().executables.find(handle);
  if (!x) return CUDA_ERROR_INVALID_VALUE;
  machine().executables.remove(x);
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphLaunch(CUgraphExec handle, CUstream stream) {
  ENTER;
  Executable* x = machine().executables.find(handle);
  Stream* s = find_stream(context, stream);
  if (!x || !s) return CUDA_ERROR_INVALID_HANDLE;
  if (strike(Setting::kRefuseLaunch)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  ++machine().counters.graph_launches;
  if (!s->capture) {
    for (const auto& n : x->graph->nodes) {
      if (n->kind == Node::kCopy) poison(*n);
    }
  }
  Node n{};
  n.kind = Node::kGraph, n.graph = x->graph;
  return submit(*s, std::move(n));
}
SOFTDRIVER_API cuGraphExecUpdate(CUgraphExec handle, CUgraph from, CUgraphExecUpdateResultInfo* info) {
  ENTER;
  Executable* x = machine().executables.find(handle);
  Graph* g = machine().graphs.find(from);
  if (!x || !g) return CUDA_ERROR_INVALID_VALUE;
  const bool same = same_form(*x->graph, *g);
  if (info) info->result = same ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  if (!same) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  x->places.clear();
  x->graph = g->copy(&x->places);  // launches under way keep the graph they were given
  return CUDA_SUCCESS;
}
SOFTDRIVER_API cuGraphExecKernelNodeSetParams(CUgraphExec handle, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* p) {
  ENTER;
  Executable* x = machine().executables.find(handle);
  if (!x) return CUDA_ERROR_INVALID_VALUE;
  const auto place = x->places.find(reinterpret_cast<Node*>(node));
  if (place == x->places.end() || place->second->kind != Node::kKernel) return CUDA_ERROR_INVALID_VALUE;
  Node n;
  if (const CUresult r = launch_node(reinterpret_cast<Function*>(p->func), {p->gridDimX, p->gridDimY, p->gridDimZ}, {p->blockDimX, p->blockDimY, p->blockDimZ},
                                     p->sharedMemBytes, p->kernelParams, &n)) {
    return r;
  }
  std::map<const Node*, Node*> moved;
  auto changed = x->graph->copy(&moved);
  n.after = moved.at(place->second)->after;
  *moved.at(place->second) = std::move(n);
  for (auto& [original, current] : x->places) current = moved.at(current);
  x->graph = changed;
  return CUDA_SUCCESS;
}
