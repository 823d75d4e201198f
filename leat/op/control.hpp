#pragma once
// Control: what is asked of a stack beside its sockets: addresses, routes, interfaces, options, lists and statistics,
// as plain values, so that a request can stand in a caller's frame, in a ring or in another process.
//
//   ControlRequest r{.verb = ControlVerb::add_address, .interface = eth, .prefix = *IpPrefix::parse("10.0.0.2/24")};
//   op.control(r); service.run(op); if (op.error != Errc{}) ...
//
// Lists are written into the caller's spans; `total` says how many there are, which may be more than fit. Threading:
// values.

#include <array>
#include <cstdint>
#include <leat/base/counters.hpp>
#include <leat/base/link_type.hpp>
#include <leat/op/handle.hpp>
#include <leat/op/message.hpp>
#include <leat/op/options.hpp>
#include <leat/op/tcp_info.hpp>
#include <span>
#include <string_view>

namespace leat {

struct RouteConfig {
  IpPrefix destination{};
  IpAddress gateway{};                   // unspecified: on-link
  InterfaceId interface = kNoInterface;  // found from the gateway when not given
  std::uint32_t metric = 0;
  std::uint32_t mtu = 0;
  enum class Kind : std::uint8_t { unicast, local, reject } kind = Kind::unicast;  // local: any-IP
};

struct AddressOptions {
  bool detect_duplicates = false;  // RFC 4862 5.4, RFC 5227: tentative first
};

struct InterfaceInfo {
  InterfaceId id = kNoInterface;
  std::array<char, 16> name{};  // ends with a zero
  LinkType link = LinkType::ip;
  MacAddress mac{};
  std::uint32_t mtu = 0;
  bool up = false;
  [[nodiscard]] std::string_view name_text() const { return name.data(); }
};
struct AddressInfo {
  InterfaceId interface = kNoInterface;
  IpPrefix prefix{};
  bool usable = false;  // not tentative, not a duplicate
};
struct SocketInfo {
  Handle socket{};
  Endpoint local{}, remote{};
  tcp::TcpState state = tcp::TcpState::closed;  // of streams and listeners
  OwnerId owner = 0;
};

enum class ControlVerb : std::uint8_t {
  add_address,         // interface, prefix, address_options
  remove_address,      // interface, prefix.address
  set_addresses,       // interface, prefixes: these and no others
  add_route,           // route
  remove_route,        // route.destination, route.gateway
  set_interface_up,    // interface, value
  set_interface_mtu,   // interface, value
  set_stack_option,    // option, value
  get_stack_option,    // option -> value
  list_interfaces,     // -> interfaces, total
  list_addresses,      // -> addresses, total
  list_routes,         // -> routes, total; those that the configuration made
  list_sockets,        // -> sockets, total
  connection_by_flow,  // flow -> state [, *info]
  counters,            // -> *counters
};

struct ControlRequest {
  ControlVerb verb = ControlVerb::list_interfaces;
  InterfaceId interface = kNoInterface;
  OptionId option = OptionId::ip_default_ttl;
  std::int64_t value = 0;
  IpPrefix prefix{};
  AddressOptions address_options{};
  RouteConfig route{};
  FlowKey flow{};
  std::span<const IpPrefix> prefixes{};
  std::span<InterfaceInfo> interfaces{};
  std::span<AddressInfo> addresses{};
  std::span<RouteConfig> routes{};
  std::span<SocketInfo> sockets{};
  Counters* counters = nullptr;
  tcp::TcpInfo* info = nullptr;
  std::size_t total = 0;
  tcp::TcpState state = tcp::TcpState::closed;
};

}  // namespace leat
