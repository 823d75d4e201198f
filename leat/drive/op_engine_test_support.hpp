#pragma once
// What stories about operations begin with: two hosts, a connection between them, and an operation to look at later.

#include <gtest/gtest.h>

#include <leat/drive/op_engine.hpp>
#include <numeric>
#include <tests/support/virtual_service.hpp>
#include <vector>

namespace leat::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes numbers(std::size_t n) {
  Bytes b(n);
  std::iota(b.begin(), b.end(), std::uint8_t{0});
  return b;
}

// An operation that a story starts and looks at later.
struct Started : Op {
  Started() {
    context = this;
    completed = [](Op& o) { static_cast<Started*>(o.context)->over = true; };
  }
  bool over = false;
};

class OpEngineTest : public ::testing::Test {
 protected:
  static constexpr Port kPort{7};

  Handle open(std::size_t host, SocketKind kind) {
    Op op;
    op.open(kind);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.handle;
  }
  Handle listen() {
    const Handle h = open(1, SocketKind::stream);
    Op op;
    op.bind(h, {IpAddress{}, kPort});
    w.service(1).run(op);
    op.reset();
    op.listen(h, 8);
    w.service(1).run(op);
    EXPECT_EQ(op.error, Errc{});
    return h;
  }
  // A connection: client on host 0, server on host 1.
  void connect() {
    listener = listen();
    client = open(0, SocketKind::stream);
    Op op;
    op.connect(client, {TwoHosts::address(1), kPort});
    w.service(0).run(op);
    ASSERT_EQ(op.error, Errc{});
    op.reset();
    op.accept(listener);
    w.service(1).run(op);
    ASSERT_EQ(op.error, Errc{});
    server = op.handle;
    op.reset();
    op.set_option(client, OptionId::tcp_nodelay, 1);  // small writes go out at once
    w.service(0).run(op);
    ASSERT_EQ(op.error, Errc{});
  }
  std::size_t send(std::size_t host, Handle h, ByteSpan bytes) {
    Op op;
    op.send(h, bytes);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
    return op.count;
  }
  void close(std::size_t host, Handle h) {
    Op op;
    op.close(h);
    w.service(host).run(op);
    EXPECT_EQ(op.error, Errc{});
  }

  VirtualWorld w;
  Handle listener, client, server;
};

}  // namespace leat::test
