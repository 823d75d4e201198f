#pragma once
// Waiter: somebody who waits for a socket to become ready: a parked operation, a watch of poll(), a member of a ready
// set. All waiters of a socket stand in one list, first come first served. The list needs no memory of its own: the
// socket's sink is that of the first waiter, whose `after` leads to the others.
//
//   socket.sink -> first.sink {engine's function, &first}   first <-> second <-> third
//
// Only the engine (drive/op_engine.hpp) links and unlinks. Threading: the owner of the shard.

#include <leat/op/sink.hpp>

namespace leat {

enum class WaiterKind : std::uint8_t { op, watch, member };

struct Waiter {
  explicit Waiter(WaiterKind k) : kind(k) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  Sink sink;
  void* engine = nullptr;
  Waiter* after = nullptr;
  Waiter* before = nullptr;
  Handle waits_on;  // the socket in whose list it stands; none: in no list
  Ready interest = Ready::none;
  WaiterKind kind;
  [[nodiscard]] bool linked() const { return static_cast<bool>(waits_on); }

 protected:
  ~Waiter() = default;
};

}  // namespace leat
