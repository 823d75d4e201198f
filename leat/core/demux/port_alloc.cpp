#include <leat/core/demux/port_alloc.hpp>

namespace leat {

PortAllocator::PortAllocator(SipKey secret) : secret_(secret) {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    steps_[i] = static_cast<std::uint32_t>(siphash24(secret, std::uint64_t{3}, std::uint64_t{i}));
}

PortAllocator::Start PortAllocator::begin(const IpAddress& local, const Endpoint& remote, Scope scope) const {
  const std::uint64_t hash = flow_siphash<2, 4>(secret_, {local, remote.address, Port{}, remote.port, scope});
  // RFC 6056 3.3.4: F chooses where this destination starts, G which of the step counters it shares: two halves of one
  // secret function.
  return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>((hash >> 32) % kCounters)};
}

}  // namespace leat
