#include <errno.h>
#include <gtest/gtest.h>

#include <array>
#include <leat/base/byte_reader.hpp>
#include <leat/base/byte_writer.hpp>
#include <leat/base/counters.hpp>
#include <leat/base/delegate.hpp>
#include <leat/base/error_table.hpp>
#include <leat/base/rng.hpp>
#include <leat/base/seq_num.hpp>
#include <leat/base/time.hpp>
#include <memory>
#include <set>
#include <string>

namespace leat {
namespace {

TEST(Bytes, AreTheSameAtCompileTimeAndAtRunTime) {
  constexpr auto kStored = [] {
    std::array<std::uint8_t, 17> b{};
    store_be16(&b[0], 0x0102);
    store_be24(&b[2], 0x030405);
    store_be32(&b[5], 0x06070809);
    store_be64(&b[9], 0x0a0b0c0d0e0f1011);
    return b;
  }();
  std::array<std::uint8_t, 17> b{};
  store_be16(&b[0], 0x0102);
  store_be24(&b[2], 0x030405);
  store_be32(&b[5], 0x06070809);
  store_be64(&b[9], 0x0a0b0c0d0e0f1011);
  EXPECT_EQ(b, kStored);
  for (std::size_t i = 0; i < b.size(); ++i) EXPECT_EQ(b[i], i + 1);
  static_assert(load_be16(&kStored[0]) == 0x0102 && load_be24(&kStored[2]) == 0x030405);
  static_assert(load_be32(&kStored[5]) == 0x06070809 && load_be64(&kStored[9]) == 0x0a0b0c0d0e0f1011);
  EXPECT_EQ(load_be16(&b[0]), 0x0102);
  EXPECT_EQ(load_be24(&b[2]), 0x030405U);
  EXPECT_EQ(load_be32(&b[5]), 0x06070809U);
  EXPECT_EQ(load_be64(&b[9]), 0x0a0b0c0d0e0f1011U);
}

TEST(ByteReader, FailureSticks) {
  const std::array<std::uint8_t, 5> data{1, 2, 3, 4, 5};
  ByteReader r{data};
  EXPECT_EQ(r.be16(), 0x0102);
  EXPECT_EQ(r.be32(), 0U);  // only 3 left
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.u8(), 0);  // there is a byte, but the reader has failed
  EXPECT_EQ(r.remaining(), 0U);
  EXPECT_TRUE(r.bytes(0).empty());
}

TEST(ByteReader, ReadsWhatByteWriterWrote) {
  std::array<std::uint8_t, 22> buffer{};
  ByteWriter w{buffer};
  w.u8(1);
  w.be16(0x0203);
  w.be24(0x040506);
  w.be32(0x0708090a);
  w.be64(0x0b0c0d0e0f101112);
  w.bytes(std::array<std::uint8_t, 2>{0x13, 0x14});
  w.fill(2, 0xee);
  EXPECT_TRUE(w.ok());
  EXPECT_EQ(w.size(), buffer.size());
  for (std::uint8_t i = 0; i < 20; ++i) EXPECT_EQ(buffer[i], i + 1);
  ByteReader r{buffer};
  EXPECT_EQ(r.u8(), 1);
  EXPECT_EQ(r.be16(), 0x0203);
  EXPECT_EQ(r.be24(), 0x040506U);
  EXPECT_EQ(r.be32(), 0x0708090aU);
  EXPECT_EQ(r.be64(), 0x0b0c0d0e0f101112U);
  EXPECT_EQ(r.bytes(2)[1], 0x14);
  r.skip(1);
  EXPECT_EQ(r.rest().size(), 1U);
  EXPECT_TRUE(r.ok() && r.at_end());
}

TEST(ByteWriter, WritesNothingPastTheEnd) {
  std::array<std::uint8_t, 4> buffer{0, 0, 0, 0x77};
  ByteWriter w{MutableByteSpan{buffer}.first(3)};
  w.be16(0xffff);
  w.be16(0xffff);
  EXPECT_FALSE(w.ok());
  w.u8(1);
  EXPECT_EQ(w.size(), 2U);
  EXPECT_EQ(buffer[2], 0);
  EXPECT_EQ(buffer[3], 0x77);
}

// The constants are our own; here they meet the system's.
TEST(ErrorTable, AgreesWithTheSystemsNumbers) {
  EXPECT_EQ(errno_of(Errc::invalid_argument), EINVAL);
  EXPECT_EQ(errno_of(Errc::bad_handle), EBADF);
  EXPECT_EQ(errno_of(Errc::wrong_state), EINVAL);
  EXPECT_EQ(errno_of(Errc::not_supported), EOPNOTSUPP);
  EXPECT_EQ(errno_of(Errc::address_in_use), EADDRINUSE);
  EXPECT_EQ(errno_of(Errc::address_not_available), EADDRNOTAVAIL);
  EXPECT_EQ(errno_of(Errc::network_unreachable), ENETUNREACH);
  EXPECT_EQ(errno_of(Errc::host_unreachable), EHOSTUNREACH);
  EXPECT_EQ(errno_of(Errc::protocol_unreachable), ENOPROTOOPT);
  EXPECT_EQ(errno_of(Errc::connection_refused), ECONNREFUSED);
  EXPECT_EQ(errno_of(Errc::connection_reset), ECONNRESET);
  EXPECT_EQ(errno_of(Errc::connection_aborted), ECONNABORTED);
  EXPECT_EQ(errno_of(Errc::timed_out), ETIMEDOUT);
  EXPECT_EQ(errno_of(Errc::not_connected), ENOTCONN);
  EXPECT_EQ(errno_of(Errc::already_connected), EISCONN);
  EXPECT_EQ(errno_of(Errc::in_progress), EINPROGRESS);
  EXPECT_EQ(errno_of(Errc::message_too_long), EMSGSIZE);
  EXPECT_EQ(errno_of(Errc::no_buffers), ENOBUFS);
  EXPECT_EQ(errno_of(Errc::no_memory), ENOMEM);
  EXPECT_EQ(errno_of(Errc::permission_denied), EACCES);
  EXPECT_EQ(errno_of(Errc::interrupted), EINTR);
  EXPECT_EQ(errno_of(Errc::cancelled), ECANCELED);
  EXPECT_EQ(errno_of(Errc::broken_pipe), EPIPE);
  EXPECT_EQ(errno_of(Errc::destination_required), EDESTADDRREQ);
  EXPECT_EQ(errno_of(Errc::again), EAGAIN);
  EXPECT_EQ(errno_of(Errc::shut_down), ENETDOWN);
  EXPECT_EQ(errno_of(Errc::io_error), EIO);
  EXPECT_EQ(errno_of(Errc::not_found), ENOENT);
  EXPECT_EQ(errno_of(Errc::already_exists), EEXIST);
  EXPECT_EQ(errno_of(Errc::protocol_error), EPROTO);
  EXPECT_EQ(errno_of(Errc::no_protocol_option), ENOPROTOOPT);
}

TEST(ErrorTable, EveryRowHasItsOwnNameAndASentence) {
  std::set<std::string_view> names;
  for (const ErrorInfo& row : error_table()) {
    EXPECT_EQ(&error_info(row.code), &row);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.sentence.ends_with(".")) << row.name;
  }
  EXPECT_EQ(name_of(Errc::connection_reset), "connection_reset");
}

