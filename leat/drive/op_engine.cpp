#include <algorithm>
#include <leat/core/ip/datagram.hpp>
#include <leat/core/tcp/info.hpp>
#include <leat/drive/op_engine.hpp>

namespace leat {
namespace {

// What every waiter is told, asked for or not.
constexpr Ready kAlways = Ready::error | Ready::closed;

std::size_t total(std::span<const ByteSpan> parts) {
  std::size_t n = 0;
  for (const ByteSpan p : parts) n += p.size();
  return n;
}

bool is_stream(const Op& op) {
  return op.socket.kind() == SocketKind::stream;
}

// Which way an operation waits: of those that wait the same way only the first can go on when it would block again.
Ready interest_of(const Op& op) {
  switch (op.verb) {
    case Verb::connect:
      return Ready::connected | Ready::writable | kAlways;
    case Verb::send:
    case Verb::send_lease:
      return Ready::writable | kAlways;
    default:
      return Ready::readable | Ready::peer_fin | kAlways;
  }
}

}  // namespace

// --- starting --------------------------------------------------------------------------------------------------------

bool OpEngine::start(Op& op) {
  LEAT_ASSERT(!op.pending);
  op.error = Errc{};
  op.status = IoStatus::done;
  op.count = 0;
  op.handle = Handle{};
  op.started = false;
  if (attempt(op) == Try::complete) return true;
  return !park(op);
}

OpEngine::Try OpEngine::end(Op& op, Errc error) {
  op.error = error;
  return Try::complete;
}

OpEngine::Try OpEngine::attempt(Op& op) {
  switch (op.verb) {
    case Verb::connect:
      return attempt_connect(op);
    case Verb::accept:
      return attempt_accept(op);
    case Verb::send:
      return attempt_send(op);
    case Verb::receive:
      return attempt_receive(op);
    case Verb::send_lease:
      return attempt_send_lease(op);
    case Verb::receive_lease:
      return attempt_receive_lease(op);
    case Verb::receive_error:
      return attempt_receive_error(op);
    case Verb::poll:
      return attempt_poll(op);
    case Verb::wait_set:
      return attempt_wait_set(op);
    default:
      return run_at_once(op);
  }
}

// The verbs that never wait.
OpEngine::Try OpEngine::run_at_once(Op& op) {
  Stack& s = *stack_;
  switch (op.verb) {
    case Verb::none:
      return end(op, Errc{});
    case Verb::open: {
      const auto h = op.kind == SocketKind::udp    ? s.open_udp(op.owner)
                     : op.kind == SocketKind::icmp ? s.open_icmp(op.owner)
                     : op.kind == SocketKind::raw  ? s.open_raw(op.version, op.protocol, op.owner)
                                                   : s.open_stream(op.owner);
      if (h) op.handle = *h;
      return end(op, h ? Errc{} : h.error());
    }
    case Verb::bind:
      return end(op, s.bind(op.socket, op.endpoint));
    case Verb::listen:
      return end(op, s.listen(op.socket, op.backlog));
    case Verb::shutdown:
      return end(op, s.shutdown(op.socket, op.how));
    case Verb::close:
    case Verb::abort:
      end_waiters(op.socket, Errc::bad_handle);
      return end(op, op.verb == Verb::close ? s.close(op.socket) : s.abort(op.socket));
    case Verb::local_endpoint:
      return give_endpoint(op, s.local_endpoint(op.socket));
    case Verb::remote_endpoint:
      return give_endpoint(op, s.remote_endpoint(op.socket));
    case Verb::set_option:
      return end(op, s.set_option(op.socket, op.option, op.value));
    case Verb::get_option: {
      const auto v = s.option(op.socket, op.option);
      if (v) op.value = *v;
      return end(op, v ? Errc{} : v.error());
    }
    case Verb::take_error:
      if (s.core().sockets.find(op.socket) == kNoIndex) return end(op, Errc::bad_handle);
      op.value = static_cast<std::int64_t>(s.take_error(op.socket).value_or(Errc{}));
      return end(op, Errc{});
    case Verb::tcp_info: {
      const Index i = s.core().sockets.find(op.socket);
      if (i == kNoIndex) return end(op, Errc::bad_handle);
      if (s.core().sockets[i].role == SocketKind::listener) {
        *op.info = {};
        op.info->state = tcp::TcpState::listen;
        return end(op, Errc{});
      }
      if (s.core().sockets[i].role != SocketKind::stream) return end(op, Errc::not_supported);
      *op.info = tcp::info(s.core(), i);
      return end(op, Errc{});
    }
    case Verb::readiness:
      if (s.core().sockets.find(op.socket) == kNoIndex) return end(op, Errc::bad_handle);
      op.ready = s.readiness(op.socket);
      return end(op, Errc{});
    case Verb::add_member:
    case Verb::change_member:
    case Verb::remove_member:
    case Verb::wake_set:
    case Verb::close_set:
      return attempt_set_call(op);
    case Verb::release_lease:
      return end(op, release_lease(*op.lease));
    case Verb::take_lease:
      return end(op, take_lease(*op.lease, op.value));
    case Verb::group:
      return end(op, group_call(*op.group, op.socket));
    case Verb::control:
      return end(op, control(s, *op.request));
    default:
      return end(op, Errc::not_supported);
  }
}

Result<void> OpEngine::group_call(GroupCall& call, Handle socket) {
  switch (call.verb) {
    case GroupVerb::join:
      return stack_->join_group(socket, call.request);
    case GroupVerb::leave:
      return stack_->leave_group(socket, call.request);
    case GroupVerb::block_source:
      return stack_->block_source(socket, call.request);
    case GroupVerb::unblock_source:
      return stack_->unblock_source(socket, call.request);
    case GroupVerb::set_filter:
      return stack_->set_source_filter(socket, call.request, call.mode, call.sources.first(call.count));
    case GroupVerb::get_filter: {
      const auto n = stack_->source_filter(socket, call.request, call.mode, call.sources);
      if (!n) return fail(n.error());
      call.count = *n;
      return {};
    }
  }
  return fail(Errc::invalid_argument);
}

OpEngine::Try OpEngine::give_endpoint(Op& op, const Result<Endpoint>& r) {
  if (r) op.endpoint = *r;
  return end(op, r ? Errc{} : r.error());
}

// --- verbs that wait -------------------------------------------------------------------------------------------------

OpEngine::Try OpEngine::attempt_connect(Op& op) {
  if (!op.started) {
    const Result<void> r = stack_->connect(op.socket, op.endpoint);
    if (!r && (r.error() != Errc::in_progress || op.flags.dont_wait)) return end(op, r.error());
    op.started = true;
  }
  if (!is_stream(op)) return end(op, Errc{});
  const Index i = stack_->core().sockets.find(op.socket);
  if (i == kNoIndex) return end(op, Errc::bad_handle);
  const Ready now = stack_->readiness(op.socket);
  if (any(now & kAlways)) return end(op, stack_->take_error(op.socket).value_or(Errc::connection_aborted));
  if (any(now & Ready::connected)) return end(op, Errc{});
  if (op.flags.dont_wait) return end(op, Errc::in_progress);
  return Try::blocked;
}

OpEngine::Try OpEngine::attempt_accept(Op& op) {
  const auto h = stack_->try_accept(op.socket, &op.endpoint);
  if (!h) return end(op, h.error());
  if (*h) {
    op.handle = *h;
    op.count = 1;
    return end(op, Errc{});
  }
  if (!op.flags.dont_wait) return Try::blocked;
  op.status = IoStatus::would_block;
  return end(op, Errc{});
}

OpEngine::Try OpEngine::attempt_send(Op& op) {
  if (is_stream(op)) return attempt_send_stream(op);
  if (op.from.size() > 1) return end(op, Errc::not_supported);  // a datagram is one span
  const ByteSpan bytes = op.from.empty() ? ByteSpan{} : op.from[0];
  const auto r = send_datagram(op, bytes);
  if (!r) return end(op, r.error());
  if (r->status == IoStatus::would_block && !op.flags.dont_wait) return Try::blocked;
  op.count = r->count;
  op.status = r->status;
  return end(op, Errc{});
}

Result<IoCount> OpEngine::send_datagram(Op& op, ByteSpan bytes) {
  const Endpoint* const to = op.has_endpoint ? &op.endpoint : nullptr;
  if (op.overrides != nullptr) return stack_->try_send_as(op.socket, bytes, to, *op.overrides);
  return to != nullptr ? stack_->try_send_to(op.socket, bytes, *to) : stack_->try_send(op.socket, bytes);
}

OpEngine::Try OpEngine::attempt_send_stream(Op& op) {
  std::size_t skip = op.count;  // what earlier tries took
  bool blocked = false;
  if (op.from.empty() || total(op.from) == 0) {
    const auto r = stack_->try_send(op.socket, {});
    return end(op, r ? Errc{} : r.error());
  }
  for (const ByteSpan part : op.from) {
    if (skip >= part.size()) {
      skip -= part.size();
      continue;
    }
    const ByteSpan rest = part.subspan(skip);
    skip = 0;
    const auto r =
        op.has_endpoint ? stack_->try_send_to(op.socket, rest, op.endpoint) : stack_->try_send(op.socket, rest);
    if (!r) {
      if (op.count == 0) return end(op, r.error());
      keep_error(op.socket, r.error());
      return end(op, Errc{});
    }
    op.count += r->count;
    if (r->count < rest.size()) {
      blocked = true;
      break;
    }
  }
  if (!blocked) {
    op.status = IoStatus::done;
    return end(op, Errc{});
  }
  op.status = IoStatus::would_block;
  if (op.flags.dont_wait || (op.flags.some && op.count > 0)) return end(op, Errc{});
  return Try::blocked;
}

OpEngine::Try OpEngine::attempt_receive(Op& op) {
  const RecvFlags flags = op.flags.peek ? RecvFlags::peek : RecvFlags::none;
  Message unused;
  if (!is_stream(op) || op.flags.peek) {
    if (op.to.size() > 1) return end(op, Errc::not_supported);  // a datagram, or a look ahead, is one span
    const MutableByteSpan to = op.to.empty() ? MutableByteSpan{} : op.to[0];
    const auto r = stack_->try_receive_from(op.socket, to, op.message != nullptr ? *op.message : unused, flags);
    if (!r) return end(op, r.error());
    const bool nothing = r->count == 0 && r->status == IoStatus::would_block;
    const bool more_wanted = is_stream(op) && op.flags.wait_all && r->status == IoStatus::would_block;
    if ((nothing || more_wanted) && !op.flags.dont_wait) return Try::blocked;
    op.count = r->count;
    op.status = r->status;
    return end(op, Errc{});
  }
  std::size_t skip = op.count;
  IoStatus status = IoStatus::done;
  for (const MutableByteSpan part : op.to) {
    if (skip >= part.size() && !part.empty()) {
      skip -= part.size();
      continue;
    }
    const MutableByteSpan rest = part.subspan(skip);
    skip = 0;
    if (rest.empty()) continue;
    const auto r = stack_->try_receive_from(op.socket, rest, op.message != nullptr ? *op.message : unused, flags);
    if (!r) {
      if (op.count == 0) return end(op, r.error());
      keep_error(op.socket, r.error());
      return end(op, Errc{});
    }
    op.count += r->count;
    status = r->status;
    if (r->count < rest.size()) break;
  }
  op.status = status;
  if (status != IoStatus::would_block) return end(op, Errc{});
  if (op.flags.dont_wait || (op.count > 0 && !op.flags.wait_all)) return end(op, Errc{});
  return Try::blocked;
}

OpEngine::Try OpEngine::attempt_receive_error(Op& op) {
  const auto r = stack_->try_receive_error(op.socket, op.to.empty() ? MutableByteSpan{} : op.to[0], *op.error_entry);
  if (!r) return end(op, r.error());
  op.count = r->count;
  op.status = r->status;
  return end(op, Errc{});  // as on Linux it never waits
}

// An error that came behind bytes which were moved: it is told by the next call.
void OpEngine::keep_error(Handle h, Errc error) {
  const Index i = stack_->core().sockets.find(h);
  if (i == kNoIndex || error == Errc::broken_pipe) return;  // which the next call finds by itself
  if (Errc& e = stack_->core().sockets[i].error; e == Errc{}) e = error;
}

OpEngine::Try OpEngine::attempt_poll(Op& op) {
  op.count = 0;
  for (Watch& w : op.watches) {
    w.ready = stack_->readiness(w.socket) & (w.wanted | kAlways);
    if (any(w.ready)) ++op.count;
  }
  return op.count > 0 || op.flags.dont_wait ? end(op, Errc{}) : Try::blocked;
}

// --- parking ---------------------------------------------------------------------------------------------------------

// False: it could not be parked and is complete with an error.
bool OpEngine::park(Op& op) {
  bool ok = true;
  if (op.verb == Verb::poll) {
    for (Watch& w : op.watches) {
      w.op = &op;
      ok = ok && link(w, w.socket, w.wanted | kAlways);
    }
    if (!ok)
      for (Watch& w : op.watches) unlink(w);
  } else if (op.verb == Verb::wait_set) {
    ReadySet& set = *op.set;
    op.list_next = nullptr;
    (set.waiting_ == nullptr ? set.waiting_ : set.last_waiting_->list_next) = &op;
    set.last_waiting_ = &op;
  } else if (op.verb == Verb::send_lease && op.started) {
    op.list_next = lent_out_;
    lent_out_ = &op;
  } else {
    ok = link(op, op.socket, interest_of(op));
  }
  if (!ok) {
    op.error = Errc::wrong_state;
    return false;
  }
  op.pending = true;
  op.parked_previous = nullptr;
  op.parked_next = parked_;
  if (parked_ != nullptr) parked_->parked_previous = &op;
  parked_ = &op;
  if (!op.deadline.is_never()) {
    deadlines_.push(op);
    op.in_heap = true;
  }
  return true;
}

void OpEngine::unpark(Op& op) {
  if (op.verb == Verb::poll) {
    for (Watch& w : op.watches) unlink(w);
  } else if (op.verb == Verb::wait_set) {
    leave_set(op);
  } else {
    unlink(op);
    if (op.verb == Verb::send_lease && op.started) finish_lease(op);
  }
  if (op.in_heap) deadlines_.remove(op);
  op.in_heap = false;
  (op.parked_previous == nullptr ? parked_ : op.parked_previous->parked_next) = op.parked_next;
  if (op.parked_next != nullptr) op.parked_next->parked_previous = op.parked_previous;
  op.parked_next = op.parked_previous = nullptr;
  op.pending = false;
}

void OpEngine::complete(Op& op) {
  if (op.to_finish) {  // a poll that ends before its list is looked at
    Op* before = nullptr;
    Op* o = finish_head_;
    for (; o != &op; o = o->list_next) {
      LEAT_ASSERT(o != nullptr);
      before = o;
    }
    (before == nullptr ? finish_head_ : before->list_next) = op.list_next;
    if (finish_tail_ == &op) finish_tail_ = before;
    op.to_finish = false;
  }
  unpark(op);
  op.list_next = nullptr;
  (completed_head_ == nullptr ? completed_head_ : completed_tail_->list_next) = &op;
  completed_tail_ = &op;
}

Op* OpEngine::take_completed() {
  Op* const op = completed_head_;
  if (op == nullptr) return nullptr;
  completed_head_ = op->list_next;
  op->list_next = nullptr;
  return op;
}

// A parked operation ends before its time: what it moved counts.
void OpEngine::expire(Op& op, Errc why) {
  const bool waits_for_news = op.verb == Verb::poll || op.verb == Verb::wait_set;
  const bool moved = (op.verb == Verb::send || op.verb == Verb::receive) && op.count > 0;
  if (moved) {
    op.status = IoStatus::would_block;
  } else if (!waits_for_news || why != Errc::timed_out) {
    op.error = why;
  }
  complete(op);
}

bool OpEngine::withdraw(Op& op, Errc why) {
  if (!op.pending) return false;
  expire(op, why);
  return true;
}

void OpEngine::withdraw_all(Errc why) {
  while (parked_ != nullptr) expire(*parked_, why);
  SocketTable& sockets = stack_->core().sockets;
  for (Index i = 0; i < sockets.watermark(); ++i)
    if (sockets[i].kind != SocketKind::none) end_waiters(sockets.handle(i), why);
}

void OpEngine::settle(Instant now) {
  while (finish_head_ != nullptr) {
    Op& op = *finish_head_;
    if (attempt_poll(op) == Try::complete) {
      complete(op);
      continue;
    }
    finish_head_ = op.list_next;  // it was nothing
    op.to_finish = false;
  }
  finish_tail_ = nullptr;
  if (lent_out_ != nullptr) settle_leases();
  while (serve_ != nullptr) {
    ReadySet& set = *serve_;
    serve_ = set.serve_next_;
    set.to_serve_ = false;
    serve(set);
  }
  while (!deadlines_.empty() && deadlines_.top()->deadline <= now) expire(*deadlines_.top(), Errc::timed_out);
}

// --- the waiters of a socket -----------------------------------------------------------------------------------------

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

bool OpEngine::link(Waiter& w, Handle socket, Ready interest) {
  const SocketTable& sockets = stack_->core().sockets;
  const Index i = sockets.find(socket);
  if (i == kNoIndex) return false;
  const Sink* const sink = sockets[i].sink;
  Waiter* first = waiters_of(socket);
  if (first == nullptr && sink != nullptr) return false;  // a callback has it
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
  return true;
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

// The socket is closed: whoever waits on it is told now, nobody will be later.
void OpEngine::end_waiters(Handle socket, Errc why) {
  for (Waiter* w = waiters_of(socket); w != nullptr; w = waiters_of(socket)) {
    switch (w->kind) {
      case WaiterKind::op:
        expire(static_cast<Op&>(*w), why);
        break;
      case WaiterKind::watch: {
        Op& op = *static_cast<Watch*>(w)->op;
        op.count = 0;
        for (Watch& x : op.watches) {
          x.ready = x.socket == socket ? kAlways : stack_->readiness(x.socket) & (x.wanted | kAlways);
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
          } else {
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
          exclusive_told = exclusive_told || (m.flags.exclusive && m.armed);
          enqueue(m);
          break;
        }
      }
    }
    w = next;
  }
}

// --- ready sets ------------------------------------------------------------------------------------------------------

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
  if (!link(m, m.socket, m.wanted | kAlways)) return Errc::wrong_state;
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
  m.interest = m.wanted | kAlways;
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
