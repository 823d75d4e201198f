// ICMP views and neighbour discovery: whatever is accepted is written back to a message that means the same. Input: an
// IPv6 packet.
#include <array>
#include <leat/wire/icmpv4.hpp>
#include <leat/wire/ipv6.hpp>
#include <leat/wire/ndp.hpp>

namespace {

using namespace leat::wire;

template <class Message>
void check(leat::ByteSpan bytes, const NdpEnvelope& envelope) {
  const auto parsed = Message::parse(bytes, envelope);
  if (!parsed) return;
  Message message = *parsed;
  message.options.skipped = 0;  // what was not understood is not written
  std::array<std::uint8_t, 4096> out{};
  const std::size_t length = message.emit(out);
  LEAT_ASSERT(length >= 8);
  const auto again = Message::parse(leat::ByteSpan{out}.first(length), envelope);
  LEAT_ASSERT(again.has_value() && *again == message);
  for (std::size_t room = 0; room < length; room += 7) {
    LEAT_ASSERT(message.emit(leat::MutableByteSpan{out}.first(room)) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ip = Ipv6View::parse_quoted({data, size});
  if (!ip || size > 2000) return 0;
  const leat::ByteSpan message{data + Ipv6Header::kLength, size - Ipv6Header::kLength};
  const NdpEnvelope envelope{ip->source(), ip->destination(), ip->hop_limit()};
  check<RouterSolicitation>(message, envelope);
  check<RouterAdvertisement>(message, envelope);
  check<NeighborSolicitation>(message, envelope);
  check<NeighborAdvertisement>(message, envelope);
  check<Redirect>(message, envelope);
  if (const auto icmp = Icmpv6View::parse(message)) {
    std::array<std::uint8_t, 8> out{};
    LEAT_ASSERT(icmp->header().emit(out) == 8 && Icmpv6View::parse(out)->header() == icmp->header());
  }
  if (const auto icmp = Icmpv4View::parse(message)) {
    std::array<std::uint8_t, 8> out{};
    LEAT_ASSERT(icmp->header().emit(out) == 8 && Icmpv4View::parse(out)->header() == icmp->header());
  }
  return 0;
}
