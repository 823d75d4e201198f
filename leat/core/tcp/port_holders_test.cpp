// Which ports a bind that wants to be alone may have: connections hold theirs, and so does TIME-WAIT.

#include <tests/support/tcp_pair.hpp>

namespace leat::test {
namespace {

struct TcpPortHolders : testing::Test {
  Result<void> bind(const Endpoint& to, BindHow how, bool reuse = false) {
    const Handle h = pair.stack(0).open_stream().value();
    EXPECT_TRUE(pair.stack(0).set_option(h, OptionId::reuse_address, reuse ? 1 : 0));
    const auto r = pair.stack(0).bind(h, to, how);
    if (r) bound = pair.stack(0).local_endpoint(h).value().port;
    EXPECT_TRUE(pair.stack(0).close(h));
    return r;
  }
  TcpPair pair;
  Port bound;
};

TEST_F(TcpPortHolders, AChosenPortIsNobodysConnections) {
  ASSERT_TRUE(pair.stack(0).set_option(OptionId::ephemeral_first, 50'000));
  ASSERT_TRUE(pair.stack(0).set_option(OptionId::ephemeral_last, 50'003));
  const Handle listener = pair.listen();
  for (int i = 0; i < 3; ++i) (void)pair.connect_to(listener);
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(bind({IpAddress{}, Port{}}, BindHow::alone));
    EXPECT_EQ(bind({IpAddress{}, bound}, BindHow::alone).has_value(), true);
  }
  (void)pair.connect_to(listener);
  EXPECT_EQ(bind({IpAddress{}, Port{}}, BindHow::alone).error(), Errc::address_in_use);
  EXPECT_EQ(bind({TcpPair::address(0), Port{}}, BindHow::alone).error(), Errc::address_in_use);
  EXPECT_TRUE(bind({TcpPair::address6(0), Port{}}, BindHow::alone));  // these are connections of IPv4
  EXPECT_TRUE(bind({IpAddress{}, Port{}}, BindHow::beside_connections));
}

// Linux IP_BIND_ADDRESS_NO_PORT: a bound address costs no port, only the four-tuples must differ.
TEST_F(TcpPortHolders, AnAddressWithoutItsPortLeavesTheTupleToConnect) {
  Stack& client = pair.stack(0);
  ASSERT_TRUE(client.set_option(OptionId::ephemeral_first, 50'000));
  ASSERT_TRUE(client.set_option(OptionId::ephemeral_last, 50'001));
  const auto connect_to = [&](unsigned port) -> Result<void> {
    const Handle h = client.open_stream().value();
    EXPECT_TRUE(client.set_option(h, OptionId::ip_bind_address_no_port, 1));
    EXPECT_TRUE(client.bind(h, {TcpPair::address(0), Port{}}));
    EXPECT_EQ(client.local_endpoint(h).value(), (Endpoint{TcpPair::address(0), Port{}}));
    auto r = client.connect(h, {TcpPair::address(1), Port{static_cast<std::uint16_t>(port)}});
    EXPECT_EQ(client.local_endpoint(h).value().address, TcpPair::address(0));
    return r;
  };
  for (const unsigned port : {80U, 80U, 81U, 81U}) EXPECT_TRUE(connect_to(port));
  EXPECT_EQ(connect_to(80).error(), Errc::address_not_available);
  EXPECT_TRUE(connect_to(82));
}

TEST_F(TcpPortHolders, TimeWaitHoldsAPortUntilItIsOver) {
  const auto [c, s] = pair.connect();
  const Endpoint at = pair.stack(0).local_endpoint(c).value();
  EXPECT_TRUE(bind(at, BindHow::beside_connections));
  EXPECT_EQ(bind(at, BindHow::alone).error(), Errc::address_in_use);
  EXPECT_TRUE(pair.stack(0).close(c));
  EXPECT_TRUE(pair.stack(1).close(s));
  pair.settle();
  EXPECT_EQ(bind(at, BindHow::alone).error(), Errc::address_in_use);
  EXPECT_EQ(bind(at, BindHow::alone, true).error(), Errc::address_in_use);  // the other did not ask for it
  pair.run();
  EXPECT_TRUE(bind(at, BindHow::alone));
}

}  // namespace
}  // namespace leat::test
