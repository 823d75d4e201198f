#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/flow_hash.hpp>
#include <leat/offload/gro.hpp>

namespace leat {
namespace {

constexpr std::uint16_t kFlagBits = 0x1ff;
constexpr std::uint16_t kAck = 0x010;
constexpr std::uint16_t kPsh = 0x008;
constexpr std::uint8_t kCe = 3;
constexpr std::uint32_t kTimestampsWord = 0x0101080a;  // NOP, NOP, timestamps, length 10
constexpr std::uint32_t kMaxIpLength = 65535;
// Payloads up to this are copied behind those of the head: a chunk each would cost more memory than they are worth.
constexpr std::uint32_t kCopyUpTo = 512;

// A TCP segment of the batch, its headers parsed.
struct Segment {
  std::uint8_t* ip;
  std::uint8_t* tcp;
  PacketLayers layers;
  std::uint32_t payload;
  std::uint8_t tos;
  bool timestamps;
  bool mergeable;
};

// The packet that a connection's segments are merged into.
struct Flow {
  std::uint32_t tag;  // hash of addresses and ports
  std::uint32_t next_seq;
  std::uint8_t slot;  // its place in the batch
  std::uint8_t ce_marks;
  std::uint8_t tos;
  bool open;  // more may follow
  bool v6;
  bool timestamps;
  std::uint16_t l3;
  std::uint16_t l4;
  std::uint16_t payload;
  std::uint16_t gso_size;
  std::uint16_t segments;
  std::uint32_t ip_length;
  std::uint8_t* ip;
};

std::uint8_t traffic_class(const std::uint8_t* ip, bool v6) {
  return v6 ? static_cast<std::uint8_t>(load_be16(ip) >> 4) : ip[1];
}

std::uint32_t flow_tag(const std::uint8_t* ip, const std::uint8_t* tcp, bool v6) {
  const std::uint32_t ports = load_be32(tcp);
  if (!v6) return static_cast<std::uint32_t>(multiply_mix(load_be64(ip + 12), ports) >> 32);
  const std::uint64_t low = multiply_mix(load_be64(ip + 16), load_be64(ip + 32));
  return static_cast<std::uint32_t>(multiply_mix(low ^ load_be64(ip + 8), load_be64(ip + 24) ^ ports) >> 32);
}

bool same_addresses(const std::uint8_t* a, const std::uint8_t* b, bool v6) {
  return v6 ? std::memcmp(a + 8, b + 8, 32) == 0 : std::memcmp(a + 12, b + 12, 8) == 0;
}

// Whether a packet with these headers is of the flow's connection.
bool is_of(const Flow& f, const std::uint8_t* ip, const std::uint8_t* tcp, bool v6) {
  return f.v6 == v6 && load_be32(f.ip + (f.l4 - f.l3)) == load_be32(tcp) && same_addresses(f.ip, ip, v6);
}

// What the segments of one packet must have in common besides addresses and ports; ECN is looked at apart.
bool same_path(const std::uint8_t* a, const std::uint8_t* b, bool v6) {
  if (v6) return ((load_be32(a) ^ load_be32(b)) & ~0x00300000U) == 0 && a[7] == b[7];  // DSCP, flow label; hop limit
  return ((a[1] ^ b[1]) & 0xfc) == 0 && a[8] == b[8];
}

// ECT(0) and ECT(1) never share a packet, nor does Not-ECT with either; CE joins both.
bool ecn_fits(std::uint8_t a, std::uint8_t b) {
  a &= 3;
  b &= 3;
  return a == b || (a != 0 && b != 0 && (a == kCe || b == kCe));
}

// Sequence numbers and timestamps: b is a or later.
bool not_before(std::uint32_t b, std::uint32_t a) {
  return static_cast<std::int32_t>(b - a) >= 0;
}

void set_offsets(PacketMeta& m, const PacketLayers& layers) {
  m.l3_offset = layers.l3;
  m.l4_offset = layers.l4;
  m.payload_offset = layers.payload;
}

class Merger {
 public:
  Merger(PacketBatch& batch, GroCounters& counters) : batch_(batch), counters_(counters) {}
  void add(std::uint8_t slot, const Segment& s);
  // Something came that is not to be overtaken: the connection's next segment begins a packet.
  void end(const std::uint8_t* ip, const std::uint8_t* tcp, bool v6);
  // Whether p was the plain next segment of a connection and has been joined.
  [[nodiscard]] bool join_next(Packet& p);
  void finish() {
    for (std::size_t i = 0; i < count_; ++i) close(flows_[i]);
  }

 private:
  Flow* find(const std::uint8_t* ip, const std::uint8_t* tcp, bool v6);
  Flow* find_or_begin(const Segment& s);
  void start(Flow& f, std::uint8_t slot, const Segment& s);
  [[nodiscard]] bool join(Flow& f, Packet& p, const Segment& s);
  void note(Flow& f, std::uint8_t tos, std::uint32_t payload);
  void close(Flow& f);

