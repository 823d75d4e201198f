#pragma once
// Membership in multicast groups, as programs ask for it (RFC 3376 2, RFC 3678). Plain data, so that every form of the
// API can carry it.
//
//   stack.join_group(socket, {.group = group, .interface = eth});                    // from any source
//   stack.join_group(socket, {.group = group, .source = sender, .interface = eth});  // from this source alone
//
// Threading: values.

#include <cstdint>
#include <leat/base/address.hpp>

namespace leat {

enum class FilterMode : std::uint8_t {
  include,  // only from the sources that are listed
  exclude,  // from all but those
};

struct GroupRequest {
  IpAddress group{};
  IpAddress source{};           // unspecified: any source
  std::uint16_t interface = 0;  // 1-based; 0: where the routes lead to the group
};

}  // namespace leat
