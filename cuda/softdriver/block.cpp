#include "block.h"

#include <cuda.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "bulk.h"
#include "checker.h"
#include "fault.h"
#include "fiber.h"
#include "image.h"
#include "settings.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

__thread SoftdriverThread* softdriver_thread;

namespace softdriver {
namespace {

constexpr size_t kStack = 128 << 10;
constexpr int kMostThreads = 1024;
constexpr int kWarp = 32;

// Copy is one that a thread has started to shared memory.
struct Copy {
  char* to;
  const char* from;
  size_t size, bytes;  // to write, and of them to read; the others become 0
};

enum class State { kReady, kAtBarrier, kInWarp, kAtSignal, kInGroup, kDone };

// Thread is a CUDA thread with what the scheduler knows of it.
struct Thread : SoftdriverThread {
  State state;
  Fiber* fiber;  // that runs it, once it has started
  // of the warp primitive it waits in
  int operation, lane;
  uint32_t mask, value, result;
  void (*compute)(void* const*);
  void* registers;
  std::vector<Copy> copies;      // on their way, in the order of their start
  std::vector<size_t> groups;    // how many of them each group that was committed has
  Multiplications products;
  const void* signal;            // an mbarrier that it waits for
  int kept;                      // registers, 0 if it has said nothing
  size_t uncommitted() const;
};

size_t Thread::uncommitted() const {
  size_t n = copies.size();
  for (const size_t g : groups) n -= g;
  return n;
}

// Place is where a thread waits at a barrier.
struct Place {
  const char* file;
  int line;
  bool operator==(const Place& other) const { return line == other.line && (file == other.file || std::strcmp(file, other.file) == 0); }
};

const char* base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// Member is a block of a cluster, as the others see it.
struct Member {
  enum { kNew, kReady, kIdle, kAtBarrier, kEnded } state = kNew;  // ready: it runs, or would in its turn; idle: all its threads wait
  Bulk* bulk = nullptr;
  Range shared{};
  bool called = false;  // another block has arrived at an mbarrier of it, or sent a box
};

// Cluster is what the blocks of one share: each has a thread of the operating system of its own,
// they meet at the cluster's barriers, and arrive at each other's mbarriers. Where the order of things is to be drawn from a
// seed, or the access checker looks, one of them runs at a time, until it waits or ends, or with a seed has called another.
class Cluster {
 public:
  Cluster(const Grid& grid, unsigned number)
      : kernel_(grid.kernel->name), number_(number), in_turn_(kChecked || grid.seed), members_(size_t(grid.kernel->cluster)), random_(grid.seed + number),
        seed_(grid.seed) {
    for (unsigned rank = 0; rank < members_.size(); ++rank) order_.push_back(rank);
    shuffle();
    turn_ = int(order_.front());
  }

  unsigned number() const { return number_; }
  int phase() const { return phase_; }

  // begin waits for the block's turn.
  void begin(unsigned rank) {
    std::unique_lock lock(mutex_);
    members_[rank].state = Member::kReady;
    await(lock, [&] { return my_turn(rank); });
  }

  // join shows the block to the others.
  void join(unsigned rank, Bulk* bulk, Range shared) {
    std::lock_guard lock(mutex_);
    members_[rank].bulk = bulk, members_[rank].shared = shared;
  }

  // call does something to what a block has of mbarriers and boxes, whose addresses are away from those of the caller. It returns what is wrong.
  std::string call(unsigned from, unsigned to, const std::function<std::string(Bulk&, ptrdiff_t away)>& what) {
    std::unique_lock lock(mutex_);
    if (to >= members_.size()) return "a rank that the cluster has not";
    Member& there = members_[to];
    if (there.state == Member::kEnded) return "a block of the cluster that has ended";
    if (!there.bulk) return "a block of the cluster that has not begun";
    const std::string wrong = what(*there.bulk, there.shared.begin - members_[from].shared.begin);
    if (!wrong.empty()) return wrong;
    there.called = true;
    if (there.state == Member::kIdle) ready(to);
    if (seed_ && random_() % 2) {
      pass(from);
      await(lock, [&] { return my_turn(from); });
    }
    return "";
  }

  // idle waits until another block has called this one, all of whose threads wait, and says that none will any more.
  bool idle(unsigned rank) {
    std::unique_lock lock(mutex_);
    Member& me = members_[rank];
    if (!me.called) {
      me.state = Member::kIdle;
      next_turn();
      await(lock, [&] { return (me.called && my_turn(rank)) || stuck(); });
    }
    const bool called = me.called;
    me.called = false;
    return called;
  }

  // wait returns once every block of the cluster waits at this place.
  void wait(unsigned rank, const Place& place) {
    std::unique_lock lock(mutex_);
    if (ended_ > 0) return divergent(rank, place, "a block has ended");
    if (arrived_ == 0) place_ = place;
    if (!(place == place_)) return divergent(rank, place, "another block waits elsewhere");
    const int phase = phase_;
    members_[rank].state = Member::kAtBarrier;
    if (++arrived_ == int(order_.size())) {
      arrived_ = 0, ++phase_;
      shuffle();
      for (Member& m : members_) m.state = Member::kReady;
    }
    next_turn();
    await(lock, [&] { return phase_ != phase && my_turn(rank); });
  }

