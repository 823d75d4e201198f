#include <gtest/gtest.h>

#include <leat/device/vnet_header.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <leat/offload/gso.hpp>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

constexpr std::uint16_t kTcpField = 16;
constexpr std::uint16_t kUdpField = 6;

struct Vnet : testing::Test {
  Memory m{{.packets = 16, .chunks = {16, 16, 2}}};

  // Metadata of a frame that says nothing, and its bytes, as it was before.
  void expect_untouched(const Packet& p, const Bytes& before) {
    EXPECT_EQ(contents(p), before);
    EXPECT_EQ(p.meta().gso_size, 0);
    EXPECT_EQ(p.meta().gso_type, GsoType::none);
  }
};

// The header of a frame whose checksum is still to come, and whose segments have `gso_size` octets where that is not 0.
VnetHeader header_for(const FrameSpec& s, std::uint16_t gso_size = 0) {
  VnetHeader v{.flags = VnetHeader::kNeedsChecksum};
  v.checksum_start = static_cast<std::uint16_t>(link_header_length(s.link) + (s.v6 ? 40U : 20U));
  v.checksum_offset = s.udp ? kUdpField : kTcpField;
  if (gso_size == 0) return v;
  v.gso_type = s.udp ? VnetHeader::kGsoUdp : s.v6 ? VnetHeader::kGsoTcp6 : VnetHeader::kGsoTcp4;
  v.gso_size = gso_size;
  v.header_length = static_cast<std::uint16_t>(header_length(s));
  return v;
}

TEST_F(Vnet, TheBytesAreThoseOfLinuxAndTheShortFormLacksTheBuffers) {
  const VnetHeader v{1, 4, 0x1122, 0x3344, 0x5566, 0x7788, 0x99aa};
  Bytes bytes(VnetHeader::kLength);
  v.emit(bytes);
  const auto field = [&](std::size_t at) {
    std::uint16_t value = 0;
    std::memcpy(&value, &bytes[at], 2);
    return value;
  };
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[1], 4);
  EXPECT_EQ(field(2), 0x1122);
  EXPECT_EQ(field(4), 0x3344);
  EXPECT_EQ(field(6), 0x5566);
  EXPECT_EQ(field(8), 0x7788);
  EXPECT_EQ(field(10), 0x99aa);
  VnetHeader without = v;
  without.buffers = 0;
  EXPECT_EQ(VnetHeader::parse(bytes), without);  // nobody asked for several buffers
  Bytes shorter(VnetHeader::kShortLength);
  v.emit(shorter);
  EXPECT_EQ(VnetHeader::parse(shorter), without);
}

TEST_F(Vnet, AFrameOfWhichNothingIsSaidIsLeftAlone) {
  const Bytes frame = make_frame({.payload = numbers(100)});
  Packet p = packet_of(m.pool, frame);
  EXPECT_TRUE(apply_vnet_header({}, p, LinkType::ethernet));
  expect_untouched(p, frame);
  EXPECT_EQ(p.meta().checksum, ChecksumState::none);
  EXPECT_TRUE(apply_vnet_header({.flags = VnetHeader::kDataValid}, p, LinkType::ethernet));
  EXPECT_EQ(p.meta().checksum, ChecksumState::verified);
}

TEST_F(Vnet, AGoodChecksumIsBelievedOfSuperSegmentsTooButNotOfOneThatIsToCome) {
  const FrameSpec s{.payload = numbers(1000)};
  VnetHeader v = header_for(s, 400);
  v.flags = VnetHeader::kDataValid;
  Packet whole = packet_of(m.pool, make_frame(s));
  ASSERT_TRUE(apply_vnet_header(v, whole, s.link));
  EXPECT_EQ(whole.meta().checksum, ChecksumState::verified);
  EXPECT_EQ(whole.meta().merged, 3);
  v.flags |= VnetHeader::kNeedsChecksum;
  Packet unfinished = packet_of(m.pool, make_frame(s));
  ASSERT_TRUE(apply_vnet_header(v, unfinished, s.link));
  EXPECT_EQ(unfinished.meta().checksum, ChecksumState::to_fill);
}

