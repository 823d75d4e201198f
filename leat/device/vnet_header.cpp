#include <bit>
#include <cstring>
#include <leat/device/vnet_header.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/gso.hpp>

namespace leat {
namespace {

static_assert(sizeof(VnetHeader) == VnetHeader::kLength);

std::uint16_t checksum_offset(PacketLayers::Kind kind) {
  switch (kind) {
    case PacketLayers::Kind::tcp:
      return wire::TcpHeader::kChecksumOffset;
    case PacketLayers::Kind::udp:
      return wire::UdpHeader::kChecksumOffset;
    case PacketLayers::Kind::icmpv6:
    case PacketLayers::Kind::other:
      break;
  }
  return 2;
}

std::uint8_t gso_type(const PacketLayers& layers) {
  if (layers.kind == PacketLayers::Kind::udp) return VnetHeader::kGsoUdp;
  return layers.version == IpVersion::v6 ? VnetHeader::kGsoTcp6 : VnetHeader::kGsoTcp4;
}

// Completes the checksum where the header says that it stands; the field holds the sum of what is not summed.
bool complete_where_told(const VnetHeader& v, Packet& p) {
  const std::uint32_t field = std::uint32_t{v.checksum_start} + v.checksum_offset;
  if (field + 2 > p.head().size()) return false;
  const Sum sum = checksum_packet(0, p, v.checksum_start, p.size() - v.checksum_start);
  store_be16(&p.writable_head()[field], checksum_finish(sum));
  return true;
}

}  // namespace

VnetHeader VnetHeader::parse(ByteSpan from) {
  std::array<std::uint8_t, kLength> whole{};
  std::memcpy(whole.data(), from.data(), kShortLength);
  return std::bit_cast<VnetHeader>(whole);
}

void VnetHeader::emit(MutableByteSpan to) const {
  std::memcpy(to.data(), this, std::min<std::size_t>(to.size(), kLength));
}

bool apply_vnet_header(const VnetHeader& v, Packet& p, LinkType link) {
  PacketMeta& m = p.meta();
  const bool unfinished = (v.flags & VnetHeader::kNeedsChecksum) != 0;
  const bool verified = !unfinished && (v.flags & VnetHeader::kDataValid) != 0;
  const std::uint8_t gso = v.gso_type & static_cast<std::uint8_t>(~VnetHeader::kGsoEcn);
  if (!unfinished && gso == 0) {
    if (verified) m.checksum = ChecksumState::verified;
    return true;
  }
  const PacketLayers layers = packet_layers(p, link);
  if (unfinished && (layers.kind == PacketLayers::Kind::other || v.checksum_start != layers.l4 ||
                     v.checksum_offset != checksum_offset(layers.kind)))
    return gso == 0 && complete_where_told(v, p);  // the core will look at the others of this frame
  const bool tcp = layers.kind == PacketLayers::Kind::tcp;
  // Datagrams in one piece were never asked for (TUN_F_USO4), and nobody above would take them apart.
  if (gso != 0 && (!tcp || gso != gso_type(layers) || v.gso_size == 0)) return false;
  m.l3_offset = layers.l3;
  m.l4_offset = layers.l4;
  m.payload_offset = layers.payload;
  if (unfinished) m.checksum = ChecksumState::to_fill;
  if (verified) m.checksum = ChecksumState::verified;
  if (gso == 0) return true;
  const GsoType of_tcp = layers.version == IpVersion::v6 ? GsoType::tcp_v6 : GsoType::tcp_v4;
  m.gso_size = v.gso_size;
  m.gso_type = of_tcp;
  m.merged = static_cast<std::uint16_t>(wire_segments(m));
  return true;
}

std::optional<VnetHeader> make_vnet_header(Packet& p, LinkType link, bool takes_super_segments) {
  VnetHeader v;
  const PacketMeta& m = p.meta();
  const bool super = m.gso_size > 0 && wire_segments(m) > 1;
  if (super && !takes_super_segments) return std::nullopt;
  if (m.checksum != ChecksumState::to_fill && !super) return v;
  const PacketLayers layers = packet_layers(p, link);
  if (layers.kind == PacketLayers::Kind::other) return std::nullopt;
  v.flags = VnetHeader::kNeedsChecksum;
  v.checksum_start = layers.l4;
  v.checksum_offset = checksum_offset(layers.kind);
  if (!super) return v;
  if (layers.kind == PacketLayers::Kind::icmpv6) return std::nullopt;
  v.gso_type = gso_type(layers);
  // RFC 3168 6.1.2: CWR belongs on the first segment only; this tells the kernel to see to it.
  const bool tcp = layers.kind == PacketLayers::Kind::tcp;
  if (tcp && (p.head()[layers.l4 + 13U] & 0x80) != 0) v.gso_type |= VnetHeader::kGsoEcn;
  v.gso_size = m.gso_size;
  v.header_length = layers.payload;
  if (m.checksum != ChecksumState::to_fill) {  // the kernel fills the parts' fields from this one
    if (!p.exclusive()) return std::nullopt;
    const std::uint8_t* ip = p.head().data() + layers.l3;
    const Sum pseudo = pseudo_header_sum_at(ip, layers.version, layers.protocol(), layers.l4_length());
    store_be16(&p.writable_head()[layers.l4 + std::size_t{v.checksum_offset}], static_cast<std::uint16_t>(pseudo));
  }
  return v;
}

}  // namespace leat