  // end gives up the block's turn for good.
  void end(unsigned rank) {
    std::unique_lock lock(mutex_);
    ++ended_;
    members_[rank].state = Member::kEnded;
    if (arrived_ > 0) divergent(rank, place_, "a block has ended");
    next_turn();
  }

 private:
  bool my_turn(unsigned rank) const { return !in_turn_ || turn_ == int(rank); }

  // next_turn is that of the first block that can go on, in the order that was drawn.
  void next_turn() {
    const auto ready = [&](unsigned rank) { return members_[rank].state == Member::kReady || members_[rank].state == Member::kNew; };
    const auto found = std::find_if(order_.begin(), order_.end(), ready);
    turn_ = found == order_.end() ? -1 : int(*found);
    moved_.notify_all();
  }

  // ready lets an idle block go on.
  void ready(unsigned rank) {
    members_[rank].state = Member::kReady;
    if (turn_ < 0) turn_ = int(rank);
    moved_.notify_all();
  }

  // pass gives the turn to a block that can go on, perhaps the same.
  void pass(unsigned from) {
    shuffle();
    next_turn();
    if (turn_ < 0) turn_ = int(from);
  }

  // stuck says that nobody goes on who could call an idle block.
  bool stuck() const {
    return std::none_of(members_.begin(), members_.end(), [](const Member& m) { return m.state == Member::kReady || m.state == Member::kNew || (m.state == Member::kIdle && m.called); });
  }

  // await looks up now and then, since a fault may be another block's.
  template <class Condition>
  void await(std::unique_lock<std::mutex>& lock, const Condition& condition) {
    while (!condition() && !faulted()) moved_.wait_for(lock, std::chrono::milliseconds(20));
  }

  void shuffle() {
    if (seed_) std::shuffle(order_.begin(), order_.end(), random_);
  }

  void divergent(unsigned rank, const Place& place, const char* why) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: divergent barrier of cluster %u: block %u of it is at %s:%d, and %s", kernel_, number_, rank, base_name(place.file),
                place.line, why);
    moved_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable moved_;
  const char* kernel_;
  const unsigned number_;
  const bool in_turn_;
  std::vector<Member> members_;
  std::vector<unsigned> order_;  // in which those take turns that can go on
  int turn_ = 0;                 // whose it is, if they run in turn; -1: nobody can go on
  int arrived_ = 0, ended_ = 0, phase_ = 0;
  Place place_{};
  std::mt19937_64 random_;
  const uint64_t seed_;
};

void arrive(const Copy& copy, void* caller) {
  check_copy_end(copy.to, copy.from, copy.size, copy.bytes, caller);
  if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(copy.to + copy.bytes, 0, copy.size - copy.bytes);
}

// Threads of the operating system that run blocks of a launch, and those of them in which a block waits for others.
std::atomic<int> workers_running{0}, workers_waiting{0};

// Runner runs blocks on one thread of the operating system. A CUDA thread that
// never waits is a plain call: a fiber goes on with the next thread when one has
// ended, and another fiber is needed only where a thread waits.
class Runner {
 public:
  void run(const Grid& grid, SoftdriverDim block, Cluster* cluster);
  void barrier(const char* file, int line);
  void cluster_barrier(const char* file, int line);
  uint32_t warp(int operation, uint32_t mask, uint32_t value, int lane, void (*compute)(void* const*), void* registers);
  void check_shared(const void* at, size_t size, const char* what);
  void copy_async(const Copy& copy, void* caller);
  void commit_copies();
  void wait_copies(size_t pending, void* caller);
  void expect(const std::string& wrong);  // nothing
  Bulk& bulk() { return bulk_; }
  void wake();
  void signal_wait(const void* signal, uint32_t parity);
  void signal_arrive(const void* signal);
  void signal_arrive_in(const void* signal, uint32_t rank);
  void load_box_for(uint32_t blocks, const void* to, const void* map, int row, int column, const void* signal);
  void keep_registers(int count, bool more);
  void load_box(const void* to, const void* map, int row, int column, const void* signal);
  Multiplications& products() { return static_cast<Thread*>(softdriver_thread)->products; }
  void wait_products(size_t pending);
  void wait_for(const uint32_t* at, uint32_t least);
  [[noreturn]] void abandon();
  const Grid* grid() const { return grid_; }

 private:
  void lay_out(SoftdriverDim block);
  void poison_shared();
  void work(Fiber* self);
  void leave();  // the running fiber, for whichever goes on
  Fiber* next();
  Fiber* idle_fiber();
  void make_ready(Thread& t);
  void arrive_at_barrier(const char* file, int line, bool of_cluster);
  bool complete(int warp, const Thread& last) const;
  unsigned rank() const { return block_.x % unsigned(grid_->kernel->cluster); }
  void call(unsigned rank, const std::function<std::string(Bulk&, ptrdiff_t)>& what);
  void send(const Box& box);
  bool go_on();
  void check_registers();
  void exchange(int warp, uint32_t mask);
  void report_deadlock();
  void forsake();
  size_t draw(size_t n) { return n < 2 || !grid_->seed ? 0 : random_() % n; }

