#include <gtest/gtest.h>

#include <leat/offload/checksum_completion.hpp>
#include <leat/offload/frames_test_support.hpp>
#include <leat/offload/gso.hpp>
#include <random>

namespace leat {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Progress = GsoSplitter::Progress;

struct Gso : testing::Test {
  Memory m{{.packets = 128, .chunks = {256, 80, 4}}};

  std::vector<Bytes> split(Packet&& super, GsoSplitter::Format format, std::size_t batch_size = 64) {
    std::vector<Bytes> frames;
    GsoSplitter gso;
    EXPECT_TRUE(gso.begin(std::move(super), format));
    PacketBatch batch(batch_size);
    for (Progress p = Progress::batch_full; p == Progress::batch_full;) {
      p = gso.run(batch);
      EXPECT_NE(p, Progress::no_memory);
      for (Packet& frame : batch) {
        EXPECT_TRUE(!format.linear || frame.fragments().empty());
        if (format.checksum_offload) {
          EXPECT_EQ(frame.meta().checksum, ChecksumState::to_fill);
          EXPECT_TRUE(complete_checksum(frame, frame.meta().l3_offset == 14 ? LinkType::ethernet : LinkType::ip));
        }
        frames.push_back(contents(frame));
      }
      batch.clear();
    }
    return frames;
  }
};

TEST_F(Gso, CutsIntoTheFramesThatASenderWithoutItWouldHaveSent) {
  std::mt19937 random(3);
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const bool linear : {false, true}) {
        for (const bool offload : {false, true}) {
          for (const std::size_t size : {1U, 536U, 1447U, 1448U, 1449U, 20000U}) {
            FrameSpec s{.link = random() % 2 == 0 ? LinkType::ethernet : LinkType::ip,
                        .v6 = v6,
                        .udp = udp,
                        .seq = 0xfffff000U,
                        .id = 0xfffe};
            s.payload = numbers(size == 1 ? 90 : 30000 + random() % 30000, static_cast<unsigned>(size));
            std::vector<std::uint32_t> pieces;
            if (random() % 4 != 0)
              for (int i = 0; i < 9; ++i) pieces.push_back(static_cast<std::uint32_t>(1 + random() % 2048));
            Packet super = super_segment(m.pool, s, static_cast<std::uint16_t>(size), pieces);
            const auto segments = wire_segments(super.meta());
            const auto frames = split(std::move(super), {.linear = linear, .checksum_offload = offload});
            EXPECT_EQ(frames.size(), segments);
            EXPECT_EQ(frames, wire_frames(s, size)) << v6 << udp << linear << offload << size;
          }
        }
      }
    }
  }
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(Gso, FinAndPshOnlyOnTheLastCwrOnlyOnTheFirst) {
  const FrameSpec s{
      .flags = wire::TcpFlag::ack | wire::TcpFlag::psh | wire::TcpFlag::fin | wire::TcpFlag::cwr | wire::TcpFlag::ece,
      .payload = numbers(3000)};
  const auto frames = split(super_segment(m.pool, s, 1000), {});
  ASSERT_EQ(frames.size(), 3U);
  const auto flags = [&](std::size_t i) { return wire::TcpFlags::from_bits(load_be16(&frames[i][34 + 12])); };
  EXPECT_EQ(flags(0), wire::TcpFlag::ack | wire::TcpFlag::ece | wire::TcpFlag::cwr);
  EXPECT_EQ(flags(1), wire::TcpFlag::ack | wire::TcpFlag::ece);
  EXPECT_EQ(flags(2), wire::TcpFlag::ack | wire::TcpFlag::ece | wire::TcpFlag::psh | wire::TcpFlag::fin);
}

TEST_F(Gso, GathersByReferenceWithoutCopying) {
  const FrameSpec s{.payload = numbers(4000)};
  Packet super = super_segment(m.pool, s, 1000, {4000});
  const ChunkRef chunk = super.fragments()[0].chunk;
  GsoSplitter gso;
  ASSERT_TRUE(gso.begin(std::move(super), {}));
  PacketBatch batch;
  EXPECT_EQ(gso.run(batch), Progress::done);
  ASSERT_EQ(batch.size(), 4U);
  for (const Packet& p : batch) {
    ASSERT_EQ(p.fragments().size(), 1U);
    EXPECT_EQ(p.fragments()[0].chunk, chunk);
  }
  EXPECT_EQ(m.pool.refs(chunk), 4U);  // the super-segment let go of it
}

TEST_F(Gso, FramesKeepMarkTimeInterfaceAndOffsets) {
  const FrameSpec s{.payload = numbers(2000)};
  Packet super = super_segment(m.pool, s, 1000);
  PacketMeta& meta = super.meta();
  meta.mark = 5;
  meta.interface = 3;
  meta.vlan = 17;
  meta.flow_hash = 0xabcd;
  meta.time = Instant::from_ns(99);
  GsoSplitter gso;
  ASSERT_TRUE(gso.begin(std::move(super), {.linear = true}));
  PacketBatch batch;
  EXPECT_EQ(gso.run(batch), Progress::done);
  for (const Packet& p : batch) {
    const PacketMeta& f = p.meta();
    EXPECT_EQ(f.mark, 5U);
    EXPECT_EQ(f.interface, 3);
    EXPECT_EQ(f.vlan, 17);
    EXPECT_EQ(f.flow_hash, 0xabcdU);
    EXPECT_EQ(f.time, Instant::from_ns(99));
    EXPECT_EQ(f.l3_offset, 14);
    EXPECT_EQ(f.l4_offset, 34);
    EXPECT_EQ(f.payload_offset, 66);
    EXPECT_EQ(f.gso_size, 0);
    EXPECT_EQ(f.merged, 1);
  }
}

