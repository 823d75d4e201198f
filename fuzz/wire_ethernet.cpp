// Ethernet and VLAN headers: what is parsed is emitted as the same bytes.
#include <algorithm>
#include <array>
#include <leat/wire/vlan.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const leat::ByteSpan bytes{data, size};
  const auto frame = leat::wire::EthernetView::parse(bytes);
  LEAT_ASSERT(frame.has_value() == (size >= 14));
  if (!frame) return 0;
  std::array<std::uint8_t, 14> out{};
  LEAT_ASSERT(frame->header().emit(out) == 14 && std::ranges::equal(out, bytes.first(14)));
  LEAT_ASSERT(frame->payload().size() == size - 14);
  const auto tag = leat::wire::VlanView::parse(frame->payload());
  LEAT_ASSERT(tag.has_value() == (size >= 18));
  if (!tag) return 0;
  LEAT_ASSERT(tag->header().emit(out) == 4 && std::equal(out.begin(), out.begin() + 4, bytes.begin() + 14));
  return 0;
}
