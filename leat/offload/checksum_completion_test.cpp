#include <gtest/gtest.h>

#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/flow_hash.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <random>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

struct ChecksumCompletion : testing::Test {
  Memory m{{.packets = 64, .chunks = {64, 64, 4}}};
};

TEST_F(ChecksumCompletion, SumsAcrossFragmentsOfAnyLengthLikeOneBuffer) {
  std::mt19937 random(7);
  const Bytes data = numbers(4000);
  for (int round = 0; round < 200; ++round) {
    Packet p = packet_of(m.pool, Bytes(data.begin(), data.begin() + random() % 60));
    std::size_t at = p.size();
    while (at < data.size() && p.fragments().size() < kMaxFragments) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 400, data.size() - at);
      const ChunkRef c = m.pool.take_chunk(ChunkClass::normal);
      std::memcpy(m.pool.data(c), &data[at], n);
      ASSERT_TRUE(p.add_fragment(c, 0, static_cast<std::uint32_t>(n)));
      m.pool.drop_ref(c);
      at += n;
    }
    const auto offset = static_cast<std::uint32_t>(random() % p.size());
    const auto length = static_cast<std::uint32_t>(random() % (p.size() - offset + 1));
    const Bytes part(data.begin() + offset, data.begin() + offset + length);
    EXPECT_EQ(checksum_finish(checksum_packet(0, p, offset, length)), slow_checksum(part)) << offset << "+" << length;
  }
  EXPECT_TRUE(m.pool.all_free());
}

// A packet whose sender left the field to its device: it holds the folded sum of the pseudo-header.
Packet unfinished(PacketPool& pool, const FrameSpec& s, const std::vector<std::uint32_t>& pieces) {
  Packet p = super_segment(pool, s, 0, pieces);
  PacketMeta& meta = p.meta();
  meta.gso_type = GsoType::none;
  const auto length = p.size() - meta.l4_offset;
  const Sum pseudo = pseudo_header_sum(source_of(s), destination_of(s), s.udp ? 17 : 6, length);
  store_be16(&p.writable_head()[meta.l4_offset + (s.udp ? 6U : 16U)], static_cast<std::uint16_t>(pseudo));
  meta.checksum = ChecksumState::to_fill;
  return p;
}

TEST_F(ChecksumCompletion, CompletesWhatTheSenderLeftToTheDevice) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
        for (const std::size_t n : {0U, 1U, 2U, 999U, 1448U}) {
          const FrameSpec s{.link = link, .v6 = v6, .udp = udp, .payload = numbers(n)};
          for (const auto& pieces : std::vector<std::vector<std::uint32_t>>{{}, {333, 1, 0}}) {
            Packet p = unfinished(m.pool, s, pieces);
            ASSERT_TRUE(complete_checksum(p, link));
            EXPECT_EQ(contents(p), make_frame(s));
            EXPECT_EQ(p.meta().checksum, ChecksumState::none);
          }
        }
      }
    }
  }
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(ChecksumCompletion, UdpNeverSendsZero) {
  // RFC 768: find a payload whose checksum comes out as zero; it must go out as all ones.
  FrameSpec s{.udp = true, .payload = {0, 0}};
  Bytes l4 = make_frame(s);
  l4.erase(l4.begin(), l4.begin() + 34);
  l4[6] = l4[7] = 0;
  const std::uint16_t sum = transport_checksum(s, l4);
  s.payload = {static_cast<std::uint8_t>(sum >> 8), static_cast<std::uint8_t>(sum)};
  Packet p = unfinished(m.pool, s, {});
  ASSERT_TRUE(complete_checksum(p, s.link));
  EXPECT_EQ(load_be16(&contents(p)[34 + 6]), 0xffff);
  EXPECT_EQ(verify_checksum(p, s.link), ChecksumVerdict::good);
}

TEST_F(ChecksumCompletion, AnyFlippedBitBehindTheIpHeaderIsFound) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      const FrameSpec s{.v6 = v6, .udp = udp, .payload = numbers(41), .padding = 5};
      const Bytes good = make_frame(s);
      const std::size_t l4 = 14 + (v6 ? 40 : 20);
      for (std::size_t bit = l4 * 8; bit < (good.size() - s.padding) * 8; ++bit) {
        Bytes bytes = good;
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        Packet p = packet_of(m.pool, bytes);
        EXPECT_NE(verify_checksum(p, s.link), ChecksumVerdict::good) << bit;
        EXPECT_EQ(p.meta().checksum, ChecksumState::none);
      }
      Packet p = packet_of(m.pool, good);
      EXPECT_EQ(verify_checksum(p, s.link), ChecksumVerdict::good);
      EXPECT_EQ(p.meta().checksum, ChecksumState::verified);
    }
  }
}

