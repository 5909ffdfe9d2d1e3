// machine.h: the state of the software driver: devices, contexts, memory,
// streams, graphs. Every call of the interface holds the one lock.
#pragma once

#include <cuda.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "image.h"
#include "softdriver.h"

namespace softdriver {

constexpr int kMostDevices = 8;

struct Context {
  int device;
  CUresult error = CUDA_SUCCESS;  // sticky: the first failure of a kernel
  int retained = 0;               // of a primary context
};

enum class Where { kDevice, kPinned, kRegistered };  // kRegistered: the program's own, which it has lent

// Pool is a memory pool. What it holds but nobody has taken goes back to the
// device when the host waits, down to the threshold.
struct Pool {
  int device;
  uint64_t threshold = 0;
  size_t reserved = 0, used = 0;  // bytes held from the device, and taken of them
  bool destroyed = false;         // and kept until nothing is taken any more
};

// Allocation is memory that the driver handed out, or that was registered with
// it. What it handed out has guard zones before and after it.
struct Allocation {
  char* begin;
  size_t size;
  Where where;
  int device;
  Context* owner;  // that takes it along; null for memory of a pool
  Pool* pool;      // that it was taken from, or null
};

struct Function {
  const SoftdriverKernel* kernel;
  const Image* image;
  int dynamic_limit = 48 << 10;
  int carveout = -1;

  int most_threads() const;  // of a block
};

struct Module {
  const Image* image;
  std::map<std::string, Function> functions;
};

// Ticket is one recording of an event.
struct Ticket {
  struct Stream* stream;
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

struct Event {
  std::shared_ptr<Ticket> ticket;          // the last recording, null before the first
  struct Capture* capture = nullptr;       // set if that recording was captured
  std::vector<struct Node*> captured_tail; // what it stands for in the graph
};

struct Graph;

// Node is one piece of work of a stream or a graph.
struct Node {
  enum Kind { kKernel, kCopy, kFill, kHost, kLibrary, kEmpty, kGraph, kRecord, kWait, kFree } kind;

  Function* function = nullptr;  // kKernel
  SoftdriverDim grid{}, block{};
  size_t dynamic_shared = 0;
  std::vector<uint64_t> words;

  void* to = nullptr;  // kCopy, kFill, kFree
  const void* from = nullptr;
  size_t size = 0;                            // bytes
  uint32_t value = 0;                         // kFill
  int width = 0;                              // kFill: bytes of an element
  std::shared_ptr<std::vector<char>> staged;  // kCopy: from pageable memory

  void (*call)(void*) = nullptr;  // kHost
  void* argument = nullptr;

  std::string library;  // kLibrary: see softdriver_submit
  std::vector<softdriver_span> spans;
  void (*work)(const void*) = nullptr;
  std::vector<char> copy;  // of its argument

  std::shared_ptr<Graph> graph;    // kGraph
  std::shared_ptr<Ticket> ticket;  // kRecord, kWait

  std::vector<Node*> after;  // within a graph: what has to be done before
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;  // a topological order

  Node* add(Node node, std::vector<Node*> after);
  // copy is the same graph with nodes of its own; places maps old nodes to new.
  std::shared_ptr<Graph> copy(std::map<const Node*, Node*>* places) const;
};

// Executable is an instantiated graph and where the nodes of the original went.
struct Executable {
  std::shared_ptr<Graph> graph;
  std::map<const Node*, Node*> places;
};

struct Stream {
  Context* context;
  bool blocking;  // synchronises with the legacy stream
  int priority;
  std::deque<Node> queue;
  struct Capture* capture = nullptr;
  std::vector<Node*> tail;  // what the next captured node comes after
};

struct Capture {
  std::unique_ptr<Graph> graph;
  Stream* origin;
  CUstreamCaptureMode mode;
  bool invalid = false;
  std::thread::id thread;  // that began it, and has to end it unless the mode is relaxed
};

// Handles are the live objects of a kind; a handle is an object's address, and is
// looked up before it is used.
template <class T>
class Handles {
 public:
  T* add(T* t) {
    live_.insert(t);
    return t;
  }
  template <class Handle>
  T* find(Handle h) const {
    T* t = reinterpret_cast<T*>(h);
    return live_.count(t) ? t : nullptr;
  }
  void remove(T* t) {
    live_.erase(t);
    delete t;
  }
  auto begin() const { return live_.begin(); }
  auto end() const { return live_.end(); }

 private:
  std::unordered_set<T*> live_;
};

struct Machine {
  std::recursive_mutex mutex;
  Context primary[kMostDevices];
  Handles<Context> contexts;  // created ones
  std::map<uintptr_t, Allocation> allocations;
  size_t used[kMostDevices] = {};  // of a device's memory, all that pools hold included
  Handles<Pool> pools;
  Handles<Module> modules;
  Handles<Stream> streams;
  Handles<Event> events;
  Handles<Graph> graphs;
  Handles<Executable> executables;
  std::map<Context*, std::unique_ptr<Stream>> legacy;  // the null stream of each context
  softdriver_counters counters{};
  std::map<std::string, uint64_t> ran;  // counters.kernels by name
};

Machine& machine();

// current_context is the calling thread's, null if it has none. It may have been
// destroyed by another thread, and is then not alive.
Context* current_context();
bool alive(Context* c);

// find_allocation is the one that holds address p, null if none does.
const Allocation* find_allocation(const void* p);

// inside reports whether size bytes at p lie in one live allocation of device memory or pinned memory.
bool inside(const void* p, size_t size);

// check_guards raises a fault if a guard zone was written to; culprit names who ran.
void check_guards(const char* culprit);

// release frees an allocation.
void release(const Allocation& a);

// trim gives memory that a pool holds back to the device, down to keep bytes;
// trim_pools does so with all pools of a device, as the host's waiting does.
void trim(Pool& pool, size_t keep);
void trim_pools(int device);

// find_stream is the stream of a handle (null: the legacy one), or null.
Stream* find_stream(Context* context, CUstream handle);

// launch_node checks a launch as a driver does and makes its node.
CUresult launch_node(Function* f, SoftdriverDim grid, SoftdriverDim block, unsigned dynamic, void** parameters, Node* out);

// submit hands work to a stream, or to the graph that the stream captures.
CUresult submit(Stream& stream, Node node);

// drain runs what waits in a stream, drain_context in all streams of a context,
// drain_blocking in those that the legacy stream waits for. They return the
// context's error.
CUresult drain(Stream& stream);
CUresult drain_context(Context& context);
CUresult drain_blocking(Context& context);

// poison marks memory that a copy to the host will overwrite: whoever reads it
// before the synchronisation reads NaN.
void poison(const Node& node);

// unsafe_in_capture invalidates the captures that forbid a call such as an
// allocation on this thread, and reports whether there was one.
bool unsafe_in_capture();

}  // namespace softdriver

#define SOFTDRIVER_API extern "C" __attribute__((visibility("default"))) CUresult CUDAAPI

// ENTER begins every call that needs a healthy current context.
#define ENTER                                                              \
  std::lock_guard softdriver_lock(softdriver::machine().mutex);            \
  softdriver::Context* const context = softdriver::current_context();      \
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;                         \
  if (!softdriver::alive(context)) return CUDA_ERROR_CONTEXT_IS_DESTROYED; \
  if (context->error) return context->error
