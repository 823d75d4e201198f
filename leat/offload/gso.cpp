#include <leat/offload/gso.hpp>

namespace leat {
namespace {

constexpr std::uint16_t kFin = 0x001;
constexpr std::uint16_t kPsh = 0x008;
constexpr std::uint16_t kCwr = 0x080;
constexpr std::uint32_t kHeadersInSmallChunk = kChunkBytes[0];

std::uint64_t sum_words(const std::uint8_t* p, std::size_t n) {  // n is a multiple of 4
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; i += 4) sum += load_be32(p + i);
  return sum;
}

// Whether the pool could hold a chunk of this size if all were free: waiting for one that can't come is no option.
bool can_ever_hold(const PacketPool& pool, std::size_t bytes) {
  for (std::size_t c = 0; c < kChunkClasses; ++c)
    if (kChunkBytes[c] >= bytes && pool.layout().chunks[c] > 0) return true;
  return false;
}

}  // namespace

// Checks that the headers are what the meta says and sums what all frames share.
bool GsoSplitter::measure_headers(const std::uint8_t* head) {
  const std::uint8_t* ip = head + l3_;
  v6_ = (ip[0] >> 4) == 6;
  if (!v6_ && (ip[0] >> 4) != 4) return false;
  const std::size_t ip_header = l4_ - l3_;
  const std::size_t transport = header_ - l4_;
  if (v6_) {
    if (ip_header < wire::Ipv6Header::kLength) return false;
    pseudo_sum_ = sum_words(ip + 8, 32);
  } else {
    if (ip_header != (ip[0] & 15U) * 4 || ip_header < wire::Ipv4Header::kLength) return false;
    pseudo_sum_ = sum_words(ip + 12, 8);
    id_ = load_be16(ip + 4);
    // Without total length, id and checksum.
    ip_sum_ = sum_words(ip, ip_header) - load_be16(ip + 2) - (std::uint32_t{id_} << 16) - load_be16(ip + 10);
  }
  const std::uint8_t* l4 = head + l4_;
  if (udp_) {
    if (transport != wire::UdpHeader::kLength) return false;
    pseudo_sum_ += static_cast<std::uint8_t>(wire::IpProtocol::udp);
    transport_sum_ = pseudo_sum_ + load_be32(l4);
    return true;
  }
  if (transport < wire::TcpHeader::kLength || transport != (l4[12] >> 4) * 4U) return false;
  pseudo_sum_ += static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  seq_ = load_be32(l4 + 4);
  const std::uint16_t flags = load_be16(l4 + 12);
  first_flags_ = static_cast<std::uint16_t>(flags & kCwr);
  last_flags_ = static_cast<std::uint16_t>(flags & (kFin | kPsh));
  flags_ = flags & static_cast<std::uint16_t>(~(kCwr | kFin | kPsh));
  // Without sequence number, flags and checksum.
  transport_sum_ = pseudo_sum_ + load_be32(l4) + load_be32(l4 + 8) + load_be16(l4 + 14) + load_be16(l4 + 18) +
                   sum_words(l4 + 20, transport - 20);
  return true;
}

bool GsoSplitter::begin(Packet&& super, Format format) {
  LEAT_ASSERT(!active() && super);
  const PacketMeta& m = super.meta();
  l3_ = m.l3_offset;
  l4_ = m.l4_offset;
  header_ = m.payload_offset;
  gso_size_ = m.gso_size;
  udp_ = m.gso_type == GsoType::udp;
  if (gso_size_ == 0 || m.gso_type == GsoType::none || header_ > m.length || l4_ < l3_ + wire::Ipv4Header::kLength ||
      header_ < l4_ + wire::UdpHeader::kLength || header_ > kHeadersInSmallChunk || !super.pull(header_)) {
    return false;
  }
  if (format.linear && !can_ever_hold(super.pool(), std::size_t{kHeadroom} + header_ + gso_size_)) return false;
  if (!measure_headers(super.head().data())) return false;
  format_ = format;
  left_ = m.length - header_;
  piece_ = 0;
  piece_offset_ = header_;
  super_ = std::move(super);
  return true;
}

// Visits the next n bytes of payload: visit(chunk, offset in it, bytes).
template <class Visit>
void GsoSplitter::take_payload(std::uint32_t n, Visit&& visit) {
  const PacketMeta& m = super_.meta();
  const std::span<const Fragment> fragments = super_.fragments();
  while (n > 0) {
    const bool in_head = piece_ == 0;
    const Fragment here = in_head ? Fragment{m.chunk, m.offset, m.head_length} : fragments[piece_ - 1];
    const std::uint32_t bytes = std::min(n, here.length - piece_offset_);
    if (bytes > 0) visit(here.chunk, here.offset + piece_offset_, bytes);
    n -= bytes;
    piece_offset_ += bytes;
    if (piece_offset_ == here.length) {
      ++piece_;
      piece_offset_ = 0;
    }
  }
}

