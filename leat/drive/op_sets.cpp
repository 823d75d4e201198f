// Ready sets (op/ready_set.hpp): members, what is ready of them, who waits for that.

#include <algorithm>
#include <leat/drive/op_engine.hpp>

namespace leat {

void OpEngine::enqueue(SetMember& m) {
  if (!m.armed) return;
  ReadySet& set = *m.set;
  set.enqueue(m);
  if (set.waiting_ == nullptr || set.to_serve_) return;
  set.to_serve_ = true;
  set.serve_next_ = serve_;
  serve_ = &set;
}

OpEngine::Try OpEngine::attempt_set_call(Op& op) {
  switch (op.verb) {
    case Verb::add_member:
      return end(op, add_member(*op.set, *op.member));
    case Verb::change_member:
      return end(op, change_member(*op.set, *op.member));
    case Verb::remove_member:
      return end(op, remove_member(*op.set, *op.member));
    case Verb::wake_set:
      wake_set(*op.set, op.value);
      return end(op, Errc{});
    default:
      close_set(*op.set);
      return end(op, Errc{});
  }
}

Errc OpEngine::add_member(ReadySet& set, SetMember& m) {
  if (set.closed_) return Errc::bad_handle;
  if (m.set != nullptr) return Errc::already_exists;
  if (stack_->core().sockets.find(m.socket) == kNoIndex) return Errc::bad_handle;
  if (const Errc bad = link(m, m.socket, m.wanted | kShown); bad != Errc{}) return bad;
  m.armed = true;
  m.socket_gone = false;
  set.add(m);
  if (any(stack_->readiness(m.socket) & m.interest)) enqueue(m);
  return {};
}

Errc OpEngine::change_member(ReadySet& set, SetMember& m) {
  if (m.set != &set) return Errc::not_found;
  set.dequeue(m);
  m.armed = true;
  m.interest = m.wanted | kShown;
  refresh(*stack_, waiters_of(m.socket));
  if (any(stack_->readiness(m.socket) & m.interest)) enqueue(m);
  return {};
}

Errc OpEngine::remove_member(ReadySet& set, SetMember& m) {
  if (m.set != &set) return Errc::not_found;
  unlink(m);
  set.remove(m);
  return {};
}

void OpEngine::wake_set(ReadySet& set, std::int64_t value) {
  set.woken_ = std::max(set.woken_, value);
  for (Op* op = set.waiting_; op != nullptr;) {
    Op* const next = op->list_next;
    if (!op->events.empty() && op->value < value) expire(*op, Errc::interrupted);
    op = next;
  }
}

void OpEngine::close_set(ReadySet& set) {
  set.closed_ = true;
  while (set.members_ != nullptr) (void)remove_member(set, *set.members_);
  while (set.waiting_ != nullptr) expire(*set.waiting_, Errc::bad_handle);
  if (!set.to_serve_) return;
  ReadySet** at = &serve_;
  while (*at != &set) at = &(*at)->serve_next_;
  *at = set.serve_next_;
  set.to_serve_ = false;
}

void OpEngine::leave_set(Op& op) {
  ReadySet& set = *op.set;
  Op* before = nullptr;
  for (Op* o = set.waiting_; o != &op; o = o->list_next) before = o;
  (before == nullptr ? set.waiting_ : before->list_next) = op.list_next;
  if (set.last_waiting_ == &op) set.last_waiting_ = before;
}

// What is ready now, at most as many as fit. Members that were queued and are not ready any more leave the list; those
// with a level trigger that are stay at its end, so that the next wait looks at them again and no other starves.
std::size_t OpEngine::collect(ReadySet& set, std::span<SetEvent> events) {
  std::size_t n = 0;
  const SetMember* const last = set.ready_tail_;
  while (SetMember* const m = set.ready_head_) {
    if (!events.empty() && n == events.size()) break;
    const bool was_last = m == last;
    const Ready now = stack_->readiness(m->socket) & m->interest;
    if (any(now)) {
      if (events.empty()) return 1;
      events[n++] = {m->data, m->tag, now, m->socket};
    }
    set.dequeue(*m);
    if (any(now)) {
      if (m->flags.one_shot) {
        m->armed = false;
      } else if (!m->flags.edge) {
        set.enqueue(*m);
      }
    }
    if (was_last) break;
  }
  return n;
}

OpEngine::Try OpEngine::attempt_wait_set(Op& op) {
  if (op.set->closed_) return end(op, Errc::bad_handle);
  op.count = collect(*op.set, op.events);
  if (op.count > 0 || op.flags.dont_wait) return end(op, Errc{});
  return !op.events.empty() && op.value < op.set->woken_ ? end(op, Errc::interrupted) : Try::blocked;
}

void OpEngine::serve(ReadySet& set) {
  while (set.waiting_ != nullptr) {
    Op& op = *set.waiting_;
    op.count = collect(set, op.events);
    if (op.count == 0) return;
    complete(op);
    if (!set.has_ready()) return;
    // A level-triggered member alone would wake everybody who waits: as epoll does, the next one looks for himself.
  }
}

}  // namespace leat
