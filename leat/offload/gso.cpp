#include <leat/offload/gso.hpp>

namespace leat {
namespace {

constexpr std::uint16_t kFin = 0x001;
constexpr std::uint16_t kPsh = 0x008;
constexpr std::uint16_t kCwr = 0x080;
constexpr std::uint32_t kSmallChunk = kChunkBytes[static_cast<std::size_t>(ChunkClass::small)];
constexpr std::uint32_t kBlock = 16;  // headers are copied in blocks: no call, no branch on each byte

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
bool GsoSplitter::measure_headers(const std::uint8_t* head, const PacketMeta& m) {
  Common& c = common_;
  State& s = state_;
  const std::uint8_t* ip = head + c.l3;
  c.v6 = (ip[0] >> 4) == 6;
  if (!c.v6 && (ip[0] >> 4) != 4) return false;
  const std::size_t ip_header = c.l4 - c.l3;
  const std::size_t transport = c.header - c.l4;
  if (c.v6) {
    if (ip_header < wire::Ipv6Header::kLength) return false;
    c.pseudo_sum = sum_words(ip + 8, 32);
  } else {
    if (ip_header != (ip[0] & 15U) * 4 || ip_header < wire::Ipv4Header::kLength) return false;
    c.pseudo_sum = sum_words(ip + 12, 8);
    s.id = load_be16(ip + 4);
    // Without total length, id and checksum.
    c.ip_sum = sum_words(ip, ip_header) - load_be16(ip + 2) - (std::uint32_t{s.id} << 16) - load_be16(ip + 10);
  }
  const std::uint8_t* l4 = head + c.l4;
  c.udp = m.gso_type == GsoType::udp;
  if (c.udp) {
    if (transport != wire::UdpHeader::kLength) return false;
    c.pseudo_sum += static_cast<std::uint8_t>(wire::IpProtocol::udp);
    c.transport_sum = c.pseudo_sum + load_be32(l4);
    return true;
  }
  if (transport < wire::TcpHeader::kLength || transport != (l4[12] >> 4) * 4U) return false;
  c.pseudo_sum += static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  s.seq = load_be32(l4 + 4);
  const std::uint16_t flags = load_be16(l4 + 12);
  s.first_flags = static_cast<std::uint16_t>(flags & kCwr);
  c.last_flags = static_cast<std::uint16_t>(flags & (kFin | kPsh));
  c.flags = flags & static_cast<std::uint16_t>(~(kCwr | kFin | kPsh));
  // Without sequence number, flags and checksum.
  c.transport_sum = c.pseudo_sum + load_be32(l4) + load_be32(l4 + 8) + load_be16(l4 + 14) + load_be16(l4 + 18) +
                    sum_words(l4 + 20, transport - 20);
  return true;
}

bool GsoSplitter::begin(Packet&& super, Format format) {
  LEAT_ASSERT(!active() && super);
  const PacketMeta& m = super.meta();
  common_ = {};
  state_ = {};
  Common& c = common_;
  c.linear = format.linear;
  c.checksum_offload = format.checksum_offload;
  c.l3 = m.l3_offset;
  c.l4 = m.l4_offset;
  c.header = m.payload_offset;
  c.gso_size = m.gso_size;
  if (c.gso_size == 0 || m.gso_type == GsoType::none || c.header > m.length ||
      c.l4 < c.l3 + wire::Ipv4Header::kLength || c.header < c.l4 + wire::UdpHeader::kLength || c.header > kMaxHeaders ||
      !super.pull(c.header)) {
    return false;
  }
  const std::uint32_t payload = m.length - c.header;
  // Head and fragments may be one piece more than a frame's list holds: such frames are copied.
  if (m.fragment_count + (m.head_length > c.header ? 1U : 0U) > kMaxFragments) c.linear = true;
  const std::size_t largest = std::size_t{kHeadroom} + c.header + std::min<std::uint32_t>(c.gso_size, payload);
  if (c.linear && !can_ever_hold(super.pool(), largest)) return false;
  if (!measure_headers(super.head().data(), m)) return false;
  std::memcpy(headers_.data(), super.head().data(), c.header);
  state_.left = payload;
  state_.piece_left = m.head_length - c.header;
  state_.piece_offset = m.offset + c.header;
  state_.piece_chunk = m.chunk;
  super_ = std::move(super);
  return true;
}

// A frame with its headers copied and room for n bytes of payload; empty when the pool is.
inline Packet GsoSplitter::next_frame(const Common& c, std::uint32_t n) const {
  PacketPool& pool = super_.pool();
  Packet frame;
  if (c.linear) {
    frame = pool.allocate_for(c.header + n, kHeadroom);
  } else {
    frame = pool.allocate(ChunkClass::small, std::min(kHeadroom, kSmallChunk - kMaxHeaders));
    if (!frame) frame = pool.allocate(ChunkClass::normal, kHeadroom);
  }
  if (!frame) return frame;
  const PacketMeta& from = super_.meta();
  PacketMeta& to = frame.meta();
  to.head_length = c.header;
  to.length = c.header;
  to.l3_offset = c.l3;
  to.l4_offset = c.l4;
  to.payload_offset = c.header;
  to.link_cast = from.link_cast;
  to.flow_hash = from.flow_hash;
  to.mark = from.mark;
  to.vlan = from.vlan;
  to.interface = from.interface;
  to.time = from.time;
  to.checksum = c.checksum_offload ? ChecksumState::to_fill : ChecksumState::none;
  // Blocks reach up to kBlock - 1 bytes behind the headers, and the chunk further.
  std::uint8_t* at = pool.data(to.chunk) + to.offset;
  for (std::uint32_t i = 0; i < c.header; i += kBlock) std::memcpy(at + i, headers_.data() + i, kBlock);
  return frame;
}

// Writes what differs from frame to frame. `payload` is the sum of the frame's n bytes.
inline void GsoSplitter::finish_headers(const Common& c, State& s, std::uint8_t* header, std::uint32_t n, Sum payload,
                                        bool last) {
  std::uint8_t* ip = header + c.l3;
  const std::uint32_t total = c.header - c.l3 + n;
  if (c.v6) {
    store_be16(ip + 4, static_cast<std::uint16_t>(total - wire::Ipv6Header::kLength));
  } else {
    store_be16(ip + 2, static_cast<std::uint16_t>(total));
    store_be16(ip + 4, s.id);
    store_be16(ip + 10, checksum_finish(checksum_fold(c.ip_sum + total + (std::uint32_t{s.id} << 16))));
    ++s.id;  // RFC 6864 4.2: datagrams that may be fragmented need ids of their own
  }
  std::uint8_t* l4 = header + c.l4;
  const std::uint32_t length = c.header - c.l4 + n;
  if (c.udp) {
    store_be16(l4 + 4, static_cast<std::uint16_t>(length));
    const Sum whole = checksum_fold(c.transport_sum + length + length + payload);
    store_be16(l4 + 6, c.checksum_offload ? static_cast<std::uint16_t>(checksum_fold(c.pseudo_sum + length))
                                          : wire::UdpHeader::checksum_field(checksum_finish(whole)));
    return;
  }
  const auto flags = static_cast<std::uint16_t>(c.flags | s.first_flags | (last ? c.last_flags : 0));
  s.first_flags = 0;
  store_be32(l4 + 4, s.seq);
  store_be16(l4 + 12, flags);
  const Sum sum = c.checksum_offload ? checksum_fold(c.pseudo_sum + length)
                                     : checksum_fold(c.transport_sum + length + s.seq + flags + payload);
  store_be16(l4 + 16, c.checksum_offload ? static_cast<std::uint16_t>(sum) : checksum_finish(sum));
  s.seq += n;
}

void GsoSplitter::next_piece(State& s) const {
  const Fragment& f = super_.fragments()[s.piece++];
  s.piece_chunk = f.chunk;
  s.piece_offset = f.offset;
  s.piece_left = f.length;
}

// Adds the next n bytes to the frame, copied or by reference, and their sum to `sum`. False when there is no chunk for
// the frame's fragment list.
bool GsoSplitter::add_pieces(const Common& c, State& s, Packet& frame, std::uint32_t n, Sum& sum) const {
  PacketPool& pool = super_.pool();
  std::uint8_t* to = c.linear ? frame.append(n).data() : nullptr;
  for (std::uint32_t done = 0; done < n;) {
    while (s.piece_left == 0) next_piece(s);
    const std::uint32_t bytes = std::min(n - done, s.piece_left);
    const ByteSpan from{pool.data(s.piece_chunk) + s.piece_offset, bytes};
    if (!c.linear && !frame.add_fragment(s.piece_chunk, s.piece_offset, bytes)) return false;
    if (c.linear && c.checksum_offload) {
      std::memcpy(to + done, from.data(), bytes);
    } else if (c.linear) {
      sum = checksum_append(sum, checksum_copy(0, to + done, from), done);
    } else if (!c.checksum_offload) {
      sum = checksum_append(sum, checksum_add(0, from), done);
    }
    done += bytes;
    s.piece_offset += bytes;
    s.piece_left -= bytes;
  }
  return true;
}

GsoSplitter::Progress GsoSplitter::run(PacketBatch& out) {
  if (!active()) return Progress::done;
  PacketPool& pool = super_.pool();
  const Common c = common_;
  State s = state_;
  do {
    if (out.full()) {
      state_ = s;
      return Progress::batch_full;
    }
    const std::uint32_t n = std::min<std::uint32_t>(c.gso_size, s.left);
    Packet frame = next_frame(c, n);
    if (!frame) {
      state_ = s;
      return Progress::no_memory;
    }
    PacketMeta& m = frame.meta();
    Sum sum = 0;
    if (!c.linear && n <= s.piece_left) {  // nearly always: the payload of a frame is one piece
      const ChunkRef list = pool.take_chunk(ChunkClass::small);
      if (list == kNoChunk) {
        state_ = s;
        return Progress::no_memory;
      }
      *pool.fragment_array(list) = {s.piece_chunk, s.piece_offset, n};
      pool.add_ref(s.piece_chunk);
      m.fragments = list;
      m.fragment_count = 1;
      m.length += n;
      if (!c.checksum_offload) sum = checksum_add(0, ByteSpan{pool.data(s.piece_chunk) + s.piece_offset, n});
      s.piece_offset += n;
      s.piece_left -= n;
    } else {
      State after = s;
      if (!add_pieces(c, after, frame, n, sum)) {
        state_ = s;
        return Progress::no_memory;
      }
      s = after;
    }
    s.left -= n;
    finish_headers(c, s, pool.data(m.chunk) + m.offset, n, sum, s.left == 0);
    out.push(std::move(frame));
  } while (s.left > 0);
  state_ = s;
  super_.reset();
  return Progress::done;
}

}  // namespace leat