TEST_F(Vnet, WhatIsReceivedUnfinishedGoesOutUnfinishedWithTheSameHeader) {
  for (const LinkType link : {LinkType::ethernet, LinkType::ip}) {
    for (const bool v6 : {false, true}) {
      for (const bool udp : {false, true}) {
        for (const std::uint16_t size : std::vector<std::uint16_t>{0, 400}) {
          const FrameSpec s{.link = link, .v6 = v6, .udp = udp, .payload = numbers(1000)};
          const VnetHeader v = header_for(s, size);
          Packet p = packet_of(m.pool, make_frame(s));
          if (udp && size != 0) {
            EXPECT_FALSE(apply_vnet_header(v, p, link)) << "glued datagrams, which nobody asked for";
            continue;
          }
          ASSERT_TRUE(apply_vnet_header(v, p, link));
          const PacketMeta& meta = p.meta();
          EXPECT_EQ(meta.l3_offset, link_header_length(link));
          EXPECT_EQ(meta.l4_offset, v.checksum_start);
          EXPECT_EQ(meta.payload_offset, header_length(s));
          EXPECT_EQ(meta.checksum, ChecksumState::to_fill);
          EXPECT_EQ(meta.gso_size, size);
          if (size != 0) {
            EXPECT_EQ(meta.gso_type, v6 ? GsoType::tcp_v6 : GsoType::tcp_v4);
            EXPECT_EQ(meta.merged, 3);
          }
          VnetHeader expected = v;
          EXPECT_EQ(make_vnet_header(p, link, true), expected);
        }
      }
    }
  }
}

TEST_F(Vnet, ASegmentSizeThatTheFrameDoesNotKeepIsRefused) {
  const FrameSpec tcp{.payload = numbers(1000)};
  const FrameSpec udp{.udp = true, .payload = numbers(1000)};
  const VnetHeader good = header_for(tcp, 400);
  const auto refused = [&](const FrameSpec& s, VnetHeader v) {
    Packet p = packet_of(m.pool, make_frame(s));
    EXPECT_FALSE(apply_vnet_header(v, p, s.link)) << unsigned{v.gso_type} << " " << v.gso_size;
  };
  for (unsigned type = 1; type < 256; ++type) {
    if ((type & 0x7f) == VnetHeader::kGsoTcp4 || type == VnetHeader::kGsoEcn) continue;
    VnetHeader v = good;
    v.gso_type = static_cast<std::uint8_t>(type);
    refused(tcp, v);
  }
  VnetHeader none = good;
  none.gso_size = 0;
  refused(tcp, none);
  refused(udp, good);
  VnetHeader v4_of_v6 = header_for({.v6 = true}, 400);
  v4_of_v6.gso_type = VnetHeader::kGsoTcp4;
  refused({.v6 = true, .payload = numbers(1000)}, v4_of_v6);
  refused({.link = LinkType::ip, .payload = numbers(1000)}, good);  // the checksum stands elsewhere
}

TEST_F(Vnet, NothingThatIsNoTcpOrUdpIsASuperSegment) {
  for (const bool unfinished : {false, true}) {
    VnetHeader v = header_for({}, 100);
    if (!unfinished) v.flags = 0;
    for (std::size_t n = 0; n < 60; n += 7) {
      Packet nonsense = packet_of(m.pool, numbers(n));
      EXPECT_FALSE(apply_vnet_header(v, nonsense, LinkType::ethernet)) << n;
    }
    Bytes echo = make_frame({.link = LinkType::ip, .v6 = true, .payload = numbers(500)});
    echo[6] = 58;
    Packet icmp = packet_of(m.pool, echo);
    v.gso_type = VnetHeader::kGsoTcp6;
    v.checksum_start = 40;
    v.checksum_offset = 2;
    EXPECT_FALSE(apply_vnet_header(v, icmp, LinkType::ip));
  }
}

