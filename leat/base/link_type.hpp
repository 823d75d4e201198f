#pragma once
// What a frame starts with: an Ethernet header, or the IP header at once (TUN, raw IP links).

#include <cstdint>

namespace leat {

enum class LinkType : std::uint8_t { ethernet, ip };

}  // namespace leat
