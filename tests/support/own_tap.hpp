#pragma once
// Whether tests over a TAP can run here: in a network of their own (own_network.hpp), with a TUN node that opens.

#include <leat/runtime/host.hpp>
#include <string>

#include "own_network.hpp"

namespace leat::test {

// Empty: they can, and the process is in its own network from the first call on.
inline const std::string& why_no_tap() {
  static const std::string reason = [] {
    const OwnNetwork network = enter_own_network();
    if (!network.why_not.empty()) return network.why_not;
    Host host;
    TapProblem why;
    return host.open_tap("probe%d", {}, &why) ? std::string() : std::string(why.cause);
  }();
  return reason;
}

}  // namespace leat::test
