#include <leat/api/channel/stack_control.hpp>

namespace leat::channel {

Result<void> StackControl::ask(ControlRequest& request) const {
  const Response r = channel_.request_blocking(Control{&request});
  if (const auto* const error = std::get_if<Error>(&r)) return fail(error->code);
  return {};
}

Result<void> StackControl::set_ips(InterfaceId interface, std::span<const IpPrefix> prefixes) const {
  ControlRequest r{.verb = ControlVerb::set_addresses, .interface = interface, .prefixes = prefixes};
  return ask(r);
}
Result<void> StackControl::add_address(InterfaceId interface, const IpPrefix& prefix, AddressOptions options) const {
  ControlRequest r{
      .verb = ControlVerb::add_address, .interface = interface, .prefix = prefix, .address_options = options};
  return ask(r);
}
Result<void> StackControl::remove_address(InterfaceId interface, const IpAddress& address) const {
  ControlRequest r{.verb = ControlVerb::remove_address, .interface = interface, .prefix = {address, 0}};
  return ask(r);
}
Result<void> StackControl::add_route(const RouteConfig& route) const {
  ControlRequest r{.verb = ControlVerb::add_route, .route = route};
  return ask(r);
}
Result<void> StackControl::remove_route(const IpPrefix& destination, const IpAddress& gateway) const {
  ControlRequest r{.verb = ControlVerb::remove_route, .route = {.destination = destination, .gateway = gateway}};
  return ask(r);
}
Result<void> StackControl::set_interface_up(InterfaceId interface, bool up) const {
  ControlRequest r{.verb = ControlVerb::set_interface_up, .interface = interface, .value = up ? 1 : 0};
  return ask(r);
}
Result<void> StackControl::set_interface_mtu(InterfaceId interface, std::uint32_t mtu) const {
  ControlRequest r{.verb = ControlVerb::set_interface_mtu, .interface = interface, .value = mtu};
  return ask(r);
}
Result<void> StackControl::set_option(OptionId option, std::int64_t value) const {
  ControlRequest r{.verb = ControlVerb::set_stack_option, .option = option, .value = value};
  return ask(r);
}
Result<std::int64_t> StackControl::option(OptionId option) const {
  ControlRequest r{.verb = ControlVerb::get_stack_option, .option = option};
  if (const auto done = ask(r); !done) return fail(done.error());
  return r.value;
}
Result<bool> StackControl::loopback() const {
  const auto on = option(OptionId::ip_loopback);
  if (!on) return fail(on.error());
  return *on != 0;
}

// Asks again with more room while more were there than fit.
template <class T>
Result<std::vector<T>> StackControl::list(ControlVerb verb, std::span<T> ControlRequest::*member) const {
  std::vector<T> entries(16);
  for (;;) {
    ControlRequest r{.verb = verb};
    r.*member = entries;
    if (const auto done = ask(r); !done) return fail(done.error());
    const bool all = r.total <= entries.size();
    entries.resize(r.total);
    if (all) return entries;
  }
}

Result<std::vector<InterfaceInfo>> StackControl::interfaces() const {
  return list(ControlVerb::list_interfaces, &ControlRequest::interfaces);
}
Result<std::vector<AddressInfo>> StackControl::addresses() const {
  return list(ControlVerb::list_addresses, &ControlRequest::addresses);
}
Result<std::vector<RouteConfig>> StackControl::routes() const {
  return list(ControlVerb::list_routes, &ControlRequest::routes);
}
Result<std::vector<SocketInfo>> StackControl::sockets() const {
  return list(ControlVerb::list_sockets, &ControlRequest::sockets);
}
Result<Counters> StackControl::counters() const {
  Counters counters;
  ControlRequest r{.verb = ControlVerb::counters, .counters = &counters};
  if (const auto done = ask(r); !done) return fail(done.error());
  return counters;
}
Result<tcp::TcpState> StackControl::connection(const FlowKey& flow) const {
  ControlRequest r{.verb = ControlVerb::connection_by_flow, .flow = flow};
  if (const auto done = ask(r); !done) return fail(done.error());
  return r.state;
}

}  // namespace leat::channel
