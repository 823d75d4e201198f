#pragma once
// Delegate<R(Args...)>: a plain function pointer with a context pointer. It owns nothing, allocates nothing and is
// trivially copyable; whoever sets one keeps the context alive.

#include <utility>

namespace leat {

template <class Signature>
class Delegate;

template <class R, class... Args>
class Delegate<R(Args...)> {
 public:
  using Function = R (*)(void* context, Args...);
  constexpr Delegate() = default;
  constexpr Delegate(Function function, void* context) : function_(function), context_(context) {}
  // Binds a member function: Delegate<void(int)>::to<&Server::on_event>(server).
  template <auto Member, class C>
  static constexpr Delegate to(C& object) {
    return {[](void* context, Args... args) -> R {
              return (static_cast<C*>(context)->*Member)(std::forward<Args>(args)...);
            },
            &object};
  }
  constexpr explicit operator bool() const { return function_ != nullptr; }
  R operator()(Args... args) const { return function_(context_, std::forward<Args>(args)...); }
  constexpr bool operator==(const Delegate&) const = default;

 private:
  Function function_ = nullptr;
  void* context_ = nullptr;
};

}  // namespace leat
