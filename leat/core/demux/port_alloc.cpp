#include <leat/core/demux/port_alloc.hpp>

namespace leat {

PortAllocator::PortAllocator(SipKey secret) : secret_(secret) {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    steps_[i] = static_cast<std::uint32_t>(siphash24(secret, std::uint64_t{3}, std::uint64_t{i}));
}

PortAllocator::Start PortAllocator::begin(const IpAddress& local, const Endpoint& remote, Scope scope) const {
  const std::uint8_t* l = local.bytes().data();
  const std::uint8_t* r = remote.address.bytes().data();
  const std::uint64_t rest = (std::uint64_t{scope} << 16) | remote.port.value();
  const std::uint64_t hash = siphash24(secret_, load_be64(l), load_be64(l + 8), load_be64(r), load_be64(r + 8), rest);
  // RFC 6056 3.3.4: F chooses where this destination starts, G which of the step counters it shares: two halves of one
  // secret function.
  return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>((hash >> 32) % kCounters)};
}

}  // namespace leat
