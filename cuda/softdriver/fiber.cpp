#include "fiber.h"

#include <cstdlib>

namespace softdriver {

// left tells the sanitizer that this fiber runs now, and remembers where the one
// that it came from goes on.
void Fiber::left(Fiber& from) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
  if (!from.stack_) from.stack_ = const_cast<char*>(static_cast<const char*>(bottom)), from.size_ = size;
#else
  (void)from;
#endif
}

void Fiber::start(std::function<void()> body) {
  namespace context = boost::context;
  body_ = std::move(body);
  struct Keep {  // the stack outlives the fiber
    context::stack_context allocate() { return {}; }
    void deallocate(context::stack_context&) {}
  };
  context::stack_context stack;
  stack.sp = stack_ + size_;
  stack.size = size_;
  context_ = context::fiber(std::allocator_arg, context::preallocated(stack.sp, stack.size, stack), Keep{},
                            [this](context::fiber&& from) -> context::fiber {
                              leaver_->context_ = std::move(from);
                              left(*leaver_);
                              body_();
                              std::abort();
                            });
}

void Fiber::enter(Fiber& from) {
  leaver_ = &from;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack_, stack_, size_);
#endif
  boost::context::fiber back = std::move(context_).resume();
  // Someone has entered from again, and is left where back goes on.
  Fiber* leaver = from.leaver_;
  leaver->context_ = std::move(back);
  from.left(*leaver);
}

}  // namespace softdriver
