#pragma once
// ReadySet: many sockets watched as one, as epoll does: members with level, edge and one-shot triggers, and exclusive
// members of which one is woken. A set spans shards: each pushes to the set's list; with one shard its owner guards it.
//
//   ReadySet set;  SetMember member;  member.socket = s; member.interest... ; member.data = 7;
//   op.verb = Verb::add_member; op.set = &set; op.member = &member; service.run(op);
//   op.verb = Verb::wait_set; op.events = events; service.run(op);      // -> op.count events
//
// A member stays the caller's and stays in place until it was removed, its socket was closed (it leaves by itself:
// `socket_gone` is set and the set forgets it) or the set was closed, which is for good: calls on it answer bad_handle.
// Level: told again by every wait while it is true. Edge: told once for each change. One-shot: told once, then silent
// until change_member.
//
// Complexity: joining, leaving and an event O(1); a wait O(events told + stale entries dropped). Threading: members and
// sets are touched by the engine only while they are in use.

#include <leat/base/assert.hpp>
#include <leat/op/waiter.hpp>

namespace leat {

struct Op;
class ReadySet;

struct SetFlags {
  bool edge : 1 = false;
  bool one_shot : 1 = false;
  bool exclusive : 1 = false;
};

struct SetMember : Waiter {
  SetMember() : Waiter(WaiterKind::member) {}
  Handle socket;
  Ready wanted = Ready::none;  // error, closed, unconnected and hung_up are always told
  SetFlags flags;
  std::uint64_t data = 0;  // the caller's, comes back in events
  std::uint32_t tag = 0;   // the same

  // The engine's.
  ReadySet* set = nullptr;
  bool armed = true;         // one-shot: not told yet
  bool queued = false;       // on the set's ready list
  bool socket_gone = false;  // its socket was closed
  SetMember* ready_next = nullptr;
  SetMember* ready_previous = nullptr;
  SetMember* all_next = nullptr;
  SetMember* all_previous = nullptr;
};

struct SetEvent {
  std::uint64_t data = 0;
  std::uint32_t tag = 0;
  Ready ready = Ready::none;
  Handle socket;
};

class ReadySet {
 public:
  ReadySet() = default;
  ReadySet(const ReadySet&) = delete;
  ReadySet& operator=(const ReadySet&) = delete;
  ~ReadySet() { LEAT_ASSERT(members_ == nullptr && waiting_ == nullptr); }

  // For the owner of the shard: something may be ready.
  [[nodiscard]] bool has_ready() const { return ready_head_ != nullptr; }

 private:
  friend class OpEngine;
  void add(SetMember& m) {
    m.set = this;
    m.all_next = members_;
    m.all_previous = nullptr;
    if (members_ != nullptr) members_->all_previous = &m;
    members_ = &m;
  }
  void remove(SetMember& m) {
    dequeue(m);
    if (m.all_previous != nullptr) {
      m.all_previous->all_next = m.all_next;
    } else {
      members_ = m.all_next;
    }
    if (m.all_next != nullptr) m.all_next->all_previous = m.all_previous;
    m.all_next = m.all_previous = nullptr;
    m.set = nullptr;
  }
  void enqueue(SetMember& m) {
    if (m.queued) return;
    m.queued = true;
    m.ready_next = nullptr;
    m.ready_previous = ready_tail_;
    (ready_tail_ == nullptr ? ready_head_ : ready_tail_->ready_next) = &m;
    ready_tail_ = &m;
  }
  void dequeue(SetMember& m) {
    if (!m.queued) return;
    m.queued = false;
    (m.ready_previous == nullptr ? ready_head_ : m.ready_previous->ready_next) = m.ready_next;
    (m.ready_next == nullptr ? ready_tail_ : m.ready_next->ready_previous) = m.ready_previous;
    m.ready_next = m.ready_previous = nullptr;
  }

  SetMember* members_ = nullptr;
  ReadySet* serve_next_ = nullptr;  // among the sets that have something for those who wait
  bool to_serve_ = false;
  bool closed_ = false;
  std::int64_t woken_ = 0;  // wake_set: who waits with a lower value need not
  SetMember* ready_head_ = nullptr;
  SetMember* ready_tail_ = nullptr;
  Op* waiting_ = nullptr;  // first of those who wait, by Op::set_next
  Op* last_waiting_ = nullptr;
};

}  // namespace leat
