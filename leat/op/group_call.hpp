#pragma once
// GroupCall: what an operation asks about a socket's membership in multicast groups (op/multicast.hpp): a value that
// stands beside the operation, so that the many that have nothing to do with groups do not carry it.
//
//   GroupCall call{.verb = GroupVerb::join, .request = {.group = group, .interface = eth}};
//   op.verb = Verb::group; op.socket = s; op.group = &call; service.run(op);
//
// Threading: values.

#include <cstddef>
#include <leat/op/multicast.hpp>
#include <span>

namespace leat {

enum class GroupVerb : std::uint8_t {
  join,            // request
  leave,           // request
  block_source,    // request
  unblock_source,  // request
  set_filter,      // request, mode, the first `count` of sources
  get_filter,      // request -> mode, sources, count (more than fit: as many as fit are written)
};

struct GroupCall {
  GroupVerb verb = GroupVerb::join;
  GroupRequest request{};
  FilterMode mode = FilterMode::exclude;
  std::span<IpAddress> sources{};
  std::size_t count = 0;
};

}  // namespace leat
