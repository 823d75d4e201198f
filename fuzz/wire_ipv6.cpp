// IPv6 headers: lengths stay inside the packet, what is parsed is emitted as the same bytes.
#include <algorithm>
#include <array>
#include <leat/wire/ipv6.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  const leat::ByteSpan bytes{data, size};
  const auto view = Ipv6View::parse(bytes);
  if (!view) return 0;
  LEAT_ASSERT(view->payload().size() == view->payload_length());
  LEAT_ASSERT(!view->source().is_v4() && !view->destination().is_v4());
  std::array<std::uint8_t, 40> out{};
  LEAT_ASSERT(view->header().emit(out) == 40 && std::ranges::equal(out, bytes.first(40)));
  return 0;
}