  const Grid* grid_ = nullptr;
  Cluster* cluster_ = nullptr;  // of the block, null if it has none
  SoftdriverDim block_{};
  std::vector<Thread> threads_;
  std::vector<int> order_;
  size_t started_ = 0;
  int live_ = 0, at_barrier_ = 0;
  Place barrier_{};
  int barrier_thread_ = 0;
  int in_warp_[kMostThreads / kWarp];  // threads that wait in a primitive, by warp
  int in_group_[kMostThreads / kWarpgroup];  // threads that wait for products, by warpgroup
  Bulk bulk_;
  std::deque<Fiber*> ready_;
  std::vector<Fiber*> idle_;
  std::deque<Fiber> fibers_;
  char* stacks_ = nullptr;
  Fiber main_;
  Fiber* running_ = nullptr;
  std::mt19937_64 random_;
};

void Runner::lay_out(SoftdriverDim block) {
  const SoftdriverDim size = grid_->block;
  const size_t n = size_t(size.x) * size.y * size.z;
  threads_.resize(n);
  order_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    Thread& t = threads_[i];
    t.thread = {unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y)};
    t.block = block, t.block_size = size, t.grid_size = grid_->grid, t.number = int(i);
    t.state = State::kReady, t.fiber = nullptr;
    t.copies.clear(), t.groups.clear(), t.products = {}, t.kept = 0;
    order_[i] = int(i);
  }
  if (grid_->seed) {
    const uint64_t number = block.x + uint64_t(grid_->grid.x) * (block.y + uint64_t(grid_->grid.y) * block.z);
    random_.seed(grid_->seed + number * 0x9E3779B97F4A7C15u);
    std::shuffle(order_.begin(), order_.end(), random_);
  }
  started_ = 0, live_ = int(n), at_barrier_ = 0;
  std::fill(std::begin(in_warp_), std::end(in_warp_), 0);
  std::fill(std::begin(in_group_), std::end(in_group_), 0);
}

// poison_shared fills the block's shared memory with NaN.
void Runner::poison_shared() {
  const Range shared = shared_memory(*grid_->image);
  size_t capacity = 0;
  char* dynamic = grid_->image->dynamic(&capacity);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(dynamic, capacity);
#endif
  char* begin = const_cast<char*>(shared.begin);
  char* end = begin + shared.size;
  std::memset(begin, 0xFF, size_t(dynamic - begin));
  std::memset(dynamic, 0xFF, grid_->dynamic_shared);
  bulk_.clear({dynamic, grid_->dynamic_shared});
  std::memset(dynamic + capacity, 0xFF, size_t(end - dynamic - capacity));
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(dynamic + grid_->dynamic_shared, capacity - grid_->dynamic_shared);
#endif
  if (kChecked) {
    const SoftdriverDim g = grid_->grid;
    check_block(grid_->kernel->name, block_.x + g.x * (block_.y + g.y * block_.z),
                {shared,
                 {dynamic, capacity},
                 {stacks_, kStack * kMostThreads},
                 {reinterpret_cast<const char*>(threads_.data()), threads_.size() * sizeof(Thread)},
                 {reinterpret_cast<const char*>(grid_->words), grid_->word_count * 8},
                 grid_->dynamic_shared},
                cluster_ ? int(cluster_->number()) : -1);
  }
}

void Runner::run(const Grid& grid, SoftdriverDim block, Cluster* cluster) {
  if (!stacks_) {
    void* p = mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return raise_fault(CUDA_ERROR_OPERATING_SYSTEM, "no memory for the stacks of %d threads", kMostThreads);
    stacks_ = static_cast<char*>(p);
  }
  grid_ = &grid, block_ = block, cluster_ = cluster;
  lay_out(block);
  poison_shared();
  Fiber* first = idle_fiber();
  running_ = first;
  if (cluster_) cluster_->join(rank(), &bulk_, shared_memory(*grid.image));
  first->enter(main_);
  while (live_ > 0 && !faulted() && go_on()) {
  }
  if (live_ > 0 && !faulted()) report_deadlock();
  if (!faulted()) check_registers();
  if (bulk_.on_their_way() > 0 && !faulted()) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: block (%u,%u,%u) ended with %zu boxes on their way to shared memory", grid_->kernel->name, block_.x, block_.y,
                block_.z, bulk_.on_their_way());
  }
  if (faulted()) forsake();
  softdriver_thread = nullptr;
  grid_ = nullptr;
}

// go_on waits until another block has called this one, all of whose threads wait, and lets those look again who wait at mbarriers. It says
// whether anyone may come who does.
bool Runner::go_on() {
  if (!cluster_ || !cluster_->idle(rank())) return false;
  for (const int i : order_) {
    Thread& t = threads_[size_t(i)];
    if (t.state == State::kAtSignal) make_ready(t);
  }
  Fiber* f = next();
  if (f == &main_) return true;
  running_ = f;
  f->enter(main_);
  return true;
}

