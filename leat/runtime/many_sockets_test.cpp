// A hundred thousand sockets by handle: no descriptor stands behind one, so only the stack's own tables bound them.

#include <gtest/gtest.h>

#include <array>
#include <leat/runtime/shared_stack.hpp>
#include <vector>

namespace leat {
namespace {

constexpr std::uint32_t kDatagrams = 50'000;
constexpr std::uint32_t kStreams = 50'000;
constexpr std::uint32_t kPairs = 200;  // connected ones among the streams: a listener's end and a client's

class ManySockets : public ::testing::Test {
 protected:
  // Everything that is in use in the tables of sockets.
  struct InUse {
    std::uint32_t sockets, udp, udp_binds, connections, active, listeners, tcp_binds;
    bool operator==(const InUse&) const = default;
  };
  InUse in_use() {
    InUse n{};
    EXPECT_TRUE(stack->with_owner([&n](Shard& shard) {
      const Core& c = shard.stack().core();
      n = {c.sockets.used(),         c.udp.pool.used(),          c.udp.binds.size(), c.tcp.connection_pool.used(),
           c.tcp.active_pool.used(), c.tcp.listener_pool.used(), c.tcp.binds.size()};
    }));
    return n;
  }
  struct Outcome {
    Errc error;
    std::size_t count;
    Handle handle;
  };
  template <class F>
  Outcome run(F&& fill) {
    Op op;
    fill(op);
    stack->run(op);
    return {op.error, op.count, op.handle};
  }
  Handle open(SocketKind kind) {
    const Outcome op = run([&](Op& o) { o.open(kind); });
    EXPECT_EQ(op.error, Errc{});
    return op.handle;
  }
  void bind(Handle h, const Endpoint& to) {
    EXPECT_EQ(run([&](Op& o) { o.bind(h, to); }).error, Errc{});
  }
  void expect_echo(Handle from, Handle to, std::uint32_t word) {
    std::array<std::uint8_t, 4> sent{}, got{};
    for (std::size_t i = 0; i < 4; ++i) sent[i] = static_cast<std::uint8_t>(word >> (8 * i));
    EXPECT_EQ(run([&](Op& o) { o.send(from, sent); }).error, Errc{});
    const Outcome op = run([&](Op& o) { o.receive(to, got); });
    EXPECT_EQ(op.error, Errc{});
    EXPECT_EQ(op.count, 4U);
    EXPECT_EQ(got, sent);
  }
  // A place of its own for each datagram socket: 127/8 is ours.
  static Endpoint place(std::uint32_t n) {
    return {IpAddress::v4(127, 0, 1, static_cast<std::uint8_t>(1 + n / 10'000)),
            Port{static_cast<std::uint16_t>(1'000 + n % 10'000)}};
  }

  std::shared_ptr<SharedStack> stack =
      SharedStack::make({.limits = hosted_limits(kStreams), .packet_memory = std::size_t{32} << 20}).value();
};

TEST_F(ManySockets, HundredThousandAreUsableAndLeaveNothing) {
  const InUse nothing = in_use();

  std::vector<Handle> udp, tcp;
  for (std::uint32_t i = 0; i < kDatagrams; ++i) udp.push_back(open(SocketKind::udp));
  const Handle listener = open(SocketKind::stream);
  bind(listener, {IpAddress{}, Port{7}});
  ASSERT_EQ(run([&](Op& o) { o.listen(listener, 16); }).error, Errc{});
  for (std::uint32_t i = 1; i < kStreams - kPairs; ++i) tcp.push_back(open(SocketKind::stream));

  // Every datagram socket has a place, and some talk to each other.
  for (std::uint32_t i = 0; i < kDatagrams; ++i) bind(udp[i], place(i));
  for (std::uint32_t i = 0, j = kDatagrams - 1; i < kPairs; i += 1, j -= kDatagrams / 2 / kPairs) {
    ASSERT_EQ(run([&](Op& o) { o.connect(udp[i], place(j)); }).error, Errc{});
    ASSERT_EQ(run([&](Op& o) { o.connect(udp[j], place(i)); }).error, Errc{});
    expect_echo(udp[i], udp[j], i);
    expect_echo(udp[j], udp[i], j);
  }

  std::vector<Handle> accepted;
  for (std::uint32_t i = 0; i < kPairs; ++i) {
    const Handle client = tcp[i * ((kStreams - kPairs - 1) / kPairs)];
    ASSERT_EQ(run([&](Op& o) { o.connect(client, {IpAddress::v4(127, 0, 0, 1), Port{7}}); }).error, Errc{});
    const Outcome server = run([&](Op& o) { o.accept(listener); });
    ASSERT_EQ(server.error, Errc{});
    accepted.push_back(server.handle);
    expect_echo(client, server.handle, i);
    expect_echo(server.handle, client, i);
  }
  EXPECT_EQ(in_use().sockets, nothing.sockets + kDatagrams + kStreams);
  EXPECT_EQ(in_use().udp, kDatagrams);

  for (const auto& all : {udp, tcp, accepted})
    for (const Handle h : all) EXPECT_EQ(run([&](Op& o) { o.close(h); }).error, Errc{});
  EXPECT_EQ(run([&](Op& o) { o.close(listener); }).error, Errc{});
  // The last FINs and their acknowledgements; who was first keeps a record, which is no socket.
  for (int turns = 0; turns < 1000 && in_use() != nothing; ++turns) (void)run([](Op& o) { o.verb = Verb::none; });
  EXPECT_EQ(in_use(), nothing);
  EXPECT_EQ(run([&](Op& o) { o.close(udp[0]); }).error, Errc::bad_handle);
  EXPECT_EQ(run([&](Op& o) { o.close(tcp[0]); }).error, Errc::bad_handle);
}

// One more than there is room for is refused, and takes nothing from the others; one that ends makes room for one.
TEST_F(ManySockets, OneTooManyIsRefusedAndAllElseGoesOn) {
  std::vector<Handle> all;
  const Handle a = open(SocketKind::udp), b = open(SocketKind::udp);
  bind(a, place(0));
  bind(b, place(1));
  ASSERT_EQ(run([&](Op& o) { o.connect(a, place(1)); }).error, Errc{});
  Outcome last{};
  while (all.size() < kDatagrams && (last = run([](Op& o) { o.open(SocketKind::udp); })).error == Errc{})
    all.push_back(last.handle);
  EXPECT_EQ(last.error, Errc::no_memory);
  EXPECT_EQ(all.size(), kDatagrams - 2);
  expect_echo(a, b, 42);
  EXPECT_EQ(run([&](Op& o) { o.close(all.back()); }).error, Errc{});
  all.back() = open(SocketKind::udp);
  EXPECT_EQ(run([](Op& o) { o.open(SocketKind::udp); }).error, Errc::no_memory);
  (void)open(SocketKind::stream);  // these have a table of their own
  expect_echo(a, b, 43);
}

}  // namespace
}  // namespace leat
