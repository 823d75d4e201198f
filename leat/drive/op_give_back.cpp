// What a receive or an accept had taken for somebody who went away: it is kept here, before what the socket has, until
// the next one takes it or the socket is closed. Nearly always there is nothing: `given_` is asked first.

#include <algorithm>
#include <leat/drive/op_engine.hpp>

namespace leat {

OpEngine::Try OpEngine::attempt_give_back(Op& op) {
  const Waiter* const first = waiters_of(op.socket);
  if (!(first != nullptr && is_close(*first)) && stack_->core().sockets.find(op.socket) != kNoIndex) {
    const bool nothing = op.verb == Verb::give_back && op.socket.kind() == SocketKind::stream && op.from[0].empty();
    return nothing ? end(op, Errc{}) : Try::blocked;
  }
  if (op.verb == Verb::give_accepted) (void)stack_->close(Handle::from_bits(static_cast<std::uint64_t>(op.value)));
  return end(op, Errc::bad_handle);
}

// Octets of a stream stand in the order in which they were received, also when a part of them was taken and given back
// once more.
void OpEngine::keep_given(Op& op) {
  const bool ordered = op.socket.kind() == SocketKind::stream;
  Op** at = &given_;
  while (*at != nullptr && !(ordered && (*at)->socket == op.socket && (*at)->value > op.value)) at = &(*at)->list_next;
  op.list_next = *at;
  *at = &op;
}

void OpEngine::drop_given(Op& op) {
  Op** at = &given_;
  while (*at != &op) at = &(*at)->list_next;
  *at = op.list_next;
}

Op* OpEngine::given_to(Handle socket) {
  Op* op = given_;
  while (op != nullptr && op->socket != socket) op = op->list_next;
  return op;
}

void OpEngine::end_given(Handle socket, Errc why) {
  while (Op* const op = given_to(socket)) expire(*op, why);
}

// True: the operation has what it wants.
bool OpEngine::take_given(Op& op) {
  Op* const given = given_to(op.socket);
  if (given == nullptr) return false;
  op.status = IoStatus::done;
  switch (op.verb) {
    case Verb::accept:
      op.handle = Handle::from_bits(static_cast<std::uint64_t>(given->value));
      op.endpoint = given->endpoint;
      op.count = 1;
      complete(*given);
      return true;
    case Verb::receive_many:
      for (op.count = 0; op.count < op.in.size(); ++op.count) {
        InDatagram& d = op.in[op.count];
        if (!take_given_datagram(op.socket, d.to, &d.message, d.count, false)) break;
      }
      return op.count > 0;
    default:
      if (op.socket.kind() == SocketKind::stream && !op.flags.peek) return take_given_octets(op);
      return take_given_datagram(op.socket, op.to.empty() ? MutableByteSpan{} : op.to[0], op.message, op.count,
                                 op.flags.peek);
  }
}

// Also a look at a stream: it sees what was given back, and not beyond.
bool OpEngine::take_given_datagram(Handle socket, MutableByteSpan to, Message* message, std::size_t& count, bool peek) {
  Op* const given = given_to(socket);
  if (given == nullptr) return false;
  const ByteSpan bytes = given->from[0];
  count = std::min(bytes.size(), to.size());
  std::copy_n(bytes.begin(), count, to.begin());
  if (message != nullptr) *message = *given->message;
  if (!peek) complete(*given);
  return true;
}

// Into what is left of its spans. What was given back is enough for who does not want all.
bool OpEngine::take_given_octets(Op& op) {
  std::size_t skip = op.count;
  const std::size_t before = op.count;
  for (MutableByteSpan part : op.to) {
    const std::size_t done = std::min(skip, part.size());
    skip -= done;
    part = part.subspan(done);
    while (!part.empty()) {
      Op* const given = given_to(op.socket);
      // Nor what stood before octets that it has already.
      if (given == nullptr || (op.count > 0 && given->value < op.value)) return op.count > before && !op.flags.wait_all;
      const std::size_t n = std::min(part.size(), given->one_from.size());
      std::copy_n(given->one_from.begin(), n, part.begin());
      part = part.subspan(n);
      if (op.count == 0) op.value = given->value;
      op.count += n;
      given->value += static_cast<std::int64_t>(n);
      given->one_from = given->one_from.subspan(n);
      if (given->one_from.empty()) complete(*given);
    }
  }
  return true;
}

}  // namespace leat
