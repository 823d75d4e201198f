// Verbs that wait on one socket: connect, accept, send, receive, finish.

#include <leat/core/tcp/info.hpp>
#include <leat/drive/op_engine.hpp>

namespace leat {
namespace {

std::size_t total(std::span<const ByteSpan> parts) {
  std::size_t n = 0;
  for (const ByteSpan p : parts) n += p.size();
  return n;
}

bool is_stream(const Op& op) {
  return op.socket.kind() == SocketKind::stream;
}

}  // namespace

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
  if (given_ != nullptr && take_given(op)) return end(op, Errc{});
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

// As many as there is room for. One that can't be sent ends the call in front of it; as the first it is the error.
OpEngine::Try OpEngine::attempt_send_many(Op& op) {
  if (is_stream(op)) return end(op, Errc::not_supported);
  while (op.count < op.out.size()) {
    const OutDatagram& d = op.out[op.count];
    const bool addressed = d.to != Endpoint{};
    const auto r = addressed ? stack_->try_send_to(op.socket, d.bytes, d.to) : stack_->try_send(op.socket, d.bytes);
    if (!r) return end(op, op.count == 0 ? r.error() : Errc{});
    if (r->status == IoStatus::would_block) {
      op.status = IoStatus::would_block;
      return op.flags.dont_wait || (op.flags.some && op.count > 0) ? end(op, Errc{}) : Try::blocked;
    }
    ++op.count;
  }
  op.status = IoStatus::done;
  return end(op, Errc{});
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
  if (given_ != nullptr && take_given(op)) return end(op, Errc{});
  const RecvFlags flags = op.flags.peek ? RecvFlags::peek : RecvFlags::none;
  Message unused;
  if (!is_stream(op) || op.flags.peek) {
    if (op.to.size() > 1) return end(op, Errc::not_supported);  // a datagram, or a look ahead, is one span
    const MutableByteSpan to = op.to.empty() ? MutableByteSpan{} : op.to[0];
    const auto r = stack_->try_receive_from(op.socket, to, op.message != nullptr ? *op.message : unused, flags);
    if (!r) return end(op, r.error());
    const bool nothing = r->count == 0 && r->status == IoStatus::would_block;
    const bool more_wanted = is_stream(op) && r->status == IoStatus::would_block &&
                             (op.flags.wait_all || !any(stack_->readiness(op.socket) & Ready::readable));
    op.count = r->count;  // also of a look that waits for more: when its time is over, this is what it saw
    if ((nothing || more_wanted) && !op.flags.dont_wait) return Try::blocked;
    op.status = r->status;
    return end(op, Errc{});
  }
  const std::size_t had = op.count;
  std::size_t skip = had;
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
  if (had == 0) op.value = received_;
  received_ += static_cast<std::int64_t>(op.count - had);
  op.status = status;
  if (status != IoStatus::would_block) return end(op, Errc{});
  const bool enough = op.count > 0 && !op.flags.wait_all && op.count >= low_water(op.socket);
  return op.flags.dont_wait || enough ? end(op, Errc{}) : Try::blocked;
}

// SO_RCVLOWAT: with how many octets a receive is content.
std::size_t OpEngine::low_water(Handle stream) const {
  const auto octets = stack_->option(stream, OptionId::receive_lowat);
  return octets ? static_cast<std::size_t>(*octets) : 1;
}

// What is there, at least one.
OpEngine::Try OpEngine::attempt_receive_many(Op& op) {
  if (is_stream(op)) return end(op, Errc::not_supported);
  if (given_ != nullptr && take_given(op)) return end(op, Errc{});
  for (op.count = 0; op.count < op.in.size(); ++op.count) {
    InDatagram& d = op.in[op.count];
    const auto r = stack_->try_receive_from(op.socket, d.to, d.message);
    if (!r) return end(op, op.count == 0 ? r.error() : Errc{});
    op.status = r->status;
    if (r->count == 0 && r->status == IoStatus::would_block) {
      return op.count > 0 || op.flags.dont_wait ? end(op, Errc{}) : Try::blocked;
    }
    d.count = r->count;
  }
  return end(op, Errc{});
}

OpEngine::Try OpEngine::attempt_receive_error(Op& op) {
  const auto r = stack_->try_receive_error(op.socket, op.to.empty() ? MutableByteSpan{} : op.to[0], *op.error_entry);
  if (!r) return end(op, r.error());
  op.count = r->count;
  op.status = r->status;
  return end(op, Errc{});  // as on Linux it never waits
}

// The FIN stands behind what was written; that it is acknowledged is told as writable, the end of all as closed.
OpEngine::Try OpEngine::attempt_finish(Op& op) {
  if (!is_stream(op)) return end(op, Errc::not_supported);
  if (!op.started) {
    if (const auto r = stack_->shutdown(op.socket, ShutdownHow::write); !r) return end(op, r);
    op.started = true;
  }
  const Index i = stack_->core().sockets.find(op.socket);
  if (i == kNoIndex) return end(op, Errc::bad_handle);
  const tcp::TcpState state = tcp::info(stack_->core(), i).state;
  if (state == tcp::TcpState::closed) return end(op, stack_->take_error(op.socket).value_or(Errc{}));
  if (state == tcp::TcpState::fin_wait_2 || state == tcp::TcpState::time_wait) return end(op, Errc{});
  return op.flags.dont_wait ? end(op, Errc::in_progress) : Try::blocked;
}

// SO_LINGER. As Linux: who closes with something unread resets, and there is nothing to wait for.
bool OpEngine::lingers(const Op& op) {
  const Core& core = stack_->core();
  const Index i = core.sockets.find(op.socket);
  if (op.flags.dont_wait || i == kNoIndex || core.sockets[i].role != SocketKind::stream) return false;
  if (core.sockets[i].sink != nullptr) return false;  // a callback has it, and nobody could wait
  return core.options_of(core.sockets[i]).get(OptionId::linger) > 0 && tcp::info(core, i).receive_queue == 0;
}

OpEngine::Try OpEngine::attempt_close(Op& op) {
  if (!op.started) {
    end_waiters(op.socket, Errc::bad_handle);
    if (!lingers(op) || !stack_->shutdown(op.socket, ShutdownHow::write)) return end(op, stack_->close(op.socket));
    op.started = true;
    const std::int64_t seconds = stack_->option(op.socket, OptionId::linger).value_or(0);
    op.deadline = earlier(op.deadline, stack_->now() + Duration::s(seconds));
  }
  const Index i = stack_->core().sockets.find(op.socket);
  if (i == kNoIndex) return end(op, Errc{});  // somebody else ended it
  switch (tcp::info(stack_->core(), i).state) {
    case tcp::TcpState::fin_wait_1:
    case tcp::TcpState::closing:
    case tcp::TcpState::last_ack:
    case tcp::TcpState::syn_received:  // its FIN waits for the handshake
      return Try::blocked;
    case tcp::TcpState::closed:
    case tcp::TcpState::listen:
    case tcp::TcpState::syn_sent:
    case tcp::TcpState::established:
    case tcp::TcpState::fin_wait_2:
    case tcp::TcpState::close_wait:
    case tcp::TcpState::time_wait:
      break;
  }
  if (op.linked()) unlink(op);  // before the socket goes
  return end(op, stack_->close(op.socket));
}

// An error that came behind bytes which were moved: it is told by the next call.
void OpEngine::keep_error(Handle h, Errc error) {
  const Index i = stack_->core().sockets.find(h);
  if (i == kNoIndex || error == Errc::broken_pipe) return;  // which the next call finds by itself
  if (Errc& e = stack_->core().sockets[i].error; e == Errc{}) e = error;
}

}  // namespace leat
