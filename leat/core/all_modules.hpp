#pragma once
// The module table with everything in it. An image that wants less names a table of its own.

#include <leat/core/ip/ipv6_module.hpp>
#include <leat/core/modules.hpp>

namespace leat {

inline constexpr Modules kAllModules{.ipv6 = &kIpv6Module};

}  // namespace leat
