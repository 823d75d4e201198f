// Which connections hold a port, as BSD sockets have it: a connection, accepted or made, keeps others from being bound
// to its port until it is out of TIME-WAIT, unless both have reuse_address (or reuse_port). A server that is started
// again sets that. Connections of sockets that were bound themselves are in the table of binds, too: the rule is the
// same.

#include <leat/core/tcp/machine.hpp>

namespace leat::tcp {
namespace {

// fn(key, reuse_address, reuse_port) for each, until it answers true.
template <class Fn>
bool any_holder(Core& core, Fn&& fn) {
  const State& s = core.tcp;
  for (Index i = 0; i < s.connection_pool.watermark(); ++i) {
    const Hot& h = s.hot[i];
    if (h.state == TcpState::closed || h.flags.any(Flag::detached, Flag::freed)) continue;
    const OptionValues& o = Tcb{core, i}.options();
    const auto interface = static_cast<InterfaceId>(o.get(OptionId::bind_interface));
    if (fn(BindKey{h.key.local, h.key.local_port, interface, h.key.scope}, o.on(OptionId::reuse_address),
           o.on(OptionId::reuse_port)))
      return true;
  }
  for (Index i = s.time_wait.oldest(); i != kNoIndex; i = s.time_wait[i].link.next) {
    const TimeWaitRecord& r = s.time_wait[i];
    if (fn(BindKey{r.local, r.local_port, kNoInterface, r.scope}, r.reuse_address(), r.reuse_port())) return true;
  }
  return false;
}

}  // namespace

bool connections_hold(Core& core, const BindKey& key, BindFlags flags) {
  return any_holder(core, [&](const BindKey& held, bool reuse_address, bool reuse_port) {
    if (held.port != key.port || !ListenerTable::overlap(key, flags.v6only, held, false)) return false;
    return !(flags.reuse_address && reuse_address) && !(flags.reuse_port && reuse_port);
  });
}

bool PortsOfConnections::has(Port port) {
  const std::uint32_t p = port.value();
  if (!in_window(p)) look_from(p);
  return held_[p - first_];
}

void PortsOfConnections::look_from(std::uint32_t first) {
  first_ = first;
  held_ = {};
  any_holder(core_, [&](const BindKey& holder, bool, bool) {
    const std::uint32_t p = holder.port.value();
    if (!in_window(p)) return false;
    BindKey wanted = key_;
    wanted.port = holder.port;
    if (ListenerTable::overlap(wanted, v6only_, holder, false)) held_[p - first_] = true;
    return false;  // the next one
  });
}

}  // namespace leat::tcp
