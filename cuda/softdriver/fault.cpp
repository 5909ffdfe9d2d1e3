#include "fault.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "softdriver.h"

namespace softdriver {
namespace {
std::atomic<int> pending{0};
std::mutex mutex;
char message[1024];
}  // namespace

void raise_fault(int code, const char* format, ...) {
  std::lock_guard lock(mutex);
  if (pending) return;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "softdriver: %s\n", message);
  pending = code;
}

bool faulted() { return pending.load(std::memory_order_relaxed) != 0; }
int take_fault() { return pending.exchange(0); }

}  // namespace softdriver

extern "C" const char* softdriver_fault(void) { return softdriver::message; }
