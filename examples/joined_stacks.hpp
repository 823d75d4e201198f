#pragma once
// Two stacks of one process on a wire in memory, for examples that are client and server at once and need neither a
// device of the operating system nor a right. They have no threads of their own: who waits watches. Threading: each
// stack may be called by any thread.

#include <array>
#include <leat/runtime/shared_stack.hpp>
#include <leat/runtime/thread_pipe.hpp>
#include <memory>
#include <optional>

class JoinedStacks {
 public:
  JoinedStacks() : pipe_({.caps = {.mtu = 1500}}) {
    for (std::size_t i = 0; i < 2; ++i) {
      leat::SharedStackOptions options;
      options.limits = leat::hosted_limits(256);
      options.packet_memory = std::size_t{16} << 20;
      options.janitor = false;
      stack_[i] = leat::SharedStack::make(options).value();
      device_[i].emplace(pipe_.end(i), stack_[i]->pool());
      const std::array addresses{leat::IpPrefix{address(i), 24}};
      (void)stack_[i]->attach(*device_[i], {.name = i == 0 ? "client" : "server"}, addresses).value();
    }
  }
  ~JoinedStacks() {
    for (auto& s : stack_) s->stop();
    for (auto& s : stack_) s.reset();  // before their devices
  }
  JoinedStacks(const JoinedStacks&) = delete;
  JoinedStacks& operator=(const JoinedStacks&) = delete;

  [[nodiscard]] const std::shared_ptr<leat::SharedStack>& client() const { return stack_[0]; }
  [[nodiscard]] const std::shared_ptr<leat::SharedStack>& server() const { return stack_[1]; }
  static leat::IpAddress address(std::size_t i) {
    return leat::IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(1 + i));
  }

 private:
  leat::ThreadPipe pipe_;
  std::array<std::shared_ptr<leat::SharedStack>, 2> stack_;
  std::array<std::optional<leat::ThreadPipe::Device>, 2> device_;
};
