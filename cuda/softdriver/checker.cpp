// checker.cpp: finds, access by access, what a GPU would let pass: accesses out
// of bounds, reads of memory that nobody wrote, and races. g++ compiles the
// kernels with -fsanitize=thread, whose calls before each load and store land
// here instead of in its own library, and with -fsanitize=bounds-strict.
//
// Two accesses of which one is a write are ordered if they come from the same
// thread, from both sides of a barrier of their block, or from both sides of a
// primitive of their whole warp, or if the first thread, or behind such a primitive one of its warp, has arrived at an mbarrier, and the second
// has waited for that phase itself. Of two blocks, they are ordered by a ticket: a thread of the
// first, behind a barrier, passes a fence and adds atomically to a word; later a thread of the
// second adds to the same word, passes a fence, and then a barrier; or one of the second waits for that word. (Where several
// other blocks have read before a write, all blocks until the last of them must have taken a ticket; that each
// of them had read by then is seen of the last one only.) Or, of two blocks of a cluster, they are on both
// sides of its barrier. Anything else in the same launch is a
// race, unless both are atomic.
#include "checker.h"

#include <cuda.h>
#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "block.h"
#include "fault.h"
#include "image.h"
#include "launch.h"

namespace softdriver {
namespace {

constexpr size_t kCell = 4;  // bytes that share a shadow
constexpr int kWarps = 32, kMostThreads = 32 * kWarps;

// Who is an access: the thread and how many barriers it had passed.
struct Who {
  int thread = -1;  // in its block; -1: nobody
  uint32_t block = 0, barriers = 0, warp_syncs = 0;
  int cluster = -1, phase = 0;  // the block's, and how many of its barriers had been passed
  uint32_t arrivals = 0;        // of the thread at mbarriers, until then
};

struct Cell {
  Who writer, reader;  // the last ones of this launch
  uint32_t owner = 0;  // the launch, or of shared memory the block, that the others are of
  uint8_t written = 0;       // bytes that hold a value
  uint8_t write_bytes = 0;   // of the last write
  bool many_lanes = false;   // the reader's warp has several unordered readers
  bool many_warps = false;   // the reader's block has readers in several warps
  bool many_blocks = false;  // several blocks have read
  uint32_t before = 0;       // the place of the last of them but the reader's
  bool atomic = false;       // the last write was atomic
};

struct Shadow {
  const char* begin = nullptr;
  size_t size = 0;
  std::vector<Cell> cells;
  bool holds(const char* p) const { return p >= begin && p < begin + size; }
};

std::map<uintptr_t, Shadow> shadows;  // of allocations, by address
Shadow* last_found = nullptr;
const char* kernel = "";
bool active = false;
uint32_t launch = 0;
uint32_t blocks = 0;  // that have begun, of all launches

// Of the block that runs on this thread of the operating system. Only one runs at a time.
thread_local Shadow shared;
thread_local BlockRanges ranges;
thread_local uint32_t owner = 0;  // of the cells of shared memory
thread_local uint32_t block = 0, barriers = 0, warp_syncs[kWarps];
thread_local int cluster = -1, phase = 0;

// Arrivals are those at an mbarrier in the phase at hand and in the one before.
struct Arrivals {
  std::vector<Who> now, before;
};
thread_local std::map<const void*, Arrivals> signals;
thread_local std::vector<uint32_t> arrivals;                  // by thread
thread_local std::vector<std::map<int, Who>> waited;          // by thread: whose arrivals it has waited for, the last of each

// Ticket is how a block has added to a word of global memory. The checker runs block
// after block, so those of earlier blocks came first.
struct Ticket {
  uint32_t block, barriers;  // of the thread that added, at that moment
  int thread;
  void* word;
};
std::vector<Ticket> tickets;       // of this launch
uint32_t begun = 0;                // blocks of this launch
int fenced = -1;                   // the thread of this block that has passed a fence, and added nothing since
std::optional<Ticket> taken;       // this block's ticket, once a fence has followed
void* word = nullptr;              // the one that this block has added to last
std::vector<const void*> acquired; // words for which the threads of this block have waited, null where one has not
std::vector<uint32_t> places;      // of this launch's blocks, by their number: the how manyth each has begun

Who me() {
  const int t = softdriver_thread->number;
  return {t, block, barriers, warp_syncs[t / 32], cluster, phase, arrivals[size_t(t)]};
}

bool same_warp(const Who& a, const Who& b) { return a.thread / 32 == b.thread / 32; }

// seen_by is the word through which a thread of this block sees the tickets of others, or null.
const void* seen_by(const Who& b) {
  if (const void* waited = acquired[size_t(b.thread)]) return waited;
  return taken && (b.thread == taken->thread || b.barriers > taken->barriers) ? taken->word : nullptr;
}

// by_ticket reports whether a, of an earlier block, happened before b, of this one.
bool by_ticket(const Who& a, const Who& b) {
  const void* through = seen_by(b);
  return through && std::any_of(tickets.begin(), tickets.end(), [&](const Ticket& t) {
           return t.block == a.block && t.word == through && (a.thread == t.thread || a.barriers < t.barriers);
         });
}

// all_came reports whether b sees the tickets of all blocks up to that at a place.
bool all_came(uint32_t place, const Who& b) {
  struct Question {
    const void* word;
    size_t tickets;
    uint32_t launch, place;
    bool operator==(const Question& q) const { return word == q.word && tickets == q.tickets && launch == q.launch && place == q.place; }
  };
  static Question last{};  // which is asked of many words in turn
  static bool answer = false;
  const Question now = {seen_by(b), tickets.size(), launch, place};
  if (!now.word || now == last) return now.word && answer;
  std::set<uint32_t> came;
  for (const Ticket& t : tickets) {
    if (t.word == now.word && places[t.block] <= now.place) came.insert(t.block);
  }
  last = now;
  return answer = came.size() == now.place;
}

// by_phase reports whether a barrier of their cluster is between the two.
bool by_phase(const Who& a, const Who& b) { return a.cluster >= 0 && a.cluster == b.cluster && a.phase != b.phase; }

// by_signal reports whether a's arrival at an mbarrier, or one of its warp behind a primitive, is between the two.
bool by_signal(const Who& a, const Who& b) {
  const auto& of = waited[size_t(b.thread)];
  for (auto w = of.lower_bound(a.thread / 32 * 32); w != of.end() && same_warp(w->second, a); ++w) {
    const Who& arrived = w->second;
    if (arrived.thread == a.thread ? a.arrivals <= arrived.arrivals : a.warp_syncs < arrived.warp_syncs) return true;
  }
  return false;
}

// ordered reports whether a happened before b, or a is nobody.
bool ordered(const Who& a, const Who& b) {
  if (a.thread < 0) return true;
  if (a.block != b.block) return by_phase(a, b) || by_ticket(a, b);
  return a.thread == b.thread || a.barriers != b.barriers || (same_warp(a, b) && a.warp_syncs != b.warp_syncs) || by_signal(a, b);
}

// place is the source line of a return address.
std::string place(void* caller) {
  Dl_info info;
  if (!dladdr(caller, &info)) return "?";
  char command[700], line[300] = "?";
  std::snprintf(command, sizeof command, "addr2line -e '%s' %#lx 2>/dev/null", info.dli_fname,
                static_cast<unsigned long>(static_cast<char*>(caller) - static_cast<char*>(info.dli_fbase)) - 1);
  if (FILE* pipe = popen(command, "r")) {
    if (!std::fgets(line, sizeof line, pipe)) line[0] = '?';
    pclose(pipe);
  }
  std::string text = line;
  text.erase(std::min(text.find_first_of(" \n"), text.size()));  // "file:line (discriminator 1)\n"
  const size_t slash = text.rfind('/');
  return slash == std::string::npos ? text : text.substr(slash + 1);
}

[[noreturn]] void report(void* caller, CUresult code, const char* what, const void* address, const Who& other) {
  active = false;
  char with[80] = "";
  if (other.thread >= 0) std::snprintf(with, sizeof with, ", with thread %d of block %u", other.thread, other.block);
  raise_fault(code, "%s: %s: %s, address %p, thread %d of block %u%s", kernel, place(caller).c_str(), what, address, softdriver_thread->number, block, with);
  abandon();
}

Shadow* find(const char* p) {
  if (last_found && last_found->holds(p)) return last_found;
  auto it = shadows.upper_bound(reinterpret_cast<uintptr_t>(p));
  if (it == shadows.begin()) return nullptr;
  Shadow& s = (--it)->second;
  if (!s.holds(p)) return nullptr;
  return last_found = &s;
}

void read(void* caller, Cell& c, uint8_t bytes, const char* p) {
  const Who i = me();
  if ((c.written & bytes) != bytes) report(caller, CUDA_ERROR_LAUNCH_FAILED, "read of uninitialised memory", p, {});
  if (!ordered(c.writer, i) && c.write_bytes & bytes) report(caller, CUDA_ERROR_LAUNCH_FAILED, "race: read after write", p, c.writer);
  if (c.reader.thread >= 0 && by_phase(c.reader, i)) {
    c.many_blocks = c.many_warps = c.many_lanes = false;
  } else if (c.reader.thread >= 0 && c.reader.block != i.block) {
    c.many_blocks = true;
    c.before = places[c.reader.block];
  } else if (c.reader.thread >= 0 && c.reader.barriers == i.barriers && c.reader.thread != i.thread) {
    if (!same_warp(c.reader, i)) c.many_warps = true;
    else if (c.reader.warp_syncs == i.warp_syncs) c.many_lanes = true;
    else c.many_lanes = false;
  } else if (c.reader.barriers != i.barriers) {
    c.many_warps = c.many_lanes = false;
  }
  c.reader = i;
}

// check_write reports a write that is not ordered after what came before.
void check_write(void* caller, const Cell& c, uint8_t bytes, const char* p, bool atomic) {
  const Who i = me();
  const bool both_atomic = atomic && c.atomic;
  if (!both_atomic && !ordered(c.writer, i) && c.write_bytes & bytes) {
    report(caller, CUDA_ERROR_LAUNCH_FAILED, "race: write after write", p, c.writer);
  }
  const bool same_epoch = c.reader.thread >= 0 && c.reader.block == i.block && c.reader.barriers == i.barriers;
  const bool unordered_reader = !ordered(c.reader, i) || (c.many_blocks && !by_phase(c.reader, i) && !all_came(c.reader.block == i.block ? c.before : places[c.reader.block], i)) || (same_epoch && c.many_warps) ||
                                (same_epoch && c.many_lanes && c.reader.warp_syncs == i.warp_syncs);
  if (!both_atomic && unordered_reader) report(caller, CUDA_ERROR_LAUNCH_FAILED, "race: write after read", p, c.reader);
}

void write(void* caller, Cell& c, uint8_t bytes, const char* p, bool atomic) {
  check_write(caller, c, bytes, p, atomic);
  c.writer = me();
  c.write_bytes = bytes;
  c.reader = {};
  c.many_lanes = c.many_warps = c.many_blocks = false;
  c.written |= bytes;
  c.atomic = atomic;
}

enum class Access { kRead, kWrite, kAtomic, kLaterWrite };

void access(void* caller, void* address, size_t size, Access kind) {
  const bool writes = kind != Access::kRead;
  if (!active || !softdriver_thread) return;
  char* p = static_cast<char*>(address);
  if (ranges.stacks.holds(p, size) || ranges.threads.holds(p, size) || ranges.words.holds(p, size) || p == reinterpret_cast<char*>(&softdriver_thread)) return;
  Shadow* s = &shared;
  if (shared.holds(p)) {
    if (p + size > ranges.dynamic.begin + ranges.dynamic_used && p < ranges.dynamic.begin + ranges.dynamic.size && p + size > ranges.dynamic.begin) {
      report(caller, CUDA_ERROR_LAUNCH_FAILED, "out of bounds of dynamic shared memory", p, {});
    }
  } else {
    s = find(p);
    if (!s || p + size > s->begin + s->size) {
      if (!s && !writes && running()->image->mapped.holds(p, size)) return;  // constants
      report(caller, CUDA_ERROR_ILLEGAL_ADDRESS, writes ? "write outside any allocation" : "read outside any allocation", p, {});
    }
  }
  for (size_t done = 0; done < size;) {
    const size_t offset = size_t(p + done - s->begin), first = offset % kCell, count = std::min(kCell - first, size - done);
    Cell& c = s->cells[offset / kCell];
    if (const uint32_t now = s == &shared ? owner : launch; c.owner != now) {
      const uint8_t written = s == &shared ? 0 : c.written;  // nobody has written to the shared memory of a new block
      c = Cell{};
      c.owner = now, c.written = written;
    }
    const uint8_t bytes = uint8_t(((1u << count) - 1) << first);
    switch (kind) {
      case Access::kRead: read(caller, c, bytes, p + done); break;
      case Access::kLaterWrite: check_write(caller, c, bytes, p + done, false); break;
      default: write(caller, c, bytes, p + done, kind == Access::kAtomic);
    }
    done += count;
  }
}

}  // namespace

void check_launch() {
  ++launch;
  tickets.clear();
  begun = 0;
  active = true;
}

void check_block(const char* name, uint32_t number, const BlockRanges& r, int of) {
  kernel = name, block = number, ranges = r, barriers = 1, cluster = of, phase = 0;
  if (places.size() <= number) places.resize(number + 1);
  places[number] = ++begun;
  fenced = -1, taken.reset(), word = nullptr;
  acquired.assign(kMostThreads, nullptr);
  signals.clear(), arrivals.assign(kMostThreads, 0), waited.assign(kMostThreads, {});
  std::fill(warp_syncs, warp_syncs + kWarps, 1);
  shared.begin = r.shared.begin, shared.size = r.shared.size;
  shared.cells.resize(r.shared.size / kCell + 1);
  owner = ++blocks;
}

void check_barrier() { ++barriers; }
void check_phase(int passed) { phase = passed; }
void check_warp(int warp) { ++warp_syncs[warp]; }
void check_arrival(const void* signal) {
  signals[signal].now.push_back(me());
  ++arrivals[size_t(softdriver_thread->number)];
}
void check_phase_end(const void* signal) {
  Arrivals& a = signals[signal];
  a.before.swap(a.now);
  a.now.clear();
}
void check_waited(const void* signal) {
  for (const Who& w : signals[signal].before) waited[size_t(softdriver_thread->number)][w.thread] = w;
}
void check_atomic(void* at, size_t size, void* caller) {
  access(caller, at, size, Access::kAtomic);
  if (fenced != softdriver_thread->number) return;
  tickets.push_back({block, barriers, fenced, at});
  fenced = -1, word = at;
}

void check_fence() {
  fenced = softdriver_thread->number;
  if (word && tickets.back().thread == fenced) taken = tickets.back();
}

void check_acquired(const void* at) { acquired[size_t(softdriver_thread->number)] = at; }

// A copy may write at any time from its start to its end.
void check_copy_start(void* to, size_t size, void* caller) { access(caller, to, size, Access::kLaterWrite); }
void check_copy_end(void* to, const void* from, size_t size, size_t bytes, void* caller) {
  if (bytes > 0) access(caller, const_cast<void*>(from), bytes, Access::kRead);
  access(caller, to, size, Access::kWrite);
}

void check_allocated(void* at, size_t size) {
  Shadow& s = shadows[reinterpret_cast<uintptr_t>(at)];
  s.begin = static_cast<char*>(at), s.size = size;
  s.cells.assign(size / kCell + 1, Cell{});
  last_found = nullptr;
}

void check_released(void* at) {
  shadows.erase(reinterpret_cast<uintptr_t>(at));
  last_found = nullptr;
}

void check_written(void* at, size_t size) {
  Shadow* s = find(static_cast<char*>(at));
  if (!s) return;
  const size_t begin = size_t(static_cast<char*>(at) - s->begin);
  for (size_t b = begin; b < begin + size; ++b) s->cells[b / kCell].written |= uint8_t(1u << b % kCell);
}

}  // namespace softdriver

