#pragma once
// StackControl: what is asked of a stack beside its sockets: addresses, routes, interfaces, options, lists, statistics.
//
//   StackControl control(channel);
//   control.set_ips(1, addresses);  control.add_route({.destination = ..., .gateway = ...});
//   for (const InterfaceInfo& i : control.interfaces().value()) ...
//
// None of these waits for the network; they wait only for the stack to take them. Awaited: async_request takes any
// request of op/control.hpp. Threading: any.

#include <leat/api/channel/channel.hpp>
#include <vector>

namespace leat::channel {

class StackControl {
 public:
  explicit StackControl(Channel channel) : channel_(std::move(channel)) {}

  // These addresses and no others.
  Result<void> set_ips(InterfaceId interface, std::span<const IpPrefix> prefixes) const;
  Result<void> add_address(InterfaceId interface, const IpPrefix& prefix, AddressOptions options = {}) const;
  Result<void> remove_address(InterfaceId interface, const IpAddress& address) const;
  Result<void> add_route(const RouteConfig& route) const;
  Result<void> remove_route(const IpPrefix& destination, const IpAddress& gateway) const;
  Result<void> set_interface_up(InterfaceId interface, bool up) const;
  Result<void> set_interface_mtu(InterfaceId interface, std::uint32_t mtu) const;
  Result<void> set_option(OptionId option, std::int64_t value) const;
  [[nodiscard]] Result<std::int64_t> option(OptionId option) const;
  // Whether 127.0.0.0/8 and ::1 lead back to this stack, as they do at first, or nowhere.
  Result<void> set_loopback(bool on) const { return set_option(OptionId::ip_loopback, on ? 1 : 0); }
  [[nodiscard]] Result<bool> loopback() const;
  [[nodiscard]] Result<std::vector<InterfaceInfo>> interfaces() const;
  [[nodiscard]] Result<std::vector<AddressInfo>> addresses() const;
  [[nodiscard]] Result<std::vector<RouteConfig>> routes() const;
  [[nodiscard]] Result<std::vector<SocketInfo>> sockets() const;
  [[nodiscard]] Result<Counters> counters() const;
  [[nodiscard]] Result<tcp::TcpState> connection(const FlowKey& flow) const;

  // co_await: Ok or Error; `request` stays the caller's and carries the result.
  [[nodiscard]] Channel::Awaiter async_request(ControlRequest& request) const {
    return channel_.request(Control{&request});
  }

 private:
  Result<void> ask(ControlRequest& request) const;
  template <class T>
  Result<std::vector<T>> list(ControlVerb verb, std::span<T> ControlRequest::*member) const;

  Channel channel_;
};

}  // namespace leat::channel
