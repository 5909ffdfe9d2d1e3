// fiber.h: fibers over boost.context, with what AddressSanitizer has to know.
#pragma once

#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>

#include <cstddef>
#include <functional>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace softdriver {

// Fiber is a stack of its own, or the one of the thread of the operating system
// that made it with no stack.
class Fiber {
 public:
  Fiber() = default;
  Fiber(char* stack, size_t size) : stack_(stack), size_(size) {}
  Fiber(const Fiber&) = delete;

  // start gives the fiber a function that never returns.
  void start(std::function<void()> body);

  // enter leaves the running fiber from, to be entered again, for this one.
  void enter(Fiber& from);

 private:
  void left(Fiber& from);

  char* stack_ = nullptr;
  size_t size_ = 0;
  boost::context::fiber context_;  // where the fiber goes on, while it does not run
  Fiber* leaver_ = nullptr;        // who entered this fiber last
  void* fake_stack_ = nullptr;     // of AddressSanitizer
  std::function<void()> body_;
};

}  // namespace softdriver