// forsake gives up the fibers: some were left in the middle of a thread and can
// never go on or be unwound, so they and their stacks are leaked.
void Runner::forsake() {
  (new std::deque<Fiber>)->swap(fibers_);
  idle_.clear();
  ready_.clear();
  stacks_ = nullptr;
}

// work is the body of every fiber: it starts threads until none is left.
void Runner::work(Fiber* self) {
  for (;;) {
    while (started_ < threads_.size() && !faulted()) {
      Thread& t = threads_[size_t(order_[started_++])];
      t.fiber = self;
      softdriver_thread = &t;
      grid_->kernel->invoke(grid_->words);
      t.state = State::kDone;
      --live_;
      if (!t.copies.empty()) {
        raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: block (%u,%u,%u) thread %d ended with %zu copies to shared memory on their way",
                    grid_->kernel->name, block_.x, block_.y, block_.z, t.number, t.copies.size());
      }
      if (!t.products.asked.empty()) {
        raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: block (%u,%u,%u) thread %d ended with %zu products on their way", grid_->kernel->name, block_.x, block_.y,
                    block_.z, t.number, t.products.asked.size());
      }
      if (at_barrier_ > 0) {
        raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: divergent barrier: block (%u,%u,%u) thread %d ended while %d threads wait at %s:%d",
                    grid_->kernel->name, block_.x, block_.y, block_.z, t.number, at_barrier_, base_name(barrier_.file), barrier_.line);
      }
    }
    idle_.push_back(self);
    leave();
  }
}

Fiber* Runner::idle_fiber() {
  if (!idle_.empty()) {
    Fiber* f = idle_.back();
    idle_.pop_back();
    return f;
  }
  // Stacks start at different sets of the cache, or a barrier of many threads would thrash one.
  const size_t i = fibers_.size();
  fibers_.emplace_back(stacks_ + i * kStack, kStack - i % 64 * 256);
  Fiber* f = &fibers_.back();
  f->start([this, f] { work(f); });
  return f;
}

// next is a fiber that can go on, or the main one if none can. Threads that have
// not started go first; with a seed all that can go on have a chance.
Fiber* Runner::next() {
  if (faulted()) return &main_;
  const bool fresh = started_ < threads_.size();
  if (ready_.empty() || (fresh && !(grid_->seed && draw(2)))) return fresh ? idle_fiber() : &main_;
  if (grid_->seed) std::swap(ready_.front(), ready_[draw(ready_.size())]);
  Fiber* f = ready_.front();
  ready_.pop_front();
  return f;
}

void Runner::leave() {
  Fiber* self = running_;
  SoftdriverThread* thread = softdriver_thread;
  Fiber* f = next();
  if (f == self) return;
  running_ = f;
  f->enter(*self);
  running_ = self;
  softdriver_thread = thread;
}

void Runner::make_ready(Thread& t) {
  t.state = State::kReady;
  ready_.push_back(t.fiber);
}

void Runner::abandon() {
  main_.enter(*running_);
  std::abort();
}

void Runner::barrier(const char* file, int line) { arrive_at_barrier(file, line, false); }

// cluster_barrier is a barrier of the block at which its last thread waits for the other blocks.
void Runner::cluster_barrier(const char* file, int line) {
  if (!cluster_) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: a barrier of a cluster at %s:%d in a kernel without clusters", grid_->kernel->name, base_name(file), line);
    abandon();
  }
  arrive_at_barrier(file, line, true);
}

void Runner::arrive_at_barrier(const char* file, int line, bool of_cluster) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  const Place place = {file, line};
  if (live_ < int(threads_.size())) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: divergent barrier: block (%u,%u,%u) thread %d waits at %s:%d after %d threads have ended",
                grid_->kernel->name, block_.x, block_.y, block_.z, t.number, base_name(file), line, int(threads_.size()) - live_);
    abandon();
  }
  if (at_barrier_ == 0) {
    barrier_ = place, barrier_thread_ = t.number;
  } else if (!(place == barrier_)) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: divergent barrier: block (%u,%u,%u) thread %d waits at %s:%d and thread %d at %s:%d",
                grid_->kernel->name, block_.x, block_.y, block_.z, barrier_thread_, base_name(barrier_.file), barrier_.line, t.number,
                base_name(file), line);
    abandon();
  }
  t.state = State::kAtBarrier;
  if (++at_barrier_ < int(threads_.size())) return leave();
  if (of_cluster) {
    cluster_->wait(block_.x % unsigned(grid_->kernel->cluster), place);
    if (faulted()) abandon();
    check_phase(cluster_->phase());
  }
  check_barrier();
  at_barrier_ = 0;
  for (const int i : order_) {
    if (&threads_[size_t(i)] != &t) make_ready(threads_[size_t(i)]);
  }
  t.state = State::kReady;
  if (grid_->seed) {  // the last to come need not be the first to go on
    ready_.push_back(t.fiber);
    leave();
  }
}