TEST_F(Gso, GoesOnWhereABatchWasFull) {
  const FrameSpec s{.payload = numbers(20000)};
  for (const std::size_t batch_size : {1U, 3U, 64U}) {
    const auto frames = split(super_segment(m.pool, s, 1448, {700, 9000, 0}), {}, batch_size);
    EXPECT_EQ(frames, wire_frames(s, 1448));
  }
}

TEST_F(Gso, GoesOnAfterEveryFailedAllocation) {
  const FrameSpec s{.payload = numbers(9000)};
  const auto expected = wire_frames(s, 1448);
  for (const bool linear : {false, true}) {
    for (std::uint64_t nth = 1;; ++nth) {
      Packet super = super_segment(m.pool, s, 1448, {700, 5000, 0});
      GsoSplitter gso;
      ASSERT_TRUE(gso.begin(std::move(super), {.linear = linear}));
      const std::uint64_t before = m.pool.exhausted();
      m.pool.fail_allocation(nth, true);
      PacketBatch batch;
      const Progress p = gso.run(batch);
      m.pool.fail_allocation(0);
      if (m.pool.exhausted() == before) {
        EXPECT_EQ(p, Progress::done);
        EXPECT_GT(nth, expected.size());
        break;
      }
      EXPECT_EQ(p, Progress::no_memory);
      EXPECT_TRUE(gso.active());
      EXPECT_EQ(gso.run(batch), Progress::done);
      std::vector<Bytes> frames;
      for (const Packet& frame : batch) frames.push_back(contents(frame));
      EXPECT_EQ(frames, expected) << nth;
      batch.clear();
    }
  }
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(Gso, RefusesWhatIsNoSuperSegmentAndLeavesItAlone) {
  const FrameSpec s{.payload = numbers(3000)};
  const auto refuses = [&](auto&& change) {
    Packet super = super_segment(m.pool, s, 1000);
    change(super.meta(), super.writable_head());
    GsoSplitter gso;
    const bool refused = !gso.begin(std::move(super), {.linear = true});
    return refused && super && !gso.active();
  };
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.gso_size = 0; }));
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.gso_type = GsoType::none; }));
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.gso_type = GsoType::udp; }));
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.payload_offset = 60; }));
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.l4_offset = 30; }));
  EXPECT_TRUE(refuses([](PacketMeta& meta, MutableByteSpan) { meta.payload_offset = 0xffff; }));
  EXPECT_TRUE(refuses([](PacketMeta&, MutableByteSpan head) { head[14] = 0x55; }));
  EXPECT_FALSE(refuses([](PacketMeta&, MutableByteSpan) {}));
  EXPECT_TRUE(m.pool.all_free());
}

TEST_F(Gso, RefusesToCopyIntoChunksThatThePoolHasNone) {
  Memory small({.packets = 16, .chunks = {16, 16, 0}});
  const FrameSpec s{.payload = numbers(6000)};
  Packet super = super_segment(small.pool, s, 3000, {2000, 2000, 2000});
  GsoSplitter gso;
  EXPECT_FALSE(gso.begin(std::move(super), {.linear = true}));  // it would wait for ever
  EXPECT_TRUE(gso.begin(std::move(super), {.linear = false}));
  gso.cancel();
  EXPECT_FALSE(gso.active());
  EXPECT_TRUE(small.pool.all_free());
}

// One piece in the head and as many fragments as there can be: more than the list of one frame holds.
TEST_F(Gso, AFrameOfMorePiecesThanItsListHoldsIsCopied) {
  const FrameSpec s{.payload = numbers(6 + 18 * 73)};
  const Bytes frame = make_frame(s);
  const std::size_t head = header_length(s) + 6;
  Packet super = packet_of(m.pool, Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(head)));
  for (std::size_t at = head; at < frame.size(); at += 73) {
    const ChunkRef c = m.pool.take_chunk(ChunkClass::normal);
    std::memcpy(m.pool.data(c), &frame[at], 73);
    ASSERT_TRUE(super.add_fragment(c, 0, 73));
    m.pool.drop_ref(c);
  }
  ASSERT_EQ(super.fragments().size(), kMaxFragments);
  PacketMeta& meta = super.meta();
  meta.l3_offset = 14;
  meta.l4_offset = 34;
  meta.payload_offset = static_cast<std::uint16_t>(header_length(s));
  meta.gso_size = 60'000;
  meta.gso_type = GsoType::tcp_v4;
  EXPECT_EQ(split(std::move(super), {}), wire_frames(s, 60'000));
  EXPECT_TRUE(m.pool.all_free());
}

}  // namespace
}  // namespace leat
