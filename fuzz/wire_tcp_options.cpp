// TCP options: any bytes; what was understood survives being written and read again, in either order.
#include <array>
#include <leat/wire/tcp_options.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  if (size > TcpHeader::kMaxOptions) return 0;
  const TcpOptions options = TcpOptions::parse({data, size});
  LEAT_ASSERT(options.sack_count <= TcpOptions::kMaxSackBlocks);
  LEAT_ASSERT(!options.window_scale || *options.window_scale <= TcpOptions::kMaxWindowScale);
  for (const auto order : {TcpOptionOrder::mss_sack_timestamps_scale, TcpOptionOrder::mss_scale_sack_timestamps}) {
    std::array<std::uint8_t, TcpHeader::kMaxOptions> out{};
    const std::size_t length = options.emit(out, order);
    LEAT_ASSERT(length % 4 == 0);
    if (length == 0) continue;  // nothing to write, or more than fits with the alignment
    TcpOptions expected = options;
    const TcpOptions again = TcpOptions::parse(leat::ByteSpan{out}.first(length));
    LEAT_ASSERT(again.sack_count <= options.sack_count);
    expected.sack_count = again.sack_count;  // as many as fit
    expected.malformed = false;
    expected.unknown = 0;
    LEAT_ASSERT(again == expected);
  }
  return 0;
}