// complete reports whether every thread of the mask waits in the same primitive.
bool Runner::complete(int warp, const Thread& last) const {
  for (int l = 0; l < kWarp; ++l) {
    if (!(last.mask >> l & 1)) continue;
    const Thread& t = threads_[size_t(warp * kWarp + l)];
    if (t.state != State::kInWarp || t.mask != last.mask || t.operation != last.operation || t.compute != last.compute) return false;
  }
  return true;
}

// exchange gives every thread of the mask its result and lets it go on.
void Runner::exchange(int warp, uint32_t mask) {
  Thread* lanes = &threads_[size_t(warp * kWarp)];
  if (const auto compute = static_cast<Thread*>(softdriver_thread)->compute) {
    void* brought[kWarp];
    for (int l = 0; l < kWarp; ++l) brought[l] = lanes[l].registers;
    return compute(brought);
  }
  uint32_t ballot = 0;
  for (int l = 0; l < kWarp; ++l) {
    if (mask >> l & 1 && lanes[l].value) ballot |= 1u << l;
  }
  for (int l = 0; l < kWarp; ++l) {
    if (!(mask >> l & 1)) continue;
    Thread& t = lanes[l];
    t.result = ballot;
    if (t.operation == kSoftdriverShuffle) {
      if (!(mask >> t.lane & 1)) {
        raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: thread %d shuffles from lane %d, which is not in mask %08x", grid_->kernel->name, t.number,
                    t.lane, mask);
        abandon();
      }
      t.result = lanes[t.lane].value;
    }
  }
}

uint32_t Runner::warp(int operation, uint32_t mask, uint32_t value, int lane, void (*compute)(void* const*), void* registers) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  const int warp = t.number / kWarp, first = warp * kWarp;
  const int lanes = std::min(kWarp, int(threads_.size()) - first);
  if (lanes < kWarp && compute) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: thread %d calls a primitive of a whole warp in one of %d threads", grid_->kernel->name, t.number, lanes);
    abandon();
  }
  if (lanes < kWarp) mask &= (1u << lanes) - 1;
  if (!(mask >> (t.number - first) & 1)) {
    raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: thread %d calls a warp primitive whose mask %08x lacks it", grid_->kernel->name, t.number, mask);
    abandon();
  }
  t.state = State::kInWarp, t.operation = operation, t.mask = mask, t.value = value, t.lane = lane;
  t.compute = compute, t.registers = registers;
  int& waiting = in_warp_[warp];
  if (++waiting < __builtin_popcount(mask) || !complete(warp, t)) {
    leave();
    return t.result;
  }
  exchange(warp, mask);
  waiting -= __builtin_popcount(mask);
  if (mask == 0xFFFFFFFFu || __builtin_popcount(mask) == lanes) check_warp(warp);
  for (int l = 0; l < kWarp; ++l) {
    if (mask >> l & 1 && first + l != t.number) make_ready(threads_[size_t(first + l)]);
  }
  t.state = State::kReady;
  if (grid_->seed) {
    ready_.push_back(t.fiber);
    leave();
  }
  return t.result;
}

void Runner::check_shared(const void* at, size_t size, const char* what) {
  const bool inside = shared_memory(*grid_->image).holds(at, size), aligned = reinterpret_cast<uintptr_t>(at) % size == 0;
  if (inside && aligned) return;
  raise_fault(CUDA_ERROR_MISALIGNED_ADDRESS, "%s: thread %d: %s at an address that is %s", grid_->kernel->name, softdriver_thread->number, what,
              inside ? "misaligned" : "not in shared memory");
  abandon();
}

// copy_async keeps the copy until it is waited for, so that a wait that is missing
// shows; with a seed some copies arrive at once, as they may on a device.
void Runner::copy_async(const Copy& copy, void* caller) {
  check_shared(copy.to, copy.size, "cp.async");
  if (copy.bytes > 0 && reinterpret_cast<uintptr_t>(copy.from) % copy.size != 0) {
    raise_fault(CUDA_ERROR_MISALIGNED_ADDRESS, "%s: thread %d: cp.async from an address that is misaligned", grid_->kernel->name, softdriver_thread->number);
    abandon();
  }
  check_copy_start(copy.to, copy.size, caller);
  const bool at_once = !kChecked && draw(2);
  if (at_once) arrive(copy, caller);
  static_cast<Thread*>(softdriver_thread)->copies.push_back(at_once ? Copy{copy.to, copy.from, 0, 0} : copy);
}

void Runner::commit_copies() {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  t.groups.push_back(t.uncommitted());
}

void Runner::wait_copies(size_t pending, void* caller) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  if (t.groups.size() <= pending) return;
  const size_t done = t.groups.size() - pending;
  size_t copies = 0;
  for (size_t g = 0; g < done; ++g) copies += t.groups[g];
  for (size_t i = 0; i < copies; ++i) arrive(t.copies[i], caller);
  t.copies.erase(t.copies.begin(), t.copies.begin() + long(copies));
  t.groups.erase(t.groups.begin(), t.groups.begin() + long(done));
}

