#pragma once
// Endpoints of Boost.Asio and of Leat, one to the other. Scope ids of IPv6 are not carried. Threading: values.

#include <boost/asio/ip/address.hpp>
#include <leat/base/address.hpp>

namespace leat::asio {

template <class AsioEndpoint>
[[nodiscard]] Endpoint from_asio(const AsioEndpoint& e) {
  const auto& a = e.address();
  return {a.is_v4() ? IpAddress::v4(a.to_v4().to_uint()) : IpAddress::v6_wire(a.to_v6().to_bytes().data()),
          Port{e.port()}};
}

template <class AsioEndpoint>
[[nodiscard]] AsioEndpoint to_asio(const Endpoint& e) {
  namespace ip = boost::asio::ip;
  if (e.address.is_v4()) return {ip::address_v4(e.address.v4_value()), e.port.value()};
  return {ip::address_v6(e.address.bytes()), e.port.value()};
}

}  // namespace leat::asio
