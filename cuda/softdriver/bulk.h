// bulk.h: the asynchronous copies and products of compute capability 9.0: mbarriers, boxes that the
// tensor memory accelerator brings, and wgmma. A Bulk is what one block has of them.
//
// Everything happens as late as it may: a box arrives when a thread waits for the mbarrier that gets its
// bytes, a product is computed when the warpgroup waits for it. So a wait that is missing, or a stage that is given away too
// early, shows in the result. With a seed some boxes are early. Other blocks of a cluster arrive at mbarriers and send boxes too, from threads
// of the operating system of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "checker.h"

namespace softdriver {

// TensorMap is what cuTensorMapEncodeTiled writes here into its 128 bytes.
struct TensorMap {
  uint64_t magic;
  const char* data;
  uint64_t columns, rows, stride;  // stride in bytes
  uint32_t box_columns, box_rows;
  uint32_t swizzled;  // by 128 bytes
};
constexpr uint64_t kTensorMap = 0x50414D524F534E54;

// Mbarrier is one, by its address.
struct Mbarrier {
  int count, pending;
  int64_t bytes;  // announced, and not there yet
  uint32_t phase;
};

// Box is one on its way.
struct Box {
  char* to;
  TensorMap map;
  int row, column;
  const void* signal;
};

// Multiplication is a wgmma as a thread has asked for it.
struct Multiplication {
  float* c;
  int n;
  uint64_t a, b;
  bool across_a, across_b;  // k
  bool same(const Multiplication& other) const {
    return n == other.n && a == other.a && b == other.b && across_a == other.across_a && across_b == other.across_b;
  }
};

// Multiplications are those of a thread, in groups as it has committed them.
struct Multiplications {
  std::vector<Multiplication> asked;
  std::vector<size_t> groups;
  bool fenced = false;
};

constexpr int kWarpgroup = 128;

// Bulk keeps mbarriers and boxes of a block. Its methods return what is wrong, or nothing.
class Bulk {
 public:
  void clear(Range dynamic);  // a block begins, with this dynamic shared memory
  std::string init(const void* signal, int count);
  std::string expect(const void* signal, int bytes);
  std::string arrive(const void* signal);
  std::string show(const void* map);  // to the accelerator
  // read gives what a map says, if it is visible here; take puts a box of it on its way to this block.
  std::string read(const void* map, TensorMap* out);
  std::string take(const Box& box);
  // ended says whether the phase of that parity has ended, which is why the boxes of a signal arrive if it has not.
  std::string ended(const void* signal, uint32_t parity, bool* yes);
  // bring makes them arrive.
  void bring(const void* signal);
  // settled tells which signal has ended a phase since it was asked last, null if none.
  const void* settled();
  size_t on_their_way();
  // address is that in shared memory, as descriptors have it; dynamic shared memory begins at its offset from a multiple of 1024.
  std::string address(const void* p, uint32_t* out) const;
  // multiply computes a multiplication of a warpgroup from the registers of all its threads.
  std::string multiply(const Multiplication* (&of)[kWarpgroup]) const;

 private:
  Mbarrier* find(const void* signal);
  void advance(const void* signal, Mbarrier& m);
  std::string operand(uint64_t descriptor, bool across, int width, std::vector<double>& to) const;

  std::recursive_mutex mutex_;
  Range dynamic_{};
  std::map<const void*, Mbarrier> signals_;
  std::vector<Box> boxes_;
  std::set<const void*> maps_;  // that are visible
  std::vector<const void*> settled_;
};

}  // namespace softdriver