void Runner::expect(const std::string& wrong) {
  if (wrong.empty()) return;
  raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: block (%u,%u,%u) thread %d: %s", grid_->kernel->name, block_.x, block_.y, block_.z, softdriver_thread->number,
              wrong.c_str());
  abandon();
}

// wake lets those go on whose signals have ended a phase.
void Runner::wake() {
  while (const void* signal = bulk_.settled()) {
    check_phase_end(signal);
    for (const int i : order_) {
      Thread& t = threads_[size_t(i)];
      if (t.state == State::kAtSignal && t.signal == signal) make_ready(t);
    }
  }
}

void Runner::signal_wait(const void* signal, uint32_t parity) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  for (bool yes;;) {
    expect(bulk_.ended(signal, parity, &yes));
    wake();
    if (yes) return check_waited(signal);
    t.state = State::kAtSignal, t.signal = signal;
    leave();
  }
}

// call does something to another block of the cluster.
void Runner::call(unsigned rank, const std::function<std::string(Bulk&, ptrdiff_t)>& what) {
  if (!cluster_) expect("another block's shared memory in a kernel without clusters");
  expect(cluster_->call(this->rank(), rank, what));
}

void Runner::signal_arrive(const void* signal) {
  check_arrival(signal);
  expect(bulk_.arrive(signal));
  wake();
}

void Runner::signal_arrive_in(const void* signal, uint32_t rank) {
  if (cluster_ && rank == this->rank()) return signal_arrive(signal);
  call(rank, [&](Bulk& there, ptrdiff_t away) { return there.arrive(static_cast<const char*>(signal) + away); });
}

// send keeps the box until someone waits for its signal; with a seed some arrive at once.
void Runner::send(const Box& box) {
  expect(bulk_.take(box));
  const auto waits = [&](const Thread& t) { return t.state == State::kAtSignal && t.signal == box.signal; };
  if (draw(2) || std::any_of(threads_.begin(), threads_.end(), waits)) bulk_.bring(box.signal);
  wake();
}

void Runner::load_box(const void* to, const void* map, int row, int column, const void* signal) {
  Box box = {static_cast<char*>(const_cast<void*>(to)), {}, row, column, signal};
  expect(bulk_.read(map, &box.map));
  send(box);
}

void Runner::load_box_for(uint32_t blocks, const void* to, const void* map, int row, int column, const void* signal) {
  Box box = {static_cast<char*>(const_cast<void*>(to)), {}, row, column, signal};
  expect(bulk_.read(map, &box.map));
  if (!cluster_ || blocks == 0) expect("a box for no blocks of a cluster");
  for (unsigned r = 0; blocks >> r; ++r) {
    if (!(blocks >> r & 1)) continue;
    if (r == rank()) {
      send(box);
      continue;
    }
    const bool early = draw(2);
    call(r, [&](Bulk& there, ptrdiff_t away) {
      const void* at = static_cast<const char*>(signal) + away;
      const std::string wrong = there.take({box.to + away, box.map, row, column, at});
      if (wrong.empty() && early) there.bring(at);
      return wrong;
    });
  }
}

constexpr int kRegisters = 65536;  // of a multiprocessor

// keep_registers notes what the thread says; what all say is looked at when the block ends.
void Runner::keep_registers(int count, bool more) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  if (count < 24 || count > 256 || count % 8) expect("a number of registers that is not 24 to 256 by eights");
  const int before = t.kept ? t.kept : std::min(255, kRegisters / int(threads_.size())) / 8 * 8;
  if (more != (count > before) && count != before) expect(more ? "more registers that are fewer" : "fewer registers that are more");
  t.kept = count;
}

void Runner::check_registers() {
  int sum = 0;
  const int at_first = std::min(255, kRegisters / int(threads_.size())) / 8 * 8;
  for (size_t i = 0; i < threads_.size(); ++i) {
    if (threads_[i].kept != threads_[i / kWarpgroup * kWarpgroup].kept) {
      raise_fault(CUDA_ERROR_LAUNCH_FAILED, "%s: block (%u,%u,%u): threads of a warpgroup that keep different numbers of registers", grid_->kernel->name, block_.x,
                  block_.y, block_.z);
      return;
    }
    sum += threads_[i].kept ? threads_[i].kept : at_first;
  }
  const int had = at_first * int(threads_.size());
  if (sum > had && std::any_of(threads_.begin(), threads_.end(), [](const Thread& t) { return t.kept > 0; })) {
    raise_fault(CUDA_ERROR_LAUNCH_TIMEOUT, "%s: block (%u,%u,%u) is stuck: its warpgroups want %d registers of %d", grid_->kernel->name, block_.x, block_.y, block_.z, sum, had);
  }
}

