#include <leat/core/socket.hpp>

namespace leat {

Index SocketTable::open(SocketKind kind, Index object, OwnerId owner) {
  const std::uint32_t watermark = pool_.watermark();
  const Index i = pool_.take([this](Index k) -> Index& { return sockets_[k].object; });
  if (i == kNoIndex) return kNoIndex;
  Socket& s = sockets_[i];
  if (i == watermark) s = Socket{};  // first use: the memory may never have been constructed
  // A slot used before may still stand on the ready list, and its generation goes on.
  const std::uint32_t generation = s.generation;
  const Index link = s.ready_link;
  s = Socket{};
  s.generation = generation;
  s.ready_link = link;
  s.kind = kind;
  s.role = kind;
  s.object = object;
  s.owner = owner;
  return i;
}

void SocketTable::close(Index i) {
  Socket& s = sockets_[i];
  LEAT_ASSERT(s.kind != SocketKind::none);
  for (ErrorEntry gone; s.errors > 0; --s.errors) (void)errors_.pop(i, gone, {});
  s.kind = SocketKind::none;
  s.generation = (s.generation + 1) & Handle::kGenerationMask;
  if (s.generation == 0) s.generation = 1;
  s.pending = Ready::none;
  s.interest = Ready::none;
  s.sink = nullptr;
  pool_.give(i, [this](Index k) -> Index& { return sockets_[k].object; });
}

void SocketTable::link(Index i) {
  ready_.push_back(i, [this](Index k) -> Index& { return sockets_[k].ready_link; });
}

void SocketTable::set_sink(Index i, const Sink* sink, std::uint64_t user, Ready interest) {
  Socket& s = sockets_[i];
  s.sink = sink;
  s.user = user;
  s.interest = interest;
  if (s.ready_link == kUnlinked && any(s.pending & s.interest)) link(i);
}

bool SocketTable::next_ready(ReadyEvent& event) {
  while (!ready_.empty()) {
    const Index i = ready_.pop_front([this](Index k) -> Index& { return sockets_[k].ready_link; });
    Socket& s = sockets_[i];
    s.ready_link = kUnlinked;
    const Ready edges = s.pending & s.interest;
    if (s.kind == SocketKind::none || !any(edges)) continue;  // closed, or nobody asks any more
    s.pending = s.pending & ~edges;
    event = {handle(i), edges, s.user, s.sink};
    return true;
  }
  return false;
}

bool SocketTable::queue_error(Index i, const ErrorEntry& entry, ByteSpan payload) {
  Socket& s = sockets_[i];
  if (s.errors >= errors_.share() || !errors_.push(i, entry, payload)) return false;
  ++s.errors;
  notify(i, Ready::error);
  return true;
}

std::optional<std::size_t> SocketTable::take_queued_error(Index i, ErrorEntry& entry, MutableByteSpan to) {
  Socket& s = sockets_[i];
  if (s.errors == 0) return std::nullopt;
  const auto copied = errors_.pop(i, entry, to);
  LEAT_ASSERT(copied.has_value());
  --s.errors;
  const auto of_icmp = [](const ErrorEntry& e) {
    return e.origin == ErrorOrigin::icmp || e.origin == ErrorOrigin::icmp6;
  };
  const ErrorEntry* const next = errors_.front(i);
  if (next != nullptr && of_icmp(*next)) {
    s.error = next->error;
  } else if (of_icmp(entry)) {
    s.error = Errc{};
  }
  if (next != nullptr) notify(i, Ready::error);
  return copied;
}

void SocketTable::check_invariants() const {
  std::uint32_t queued = 0;
  for (Index i = 0; i < pool_.watermark(); ++i) queued += sockets_[i].errors;
  LEAT_ASSERT(queued == errors_.used());
  for (Index i = 0; i < pool_.watermark(); ++i) {
    const Socket& s = sockets_[i];
    if (s.kind != SocketKind::none && any(s.pending & s.interest)) LEAT_ASSERT(s.ready_link != kUnlinked);
  }
}

}  // namespace leat
