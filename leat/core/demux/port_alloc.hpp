#pragma once
// PortAllocator: ephemeral ports by RFC 6056 algorithm 4 (double hash): ports towards one destination are consecutive,
// so a port comes back as late as possible, but where the sequence starts and when it steps depends on two secrets, so
// that no one else predicts the next. Threading: one owner.
//
//   std::optional<Port> p = ports.pick(local_address, remote, {first, last}, [&](Port p) { return taken(p); });

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/flow_siphash.hpp>
#include <optional>

namespace leat {

struct PortRange {
  Port first{32768};
  Port last{60999};  // included
};

class PortAllocator {
 public:
  static constexpr std::uint32_t kMaxProbes = 4096;  // bounds one call; the next call goes on behind them

  explicit PortAllocator(SipKey secret);

  // `remote` is all zero for bind(port 0). in_use(Port) also refuses ports that steer to another shard. Nothing when
  // no probed port was free: the caller answers address_not_available.
  template <class InUse>
  [[nodiscard]] std::optional<Port> pick(const IpAddress& local, const Endpoint& remote, Scope scope, PortRange range,
                                         InUse&& in_use, std::uint32_t max_probes = kMaxProbes) {
    if (range.last < range.first || range.last.value() == 0) return std::nullopt;
    const Start start = begin(local, remote, scope);
    const std::uint32_t count = std::uint32_t{range.last.value()} - range.first.value() + 1;
    std::uint32_t& step = steps_[start.counter];
    const std::uint32_t probes = max_probes < count ? max_probes : count;
    for (std::uint32_t n = 0; n < probes; ++n) {
      const Port port{static_cast<std::uint16_t>(range.first.value() + (start.offset + step++) % count)};
      if (port.value() != 0 && !in_use(port)) return port;
    }
    return std::nullopt;
  }

 private:
  struct Start {
    std::uint32_t offset = 0;
    std::uint32_t counter = 0;
  };
  [[nodiscard]] Start begin(const IpAddress& local, const Endpoint& remote, Scope scope) const;

  static constexpr std::size_t kCounters = 64;  // RFC 6056 3.3.4: TABLE_LENGTH
  SipKey secret_;
  std::array<std::uint32_t, kCounters> steps_;
};

}  // namespace leat