// wait_products computes what all threads of the warpgroup have asked for, when the last of them waits for it.
void Runner::wait_products(size_t pending) {
  Thread& t = *static_cast<Thread*>(softdriver_thread);
  t.products.fenced = false;
  if (t.products.groups.size() <= pending) return;
  const size_t group = size_t(t.number) / kWarpgroup, first = group * kWarpgroup;
  if (threads_.size() < first + kWarpgroup) expect("a product of a warpgroup that is not whole");
  t.state = State::kInGroup;
  if (++in_group_[group] < kWarpgroup) return leave();
  in_group_[group] = 0;
  const size_t done = t.products.groups.size() - pending;
  size_t products = 0;
  for (size_t g = 0; g < done; ++g) products += t.products.groups[g];
  for (size_t i = first; i < first + kWarpgroup; ++i) {
    if (threads_[i].products.groups != t.products.groups) expect("threads of a warpgroup that ask for different products");
  }
  for (size_t p = 0; p < products; ++p) {
    const Multiplication* of[kWarpgroup];
    for (size_t i = 0; i < kWarpgroup; ++i) of[i] = &threads_[first + i].products.asked[p];
    expect(bulk_.multiply(of));
  }
  for (size_t i = first; i < first + kWarpgroup; ++i) {
    Multiplications& m = threads_[i].products;
    m.asked.erase(m.asked.begin(), m.asked.begin() + long(products));
    m.groups.erase(m.groups.begin(), m.groups.begin() + long(done));
    if (&threads_[i] != &t) make_ready(threads_[i]);
  }
  t.state = State::kReady;
  if (grid_->seed) {
    ready_.push_back(t.fiber);
    leave();
  }
}

// wait_for keeps its thread of the operating system, since those that count are blocks on others, or have ended. Where all
// threads that run blocks wait, and go on waiting, nobody ever comes.
void Runner::wait_for(const uint32_t* at, uint32_t least) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kLongest = std::chrono::seconds(2);
  const auto reached = [&] { return __atomic_load_n(at, __ATOMIC_ACQUIRE) >= least; };
  if (reached()) return;
  ++workers_waiting;
  Clock::time_point since = Clock::now();
  while (!reached() && !faulted()) {
    if (workers_waiting < workers_running) since = Clock::now();
    if (Clock::now() - since > kLongest) {
      raise_fault(CUDA_ERROR_LAUNCH_TIMEOUT, "%s: block (%u,%u,%u) is stuck: thread %d waits for %u to become %u, by blocks that have not started", grid_->kernel->name,
                  block_.x, block_.y, block_.z, softdriver_thread->number, __atomic_load_n(at, __ATOMIC_RELAXED), least);
    }
    std::this_thread::yield();
  }
  --workers_waiting;
  if (faulted()) abandon();
}

void Runner::report_deadlock() {
  int in_warp = 0, at_signal = 0, in_group = 0;
  for (const Thread& t : threads_) in_warp += t.state == State::kInWarp, at_signal += t.state == State::kAtSignal, in_group += t.state == State::kInGroup;
  raise_fault(CUDA_ERROR_LAUNCH_TIMEOUT,
              "%s: block (%u,%u,%u) is stuck: %d threads wait at a barrier, %d in warp primitives, %d at mbarriers and %d for products of a warpgroup for threads "
              "that never come, or bytes",
              grid_->kernel->name, block_.x, block_.y, block_.z, at_barrier_, in_warp, at_signal, in_group);
}

Runner& runner() {
  static thread_local Runner* r = new Runner;  // a worker lives as long as the process
  return *r;
}

// Pool runs one job at a time on several threads of the operating system.
class Pool {
 public:
  void run(int threads, const std::function<void()>& job) {
    if (threads <= 1) return job();
    {
      std::lock_guard lock(mutex_);
      while (int(workers_) < threads - 1) {
        ++workers_;
        std::thread([this, seen = generation_]() mutable { serve(seen); }).detach();
      }
      job_ = &job, wanted_ = busy_ = threads - 1;
      ++generation_;
    }
    start_.notify_all();
    job();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  [[noreturn]] void serve(uint64_t seen) {
    for (;;) {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return generation_ != seen && wanted_ > 0; });
      seen = generation_;
      --wanted_;
      const auto* job = job_;
      lock.unlock();
      (*job)();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void()>* job_ = nullptr;
  uint64_t generation_ = 0;
  int workers_ = 0, wanted_ = 0, busy_ = 0;
};

int worker_threads() {
  if (kChecked) return 1;
  const int64_t n = number(Setting::kThreads);
  return n > 0 ? int(n) : std::max(1, int(std::thread::hardware_concurrency()));
}

// run_clusters runs one cluster after the other, the blocks of one beside each other.
void run_clusters(const Grid& grid, Pool* pool) {
  const unsigned size = unsigned(grid.kernel->cluster);
  for (unsigned c = 0; c < grid.grid.x / size && !faulted(); ++c) {
    Cluster cluster(grid, c);
    std::atomic<unsigned> next{0};
    pool->run(int(size), [&] {
      const unsigned rank = next++;
      cluster.begin(rank);
      if (!faulted()) runner().run(grid, {c * size + rank, 0, 0}, &cluster);
      cluster.end(rank);
    });
  }
}

}  // namespace

