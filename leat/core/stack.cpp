#include <leat/core/iface/iface.hpp>
#include <leat/core/iface/multicast.hpp>
#include <leat/core/stack.hpp>
#include <utility>

namespace leat {
namespace {

// Calls `call` with what TCP and then UDP have for `verb`, as far as they are linked and have it.
template <class Verb, class Call>
void each_transport(const Core& core, Verb TransportModule::*verb, Call&& call) {
  const TransportModule* const tcp = core.modules.tcp;
  if (tcp != nullptr && tcp->*verb != nullptr) call(tcp->*verb);
  const TransportModule* const udp = core.modules.udp;
  if (udp != nullptr && udp->*verb != nullptr) call(udp->*verb);
}

}  // namespace

Stack::Stack(const StorageView& storage, const Modules& modules, const Entropy& entropy, Instant now,
             std::uint8_t shard)
    : core_(storage, modules, entropy, shard, now) {}

Stack::~Stack() {
  // Sockets end first: what they hold goes back to the pool. Then the interfaces, with what waits in their queues.
  for (Index i = 0; i < core_.sockets.watermark(); ++i) {
    if (core_.sockets[i].kind == SocketKind::none) continue;
    if (const SocketOps* o = ops(i); o != nullptr && o->abort != nullptr) o->abort(core_, i);
  }
  const Modules& m = core_.modules;
  for (const TransportModule* t : {m.tcp, m.udp, m.raw, m.icmp})
    if (t != nullptr && t->shut_down != nullptr) t->shut_down(core_);
  iface::shut_down(core_);
}

// --- configuration ---------------------------------------------------------------------------------------------------

Result<InterfaceId> Stack::add_interface(const InterfaceConfig& c) {
  return iface::add_interface(core_, c);
}
Result<void> Stack::remove_interface(InterfaceId id) {
  return iface::remove_interface(core_, id);
}
Result<void> Stack::set_interface_up(InterfaceId id, bool up) {
  return iface::set_up(core_, id, up);
}
Result<void> Stack::set_interface_mtu(InterfaceId id, std::uint32_t mtu) {
  return iface::set_mtu(core_, id, mtu);
}
Result<void> Stack::add_address(InterfaceId id, const IpPrefix& p, AddressOptions o) {
  return iface::add_address(core_, id, p, o);
}
Result<void> Stack::remove_address(InterfaceId id, const IpAddress& a) {
  return iface::remove_address(core_, id, a);
}
Result<void> Stack::add_route(const RouteConfig& r) {
  return iface::add_route(core_, r);
}
Result<void> Stack::remove_route(const IpPrefix& p, const IpAddress& gateway) {
  return iface::remove_route(core_, p, gateway);
}

Result<void> Stack::set_option(OptionId id, std::int64_t value) {
  if (id == OptionId::ip_loopback) ++core_.route_epoch;  // known paths may lead nowhere now
  core_.tcp.note_change(id);
  return core_.options.set(id, value);
}

Result<void> Stack::set_option(Handle h, OptionId id, std::int64_t value) {
  const Index i = core_.sockets.find(h);
  if (i == kNoIndex) return fail(Errc::bad_handle);
  if (option_range(id).level == OptionLevel::stack) return fail(Errc::no_protocol_option);
  Socket& s = core_.sockets[i];
  const auto profile = core_.profiles.with(s.profile, core_.options, id, value);
  if (!profile) return fail(profile.error());
  s.profile = *profile;
  if (const SocketOps* o = ops(i); o != nullptr && o->option_changed != nullptr) o->option_changed(core_, i, id);
  return {};
}

Result<std::int64_t> Stack::option(Handle h, OptionId id) const {
  const Index i = core_.sockets.find(h);
  if (i == kNoIndex) return fail(Errc::bad_handle);
  return core_.options_of(core_.sockets[i]).get(id);
}

// --- packets and time ------------------------------------------------------------------------------------------------

void Stack::set_now(Instant now) {
  // C11: a clock that steps back must not move time back; the stack stands still until it catches up.
  if (now > core_.now) core_.now = now;
}

void Stack::input(InterfaceId id, PacketBatch& batch, Instant now) {
  set_now(now);
  iface::input(core_, id, batch);
}

bool Stack::output(InterfaceId id, PacketBatch& batch, Instant now) {
  set_now(now);
  const iface::Interface* const ifc = core_.iface.find(id);
  const auto from_queue = [&] {
    if (ifc == nullptr) return;
    if (!ifc->queue.empty() || !ifc->waiters.empty()) iface::output(core_, id, batch);
  };
  from_queue();
  bool more = false;
  each_transport(core_, &TransportModule::output, [&](auto give) { more = give(core_, id, batch) || more; });
  from_queue();  // what transports send on their own account: RST, ACKs of records
  return more || (ifc != nullptr && !ifc->queue.empty());
}

bool Stack::has_output(InterfaceId id) const {
  // Asked several times a turn: one after the other, which costs less than a loop over both.
  const auto asks = [&](const TransportModule* t) {
    return t != nullptr && t->has_output != nullptr && t->has_output(core_, id);
  };
  return iface::has_output(core_, id) || asks(core_.modules.tcp) || asks(core_.modules.udp);
}

void Stack::run_timers(Instant now, unsigned budget) {
  set_now(now);
  iface::run_timers(core_, budget);
  ip::end_path_mtus(core_);
  each_transport(core_, &TransportModule::run_timers, [&](auto run) { run(core_, budget); });
}

bool Stack::run_loopback(Instant now, unsigned budget) {
  set_now(now);
  return iface::run_loopback(core_, budget);
}

bool Stack::reset_peers(Index& next, unsigned budget) {
  const TransportModule* const tcp = core_.modules.tcp;
  return tcp != nullptr && tcp->reset_peers(core_, next, budget);
}

Instant Stack::next_deadline() const {
  Instant t = earlier(iface::next_deadline(core_), core_.ip.path_mtus_due);
  each_transport(core_, &TransportModule::next_deadline, [&](auto next) { t = earlier(t, next(core_)); });
  return t;
}

// --- sockets ---------------------------------------------------------------------------------------------------------

const SocketOps* Stack::ops(Index socket) const {
  return core_.modules.sockets[static_cast<std::size_t>(core_.sockets[socket].role)];
}

Result<Handle> Stack::open(const TransportModule* module, OwnerId owner) {
  if (module == nullptr || module->open == nullptr) return fail(Errc::not_supported);
  return module->open(core_, owner, IpVersion::v4, module->protocol);
}

// Finds the socket and its protocol's verb and calls it, or answers with the right error.
template <class R, class... Params, class... Args>
R Stack::call(R (*SocketOps::*verb)(Core&, Index, Params...), Handle h, Args&&... args) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return fail(Errc::bad_handle);
  const SocketOps* const o = ops(socket);
  if (o == nullptr || o->*verb == nullptr) return fail(Errc::not_supported);
  return (o->*verb)(core_, socket, std::forward<Args>(args)...);
}

