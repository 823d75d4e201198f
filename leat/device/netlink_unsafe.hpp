#pragma once
// What it takes to configure the kernel's side of an interface, in the network namespace of the caller: rtnetlink and
// a few ioctls, written by hand because a few messages need no library. Linux; hosted builds only.
//
// Errors: permission_denied, not_found (no such interface), already_exists, invalid_argument, network_unreachable (a
// gateway that no address reaches), io_error for anything else. Threading: any; each call has its own socket.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/result.hpp>
#include <optional>
#include <string_view>

namespace leat::netlink {

[[nodiscard]] Result<std::uint32_t> interface_index(std::string_view name);
// IPv6 addresses are added without duplicate address detection, and when the interface is up they are in use on return
// (which takes the kernel some milliseconds).
[[nodiscard]] Result<void> add_address(std::string_view name, const IpPrefix& address);
[[nodiscard]] Result<void> link_up(std::string_view name);
[[nodiscard]] Result<void> link_down(std::string_view name);
[[nodiscard]] Result<void> delete_link(std::string_view name);
// A pair of virtual Ethernet interfaces: `name` here, `peer` in the network namespace of that process (0: here too).
[[nodiscard]] Result<void> add_veth(std::string_view name, std::string_view peer, std::uint32_t process = 0);
[[nodiscard]] Result<void> set_mtu(std::string_view name, std::uint32_t mtu);
[[nodiscard]] Result<std::uint32_t> get_mtu(std::string_view name);
// Packets that wait to be sent (txqueuelen). A TAP's are those that its program has not read.
[[nodiscard]] Result<void> set_queue_length(std::string_view name, std::uint32_t packets);
[[nodiscard]] Result<std::uint32_t> get_queue_length(std::string_view name);
[[nodiscard]] Result<MacAddress> get_mac(std::string_view name);
// A route to `destination` through the interface, by way of `gateway` when there is one.
[[nodiscard]] Result<void> add_route(std::string_view name, const IpPrefix& destination,
                                     std::optional<IpAddress> gateway = std::nullopt);
// The name of an errno value of this machine as one of ours.
[[nodiscard]] Errc errc_of(int os_error);

}  // namespace leat::netlink