#define CALLER __builtin_return_address(0)
#define HOOK(n)                                                                                      \
  void __tsan_read##n(void* p) { softdriver::access(CALLER, p, n, softdriver::Access::kRead); }                   \
  void __tsan_write##n(void* p) { softdriver::access(CALLER, p, n, softdriver::Access::kWrite); }                   \
  void __tsan_unaligned_read##n(void* p) { softdriver::access(CALLER, p, n, softdriver::Access::kRead); }         \
  void __tsan_unaligned_write##n(void* p) { softdriver::access(CALLER, p, n, softdriver::Access::kWrite); }

#pragma GCC visibility push(default)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
HOOK(1)
HOOK(2)
HOOK(4)
HOOK(8)
HOOK(16)
void __tsan_read_range(void* p, size_t n) { softdriver::access(CALLER, p, n, softdriver::Access::kRead); }
void __tsan_write_range(void* p, size_t n) { softdriver::access(CALLER, p, n, softdriver::Access::kWrite); }

// What -fsanitize=bounds-strict calls, with the place of the access: the file's
// name, the line and the column lead its data.
struct BoundsData {
  const char* file;
  uint32_t line, column;
};
void __ubsan_handle_out_of_bounds_abort(const BoundsData* data, uintptr_t index) {
  const char* slash = std::strrchr(data->file, '/');
  softdriver::raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: %s:%u: index %ld is out of bounds of its array, thread %d", softdriver::kernel,
                          slash ? slash + 1 : data->file, data->line, static_cast<long>(index), softdriver_thread->number);
  softdriver::abandon();
}
}
#pragma GCC visibility pop