Result<void> Stack::end(void (*SocketOps::*verb)(Core&, Index), Handle h) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return fail(Errc::bad_handle);
  const SocketOps* const o = ops(socket);
  LEAT_ASSERT(o != nullptr && o->*verb != nullptr);  // every kind of socket can be closed
  (o->*verb)(core_, socket);
  return {};
}

Result<Handle> Stack::open_raw(IpVersion version, std::uint8_t protocol, OwnerId owner) {
  if (core_.modules.raw == nullptr) return fail(Errc::not_supported);
  return core_.modules.raw->open(core_, owner, version, protocol);
}

Result<void> Stack::bind(Handle h, const Endpoint& e, BindHow how) {
  return call(&SocketOps::bind, h, e, how);
}
Result<void> Stack::listen(Handle h, std::uint32_t backlog, BindHow how) {
  return call(&SocketOps::listen, h, backlog, how);
}
Result<void> Stack::connect(Handle h, const Endpoint& e) {
  return call(&SocketOps::connect, h, e);
}
Result<Handle> Stack::try_accept(Handle h, Endpoint* remote) {
  return call(&SocketOps::accept, h, remote);
}
Result<IoCount> Stack::try_send(Handle h, ByteSpan bytes) {
  return call(&SocketOps::send, h, bytes, nullptr, nullptr);
}
Result<IoCount> Stack::try_send_to(Handle h, ByteSpan bytes, const Endpoint& to) {
  return call(&SocketOps::send, h, bytes, &to, nullptr);
}
Result<IoCount> Stack::try_send_as(Handle h, ByteSpan bytes, const Endpoint* to, const SendOverrides& as) {
  return call(&SocketOps::send, h, bytes, to, &as);
}
Result<IoCount> Stack::try_receive(Handle h, MutableByteSpan to, RecvFlags flags) {
  return call(&SocketOps::receive, h, to, flags, nullptr);
}
Result<IoCount> Stack::try_receive_from(Handle h, MutableByteSpan to, Message& message, RecvFlags flags) {
  return call(&SocketOps::receive, h, to, flags, &message);
}
// Of a socket that can be a member of groups.
Result<ip::DatagramSocket*> Stack::datagram(Handle h) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return fail(Errc::bad_handle);
  ip::DatagramSocket* const s = ip::datagram_of(core_, socket);
  if (s == nullptr) return fail(Errc::not_supported);
  return s;
}
Result<void> Stack::set_raw(Handle h, const RawSettings& to) {
  const Index i = core_.sockets.find(h);
  if (i == kNoIndex) return fail(Errc::bad_handle);
  if (h.kind() != SocketKind::raw) return fail(Errc::not_supported);
  if (to.checksum_at > 0 && to.checksum_at % 2 != 0) return fail(Errc::invalid_argument);  // RFC 3542 3.1
  core_.ip.raw_sockets[core_.sockets[i].object].settings = to;
  return {};
}
Result<RawSettings> Stack::raw(Handle h) const {
  const Index i = core_.sockets.find(h);
  if (i == kNoIndex) return fail(Errc::bad_handle);
  if (h.kind() != SocketKind::raw) return fail(Errc::not_supported);
  return core_.ip.raw_sockets[core_.sockets[i].object].settings;
}
Result<void> Stack::join_group(Handle h, const GroupRequest& r) {
  const auto s = datagram(h);
  return s ? iface::join(core_, **s, r) : fail(s.error());
}
Result<void> Stack::leave_group(Handle h, const GroupRequest& r) {
  const auto s = datagram(h);
  return s ? iface::leave(core_, **s, r) : fail(s.error());
}
Result<void> Stack::block_source(Handle h, const GroupRequest& r) {
  const auto s = datagram(h);
  return s ? iface::block_source(core_, **s, r) : fail(s.error());
}
Result<void> Stack::unblock_source(Handle h, const GroupRequest& r) {
  const auto s = datagram(h);
  return s ? iface::unblock_source(core_, **s, r) : fail(s.error());
}
Result<void> Stack::set_source_filter(Handle h, const GroupRequest& r, FilterMode mode,
                                      std::span<const IpAddress> sources) {
  const auto s = datagram(h);
  return s ? iface::set_source_filter(core_, **s, r, mode, sources) : fail(s.error());
}
Result<std::size_t> Stack::source_filter(Handle h, const GroupRequest& r, FilterMode& mode,
                                         std::span<IpAddress> sources) {
  const auto s = datagram(h);
  if (!s) return fail(s.error());
  return iface::source_filter(core_, **s, r, mode, sources);
}
Result<IoCount> Stack::try_receive_error(Handle h, MutableByteSpan quoted, ErrorEntry& entry) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return fail(Errc::bad_handle);
  const auto copied = core_.sockets.take_queued_error(socket, entry, quoted);
  return copied ? IoCount{*copied, IoStatus::done} : IoCount{0, IoStatus::would_block};
}
Result<void> Stack::shutdown(Handle h, ShutdownHow how) {
  return call(&SocketOps::shutdown, h, how);
}
Result<void> Stack::close(Handle h) {
  return end(&SocketOps::close, h);
}
Result<void> Stack::abort(Handle h) {
  return end(&SocketOps::abort, h);
}
Result<Endpoint> Stack::local_endpoint(Handle h) {
  return call(&SocketOps::local, h);
}
Result<Endpoint> Stack::remote_endpoint(Handle h) {
  return call(&SocketOps::remote, h);
}

Ready Stack::readiness(Handle h) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return Ready::error | Ready::closed;
  const SocketOps* const o = ops(socket);
  const Ready queued = core_.sockets[socket].errors > 0 ? Ready::error : Ready::none;
  return queued | (o == nullptr || o->readiness == nullptr ? Ready::none : o->readiness(core_, socket));
}

Result<void> Stack::set_sink(Handle h, const Sink* sink, std::uint64_t user, Ready interest) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return fail(Errc::bad_handle);
  core_.sockets.set_sink(socket, sink, user, interest);
  return {};
}

std::optional<Errc> Stack::take_error(Handle h) {
  const Index socket = core_.sockets.find(h);
  if (socket == kNoIndex) return std::nullopt;
  Socket& s = core_.sockets[socket];
  const Errc error = std::exchange(s.error != Errc{} ? s.error : s.soft_error, Errc{});
  if (error == Errc{}) return std::nullopt;
  return error;
}

void Stack::check_invariants() {
  core_.sockets.check_invariants();
  iface::check_invariants(core_);
  each_transport(core_, &TransportModule::check_invariants, [&](auto check) { check(core_); });
}

}  // namespace leat
