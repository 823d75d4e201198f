// Operations that open and change things.

#include <leat/drive/op_engine_test_support.hpp>

namespace leat::test {
namespace {

TEST_F(OpEngineTest, ARefusedConnectTellsWhy) {
  const Handle h = open(0, SocketKind::stream);
  Op op;
  op.connect(h, {TwoHosts::address(1), Port{9}});
  w.service(0).run(op);
  EXPECT_EQ(op.error, Errc::connection_refused);
}

TEST_F(OpEngineTest, ControlListsAndChangesWhatTheStackHas) {
  std::array<InterfaceInfo, 2> interfaces;
  ControlRequest r{.verb = ControlVerb::list_interfaces, .interfaces = interfaces};
  Op op;
  op.control(r);
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  ASSERT_EQ(r.total, 1U);
  EXPECT_EQ(interfaces[0].name_text(), "a");
  const std::array<IpPrefix, 1> only{*IpPrefix::parse("10.7.0.1/16")};
  r = {.verb = ControlVerb::set_addresses, .interface = interfaces[0].id, .prefixes = only};
  w.service(0).run(op);
  ASSERT_EQ(op.error, Errc{});
  std::array<AddressInfo, 4> addresses;
  r = {.verb = ControlVerb::list_addresses, .addresses = addresses};
  w.service(0).run(op);
  ASSERT_EQ(r.total, 1U);
  EXPECT_EQ(addresses[0].prefix, only[0]);
}

}  // namespace
}  // namespace leat::test
