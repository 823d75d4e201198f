// UDP headers: lengths stay inside the packet, what is parsed is emitted as the same bytes.
#include <algorithm>
#include <array>
#include <leat/wire/udp.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  const leat::ByteSpan bytes{data, size};
  const auto view = UdpView::parse(bytes);
  if (!view) return 0;
  LEAT_ASSERT(view->payload().size() == view->payload_length() && view->length() <= size);
  std::array<std::uint8_t, 8> out{};
  LEAT_ASSERT(view->header().emit(out) == 8 && std::ranges::equal(out, bytes.first(8)));
  return 0;
}
