// ARP: what is parsed is emitted as the same bytes.
#include <algorithm>
#include <array>
#include <leat/wire/arp.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const leat::ByteSpan bytes{data, size};
  const auto view = leat::wire::ArpView::parse(bytes);
  if (!view) return 0;
  std::array<std::uint8_t, 28> out{};
  LEAT_ASSERT(view->header().emit(out) == 28 && std::ranges::equal(out, bytes.first(28)));
  return 0;
}
