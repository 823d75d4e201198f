#include <leat/offload/checksum_completion.hpp>

namespace leat {
namespace {

std::size_t field_offset(PacketLayers::Kind kind) {
  switch (kind) {
    case PacketLayers::Kind::tcp:
      return wire::TcpHeader::kChecksumOffset;
    case PacketLayers::Kind::udp:
      return wire::UdpHeader::kChecksumOffset;
    case PacketLayers::Kind::icmpv6:
      return 2;
    case PacketLayers::Kind::other:
      break;
  }
  return 0;
}

}  // namespace

Sum checksum_packet(Sum sum, const Packet& p, std::uint32_t offset, std::uint32_t length) {
  const ByteSpan head = p.head();
  std::uint32_t done = 0;
  if (offset < head.size()) {
    done = std::min(length, static_cast<std::uint32_t>(head.size()) - offset);
    sum = checksum_add(sum, head.subspan(offset, done));
    offset = 0;
  } else {
    offset -= static_cast<std::uint32_t>(head.size());
  }
  if (done == length) return sum;
  for (const Fragment& f : p.fragments()) {
    if (offset >= f.length) {
      offset -= f.length;
      continue;
    }
    const std::uint32_t n = std::min(length - done, f.length - offset);
    const Sum part = checksum_add(0, ByteSpan{p.pool().data(f.chunk) + f.offset + offset, n});
    sum = checksum_append(sum, part, done);
    done += n;
    offset = 0;
    if (done == length) break;
  }
  return sum;
}

std::optional<ChecksumPatch> checksum_to_fill(const Packet& p, LinkType link) {
  if (p.meta().checksum != ChecksumState::to_fill) return std::nullopt;
  const PacketLayers layers = packet_layers(p, link);
  if (layers.kind == PacketLayers::Kind::other) return std::nullopt;
  const std::size_t at = layers.l4 + field_offset(layers.kind);
  if (p.head().size() < at + 2) return std::nullopt;
  // The field itself holds the sum of the pseudo-header, so that one pass over the transport packet gives all.
  std::uint16_t field = checksum_finish(checksum_packet(0, p, layers.l4, layers.l4_length()));
  if (layers.kind == PacketLayers::Kind::udp) field = wire::UdpHeader::checksum_field(field);
  return ChecksumPatch{static_cast<std::uint32_t>(at), field};
}

bool complete_checksum(Packet& p, LinkType link) {
  if (p.meta().checksum != ChecksumState::to_fill) return true;
  const auto patch = checksum_to_fill(p, link);
  if (!patch || !p.exclusive()) return false;
  store_be16(&p.writable_head()[patch->offset], patch->field);
  p.meta().checksum = ChecksumState::none;
  return true;
}

ChecksumVerdict verify_checksum(Packet& p, const PacketLayers& layers) {
  if (checksum_trusted(p.meta().checksum)) return ChecksumVerdict::good;
  if (layers.kind == PacketLayers::Kind::other) return ChecksumVerdict::unknown;
  const std::uint8_t* data = p.head().data();
  if (layers.kind == PacketLayers::Kind::udp && load_be16(data + layers.l4 + wire::UdpHeader::kChecksumOffset) == 0) {
    // RFC 768: zero means that the sender made none. RFC 8200 8.1: over IPv6 there is no such datagram.
    if (layers.version == IpVersion::v6) return ChecksumVerdict::bad;
    p.meta().checksum = ChecksumState::verified;
    return ChecksumVerdict::good;
  }
  const Sum pseudo = pseudo_header_sum_at(data + layers.l3, layers.version, layers.protocol(), layers.l4_length());
  if (checksum_finish(checksum_packet(pseudo, p, layers.l4, layers.l4_length())) != 0) return ChecksumVerdict::bad;
  p.meta().checksum = ChecksumState::verified;
  return ChecksumVerdict::good;
}

ChecksumVerdict verify_checksum(Packet& p, LinkType link) {
  if (checksum_trusted(p.meta().checksum)) return ChecksumVerdict::good;
  return verify_checksum(p, packet_layers(p, link));
}

}  // namespace leat