TEST(Result, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> r{std::make_unique<int>(7)};
  ASSERT_TRUE(r);
  EXPECT_EQ(**r, 7);
  r = fail(Errc::timed_out);
  EXPECT_EQ(r.error(), Errc::timed_out);
  const Result<int> failed = fail(Errc::again);
  EXPECT_EQ(failed.value_or(3), 3);
  EXPECT_TRUE(Result<void>{});
  EXPECT_EQ(Result<void>{fail(Errc::interrupted)}.error(), Errc::interrupted);
}

TEST(ResultDeathTest, TheValueOfAnErrorIsABrokenInvariant) {
  const Result<int> r = fail(Errc::again);
  EXPECT_DEATH(static_cast<void>(r.value()), "");
}

// RFC 9293 3.4: comparison modulo 2^32, at every boundary.
TEST(SeqNum, ComparesAcrossTheWrap) {
  for (const std::uint32_t base : {0U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    const SeqNum a{base};
    EXPECT_TRUE(a < a + 1);
    EXPECT_TRUE(a < a + 0x7fffffff);
    EXPECT_TRUE(a - 1 < a);
    EXPECT_TRUE(a <= a && a >= a && !(a < a));
    EXPECT_EQ((a + 10) - a, 10U);
    EXPECT_EQ(max(a, a + 1), a + 1);
    EXPECT_EQ(min(a, a + 1), a);
    EXPECT_TRUE((a + 9).in_window(a, 10));
    EXPECT_FALSE((a + 10).in_window(a, 10));
    EXPECT_FALSE((a - 1).in_window(a, 10));
  }
}

TEST(Instant, NeverStaysNever) {
  EXPECT_TRUE((Instant::never() + Duration::s(1)).is_never());
  EXPECT_TRUE((Instant::never() - Duration::s(1)).is_never());
  EXPECT_TRUE((Instant::from_ns(1) + Duration::max()).is_never());
  EXPECT_EQ(earlier(Instant::never(), Instant::from_ns(5)).count_ns(), 5);
  EXPECT_EQ((Instant::from_ns(0) + Duration::ms(3)) - Instant::from_ns(0), Duration::us(3000));
  EXPECT_EQ(Duration::s(1) / Duration::ms(3), 333);
}

TEST(Rng, IsTheSameForOneKeyAndStaysInItsBound) {
  Rng a{{1, 2}};
  Rng b{{1, 2}};
  Rng c{{1, 3}};
  std::array<unsigned, 10> seen{};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t x = a.next();
    EXPECT_EQ(x, b.next());
    EXPECT_NE(x, c.next());
    ++seen[a.below(10)];
    static_cast<void>(b.below(10));
  }
  for (const unsigned n : seen) EXPECT_NEAR(n, 1000, 150);
}