TEST_F(ChecksumCompletion, UdpWithoutChecksumIsGoodOverIpv4AndBadOverIpv6) {
  for (const bool v6 : {false, true}) {
    const FrameSpec s{.v6 = v6, .udp = true, .payload = numbers(20)};
    Bytes bytes = make_frame(s);
    bytes[header_length(s) - 2] = bytes[header_length(s) - 1] = 0;
    Packet p = packet_of(m.pool, bytes);
    EXPECT_EQ(verify_checksum(p, s.link), v6 ? ChecksumVerdict::bad : ChecksumVerdict::good);
  }
}

TEST_F(ChecksumCompletion, LeavesFragmentsAndTruncatedPacketsToTheCore) {
  const FrameSpec s{.payload = numbers(100)};
  Bytes fragment = make_frame(s);
  fragment[14 + 6] = 0x20;  // more fragments
  Packet p = packet_of(m.pool, fragment);
  EXPECT_EQ(verify_checksum(p, s.link), ChecksumVerdict::unknown);
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      const Bytes whole = make_frame({.v6 = v6, .udp = udp, .payload = numbers(10)});
      for (std::size_t n = 0; n < whole.size(); ++n) {
        Packet cut = packet_of(m.pool, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
        EXPECT_EQ(verify_checksum(cut, LinkType::ethernet), ChecksumVerdict::unknown) << n;
      }
    }
  }
}

TEST_F(ChecksumCompletion, ASharedHeadIsNotWritten) {
  const FrameSpec s{.payload = numbers(100)};
  Packet p = unfinished(m.pool, s, {});
  Packet second = p.clone();
  EXPECT_FALSE(complete_checksum(p, s.link));
  EXPECT_TRUE(checksum_to_fill(p, s.link).has_value());  // looking is free
  second.reset();
  EXPECT_TRUE(complete_checksum(p, s.link));
}

TEST(FlowHash, BothDirectionsAndAnIcmpQuoteMeet) {
  for (const bool v6 : {false, true}) {
    const FrameSpec out{.link = LinkType::ip, .v6 = v6, .payload = numbers(10)};
    const Bytes sent = make_frame(out);
    // The reply: addresses and ports exchanged.
    Bytes reply = sent;
    const std::size_t a = v6 ? 8 : 12;
    const std::size_t n = v6 ? 16 : 4;
    for (std::size_t i = 0; i < n; ++i) std::swap(reply[a + i], reply[a + n + i]);
    const std::size_t l4 = v6 ? 40 : 20;
    for (std::size_t i = 0; i < 2; ++i) std::swap(reply[l4 + i], reply[l4 + 2 + i]);

    const auto ours = packet_flow(sent, FlowDirection::sent);
    const auto theirs = packet_flow(reply, FlowDirection::received);
    const auto quoted = packet_flow(ByteSpan{sent}.first(l4 + 8), FlowDirection::sent);  // what an ICMP error carries
    ASSERT_TRUE(ours && theirs && quoted);
    EXPECT_EQ(ours->key, theirs->key);
    EXPECT_EQ(ours->key, quoted->key);
    EXPECT_TRUE(quoted->has_ports);
    const SipKey key{1, 2};
    EXPECT_EQ(steering_hash(key, ours->key), steering_hash(key, theirs->key));
    EXPECT_EQ(flow_hash(ours->key), flow_hash(theirs->key));
    EXPECT_NE(steering_hash(key, ours->key), steering_hash({1, 3}, ours->key));
  }
}

TEST(FlowHash, AllFragmentsOfADatagramMeet) {
  Bytes first = make_frame({.link = LinkType::ip, .udp = true, .payload = numbers(16)});
  Bytes second = first;
  first[6] = 0x20;
  second[6] = 0;
  second[7] = 3;
  second[20] ^= 0xff;  // payload, no ports
  const auto a = packet_flow(first, FlowDirection::received);
  const auto b = packet_flow(second, FlowDirection::received);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(a->has_ports);
  EXPECT_EQ(a->key, b->key);
}

TEST(FlowHash, SpreadsNeighbouringPorts) {
  std::array<unsigned, 64> buckets{};
  FlowKey key{.local = IpAddress::v4(10, 0, 0, 2),
              .remote = IpAddress::v4(10, 0, 0, 1),
              .local_port = Port{80},
              .remote_port = Port{}};
  for (std::uint16_t port = 0; port < 6400; ++port) {
    key.remote_port = Port{port};
    ++buckets[flow_hash(key) % 64];
  }
  for (const unsigned n : buckets) {
    EXPECT_GT(n, 50U);
    EXPECT_LT(n, 150U);
  }
}

}  // namespace
}  // namespace leat
