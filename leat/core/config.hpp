#pragma once
// What is configured on a stack: interfaces. Addresses and routes: op/control.hpp.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/link_type.hpp>
#include <leat/core/modules.hpp>
#include <leat/op/control.hpp>
#include <string_view>

namespace leat {

// A stack has at most kMaxInterfaces of them; one more is Errc::no_memory, as when the storage holds fewer.
struct InterfaceConfig {
  std::string_view name{};  // copied, at most 15 characters
  LinkType link = LinkType::ip;
  MacAddress mac{};
  std::uint32_t mtu = 1500;   // 68..65535; IPv6 needs 1280
  std::uint32_t max_gso = 0;  // bytes of IP packet that the way out accepts as one super-segment
  // The way out completes transport checksums for nothing (ChecksumState::to_fill). Where it does not, packets of that
  // state go out, too, and are completed behind the stack; but a payload that is copied is summed on the way.
  bool tx_checksum = false;
  bool promiscuous = false;  // take frames for other stations too
};

}  // namespace leat
