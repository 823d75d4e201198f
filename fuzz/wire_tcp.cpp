// TCP headers: lengths stay inside the segment, parse(emit(x)) == x, and the fast timestamp path agrees with the parser
// of options.
#include <array>
#include <leat/wire/tcp_options.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  const auto view = TcpView::parse({data, size});
  if (!view) return 0;
  LEAT_ASSERT(view->header_length() + view->payload_length() == size);
  LEAT_ASSERT(view->payload().size() == view->payload_length());
  LEAT_ASSERT(view->options().size() == view->header_length() - TcpHeader::kLength);
  std::array<std::uint8_t, TcpHeader::kMaxLength> out{};
  LEAT_ASSERT(view->header().emit(out, view->options().size()) == view->header_length());
  std::ranges::copy(view->options(), out.begin() + TcpHeader::kLength);
  const auto again = TcpView::parse(leat::ByteSpan{out}.first(view->header_length()));
  LEAT_ASSERT(again.has_value() && again->header() == view->header());
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
  if (fast_timestamps(view->options(), value, echo)) {
    TcpOptions expected;
    expected.timestamps = TcpTimestamps{value, echo};
    LEAT_ASSERT(TcpOptions::parse(view->options()) == expected);
  }
  return 0;
}
