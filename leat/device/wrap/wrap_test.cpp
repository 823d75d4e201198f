#include <gtest/gtest.h>

#include <deque>
#include <leat/device/pcapng_writer.hpp>
#include <leat/device/wrap/fault_injector.hpp>
#include <leat/device/wrap/pcapng_tap.hpp>
#include <leat/device/wrap/tracer.hpp>
#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <string>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

// A device under the test's control: what it delivers, and how much it takes.
struct FakeDevice {
  DeviceCaps device_caps{.link = LinkType::ethernet,
                         .mac = {},
                         .mtu = 1500,
                         .max_gso = 65535,
                         .tx_checksum = true,
                         .rx_checksum = true,
                         .rx_merges = true,
                         .gather = true,
                         .rx_level = true};
  std::deque<Packet> incoming;
  std::vector<Bytes> sent;
  std::size_t room = 1000;

  [[nodiscard]] DeviceCaps caps() const { return device_caps; }
  std::size_t rx(PacketBatch& batch, Instant) {
    std::size_t n = 0;
    for (; !incoming.empty() && !batch.full(); ++n) {
      batch.push(std::move(incoming.front()));
      incoming.pop_front();
    }
    return n;
  }
  std::size_t tx(PacketBatch& batch, Instant) {
    std::size_t n = 0;
    for (; n < batch.size() && room > 0; ++n, --room) sent.push_back(contents(batch[n]));
    batch.pop_front(n);
    return n;
  }
  [[nodiscard]] Instant next_event() const { return Instant::never(); }
  [[nodiscard]] int poll_fd() const { return 7; }
  [[nodiscard]] DeviceCounters counters() const { return {}; }
};
static_assert(NetDevice<FakeDevice>);