TEST(Rng, PurposesGiveUnrelatedKeys) {
  const Entropy entropy{{1, 2, 3, 4}};
  const SipKey a = derive_key(entropy, 1);
  const SipKey b = derive_key(entropy, 2);
  EXPECT_NE(a.k0, b.k0);
  EXPECT_NE(a.k1, b.k1);
  EXPECT_NE(a.k0, a.k1);
}

TEST(Counters, EveryReasonHasASentence) {
  std::set<std::string_view> names;
  for (const auto& info : kDropInfo) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(info.sentence.ends_with(".")) << info.name;
  }
  for (const auto& info : kCounterInfo) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(info.sentence.ends_with(".")) << info.name;
    EXPECT_FALSE(info.unit.empty()) << info.name;
  }
  Counters counters;
  counters.add(DropReason::no_buffers, 2);
  counters.add(DropReason::tcp_paws);
  counters.add(Counter::ip_sent, 5);
  EXPECT_EQ(counters.get(DropReason::no_buffers), 2U);
  EXPECT_EQ(counters.get(Counter::ip_sent), 5U);
  EXPECT_EQ(counters.total_drops(), 3U);
}

TEST(Delegate, CallsTheMemberOfItsObject) {
  struct Server {
    int total = 0;
    int on_event(int n) { return total += n; }
  } server;
  const auto d = Delegate<int(int)>::to<&Server::on_event>(server);
  EXPECT_TRUE(d);
  EXPECT_EQ(d(3), 3);
  EXPECT_EQ(d(4), 7);
  EXPECT_FALSE(Delegate<void()>{});
}

}  // namespace
}  // namespace leat
