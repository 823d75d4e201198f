#include <gtest/gtest.h>

#include <leat/base/rng.hpp>
#include <leat/core/tcp/accept_queue.hpp>
#include <leat/core/tcp/isn.hpp>
#include <set>
#include <vector>

namespace leat::tcp {
namespace {

FlowKey tuple(std::uint32_t remote, std::uint16_t remote_port) {
  return {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(remote), Port{80}, Port{remote_port}, 0};
}
constexpr SipKey kSecret{0x1122334455667788ULL, 0x99aabbccddeeff00ULL};

// RFC 6528 3: within one tuple the ISN advances with a 4 us clock, so that a new incarnation is ahead of the old one.
TEST(T13_Isn, OfOneTupleGrowsWithTheClock) {
  const FlowKey key = tuple(1, 1);
  const SeqNum start = initial_sequence(tuple_offsets(kSecret, key), Instant{});
  EXPECT_EQ(initial_sequence(tuple_offsets(kSecret, key), Instant::from_ns(3999)) - start, 0U);
  EXPECT_EQ(initial_sequence(tuple_offsets(kSecret, key), Instant::from_ns(4000)) - start, 1U);
  EXPECT_EQ(initial_sequence(tuple_offsets(kSecret, key), Instant{} + Duration::s(60)) - start, 15'000'000U);
  // The clock wraps with the sequence space, after 4.77 hours.
  EXPECT_EQ(initial_sequence(tuple_offsets(kSecret, key), Instant::from_ns((std::int64_t{1} << 32) * 4000)), start);
}

// Over 1,000 connections, as a scanner sees them: neighbouring tuples give numbers without relation. Bits are balanced,
// differences don't repeat, and no two tuples share a number.
TEST(T13_Isn, OfDifferentTuplesTellNothingOfEachOther) {
  std::set<std::uint32_t> numbers;
  std::set<std::uint32_t> differences;
  std::vector<unsigned> ones(32);
  std::uint32_t last = 0;
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    const std::uint32_t isn = initial_sequence(tuple_offsets(kSecret, tuple(7, port)), Instant{}).value();
    numbers.insert(isn);
    differences.insert(isn - last);
    last = isn;
    for (unsigned bit = 0; bit < 32; ++bit) ones[bit] += (isn >> bit) & 1U;
  }
  EXPECT_EQ(numbers.size(), 1000U);
  EXPECT_GE(differences.size(), 999U);
  for (const unsigned n : ones) {
    EXPECT_GT(n, 420U);  // five standard deviations
    EXPECT_LT(n, 580U);
  }
}

TEST(T13_Isn, EveryFieldOfTheTupleAndTheSecretCount) {
  const FlowKey base = tuple(1, 1);
  std::vector<FlowKey> others(6, base);
  others[0].local = IpAddress::v4(1);
  others[1].remote = IpAddress::v4(2);
  others[2].local_port = Port{81};
  others[3].remote_port = Port{2};
  others[4].scope = 1;
  std::swap(others[5].local, others[5].remote);
  std::set<std::uint32_t> numbers{initial_sequence(tuple_offsets(kSecret, base), Instant{}).value()};
  for (const FlowKey& k : others) numbers.insert(initial_sequence(tuple_offsets(kSecret, k), Instant{}).value());
  EXPECT_EQ(numbers.size(), 7U);
  // IPv6 has another form of the hash: each half of both addresses counts there.
  FlowKey six = base;
  six.local = *IpAddress::parse("fd00::1");
  six.remote = *IpAddress::parse("fd00::2");
  numbers = {initial_sequence(tuple_offsets(kSecret, six), Instant{}).value()};
  for (const char* other : {"fd00::3", "fd01::1", "fd01::2"}) {
    FlowKey k = six;
    k.local = *IpAddress::parse(other);
    numbers.insert(initial_sequence(tuple_offsets(kSecret, k), Instant{}).value());
    k = six;
    k.remote = *IpAddress::parse(other);
    numbers.insert(initial_sequence(tuple_offsets(kSecret, k), Instant{}).value());
  }
  EXPECT_EQ(numbers.size(), 7U);
}

// A restarted or cloned stack takes new entropy: its numbers have no relation to those before.
TEST(T13_Isn, AfterARestartOrInACloneNothingCarriesOver) {
  Entropy entropy{{1, 2, 3, 4}};
  std::set<std::uint32_t> offsets;
  for (std::uint64_t boot = 0; boot < 200; ++boot) {
    entropy.words[3] = boot;
    const SipKey secret = derive_key(entropy, 1);
    offsets.insert(initial_sequence(tuple_offsets(secret, tuple(1, 2)), Instant{}) -
                   initial_sequence(tuple_offsets(secret, tuple(1, 1)), Instant{}));
  }
  EXPECT_EQ(offsets.size(), 200U);
}

// RFC 7323 5.4, 7.1: constant for a tuple, unrelated between tuples and to the ISN, which comes from the same hash.
TEST(T13_Isn, TimestampOffsetsAreTheTuplesOwn) {
  EXPECT_EQ(timestamp_offset(kSecret, tuple(1, 1)), timestamp_offset(kSecret, tuple(1, 1)));
  std::set<std::uint32_t> offsets;
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    offsets.insert(timestamp_offset(kSecret, tuple(1, port)));
    offsets.insert(initial_sequence(tuple_offsets(kSecret, tuple(1, port)), Instant{}).value());
  }
  EXPECT_EQ(offsets.size(), 2000U);
}

TEST(AcceptQueue, IsAFifoBoundedByItsBacklog) {
  std::vector<Index> links(8);
  const auto next = [&](Index i) -> Index& { return links[i]; };
  AcceptQueue queue(2);
  EXPECT_EQ(queue.pop(next), kNoIndex);
  for (const Index i : {5U, 0U, 3U}) EXPECT_TRUE(queue.push(i, next));  // one more than the backlog, as on Linux
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.push(7, next));
  EXPECT_EQ(queue.pop(next), 5U);
  EXPECT_TRUE(queue.push(7, next));
  queue.set_backlog(0);
  EXPECT_EQ(queue.size(), 3U);  // nobody is dropped
  EXPECT_EQ(queue.pop(next), 0U);
  EXPECT_EQ(queue.pop(next), 3U);
  EXPECT_FALSE(queue.push(1, next));
  EXPECT_EQ(queue.pop(next), 7U);
  EXPECT_TRUE(queue.push(1, next));
  EXPECT_FALSE(queue.push(2, next));
}

}  // namespace
}  // namespace leat::tcp
