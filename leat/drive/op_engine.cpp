// The life of an operation: tried, parked, completed, over its time. What each verb does: op_at_once.cpp,
// op_transfer.cpp, op_lease.cpp, op_give_back.cpp, op_control.cpp; who waits on a socket: op_waiters.cpp; ready sets:
// op_sets.cpp.

#include <leat/drive/op_engine.hpp>

namespace leat {
// Which way an operation waits: of those that wait the same way only the first can go on when it would block again.
Ready OpEngine::interest_of(const Op& op) {
  switch (op.verb) {
    case Verb::connect:
      return Ready::connected | Ready::writable | kAlways;
    case Verb::send:
    case Verb::send_many:
    case Verb::send_lease:
    case Verb::finish:
    case Verb::close:
      return Ready::writable | kAlways;
    default:
      return Ready::readable | Ready::peer_fin | kAlways;
  }
}

// --- starting --------------------------------------------------------------------------------------------------------

bool OpEngine::start(Op& op) {
  LEAT_ASSERT(!op.pending);
  op.error = Errc{};
  op.status = IoStatus::done;
  op.count = 0;
  op.handle = Handle{};
  op.started = false;
  if (parked_ != nullptr && has_sink(op.socket)) [[unlikely]] {
    const Line line = line_for(op);
    if (line == Line::behind_another && !op.flags.dont_wait) return !park(op);
    if (line == Line::behind_another) op.status = IoStatus::would_block;
    if (line == Line::of_a_closed_socket) op.error = Errc::bad_handle;
    if (line != Line::none) return true;
  }
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
    case Verb::send_many:
      return attempt_send_many(op);
    case Verb::receive:
      return attempt_receive(op);
    case Verb::receive_many:
      return attempt_receive_many(op);
    case Verb::finish:
      return attempt_finish(op);
    case Verb::close:
      return attempt_close(op);
    case Verb::send_lease:
      return attempt_send_lease(op);
    case Verb::receive_lease:
      return attempt_receive_lease(op);
    case Verb::receive_error:
      return attempt_receive_error(op);
    case Verb::give_back:
    case Verb::give_accepted:
      return attempt_give_back(op);
    case Verb::poll:
      return attempt_poll(op);
    case Verb::wait_set:
      return attempt_wait_set(op);
    default:
      return run_at_once(op);
  }
}

// --- parking ---------------------------------------------------------------------------------------------------------

// False: it could not be parked and is complete with an error.
bool OpEngine::park(Op& op) {
  Errc error{};
  if (op.verb == Verb::poll) {
    for (Watch& w : op.watches) {
      w.op = &op;
      if (error == Errc{}) error = link(w, w.socket, w.wanted | kShown);
    }
    if (error != Errc{})
      for (Watch& w : op.watches) unlink(w);
  } else if (op.verb == Verb::wait_set) {
    ReadySet& set = *op.set;
    op.list_next = nullptr;
    (set.waiting_ == nullptr ? set.waiting_ : set.last_waiting_->list_next) = &op;
    set.last_waiting_ = &op;
  } else if (op.verb == Verb::send_lease && op.started) {
    op.list_next = lent_out_;
    lent_out_ = &op;
  } else if (gives_back(op)) {
    keep_given(op);
  } else {
    error = link(op, op.socket, interest_of(op));
  }
  if (error != Errc{}) {
    op.error = error;
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
  if (gives_back(op)) go_on(op.socket, Ready::readable);
  return true;
}

void OpEngine::unpark(Op& op) {
  if (op.verb == Verb::poll) {
    for (Watch& w : op.watches) unlink(w);
  } else if (op.verb == Verb::wait_set) {
    leave_set(op);
  } else if (gives_back(op)) {
    drop_given(op);
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
  if (op.verb == Verb::close) {  // no longer does it linger; what was sent goes on by itself
    if (why == Errc::shut_down) op.error = why;
    complete(op);
    (void)stack_->close(op.socket);
    return;
  }
  if (op.verb == Verb::give_accepted) (void)stack_->close(Handle::from_bits(static_cast<std::uint64_t>(op.value)));
  const bool waits_for_news = op.verb == Verb::poll || op.verb == Verb::wait_set;
  // A lease whose octets are queued is a send that has moved all of them.
  const bool transfers = op.verb == Verb::send || op.verb == Verb::receive || op.verb == Verb::send_many ||
                         (op.verb == Verb::send_lease && op.started);
  const bool moved = transfers && op.count > 0;
  if (moved) {
    op.status = IoStatus::would_block;
  } else if (!waits_for_news || why != Errc::timed_out) {
    op.error = why;
  }
  complete(op);
}

// The same on a socket that lives on. Who stood in line behind it may never have been tried, and no edge tells of what
// it left.
void OpEngine::give_up(Op& op, Errc why) {
  const Handle socket = op.waits_on;
  const Ready way = op.interest & ~kAlways;
  const Waiter* ahead = socket ? op.before : nullptr;
  const auto holds_up = [way](const Waiter& w) {
    return w.kind == WaiterKind::op && any(w.interest & way) && !only_looks(static_cast<const Op&>(w));
  };
  while (ahead != nullptr && !holds_up(*ahead)) ahead = ahead->before;
  expire(op, why);
  if (socket && ahead == nullptr) go_on(socket, way);
}

bool OpEngine::withdraw(Op& op, Errc why) {
  if (!op.pending) return false;
  give_up(op, why);
  return true;
}

void OpEngine::withdraw_all(Errc why) {
  while (parked_ != nullptr) expire(*parked_, why);
  SocketTable& sockets = stack_->core().sockets;
  for (Index i = 0; i < sockets.watermark(); ++i)
    if (sockets[i].kind != SocketKind::none) end_waiters(sockets.handle(i), why);
}

bool OpEngine::settle(Instant now) {
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
  bool late = false;
  for (; !deadlines_.empty() && deadlines_.top()->deadline <= now; late = true)
    give_up(*deadlines_.top(), Errc::timed_out);
  return late;
}

}  // namespace leat