struct Wrap : testing::Test {
  Memory m{{.packets = 600, .chunks = {1200, 300, 4}}};
  FakeDevice fake;
  DeviceRef<FakeDevice> inner{fake};
  std::vector<DelaySlot> tx_slots{512};
  std::vector<DelaySlot> rx_slots{512};
  PacketBatch batch;
  Instant now = Instant::from_ns(1'234'567'000);
};

TEST_F(Wrap, FaultInjectorPromisesNothingThatDamageWouldBreak) {
  FaultInjector bad(inner, {}, tx_slots, rx_slots);
  const DeviceCaps c = bad.caps();
  EXPECT_EQ(c.max_gso, 0U);
  EXPECT_FALSE(c.tx_checksum || c.rx_checksum || c.rx_merges || c.rx_level);
  EXPECT_TRUE(c.gather);
  EXPECT_EQ(c.mtu, 1500U);
  EXPECT_EQ(bad.poll_fd(), 7);
}

TEST_F(Wrap, FaultInjectorCutsReceivedSuperSegmentsBeforeItHarmsThem) {
  FaultInjector bad(inner, {}, tx_slots, rx_slots);
  const FrameSpec s{.payload = numbers(50000)};
  Packet super = super_segment(m.pool, s, 1448, {0});
  super.meta().checksum = ChecksumState::to_fill;
  fake.incoming.push_back(std::move(super));
  EXPECT_EQ(bad.rx(batch, now), 35U);
  std::vector<Bytes> frames;
  for (Packet& p : batch) {
    frames.push_back(contents(p));
    EXPECT_EQ(verify_checksum(p, LinkType::ethernet), ChecksumVerdict::good);
    EXPECT_EQ(p.meta().gso_size, 0);
  }
  EXPECT_EQ(frames, wire_frames(s, 1448));
}

TEST_F(Wrap, FaultInjectorLosesPerWirePacketInBothDirections) {
  ImpairmentConfig lossy;
  lossy.loss_ppm = 20'000;
  FaultInjector bad(inner, {.tx = lossy, .rx = lossy, .seed = {5, 6}}, tx_slots, rx_slots);
  std::uint64_t in = 0;
  std::uint64_t in_sent = 0;
  for (int round = 0; round < 600; ++round) {
    fake.incoming.push_back(super_segment(m.pool, {.payload = numbers(57920)}, 1448, {0}));
    in_sent += 40;
    in += bad.rx(batch, now);
    batch.clear();
    for (int k = 0; k < 40; ++k) batch.push(packet_of(m.pool, make_frame({.payload = numbers(1448)})));
    EXPECT_EQ(bad.tx(batch, now), 40U);
    fake.room = 1000;
  }
  EXPECT_NEAR(static_cast<double>(in_sent - in), 480, 100);
  EXPECT_NEAR(static_cast<double>(24000 - fake.sent.size()), 480, 100);
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(Wrap, FaultInjectorTellsWhatItDroppedAndWhy) {
  ImpairmentConfig lossy;
  lossy.loss_ppm = kPpm;
  ImpairmentConfig narrow;
  narrow.rate_bps = 1000;
  narrow.queue_packets = 2;
  FaultInjector bad(inner, {.tx = lossy, .rx = narrow, .seed = {5, 6}}, tx_slots, rx_slots);
  for (int i = 0; i < 3; ++i) batch.push(packet_of(m.pool, make_frame({.payload = numbers(10)})));
  EXPECT_EQ(bad.tx(batch, now), 3U);
  bad.tx_impairment().set_down(true);
  batch.push(packet_of(m.pool, make_frame({.payload = numbers(10)})));
  EXPECT_EQ(bad.tx(batch, now), 1U);
  for (int i = 0; i < 7; ++i) fake.incoming.push_back(packet_of(m.pool, numbers(60)));
  EXPECT_EQ(bad.rx(batch, now), 0U);
  Counters counters;
  counters.add(DropReason::impairment_lost, 10);  // of another interface
  bad.add_drops(counters);
  EXPECT_EQ(counters.get(DropReason::impairment_lost), 14U);
  EXPECT_EQ(counters.get(DropReason::impairment_queue_full), 5U);
}

TEST_F(Wrap, FaultInjectorCompletesChecksumsBeforeDamage) {
  ImpairmentConfig corrupting;
  corrupting.corrupt_ppm = kPpm;
  FaultInjector bad(inner, {.tx = {}, .rx = corrupting, .seed = {5, 6}}, tx_slots, rx_slots);
  const FrameSpec s{.payload = numbers(200)};
  Packet p = super_segment(m.pool, s, 0);
  PacketMeta& meta = p.meta();
  meta.gso_type = GsoType::none;
  const Sum pseudo = pseudo_header_sum(source_of(s), destination_of(s), 6, p.size() - meta.l4_offset);
  store_be16(&p.writable_head()[meta.l4_offset + 16], static_cast<std::uint16_t>(pseudo));
  meta.checksum = ChecksumState::to_fill;
  fake.incoming.push_back(std::move(p));
  ASSERT_EQ(bad.rx(batch, now), 1U);
  const Bytes expected = make_frame(s);
  const Bytes got = contents(batch[0]);
  unsigned changed = 0;
  for (std::size_t i = 0; i < got.size(); ++i) changed += got[i] != expected[i] ? 1 : 0;
  EXPECT_EQ(changed, 1U);
  EXPECT_EQ(batch[0].meta().checksum, ChecksumState::none);
}

TEST_F(Wrap, FaultInjectorDelaysBothWaysAndSaysWhenToTurn) {
  ImpairmentConfig slow;
  slow.delay = Duration::ms(20);
  FaultInjector bad(inner, {.tx = slow, .rx = slow, .seed = {}}, tx_slots, rx_slots);
  EXPECT_EQ(bad.next_event(), Instant::never());
  batch.push(packet_of(m.pool, make_frame({.payload = numbers(10)})));
  EXPECT_EQ(bad.tx(batch, now), 1U);
  EXPECT_TRUE(fake.sent.empty());
  EXPECT_EQ(bad.next_event(), now + Duration::ms(20));
  bad.rx(batch, now + Duration::ms(20));
  EXPECT_EQ(fake.sent.size(), 1U);
  EXPECT_EQ(bad.next_event(), Instant::never());
  fake.incoming.push_back(packet_of(m.pool, numbers(60)));
  EXPECT_EQ(bad.rx(batch, now), 0U);
  EXPECT_EQ(bad.rx(batch, bad.next_event()), 1U);
  EXPECT_EQ(batch[0].meta().time, now + Duration::ms(20));
}

TEST_F(Wrap, FaultInjectorKeepsWhatTheInnerDeviceRefuses) {
  FaultInjector bad(inner, {}, tx_slots, rx_slots);
  fake.room = 3;
  for (unsigned i = 0; i < 70; ++i) {
    batch.push(packet_of(m.pool, numbers(60, i)));
    if (batch.full() || i == 69) {
      EXPECT_GT(bad.tx(batch, now), 0U);
    }
  }
  EXPECT_EQ(fake.sent.size(), 3U);
  EXPECT_FALSE(bad.next_event().is_never());
  EXPECT_GT(bad.next_event(), now);
  fake.room = 1000;
  bad.rx(batch, now);
  ASSERT_EQ(fake.sent.size(), 70U);
  for (unsigned i = 0; i < 70; ++i) EXPECT_EQ(fake.sent[i], numbers(60, i));
  EXPECT_EQ(bad.next_event(), Instant::never());
}

TEST_F(Wrap, FaultInjectorWaitsForMemoryInTheMiddleOfASuperSegment) {
  FaultInjector bad(inner, {}, tx_slots, rx_slots);
  const FrameSpec s{.payload = numbers(50000)};
  fake.incoming.push_back(super_segment(m.pool, s, 1448, {0}));
  fake.incoming.push_back(packet_of(m.pool, numbers(60)));
  m.pool.fail_allocation(20, true);
  const std::size_t first = bad.rx(batch, now);
  EXPECT_LT(first, 35U);
  EXPECT_FALSE(bad.next_event().is_never());
  m.pool.fail_allocation(0);
  EXPECT_EQ(first + bad.rx(batch, now), 36U);
  const auto expected = wire_frames(s, 1448);
  for (std::size_t i = 0; i < 35; ++i) EXPECT_EQ(contents(batch[i]), expected[i]);
  EXPECT_EQ(contents(batch[35]), numbers(60));
}

struct Lines final : LogSink {
  std::vector<std::string> all;
  void line(std::string_view text) override { all.emplace_back(text); }
};

TEST_F(Wrap, TracerWritesALineAPacketOnceEvenWhenRefusedAtFirst) {
  Lines lines;
  Tracer tracer(inner, lines, "tap0");
  fake.room = 1;
  batch.push(packet_of(m.pool, make_frame({.payload = numbers(10)})));
  batch.push(packet_of(m.pool, make_frame({.udp = true, .payload = numbers(10)})));
  EXPECT_EQ(tracer.tx(batch, now), 1U);
  ASSERT_EQ(lines.all.size(), 2U);
  EXPECT_EQ(lines.all[0].substr(0, 60), "1.234567 tap0 out IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [.]");
  fake.room = 5;
  EXPECT_EQ(tracer.tx(batch, now), 1U);
  EXPECT_EQ(lines.all.size(), 2U);
  fake.incoming.push_back(super_segment(m.pool, {.v6 = true, .payload = numbers(5000)}, 1448, {0}));
  EXPECT_EQ(tracer.rx(batch, now), 1U);
  ASSERT_EQ(lines.all.size(), 3U);
  EXPECT_NE(lines.all[2].find("tap0 in IP6 fd00::1.40000 > fd00::2.80"), std::string::npos) << lines.all[2];
  EXPECT_NE(lines.all[2].find("segments of 1448"), std::string::npos) << lines.all[2];
}

struct Capture {
  Bytes bytes;
  static void write(void* self, ByteSpan more) {
    Bytes& to = static_cast<Capture*>(self)->bytes;
    to.insert(to.end(), more.begin(), more.end());
  }
  PcapngWriter::Output output() { return {write, this}; }
};

std::uint32_t le32(const Bytes& b, std::size_t at) {
  return static_cast<std::uint32_t>(b[at] | (b[at + 1] << 8) | (b[at + 2] << 16)) |
         (static_cast<std::uint32_t>(b[at + 3]) << 24);
}

TEST_F(Wrap, PcapngTapWritesBlocksThatReadersAccept) {
  Capture capture;
  PcapngWriter writer(capture.output(), 100);
  PcapngTap tap(inner, writer, "tap0");
  fake.room = 1;
  batch.push(packet_of(m.pool, numbers(61)));
  batch.push(packet_of(m.pool, numbers(60)));
  EXPECT_EQ(tap.tx(batch, now), 1U);
  fake.room = 9;
  EXPECT_EQ(tap.tx(batch, now), 1U);
  const FrameSpec s{.payload = numbers(5000)};
  fake.incoming.push_back(super_segment(m.pool, s, 1448, {40, 0}));
  EXPECT_EQ(tap.rx(batch, now), 1U);
  EXPECT_EQ(writer.packets(), 3U);

  // Walk the blocks as a reader does: type, length, the same length at the end.
  struct Block {
    std::uint32_t type;
    std::size_t at;
    std::uint32_t length;
  };
  std::vector<Block> blocks;
  const Bytes& b = capture.bytes;
  for (std::size_t at = 0; at < b.size();) {
    ASSERT_LE(at + 12, b.size());
    const std::uint32_t length = le32(b, at + 4);
    ASSERT_EQ(length % 4, 0U);
    ASSERT_LE(at + length, b.size());
    EXPECT_EQ(le32(b, at + length - 4), length);
    blocks.push_back({le32(b, at), at, length});
    at += length;
  }
  ASSERT_EQ(blocks.size(), 5U);
  EXPECT_EQ(blocks[0].type, 0x0a0d0d0aU);
  EXPECT_EQ(le32(b, blocks[0].at + 8), 0x1a2b3c4dU);
  EXPECT_EQ(blocks[1].type, 1U);
  EXPECT_EQ(b[blocks[1].at + 8], 1);  // Ethernet
  EXPECT_EQ(le32(b, blocks[1].at + 12), 100U);
  const std::string text(b.begin() + static_cast<std::ptrdiff_t>(blocks[1].at),
                         b.begin() + static_cast<std::ptrdiff_t>(blocks[1].at + blocks[1].length));
  EXPECT_NE(text.find("tap0"), std::string::npos);
  EXPECT_NE(text.find(std::string("\x09\0\x01\0\x09", 5)), std::string::npos);  // nanoseconds
  struct Expected {
    std::uint32_t kept, whole, flags;
    Bytes data;
  };
  const Expected expected[] = {{61, 61, 2, numbers(61)}, {60, 60, 2, numbers(60)}, {100, 5066, 1, make_frame(s)}};
  for (std::size_t i = 0; i < 3; ++i) {
    const Block& block = blocks[2 + i];
    const Expected& e = expected[i];
    EXPECT_EQ(block.type, 6U);
    EXPECT_EQ((std::uint64_t{le32(b, block.at + 12)} << 32) + le32(b, block.at + 16), 1'234'567'000U);
    EXPECT_EQ(le32(b, block.at + 20), e.kept);
    EXPECT_EQ(le32(b, block.at + 24), e.whole);
    EXPECT_TRUE(
        std::equal(e.data.begin(), e.data.begin() + e.kept, b.begin() + static_cast<std::ptrdiff_t>(block.at + 28)));
    EXPECT_EQ(le32(b, block.at + block.length - 12), e.flags);
  }
}

}  // namespace
}  // namespace leat
