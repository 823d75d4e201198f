// IPv4 headers and options: lengths stay inside the packet, parse(emit(x)) == x.
#include <array>
#include <leat/wire/ipv4.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  // The first two bytes say how much of the packet lies in other buffers.
  if (size < 2) return 0;
  const leat::ByteSpan bytes{data + 2, size - 2};
  const std::size_t available = bytes.size() + leat::load_be16(data);
  const auto view = Ipv4View::parse(bytes, available);
  if (!view) return 0;
  LEAT_ASSERT(view->header_length() + view->payload_length() == view->total_length());
  LEAT_ASSERT(view->total_length() <= available);
  LEAT_ASSERT(view->payload().size() <= view->payload_length());
  LEAT_ASSERT(view->is_fragment() == (view->more_fragments() || view->fragment_offset() != 0));
  const Ipv4Options options = Ipv4Options::parse(view->options());
  LEAT_ASSERT(!options.malformed || options.problem_at < view->header_length());
  std::array<std::uint8_t, 60> out{};
  const std::size_t length = view->header().emit(out);
  LEAT_ASSERT(length == view->header_length());
  const auto again = Ipv4View::parse(leat::ByteSpan{out}.first(length), available);
  LEAT_ASSERT(again.has_value() && again->header() == view->header() && again->checksum_ok());
  // An intact header without the reserved flag is reproduced to the byte, its checksum included.
  if (view->checksum_ok() && view->checksum() != 0 && view->checksum() != 0xffff && (bytes[6] & 0x80) == 0) {
    LEAT_ASSERT(std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(length), bytes.begin()));
  }
  return 0;
}