  PacketBatch& batch_;
  GroCounters& counters_;
  std::array<Flow, Gro::kFlows> flows_;
  std::array<std::uint8_t, 64> hints_{};  // by tag: place in flows_, plus one
  std::size_t count_ = 0;
  std::size_t recent_ = 0;
  std::size_t oldest_ = 0;
};

// The flow of the connection with these headers, if there is one.
Flow* Merger::find(const std::uint8_t* ip, const std::uint8_t* tcp, bool v6) {
  if (count_ == 0) return nullptr;
  const auto is = [&](const Flow& f) { return is_of(f, ip, tcp, v6); };
  if (is(flows_[recent_])) return &flows_[recent_];
  const std::uint32_t tag = flow_tag(ip, tcp, v6);
  // The hint names the last flow with such a tag; none means that there is no flow with it.
  const std::uint8_t hint = hints_[tag % hints_.size()];
  if (hint > 0 && is(flows_[hint - 1U])) {
    recent_ = hint - 1U;
    return &flows_[recent_];
  }
  for (std::size_t i = 0; hint > 0 && i < count_; ++i) {
    if (flows_[i].tag != tag || !is(flows_[i])) continue;
    recent_ = i;
    return &flows_[i];
  }
  return nullptr;
}

// The connection's flow, or a new one (count 0 segments) when this segment may begin a packet, or nothing.
Flow* Merger::find_or_begin(const Segment& s) {
  const bool v6 = s.layers.version == IpVersion::v6;
  if (Flow* const f = find(s.ip, s.tcp, v6)) return f;
  if (!s.mergeable) return nullptr;
  if (count_ < flows_.size()) {
    recent_ = count_++;
  } else {
    recent_ = oldest_;
    oldest_ = (oldest_ + 1) % flows_.size();
    close(flows_[recent_]);
  }
  const std::uint32_t tag = flow_tag(s.ip, s.tcp, v6);
  hints_[tag % hints_.size()] = static_cast<std::uint8_t>(recent_ + 1);
  flows_[recent_].tag = tag;
  flows_[recent_].segments = 0;
  return &flows_[recent_];
}

void Merger::start(Flow& f, std::uint8_t slot, const Segment& s) {
  f.next_seq = load_be32(s.tcp + 4) + s.payload;
  f.slot = slot;
  f.tos = s.tos;
  f.ce_marks = (s.tos & 3) == kCe ? 1 : 0;
  f.open = s.mergeable;
  f.v6 = s.layers.version == IpVersion::v6;
  f.timestamps = s.timestamps;
  f.l3 = s.layers.l3;
  f.l4 = s.layers.l4;
  f.payload = s.layers.payload;
  f.gso_size = static_cast<std::uint16_t>(s.payload);
  f.segments = 1;
  f.ip_length = s.layers.end - s.layers.l3;
  f.ip = s.ip;
}

// Makes segment s the continuation of the packet in f. On false nothing changed.
bool Merger::join(Flow& f, Packet& p, const Segment& s) {
  std::uint8_t* tcp = f.ip + (f.l4 - f.l3);
  if (load_be32(s.tcp + 4) != f.next_seq || s.payload > f.gso_size || f.ip_length + s.payload > kMaxIpLength ||
      s.timestamps != f.timestamps || !ecn_fits(f.tos, s.tos) || !same_path(f.ip, s.ip, f.v6) ||
      !not_before(load_be32(s.tcp + 8), load_be32(tcp + 8)) ||
      (f.timestamps && !not_before(load_be32(s.tcp + 24), load_be32(tcp + 24)))) {
    return false;
  }
  Packet& head = batch_[f.slot];
  const std::uint16_t flags = static_cast<std::uint16_t>(load_be16(s.tcp + 12) | load_be16(tcp + 12));
  // The packet may go away below: take what is needed of its header first.
  const std::uint32_t ack = load_be32(s.tcp + 8);
  const std::uint16_t window = load_be16(s.tcp + 14);
  const std::uint64_t stamps = s.timestamps ? load_be64(s.tcp + 24) : 0;
  if (s.payload <= kCopyUpTo && head.meta().fragment_count == 0 && s.payload <= head.tailroom()) {
    p.copy_out(s.layers.payload, head.append(s.payload));
    p.reset();
  } else {
    p.trim_front(s.layers.payload);
    if (!head.absorb(std::move(p))) {  // too many pieces, or no chunk for the list of them
      // NOLINTNEXTLINE(bugprone-use-after-move): a refusal leaves it whole
      static_cast<void>(p.prepend(s.layers.payload));
      set_offsets(p.meta(), s.layers);
      return false;
    }
  }
  store_be16(tcp + 12, flags);
  store_be32(tcp + 8, ack);
  store_be16(tcp + 14, window);
  if (f.timestamps) store_be64(tcp + 24, stamps);
  note(f, s.tos, s.payload);
  return true;
}

// A segment has been joined.
inline void Merger::note(Flow& f, std::uint8_t tos, std::uint32_t payload) {
  if ((tos & 3) == kCe) {
    if (f.ce_marks < 255) ++f.ce_marks;
    f.tos |= kCe;
  }
  f.next_seq += payload;
  f.ip_length += payload;
  ++f.segments;
  f.open = payload == f.gso_size;
  ++counters_.merged;
}

// The general way parses, verifies, finds the flow and compares field by field. Here the flow is guessed, so that
// nearly all of it is a comparison with the bytes of its first header; whatever differs goes the general way, which
// decides.
inline bool Merger::join_next(Packet& p) {
  PacketMeta& m = p.meta();
  // With that many bytes in the head all headers are there, and no bound needs a look below.
  if (count_ == 0 || m.head_length < kCopyUpTo || m.head_length != m.length || m.gso_size != 0) return false;
  std::uint8_t* ip = p.pool().data(m.chunk) + m.offset + flows_[0].l3;  // one link header for all
  const bool v6 = (ip[0] >> 4) == 6;
  const std::uint8_t* tcp = ip + (v6 ? wire::Ipv6Header::kLength : wire::Ipv4Header::kLength);
  if (!is_of(flows_[recent_], ip, tcp, v6)) {
    const std::uint8_t hint = hints_[flow_tag(ip, tcp, v6) % hints_.size()];
    if (hint == 0 || !is_of(flows_[hint - 1U], ip, tcp, v6)) return false;
    recent_ = hint - 1U;
  }
  Flow& f = flows_[recent_];
  if (!f.open || m.length <= f.payload + kCopyUpTo) return false;
  const std::uint32_t payload = m.length - f.payload;
  if (payload > f.gso_size || f.ip_length + payload > kMaxIpLength) return false;
  std::uint8_t* first_tcp = f.ip + (f.l4 - f.l3);
  if (f.l3 != 0 && load_be16(ip - 2) != (f.v6 ? 0x86dd : 0x0800)) return false;
  if (f.v6) {
    if (((load_be64(ip) ^ load_be64(f.ip)) & 0xffffffff0000ffffULL) != 0 ||
        load_be16(ip + 4) + f.l3 + wire::Ipv6Header::kLength != m.length) {
      return false;
    }
  } else {
    // Version, header length and TOS (which the first header has as it came); no fragment; TTL and protocol.
    if (load_be16(ip) != load_be16(f.ip) || load_be16(ip + 2) + std::uint32_t{f.l3} != m.length ||
        (load_be16(ip + 6) & 0x3fff) != 0 || load_be16(ip + 8) != load_be16(f.ip + 8) ||
        wire::Ipv4Header::header_sum({ip, wire::Ipv4Header::kLength}) != 0xffff) {
      return false;
    }
  }
  const std::uint32_t ack = load_be32(tcp + 8);
  const std::uint16_t flags = load_be16(tcp + 12);
  if (load_be32(tcp + 4) != f.next_seq || ((flags ^ load_be16(first_tcp + 12)) & ~kPsh) != 0 ||
      !not_before(ack, load_be32(first_tcp + 8)) ||
      (f.timestamps &&
       (load_be32(tcp + 20) != kTimestampsWord || !not_before(load_be32(tcp + 24), load_be32(first_tcp + 24))))) {
    return false;
  }
  if (!checksum_trusted(m.checksum)) {
    const Sum pseudo = pseudo_header_sum_at(ip, f.v6 ? IpVersion::v6 : IpVersion::v4,
                                            static_cast<std::uint8_t>(wire::IpProtocol::tcp), m.length - f.l4);
    if (checksum_add(pseudo, ByteSpan{tcp, m.length - f.l4}) != 0xffff) return false;
    m.checksum = ChecksumState::verified;
  }
  const std::uint16_t window = load_be16(tcp + 14);
  const std::uint64_t stamps = f.timestamps ? load_be64(tcp + 24) : 0;
  const std::uint8_t tos = traffic_class(ip, f.v6);
  if (!batch_[f.slot].absorb(std::move(p), f.payload)) return false;
  store_be16(first_tcp + 12, static_cast<std::uint16_t>(load_be16(first_tcp + 12) | flags));
  store_be32(first_tcp + 8, ack);
  store_be16(first_tcp + 14, window);
  if (f.timestamps) store_be64(first_tcp + 24, stamps);
  note(f, tos, payload);
  return true;
}

// Writes into the merged packet's IP header and meta what all its segments add up to.
void Merger::close(Flow& f) {
  f.open = false;
  if (f.segments == 1) return;
  PacketMeta& m = batch_[f.slot].meta();
  m.ce_marks = f.ce_marks;
  m.merged = f.segments;
  m.gso_size = f.gso_size;
  m.gso_type = f.v6 ? GsoType::tcp_v6 : GsoType::tcp_v4;
  if (f.v6) {
    store_be16(f.ip, static_cast<std::uint16_t>((load_be16(f.ip) & 0xf00f) | (std::uint32_t{f.tos} << 4)));
    store_be16(f.ip + 4, static_cast<std::uint16_t>(f.ip_length - wire::Ipv6Header::kLength));
    return;
  }
  f.ip[1] = f.tos;
  store_be16(f.ip + 2, static_cast<std::uint16_t>(f.ip_length));
  store_be16(f.ip + 10, 0);
  store_be16(f.ip + 10, checksum_finish(wire::Ipv4Header::header_sum({f.ip, wire::Ipv4Header::kLength})));
}

void Merger::end(const std::uint8_t* ip, const std::uint8_t* tcp, bool v6) {
  if (Flow* const f = find(ip, tcp, v6); f != nullptr && f->open) close(*f);
}

void Merger::add(std::uint8_t slot, const Segment& s) {
  Flow* f = find_or_begin(s);
  if (f == nullptr) return;
  if (f->segments > 0) {
    if (f->open && s.mergeable && join(*f, batch_[slot], s)) return;
    close(*f);
  }
  start(*f, slot, s);
}

// Whether a segment may begin or continue a packet. The head must be ours to write; it is written only when it begins
// one, but a shared one is too rare to care.
bool mergeable(const Packet& p, const Segment& s) {
  const std::uint16_t flags = load_be16(s.tcp + 12) & kFlagBits;
  return (flags & static_cast<std::uint16_t>(~kPsh)) == kAck && s.payload > 0 && !s.layers.extensions &&
         (s.timestamps || s.layers.payload - s.layers.l4 == int{wire::TcpHeader::kLength}) && p.meta().gso_size == 0 &&
         p.exclusive();
}

}  // namespace

void Gro::merge(PacketBatch& batch) {
  if (batch.size() < 2) {  // nothing to merge with: all that could be done here the core does as well
    counters_.packets += batch.size();
    return;
  }
  Merger merger(batch, counters_);
  counters_.packets += batch.size();
  const std::uint64_t merged_before = counters_.merged;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (i + 1 < batch.size()) {
      const ByteSpan next = batch[i + 1].head();
      __builtin_prefetch(next.data());
      __builtin_prefetch(next.data() + 64);
    }
    Packet& p = batch[i];
    if (merger.join_next(p)) continue;
    const PacketLayers layers = packet_layers(p, link_);
    if (layers.kind != PacketLayers::Kind::tcp && layers.kind != PacketLayers::Kind::udp) continue;
    PacketMeta& m = p.meta();
    std::uint8_t* ip = p.pool().data(m.chunk) + m.offset + layers.l3;
    const bool v6 = layers.version == IpVersion::v6;
    if (layers.kind == PacketLayers::Kind::tcp && layers.end == layers.payload) {
      // A segment without payload merges with nothing, so the core may verify it. It ends what its flow has begun.
      set_offsets(m, layers);
      if ((traffic_class(ip, v6) & 3) == kCe) m.ce_marks = 1;
      merger.end(ip, ip + (layers.l4 - layers.l3), v6);
      continue;
    }
    if (!v6 && wire::Ipv4Header::header_sum({ip, (ip[0] & 15U) * 4}) != 0xffff) {
      ++counters_.bad_checksums;
      continue;
    }
    if (m.length > layers.end) p.truncate(layers.end);  // link padding
    if (verify_checksum(p, layers) == ChecksumVerdict::bad) {
      ++counters_.bad_checksums;
      continue;
    }
    set_offsets(m, layers);
    if (layers.kind != PacketLayers::Kind::tcp) continue;
    Segment s;
    s.ip = ip;
    s.tcp = ip + (layers.l4 - layers.l3);
    s.layers = layers;
    s.payload = layers.end - layers.payload;
    s.tos = traffic_class(ip, v6);
    s.timestamps = layers.payload - layers.l4 == int{wire::TcpHeader::kLength + wire::TcpHeader::kTimestampsLength} &&
                   load_be32(s.tcp + 20) == kTimestampsWord;
    s.mergeable = mergeable(p, s);
    if ((s.tos & 3) == kCe) m.ce_marks = 1;
    merger.add(static_cast<std::uint8_t>(i), s);
  }
  merger.finish();
  if (counters_.merged != merged_before) batch.compact();
}

}  // namespace leat
