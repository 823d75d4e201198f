// Who waits on a socket: operations, polls' watches and members of ready sets, in one list in the order they came. The
// socket's sink is the first of them.

#include <leat/drive/op_engine.hpp>

namespace leat {
namespace {

template <class Span>
bool has_octets(std::span<const Span> parts) {
  for (const Span& p : parts)
    if (!p.empty()) return true;
  return false;
}

// Takes something from the socket, or puts something into a stream: order matters among those who do. Datagrams go by
// different ways: one whose link is stuck holds up no other.
bool moves(const Op& op) {
  const bool stream = op.socket.kind() == SocketKind::stream;
  switch (op.verb) {
    case Verb::send:
      return stream && has_octets(op.from);  // nothing is only a question
    case Verb::send_lease:
      return stream;
    case Verb::receive:
      return !op.flags.peek && (!stream || has_octets(op.to));
    case Verb::accept:
    case Verb::receive_many:
    case Verb::receive_lease:
      return true;
    default:
      return false;
  }
}

}  // namespace

Waiter* OpEngine::waiters_of(Handle socket) {
  const SocketTable& sockets = stack_->core().sockets;
  const Index i = sockets.find(socket);
  if (i == kNoIndex) return nullptr;
  const Sink* const sink = sockets[i].sink;
  if (sink == nullptr || sink->function != &OpEngine::on_ready) return nullptr;
  return static_cast<Waiter*>(sink->context);
}

// The socket's sink and interest follow its list.
void OpEngine::refresh(Stack& stack, Waiter* first) {
  LEAT_ASSERT(first != nullptr);
  Ready interest = Ready::none;
  for (Waiter* w = first; w != nullptr; w = w->after) interest |= w->interest;
  (void)stack.set_sink(first->waits_on, &first->sink, 0, interest);
}

Errc OpEngine::link(Waiter& w, Handle socket, Ready interest) {
  const SocketTable& sockets = stack_->core().sockets;
  const Index i = sockets.find(socket);
  if (i == kNoIndex) return Errc::wrong_state;
  const Sink* const sink = sockets[i].sink;
  Waiter* first = waiters_of(socket);
  if (first == nullptr && sink != nullptr) return Errc::wrong_state;  // a callback has it
  if (first != nullptr && is_close(*first)) return Errc::bad_handle;
  w.sink = {&OpEngine::on_ready, &w};
  w.engine = this;
  w.waits_on = socket;
  w.interest = interest;
  w.after = nullptr;
  w.before = nullptr;
  if (first == nullptr) {
    first = &w;
  } else {
    Waiter* last = first;
    while (last->after != nullptr) last = last->after;
    last->after = &w;
    w.before = last;
  }
  refresh(*stack_, first);
  return {};
}

void OpEngine::unlink(Waiter& w) {
  if (!w.linked()) return;
  Waiter* first = w.before == nullptr ? w.after : waiters_of(w.waits_on);
  if (w.before != nullptr) w.before->after = w.after;
  if (w.after != nullptr) w.after->before = w.before;
  if (first == nullptr) {
    (void)stack_->set_sink(w.waits_on, nullptr, 0, Ready::none);
  } else {
    refresh(*stack_, first);
  }
  w.after = w.before = nullptr;
  w.waits_on = Handle{};
}

// Who waits already to move something the same way is not overtaken, and what he sends not cut into: there may be room
// or data which he has not been told of yet.
OpEngine::Line OpEngine::line_for(const Op& op) {
  const Waiter* w = waiters_of(op.socket);
  if (w == nullptr || !moves(op)) return Line::none;
  if (is_close(*w)) return Line::of_a_closed_socket;
  const Ready way = interest_of(op) & ~kAlways;
  for (; w != nullptr; w = w->after)
    if (w->kind == WaiterKind::op && any(w->interest & way) && moves(static_cast<const Op&>(*w)))
      return Line::behind_another;
  return Line::none;
}

// Somebody who waited this way is gone: the next of those behind him are tried, in order.
void OpEngine::go_on(Handle socket, Ready way) {
  for (Waiter* w = waiters_of(socket); w != nullptr;) {
    Waiter* const next = w->after;
    if (w->kind == WaiterKind::op && any(w->interest & way)) {
      auto& op = static_cast<Op&>(*w);
      if (attempt(op) == Try::complete) {
        complete(op);
      } else if (op.linked() && !only_looks(op)) {
        return;
      }
    }
    w = next;
  }
}

// The socket is closed: whoever waits on it is told now, nobody will be later.
void OpEngine::end_waiters(Handle socket, Errc why) {
  if (given_ != nullptr) end_given(socket, why);
  for (Waiter* w = waiters_of(socket); w != nullptr; w = waiters_of(socket)) {
    switch (w->kind) {
      case WaiterKind::op:
        expire(static_cast<Op&>(*w), why);
        break;
      case WaiterKind::watch: {
        Op& op = *static_cast<Watch*>(w)->op;
        op.count = 0;
        for (Watch& x : op.watches) {
          x.ready = x.socket == socket ? kAlways : stack_->readiness(x.socket) & (x.wanted | kShown);
          if (any(x.ready)) ++op.count;
        }
        complete(op);
        break;
      }
      case WaiterKind::member: {
        auto& m = static_cast<SetMember&>(*w);
        unlink(m);
        m.set->remove(m);
        m.socket_gone = true;
        break;
      }
    }
  }
}

void OpEngine::on_ready(void* context, std::uint64_t, Handle, Ready, Ready edges) {
  auto* const first = static_cast<Waiter*>(context);
  static_cast<OpEngine*>(first->engine)->tell(first, edges);
}

// Operations are tried here, in order; polls and sets are only marked, so that nothing but the operation itself leaves
// the list while it is walked.
void OpEngine::tell(Waiter* first, Ready edges) {
  Ready blocked = Ready::none;  // of those that wait this way, an earlier one would block still
  bool exclusive_told = false;
  for (Waiter* w = first; w != nullptr;) {
    Waiter* const next = w->after;
    if (any(w->interest & edges)) {
      switch (w->kind) {
        case WaiterKind::op: {
          auto& op = static_cast<Op&>(*w);
          const Ready way = op.interest & ~kAlways;
          if (any(way & blocked)) break;
          if (attempt(op) == Try::complete) {
            complete(op);
          } else if (op.linked() && !only_looks(op)) {
            // One that is not linked is a lease that was queued: it waits for memory now, and holds nobody up.
            blocked |= way;
          }
          break;
        }
        case WaiterKind::watch: {
          Op& op = *static_cast<Watch*>(w)->op;
          if (op.to_finish) break;
          op.to_finish = true;
          op.list_next = nullptr;
          (finish_head_ == nullptr ? finish_head_ : finish_tail_->list_next) = &op;
          finish_tail_ = &op;
          break;
        }
        case WaiterKind::member: {
          auto& m = static_cast<SetMember&>(*w);
          if (m.flags.exclusive && exclusive_told) break;
          // As epoll: it is told alone when somebody waits whom that wakes.
          exclusive_told =
              exclusive_told || (m.flags.exclusive && m.armed && m.set->waiting_ != nullptr && !m.set->to_serve_);
          enqueue(m);
          break;
        }
      }
    }
    w = next;
  }
}

OpEngine::Try OpEngine::attempt_poll(Op& op) {
  op.count = 0;
  for (Watch& w : op.watches) {
    w.ready = stack_->readiness(w.socket) & (w.wanted | kShown);
    if (any(w.ready)) ++op.count;
  }
  return op.count > 0 || op.flags.dont_wait ? end(op, Errc{}) : Try::blocked;
}

}  // namespace leat
