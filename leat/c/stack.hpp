#pragma once
// leat_stack: what a handle of the C interface stands for: a service and the sockets on it. Where the service comes
// from (a stack of this process: in_process/) is the derived type's. guarded() keeps exceptions from C. Threading: as
// leat.h.

#include <leat/c/leat.h>

#include <cerrno>
#include <leat/api/posix/sockets.hpp>
#include <leat/base/error_table.hpp>
#include <memory>
#include <new>
#include <utility>

struct leat_stack {  // NOLINT(readability-identifier-naming): C's name
  explicit leat_stack(std::shared_ptr<leat::Service> s)
      : service(std::move(s)), net(std::make_unique<leat::posix::Sockets>(service)) {}
  virtual ~leat_stack() = default;
  leat_stack(const leat_stack&) = delete;
  leat_stack& operator=(const leat_stack&) = delete;

  std::shared_ptr<leat::Service> service;
  std::unique_ptr<leat::posix::Sockets> net;
};

namespace leat::c {

// What a call answers for an error of the stack. A stack that ended is a network that is down.
inline int answer(Errc e) {
  return e == Errc{} ? 0 : -errno_of(e);
}
inline int answer(const Result<void>& r) {
  return r ? 0 : answer(r.error());
}

template <class F>
auto guarded(const leat_stack* stack, F&& call) noexcept -> decltype(call()) {
  using R = decltype(call());
  if (stack == nullptr) return static_cast<R>(-EINVAL);
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return static_cast<R>(-ENOMEM);
  } catch (...) {
    return static_cast<R>(-EIO);
  }
}

}  // namespace leat::c
