// Addresses, prefixes and MAC addresses from text: whatever is accepted is written back to a text that means the same.
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/assert.hpp>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = leat::IpAddress::parse(text)) {
    const leat::AddressText again(*address);
    LEAT_ASSERT(leat::IpAddress::parse(again.view()) == address);
  }
  if (const auto prefix = leat::IpPrefix::parse(text)) {
    LEAT_ASSERT(prefix->length <= (prefix->address.is_v4() ? 32 : 128));
    LEAT_ASSERT(prefix->contains(prefix->address));
    const leat::AddressText again(*prefix);
    LEAT_ASSERT(leat::IpPrefix::parse(again.view()) == prefix);
  }
  if (const auto mac = leat::MacAddress::parse(text)) {
    const leat::AddressText again(*mac);
    LEAT_ASSERT(leat::MacAddress::parse(again.view()) == mac);
  }
  return 0;
}