// A tunnel, a VLAN tag in the frame, a protocol that we do not know: the sender's place for the sum is the only one.
TEST_F(Vnet, AChecksumInAPlaceOfItsOwnIsCompletedThere) {
  const Bytes frame = numbers(200);
  for (const std::uint16_t start : std::vector<std::uint16_t>{0, 1, 20, 197}) {
    Packet p = packet_of(m.pool, frame);
    const VnetHeader v{
        .flags = VnetHeader::kNeedsChecksum | VnetHeader::kDataValid, .checksum_start = start, .checksum_offset = 1};
    ASSERT_TRUE(apply_vnet_header(v, p, LinkType::ethernet));
    Bytes expected = frame;
    const auto at = static_cast<std::ptrdiff_t>(start);
    store_be16(&expected.at(start + 1U), slow_checksum(Bytes(frame.begin() + at, frame.end())));
    EXPECT_EQ(contents(p), expected);
    EXPECT_EQ(p.meta().checksum, ChecksumState::none);
  }
  // Of a TCP segment with its own checksum in order, which the core is to look at.
  const FrameSpec s{.payload = numbers(200)};
  for (const bool start : {false, true}) {
    VnetHeader v = header_for(s);
    (start ? v.checksum_start : v.checksum_offset) += 20;
    Packet p = packet_of(m.pool, make_frame(s));
    ASSERT_TRUE(apply_vnet_header(v, p, s.link));
    EXPECT_EQ(p.meta().checksum, ChecksumState::none);
    EXPECT_NE(contents(p), make_frame(s));
  }
}

TEST_F(Vnet, AChecksumFieldBehindTheHeadIsRefused) {
  const Bytes frame = numbers(100);
  for (const auto& [start, offset] : std::vector<std::pair<std::uint16_t, std::uint16_t>>{
           {100, 0}, {99, 0}, {98, 1}, {0, 99}, {65535, 65535}, {60, 65535}, {65535, 0}}) {
    Packet p = packet_of(m.pool, frame);
    const VnetHeader v{.flags = VnetHeader::kNeedsChecksum, .checksum_start = start, .checksum_offset = offset};
    EXPECT_FALSE(apply_vnet_header(v, p, LinkType::ethernet)) << start << "+" << offset;
    expect_untouched(p, frame);
  }
  // The head ends before the packet does.
  Packet p = packet_of(m.pool, numbers(40));
  const ChunkRef c = m.pool.take_chunk(ChunkClass::small);
  ASSERT_TRUE(p.add_fragment(c, 0, 60));
  m.pool.drop_ref(c);
  const VnetHeader v{.flags = VnetHeader::kNeedsChecksum, .checksum_start = 30, .checksum_offset = 9};
  EXPECT_FALSE(apply_vnet_header(v, p, LinkType::ethernet));
}

TEST_F(Vnet, WhatCanNotBeSentHasNoHeader) {
  const FrameSpec s{.payload = numbers(1000)};
  Packet super = super_segment(m.pool, s, 400);
  EXPECT_FALSE(make_vnet_header(super, s.link, false));
  EXPECT_TRUE(make_vnet_header(super, s.link, true));
  Packet shared = super.clone();
  EXPECT_FALSE(make_vnet_header(super, s.link, true));  // its checksum field would change for both
  shared.reset();
  Packet nonsense = packet_of(m.pool, numbers(300));
  EXPECT_EQ(make_vnet_header(nonsense, s.link, true), VnetHeader{});
  nonsense.meta().checksum = ChecksumState::to_fill;
  EXPECT_FALSE(make_vnet_header(nonsense, s.link, true));
  const FrameSpec v6{.link = LinkType::ip, .v6 = true, .payload = numbers(1000)};
  Packet icmp = super_segment(m.pool, v6, 400);
  icmp.writable_head()[6] = 58;
  EXPECT_FALSE(make_vnet_header(icmp, v6.link, true));
}

TEST_F(Vnet, CongestionWindowReducedIsTheKernelsToSplit) {
  const FrameSpec s{.flags = wire::TcpFlag::ack | wire::TcpFlag::cwr, .payload = numbers(1000)};
  Packet p = super_segment(m.pool, s, 400);
  const auto v = make_vnet_header(p, s.link, true);
  ASSERT_TRUE(v);
  EXPECT_EQ(v->gso_type, VnetHeader::kGsoTcp4 | VnetHeader::kGsoEcn);
  EXPECT_TRUE(apply_vnet_header(*v, p, s.link));
}

}  // namespace
}  // namespace leat
