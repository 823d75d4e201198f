#include <algorithm>
#include <leat/core/error_queue.hpp>

namespace leat {

bool ErrorQueues::push(Index socket, const ErrorEntry& entry, ByteSpan payload) {
  const Index i = pool_.take([this](Index k) -> Index& { return records_[k].next; });
  if (i == kNoIndex) return false;
  ErrorRecord& r = records_[i];
  r.entry = entry;
  r.socket = socket;
  r.next = 0;
  const std::size_t kept = std::min(payload.size(), r.payload.size());
  r.entry.payload = static_cast<std::uint16_t>(kept);
  std::copy_n(payload.begin(), kept, r.payload.begin());
  Index* link = &bucket_of(socket);
  while (*link != 0) link = &records_[*link - 1].next;
  *link = i + 1;
  return true;
}

const ErrorEntry* ErrorQueues::front(Index socket) const {
  for (Index i = bucket_of(socket); i != 0; i = records_[i - 1].next)
    if (records_[i - 1].socket == socket) return &records_[i - 1].entry;
  return nullptr;
}

std::optional<std::size_t> ErrorQueues::pop(Index socket, ErrorEntry& entry, MutableByteSpan to) {
  for (Index* link = &bucket_of(socket); *link != 0; link = &records_[*link - 1].next) {
    const Index i = *link - 1;
    ErrorRecord& r = records_[i];
    if (r.socket != socket) continue;
    entry = r.entry;
    const std::size_t n = std::min<std::size_t>(to.size(), r.entry.payload);
    std::copy_n(r.payload.begin(), n, to.begin());
    *link = r.next;
    pool_.give(i, [this](Index k) -> Index& { return records_[k].next; });
    return n;
  }
  return std::nullopt;
}

}  // namespace leat
