#pragma once
// What Host and SharedStack have in common of a TAP that they opened themselves. Threading: values.

#include <initializer_list>
#include <leat/base/address.hpp>
#include <leat/device/device.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace leat {

struct OpenTap {
  explicit OpenTap(Tap&& opened) : tap(std::move(opened)), device(tap) {}
  Tap tap;
  DeviceRef<Tap> device;
};

// Its addresses; Errc::invalid_argument, and why, for a text that is none.
inline Result<std::vector<IpPrefix>> parse_addresses(std::initializer_list<std::string_view> texts, TapProblem* why) {
  std::vector<IpPrefix> prefixes;
  for (const std::string_view text : texts) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) {
      if (why != nullptr) *why = {"an address is not understood", "write it as 10.9.0.2/24 or fd09::2/64", 0};
      return fail(Errc::invalid_argument);
    }
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

}  // namespace leat
