#pragma once
// Frames for tests of offload and of devices: TCP and UDP, both IP versions, Ethernet or raw, right checksums computed
// the slow and obvious way.

#include <gtest/gtest.h>

#include <leat/buf/packet.hpp>
#include <leat/offload/packet_layers.hpp>
#include <leat/wire/tcp_options.hpp>
#include <memory>
#include <vector>

namespace leat::test {

using Bytes = std::vector<std::uint8_t>;

struct Memory {
  explicit Memory(const PoolLayout& l) : bytes(PacketPool::bytes_needed(l)), pool(bytes, l) {}
  std::vector<std::uint8_t> bytes;
  PacketPool pool;
};

inline Bytes numbers(std::size_t n, unsigned seed = 0) {
  Bytes v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::uint8_t>((i * 7 + seed * 13) ^ (i >> 8));
  return v;
}

inline Bytes contents(const Packet& p) {
  Bytes v(p.size());
  p.copy_out(0, v);
  return v;
}

// RFC 1071, a byte pair at a time: the reference that everything is compared with.
inline std::uint16_t slow_checksum(const Bytes& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(data[i] << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

struct FrameSpec {
  LinkType link = LinkType::ethernet;
  bool v6 = false;
  bool udp = false;
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 80;
  std::uint32_t seq = 1000;
  std::uint32_t ack = 77;
  wire::TcpFlags flags = wire::TcpFlag::ack;
  std::uint16_t window = 500;
  bool timestamps = true;
  std::uint32_t ts_value = 10;
  std::uint32_t ts_echo = 5;
  Bytes options{};  // instead of timestamps
  std::uint8_t tos = 0;
  std::uint16_t id = 7;
  std::uint8_t ttl = 64;
  Bytes payload{};
  std::size_t padding = 0;
};

inline IpAddress source_of(const FrameSpec& s) {
  return s.v6 ? *IpAddress::parse("fd00::1") : IpAddress::v4(10, 0, 0, 1);
}
inline IpAddress destination_of(const FrameSpec& s) {
  return s.v6 ? *IpAddress::parse("fd00::2") : IpAddress::v4(10, 0, 0, 2);
}

inline std::size_t header_length(const FrameSpec& s) {
  return link_header_length(s.link) + (s.v6 ? 40 : 20) +
         (s.udp ? 8 : 20 + (s.options.empty() ? (s.timestamps ? 12 : 0) : s.options.size()));
}

// The checksum over pseudo-header, transport header and payload, `l4` with a zero field.
inline std::uint16_t transport_checksum(const FrameSpec& s, const Bytes& l4) {
  Bytes whole;
  for (const IpAddress& a : {source_of(s), destination_of(s)}) {
    const ByteSpan w = a.wire();
    whole.insert(whole.end(), w.begin(), w.end());
  }
  const auto n = static_cast<std::uint32_t>(l4.size());
  for (int shift = 24; shift >= 0; shift -= 8) whole.push_back(static_cast<std::uint8_t>(n >> shift));
  whole.insert(whole.end(), {0, 0, 0, static_cast<std::uint8_t>(s.udp ? 17 : 6)});
  whole.insert(whole.end(), l4.begin(), l4.end());
  return slow_checksum(whole);
}

inline Bytes make_frame(const FrameSpec& s) {
  Bytes l4;
  if (s.udp) {
    l4.resize(8);
    const wire::UdpHeader h{Port{s.source_port}, Port{s.destination_port},
                            static_cast<std::uint16_t>(8 + s.payload.size()), 0};
    EXPECT_EQ(h.emit(l4), 8U);
  } else {
    Bytes options = s.options;
    if (options.empty() && s.timestamps) {
      options = {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
      store_be32(&options[4], s.ts_value);
      store_be32(&options[8], s.ts_echo);
    }
    l4.resize(20 + options.size());
    const wire::TcpHeader h{.source_port = Port{s.source_port},
                            .destination_port = Port{s.destination_port},
                            .seq = SeqNum{s.seq},
                            .ack = SeqNum{s.ack},
                            .flags = s.flags,
                            .window = s.window};
    EXPECT_EQ(h.emit(l4, options.size()), l4.size());
    std::copy(options.begin(), options.end(), l4.begin() + 20);
  }
  l4.insert(l4.end(), s.payload.begin(), s.payload.end());
  std::uint16_t sum = transport_checksum(s, l4);
  if (s.udp && sum == 0) sum = 0xffff;
  store_be16(&l4[s.udp ? 6 : 16], sum);

  Bytes frame;
  if (s.link == LinkType::ethernet) {
    frame.resize(14);
    const wire::EthernetHeader h{MacAddress{{2, 0, 0, 0, 0, 2}}, MacAddress{{2, 0, 0, 0, 0, 1}},
                                 s.v6 ? wire::EtherType::ipv6 : wire::EtherType::ipv4};
    EXPECT_EQ(h.emit(frame), 14U);
  }
  const std::size_t l3 = frame.size();
  const auto protocol = s.udp ? wire::IpProtocol::udp : wire::IpProtocol::tcp;
  if (s.v6) {
    frame.resize(l3 + 40);
    const wire::Ipv6Header h{.traffic_class = s.tos,
                             .flow_label = 0x12345,
                             .payload_length = static_cast<std::uint16_t>(l4.size()),
                             .next_header = protocol,
                             .hop_limit = s.ttl,
                             .source = source_of(s),
                             .destination = destination_of(s)};
    EXPECT_EQ(h.emit(MutableByteSpan{frame}.subspan(l3)), 40U);
  } else {
    frame.resize(l3 + 20);
    wire::Ipv4Header h;
    h.tos = s.tos;
    h.id = s.id;
    h.dont_fragment = true;
    h.ttl = s.ttl;
    h.protocol = protocol;
    h.source = source_of(s);
    h.destination = destination_of(s);
    h.payload_length = static_cast<std::uint16_t>(l4.size());
    EXPECT_EQ(h.emit(MutableByteSpan{frame}.subspan(l3)), 20U);
  }
  frame.insert(frame.end(), l4.begin(), l4.end());
  frame.insert(frame.end(), s.padding, 0);
  return frame;
}

// The bytes in the smallest chunk that holds them.
inline Packet packet_of(PacketPool& pool, const Bytes& bytes) {
  Packet p = pool.allocate_for(static_cast<std::uint32_t>(bytes.size()));
  EXPECT_TRUE(p);
  if (p) std::copy(bytes.begin(), bytes.end(), p.append(static_cast<std::uint32_t>(bytes.size())).begin());
  return p;
}

// A super-segment: headers in the head, the payload in fragments of the given sizes (the rest of it in the last one).
inline Packet super_segment(PacketPool& pool, const FrameSpec& s, std::uint16_t gso_size,
                            const std::vector<std::uint32_t>& pieces = {}) {
  const Bytes frame = make_frame(s);
  const auto headers = static_cast<std::uint32_t>(header_length(s));
  Packet p;
  if (pieces.empty()) {
    p = packet_of(pool, frame);
  } else {
    p = packet_of(pool, Bytes(frame.begin(), frame.begin() + headers));
    std::uint32_t at = headers;
    for (std::size_t i = 0; at < frame.size(); ++i) {
      const auto left = static_cast<std::uint32_t>(frame.size()) - at;
      const std::uint32_t n = i + 1 < pieces.size() ? std::min(pieces[i], left) : left;
      const ChunkRef c = pool.take_chunk(n > 2048 ? ChunkClass::large : ChunkClass::normal);
      EXPECT_NE(c, kNoChunk);
      std::memcpy(pool.data(c), &frame[at], n);
      EXPECT_TRUE(p.add_fragment(c, 0, n));
      pool.drop_ref(c);
      at += n;
    }
  }
  PacketMeta& m = p.meta();
  m.l3_offset = static_cast<std::uint16_t>(link_header_length(s.link));
  m.l4_offset = static_cast<std::uint16_t>(m.l3_offset + (s.v6 ? 40 : 20));
  m.payload_offset = static_cast<std::uint16_t>(headers);
  m.gso_size = gso_size;
  m.gso_type = s.udp ? GsoType::udp : (s.v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
  return p;
}

// What a sender with segments of `size` would have put on the wire.
inline std::vector<Bytes> wire_frames(FrameSpec s, std::size_t size) {
  std::vector<Bytes> frames;
  const Bytes all = s.payload;
  const wire::TcpFlags flags = s.flags;
  for (std::size_t at = 0; at < all.size(); at += size) {
    const bool last = at + size >= all.size();
    s.payload.assign(all.begin() + static_cast<std::ptrdiff_t>(at),
                     all.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, all.size())));
    s.flags = flags;
    if (!last) s.flags = s.flags.without(wire::TcpFlag::fin | wire::TcpFlag::psh);
    if (at != 0) s.flags = s.flags.without(wire::TcpFlag::cwr);
    frames.push_back(make_frame(s));
    s.seq += static_cast<std::uint32_t>(s.payload.size());
    ++s.id;
  }
  return frames;
}

}  // namespace leat::test
