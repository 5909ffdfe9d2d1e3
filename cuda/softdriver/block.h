// block.h: runs one block of a kernel, its threads being fibers of the calling
// thread of the operating system.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch.h"

namespace softdriver {

// Grid is one launch.
struct Grid {
  const SoftdriverKernel* kernel;
  const struct Image* image;
  const uint64_t* words;  // arguments
  size_t word_count;
  SoftdriverDim grid, block;
  size_t dynamic_shared;
  uint64_t seed;  // 0: threads in order; otherwise the order is drawn from it
};

// run_grid runs every block of a launch and returns when all have ended or a
// fault was raised.
void run_grid(const Grid& grid);

// abandon leaves the running thread for good; called after raise_fault.
[[noreturn]] void abandon();

// running is the grid whose block runs on this thread of the operating system.
const Grid* running();

}  // namespace softdriver
