#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <leat/sync/frame_ring_unsafe.hpp>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace leat::sync {
namespace {

struct Region {
  explicit Region(const FrameRing::Layout& l) : layout(l) {
    bytes.resize(l.bytes_needed() + FrameRing::kLine);
    void* at = bytes.data();
    std::size_t room = bytes.size();
    span = {static_cast<std::uint8_t*>(std::align(FrameRing::kLine, l.bytes_needed(), at, room)), l.bytes_needed()};
  }
  FrameRing::Layout layout;
  std::vector<std::uint8_t> bytes;
  MutableByteSpan span;
};

bool put(FrameRing& ring, std::uint32_t value, std::uint32_t length = 4) {
  const MutableByteSpan to = ring.reserve();
  if (to.empty()) return false;
  std::memcpy(to.data(), &value, sizeof value);
  ring.publish(length);
  return true;
}
std::uint32_t value_of(ByteSpan frame) {
  std::uint32_t v = 0;
  std::memcpy(&v, frame.data(), std::min(sizeof v, frame.size()));
  return v;
}

TEST(FrameRing, FramesComeOutInOrderAndAFullRingSaysSo) {
  Region r({.slots = 4, .frame_bytes = 100});
  FrameRing writer(r.span, r.layout, true), reader(r.span, r.layout, false);
  EXPECT_FALSE(reader.front());
  for (std::uint32_t round = 0; round < 10; ++round) {
    for (std::uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(put(writer, round * 4 + i, 4 + i));
    EXPECT_FALSE(put(writer, 0));
    for (std::uint32_t i = 0; i < 4; ++i) {
      const auto frame = reader.front();
      ASSERT_TRUE(frame);
      EXPECT_EQ(value_of(*frame), round * 4 + i);
      EXPECT_EQ(frame->size(), 4 + i);
      reader.release();
    }
    EXPECT_TRUE(reader.empty());
  }
}

TEST(FrameRing, ALengthThatCannotBeIsAnEmptyFrame) {
  Region r({.slots = 2, .frame_bytes = 56});
  FrameRing writer(r.span, r.layout, true), reader(r.span, r.layout, false);
  ASSERT_TRUE(put(writer, 1, 57));
  ASSERT_TRUE(put(writer, 2, 56));
  ASSERT_TRUE(reader.front());
  EXPECT_TRUE(reader.front()->empty());
  reader.release();
  EXPECT_EQ(reader.front()->size(), 56U);
}

TEST(FrameRing, ASequenceThatTheOtherSideMadeUpNeverLeavesTheRegion) {
  Region r({.slots = 2, .frame_bytes = 56});
  FrameRing writer(r.span, r.layout, true), reader(r.span, r.layout, false);
  for (const std::uint32_t bad : {0U, 2U, 7U, 0x80000000U, 0xffffffffU}) {
    std::memcpy(r.span.data() + FrameRing::kLine, &bad, sizeof bad);
    EXPECT_FALSE(reader.front());
  }
  const std::uint32_t readable = 1;
  std::memcpy(r.span.data() + FrameRing::kLine, &readable, sizeof readable);
  EXPECT_TRUE(reader.front());
}

TEST(FrameRing, WhoSleepsIsRungOnce) {
  Region r({.slots = 4, .frame_bytes = 56});
  FrameRing writer(r.span, r.layout, true), reader(r.span, r.layout, false);
  put(writer, 1);
  EXPECT_FALSE(writer.must_ring());     // nobody sleeps
  EXPECT_FALSE(reader.before_sleep());  // something is there
  reader.release();
  EXPECT_TRUE(reader.before_sleep());
  put(writer, 2);
  EXPECT_TRUE(writer.must_ring());
  put(writer, 3);
  EXPECT_FALSE(writer.must_ring());
}

// Two threads, the reader sleeping on a flag whenever the ring is empty: every frame arrives once, in order, and no
// wake-up is missed (the test would hang).
TEST(FrameRing, TwoThreadsLoseNothing) {
  constexpr std::uint32_t kFrames = 20'000;
  Region r({.slots = 8, .frame_bytes = 56});
  FrameRing writer(r.span, r.layout, true), reader(r.span, r.layout, false);
  std::atomic<std::uint32_t> bell{0};  // stands for an eventfd
  std::thread thread([&] {
    for (std::uint32_t i = 0; i < kFrames;) {
      if (!put(writer, i)) {
        std::this_thread::yield();
        continue;
      }
      ++i;
      if (writer.must_ring()) {
        bell.fetch_add(1);
        bell.notify_one();
      }
    }
  });
  std::uint32_t expected = 0;
  while (expected < kFrames) {
    if (const auto frame = reader.front()) {
      ASSERT_EQ(value_of(*frame), expected);
      ++expected;
      reader.release();
      continue;
    }
    const std::uint32_t heard = bell.load();
    if (reader.before_sleep()) bell.wait(heard);
    reader.after_sleep();
  }
  thread.join();
}

}  // namespace
}  // namespace leat::sync
