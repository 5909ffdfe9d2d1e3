// graph.cpp: stream capture and graphs.
#include <algorithm>

#include "machine.h"
#include "settings.h"

namespace softdriver {
namespace {

thread_local int strict_captures = 0;  // begun by this thread, not relaxed
int global_captures = 0;               // of mode global, by any thread

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
    if (x.kind != y.kind || x.function != y.function || x.library != y.library || x.after.size() != y.after.size()) return false;
    for (size_t k = 0; k < x.after.size(); ++k) {
      if (in_a[x.after[k]] != in_b[y.after[k]]) return false;
    }
  }
  return true;
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

bool unsafe_in_capture() {
  if (!strict_captures && !global_captures) return false;
  for (Stream* s : machine().streams) {
    if (s->capture && s->capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED) s->capture->invalid = true;
  }
  return true;
}

}  // namespace softdriver

using namespace softdriver;

SOFTDRIVER_API cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
  ENTER;
  Stream* s = machine().streams.find(handle);
  if (!s) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // the legacy stream
  if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
  s->capture = new Capture{std::make_unique<Graph>(), s, mode, false, std::this_thread::get_id()};
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
  if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && c->thread != std::this_thread::get_id()) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
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
    case Node::kKernel:
    case Node::kLibrary: *type = CU_GRAPH_NODE_TYPE_KERNEL; break;
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
