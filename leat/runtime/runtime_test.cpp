// Memory, clocks, entropy, and the line of a failed assertion.

#include <gtest/gtest.h>

#include <leat/buf/packet.hpp>
#include <leat/runtime/assert_print.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/entropy.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/reserved_storage.hpp>

namespace leat {
namespace {

TEST(MemoryMap, GivesZeroedArraysThatDontOverlap) {
  auto map = MemoryMap::reserve(MemoryMap::bytes_for<std::uint64_t>(1000) + MemoryMap::bytes_for<std::uint8_t>(3));
  ASSERT_TRUE(map);
  const auto bytes = map->take<std::uint8_t>(3);
  const auto words = map->take<std::uint64_t>(1000);
  for (const auto w : words) ASSERT_EQ(w, 0U);
  for (auto& w : words) w = UINT64_MAX;
  EXPECT_EQ(bytes[0] | bytes[1] | bytes[2], 0);
}

// ThreadSanitizer leaves an application too little address space for more, now and then.
#ifdef __SANITIZE_THREAD__
constexpr std::size_t kHuge = std::size_t{1} << 36;
#else
constexpr std::size_t kHuge = std::size_t{1} << 40;
#endif

TEST(MemoryMap, ATebibyteCostsOnlyWhatIsTouched) {
  auto map = MemoryMap::reserve(kHuge);
  ASSERT_TRUE(map) << "no address space of " << kHuge << " bytes";
  map->bytes()[0] = 1;
  map->bytes()[kHuge / 2] = 1;
  MemoryMap part = std::move(*map);
  EXPECT_EQ(part.bytes().size(), kHuge);
  EXPECT_TRUE(map->bytes().empty());
}

TEST(MemoryMap, AnImpossibleSizeIsAnError) {
  const auto map = MemoryMap::reserve(SIZE_MAX / 2);
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error(), Errc::no_memory);
}

TEST(ReservedStorage, AMillionSocketsTouchNoPage) {
  Limits limits;
  limits.sockets = 1'000'000;
  limits.tcp.connections = 1'000'000;
  limits.tcp.active = 1'000'000;
  const auto storage = ReservedStorage::make(limits);
  ASSERT_TRUE(storage);
  EXPECT_GE(storage->map().bytes().size(), 40'000'000U);
  EXPECT_EQ(storage->map().resident(), 0U);
  const PoolLayout layout = hosted_pool_layout(1 << 20);
  auto memory = PacketMemory::make(layout);
  ASSERT_TRUE(memory);
  const StorageView view = storage->view(memory->pool());
  EXPECT_EQ(view.sockets.size(), 1'000'000U);
  EXPECT_EQ(view.profiles.size(), limits.profiles);
  EXPECT_EQ(view.pool, &memory->pool());
}

TEST(PacketMemory, AllocatesEveryClassAndTakesItBack) {
  auto memory = PacketMemory::make(hosted_pool_layout(64 << 20));
  ASSERT_TRUE(memory);
  EXPECT_LT(memory->map().resident(), memory->map().bytes().size() / 4);
  {
    Packet a = memory->pool().allocate_for(64);
    Packet b = memory->pool().allocate_for(1500);
    Packet c = memory->pool().allocate_for(65000);
    EXPECT_TRUE(a && b && c);
  }
  EXPECT_TRUE(memory->pool().all_free());
}

TEST(Entropy, TheKernelsDiffersAndASeedsRepeats) {
  EXPECT_NE(system_entropy().words, system_entropy().words);
  EXPECT_EQ(seeded_entropy(7).words, seeded_entropy(7).words);
  EXPECT_NE(seeded_entropy(7).words, seeded_entropy(8).words);
}

TEST(Clock, MovesForward) {
  const Instant a = monotonic_now();
  const Instant b = monotonic_now();
  EXPECT_LE(a, b);
  EXPECT_GT(wall_clock_ns(), std::int64_t{1'600'000'000} * 1'000'000'000);
}

TEST(AssertPrint, SaysWhatAndWhere) {
  EXPECT_DEATH(
      {
        print_failed_assertions();
        LEAT_ASSERT(1 + 1 == 3);
      },
      "leat: broken invariant: 1 \\+ 1 == 3 at .*runtime_test.cpp:[0-9]+\n");
}

}  // namespace
}  // namespace leat