void run_grid(const Grid& grid) {
  static Pool* pool = new Pool;
  const uint64_t blocks = uint64_t(grid.grid.x) * grid.grid.y * grid.grid.z;
  std::vector<uint64_t> order;
  if (grid.seed && blocks > 1) {
    order.resize(blocks);
    for (uint64_t i = 0; i < blocks; ++i) order[i] = i;
    std::mt19937_64 random(grid.seed);
    std::shuffle(order.begin(), order.end(), random);
  }
  std::atomic<uint64_t> next{0};
  check_launch();
  if (grid.kernel->cluster > 1) return run_clusters(grid, pool);
  workers_running = int(std::min<uint64_t>(uint64_t(worker_threads()), blocks));
  pool->run(workers_running, [&] {
    for (uint64_t i; !faulted() && (i = next++) < blocks;) {
      const uint64_t b = order.empty() ? i : order[i];
      runner().run(grid, {unsigned(b % grid.grid.x), unsigned(b / grid.grid.x % grid.grid.y), unsigned(b / grid.grid.x / grid.grid.y)}, nullptr);
    }
    --workers_running;
  });
}

void abandon() { runner().abandon(); }

const Grid* running() { return runner().grid(); }

}  // namespace softdriver

void softdriver_barrier(const char* file, int line) { softdriver::runner().barrier(file, line); }

void softdriver_cluster_barrier(const char* file, int line) { softdriver::runner().cluster_barrier(file, line); }

uint32_t softdriver_warp(int operation, uint32_t mask, uint32_t value, int lane) {
  return softdriver::runner().warp(operation, mask, value, lane, nullptr, nullptr);
}

void softdriver_together(void (*compute)(void* const*), void* mine) {
  softdriver::runner().warp(kSoftdriverTogether, 0xFFFFFFFFu, 0, 0, compute, mine);
}

void softdriver_check_shared(const void* at, int size, const char* what) { softdriver::runner().check_shared(at, size_t(size), what); }

void softdriver_copy_async(void* to, const void* from, int size, int bytes) {
  softdriver::runner().copy_async({static_cast<char*>(to), static_cast<const char*>(from), size_t(size), size_t(bytes)}, __builtin_return_address(0));
}

void softdriver_commit_copies() { softdriver::runner().commit_copies(); }

void softdriver_wait_copies(int pending) { softdriver::runner().wait_copies(size_t(pending), __builtin_return_address(0)); }

void softdriver_signal_init(const void* signal, int arrivals) { softdriver::runner().expect(softdriver::runner().bulk().init(signal, arrivals)); }

void softdriver_signal_expect(const void* signal, int bytes) {
  softdriver::runner().expect(softdriver::runner().bulk().expect(signal, bytes));
  softdriver::runner().wake();
}

void softdriver_signal_arrive(const void* signal) { softdriver::runner().signal_arrive(signal); }

void softdriver_signal_wait(const void* signal, uint32_t parity) { softdriver::runner().signal_wait(signal, parity); }

void softdriver_signal_arrive_in(const void* signal, uint32_t rank) { softdriver::runner().signal_arrive_in(signal, rank); }

void softdriver_keep_registers(int count, bool more) { softdriver::runner().keep_registers(count, more); }

void softdriver_load_box_for(uint32_t blocks, const void* to, const void* map, int row, int column, const void* signal) {
  softdriver::runner().load_box_for(blocks, to, map, row, column, signal);
}

void softdriver_map_visible(const void* map) { softdriver::runner().expect(softdriver::runner().bulk().show(map)); }

void softdriver_load_box(const void* to, const void* map, int row, int column, const void* signal) {
  softdriver::runner().load_box(to, map, row, column, signal);
}

uint32_t softdriver_shared_address(const void* p) {
  uint32_t address = 0;
  softdriver::runner().expect(softdriver::runner().bulk().address(p, &address));
  return address;
}

void softdriver_wgmma(float* c, int n, uint64_t a, uint64_t b, bool across_a, bool across_b) {
  softdriver::Multiplications& products = softdriver::runner().products();
  if (!products.fenced) softdriver::runner().expect("a product of a warpgroup without a fence before it");
  products.asked.push_back({c, n, a, b, across_a, across_b});
}

void softdriver_wgmma_fence() { softdriver::runner().products().fenced = true; }

void softdriver_wgmma_commit() {
  softdriver::Multiplications& products = softdriver::runner().products();
  size_t committed = 0;
  for (const size_t g : products.groups) committed += g;
  products.groups.push_back(products.asked.size() - committed);
}

void softdriver_wgmma_wait(int pending) { softdriver::runner().wait_products(size_t(pending)); }

uint32_t softdriver_atomic_add(uint32_t* at, uint32_t value) {
  softdriver::check_atomic(at, sizeof *at, __builtin_return_address(0));
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

uint32_t softdriver_atomic_inc(uint32_t* at, uint32_t most) {
  softdriver::check_atomic(at, sizeof *at, __builtin_return_address(0));
  uint32_t was = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(at, &was, was >= most ? 0 : was + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return was;
}

void softdriver_wait_for(const uint32_t* at, uint32_t least) {
  softdriver::runner().wait_for(at, least);
  softdriver::check_acquired(at);
}

void softdriver_fence() {
  softdriver::check_fence();
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