// One frame with room for n bytes of payload, its headers copied; empty when the pool is.
Packet GsoSplitter::next_frame(std::uint32_t n) {
  PacketPool& pool = super_.pool();
  Packet frame;
  if (format_.linear) {
    frame = pool.allocate_for(header_ + n, kHeadroom);
  } else {
    const std::uint32_t headroom = std::min<std::uint32_t>(kHeadroom, kHeadersInSmallChunk - header_);
    frame = pool.allocate(ChunkClass::small, headroom);
    if (!frame) frame = pool.allocate(ChunkClass::normal, kHeadroom);
  }
  if (!frame) return frame;
  const PacketMeta& from = super_.meta();
  PacketMeta& to = frame.meta();
  std::memcpy(pool.data(to.chunk) + to.offset, pool.data(from.chunk) + from.offset, header_);
  to.head_length = to.length = header_;
  to.l3_offset = l3_;
  to.l4_offset = l4_;
  to.payload_offset = header_;
  to.link_cast = from.link_cast;
  to.flow_hash = from.flow_hash;
  to.mark = from.mark;
  to.vlan = from.vlan;
  to.interface = from.interface;
  to.time = from.time;
  to.checksum = format_.checksum_offload ? ChecksumState::to_fill : ChecksumState::none;
  return frame;
}

// Writes what differs from frame to frame. `payload` is the sum of the frame's n bytes.
void GsoSplitter::finish_headers(std::uint8_t* header, std::uint32_t n, Sum payload, bool last) {
  std::uint8_t* ip = header + l3_;
  const std::uint32_t total = header_ - l3_ + n;
  if (v6_) {
    store_be16(ip + 4, static_cast<std::uint16_t>(total - wire::Ipv6Header::kLength));
  } else {
    store_be16(ip + 2, static_cast<std::uint16_t>(total));
    store_be16(ip + 4, id_);
    store_be16(ip + 10, checksum_finish(checksum_fold(ip_sum_ + total + (std::uint32_t{id_} << 16))));
    ++id_;  // RFC 6864 4.2: datagrams that may be fragmented need ids of their own
  }
  std::uint8_t* l4 = header + l4_;
  const std::uint32_t length = header_ - l4_ + n;
  if (udp_) {
    store_be16(l4 + 4, static_cast<std::uint16_t>(length));
    const Sum whole = checksum_fold(transport_sum_ + length + length + payload);
    store_be16(l4 + 6, format_.checksum_offload ? static_cast<std::uint16_t>(checksum_fold(pseudo_sum_ + length))
                                                : wire::UdpHeader::checksum_field(checksum_finish(whole)));
    return;
  }
  const auto flags = static_cast<std::uint16_t>(flags_ | first_flags_ | (last ? last_flags_ : 0));
  first_flags_ = 0;
  store_be32(l4 + 4, seq_);
  store_be16(l4 + 12, flags);
  const Sum sum = format_.checksum_offload ? checksum_fold(pseudo_sum_ + length)
                                           : checksum_fold(transport_sum_ + length + seq_ + flags + payload);
  store_be16(l4 + 16, format_.checksum_offload ? static_cast<std::uint16_t>(sum) : checksum_finish(sum));
  seq_ += n;
}

GsoSplitter::Progress GsoSplitter::run(PacketBatch& out) {
  if (!active()) return Progress::done;
  PacketPool& pool = super_.pool();
  do {
    if (out.full()) return Progress::batch_full;
    const std::uint32_t n = std::min<std::uint32_t>(gso_size_, left_);
    Packet frame = next_frame(n);
    if (!frame) return Progress::no_memory;
    const std::uint32_t piece = piece_;
    const std::uint32_t piece_offset = piece_offset_;
    Sum sum = 0;
    std::uint32_t done = 0;
    bool fitted = true;
    if (format_.linear) {
      std::uint8_t* to = frame.append(n).data();
      take_payload(n, [&](ChunkRef chunk, std::uint32_t offset, std::uint32_t bytes) {
        const ByteSpan from{pool.data(chunk) + offset, bytes};
        if (format_.checksum_offload) {
          std::memcpy(to + done, from.data(), bytes);
        } else {
          sum = checksum_append(sum, checksum_copy(0, to + done, from), done);
        }
        done += bytes;
      });
    } else {
      take_payload(n, [&](ChunkRef chunk, std::uint32_t offset, std::uint32_t bytes) {
        fitted = fitted && frame.add_fragment(chunk, offset, bytes);
        if (!format_.checksum_offload) {
          sum = checksum_append(sum, checksum_add(0, ByteSpan{pool.data(chunk) + offset, bytes}), done);
        }
        done += bytes;
      });
    }
    if (!fitted) {  // no chunk for the fragment list: this frame waits
      piece_ = piece;
      piece_offset_ = piece_offset;
      return Progress::no_memory;
    }
    left_ -= n;
    const PacketMeta& m = frame.meta();
    finish_headers(pool.data(m.chunk) + m.offset, n, sum, left_ == 0);
    out.push(std::move(frame));
  } while (left_ > 0);
  super_.reset();
  return Progress::done;
}

}  // namespace leat
