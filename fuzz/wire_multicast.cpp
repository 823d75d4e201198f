// IGMP and MLD: reports are read to their end in bounded steps; queries survive being written and read again.
#include <array>
#include <leat/wire/igmp.hpp>

namespace {

template <class Reader>
void read_all(leat::ByteSpan message) {
  auto parsed = Reader::parse(message);
  if (!parsed) return;
  Reader reader = *parsed;
  std::size_t records = 0;
  while (reader.next()) ++records;
  LEAT_ASSERT(records <= message.size() / 8);
}

template <class Message>
void round_trip(leat::ByteSpan bytes) {
  const auto parsed = Message::parse(bytes);
  if (!parsed) return;
  std::array<std::uint8_t, 32> out{};
  const std::size_t length = parsed->emit(out);
  LEAT_ASSERT(length >= 8);
  const auto again = Message::parse(leat::ByteSpan{out}.first(length));
  LEAT_ASSERT(again.has_value() && again->group == parsed->group);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat::wire;
  std::array<std::uint8_t, 512> message{};
  if (size < 4 || size > message.size()) return 0;
  std::copy_n(data, size, message.begin());
  const leat::MutableByteSpan bytes = leat::MutableByteSpan{message}.first(size);
  read_all<MldReportReader>(bytes);
  round_trip<MldQuery>(bytes);
  round_trip<MldV1Message>(bytes);
  // IGMP verifies its checksum: give it one, or chance would hardly pass it.
  leat::store_be16(&bytes[2], 0);
  leat::store_be16(&bytes[2], leat::checksum_finish(leat::checksum_add(0, bytes)));
  read_all<IgmpReportReader>(bytes);
  round_trip<IgmpQuery>(bytes);
  round_trip<IgmpV2Message>(bytes);
  return 0;
}
