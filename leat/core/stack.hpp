#pragma once
// Stack: one TCP/IP stack, sans-IO. It holds no lock, reads no clock and touches no device: packets and time come in,
// packets and deadlines go out.
//
//   leat::Stack stack(storage.view(pool), leat::kAllModules, entropy, now);
//   auto eth = stack.add_interface({.name = "tap0", .link = LinkType::ethernet, .mac = mac, .mtu = 1500}).value();
//   stack.add_address(eth, *IpPrefix::parse("10.0.0.2/24"));
//   loop: stack.input(eth, batch, now);  stack.run_timers(now);  while (stack.next_ready(event)) ...;
//         stack.output(eth, batch, now);  sleep until stack.next_deadline() or a packet
//
// drive/shard.hpp does that loop. User calls (connect, try_send ...) are non-blocking verbs: they return a value,
// IoStatus::would_block, or an Errc. They take effect at once on the stack's state; packets leave with the next output.
// set_now() gives user calls outside a turn the current time.
//
// Handles: a stale or foreign one is Errc::bad_handle in every call. Destroying the stack ends every socket.
// Threading: one owner at a time. Nothing is allocated after construction.

#include <leat/core/config.hpp>
#include <leat/core/core.hpp>
#include <optional>

namespace leat {

class Stack {
 public:
  Stack(const StorageView& storage, const Modules& modules, const Entropy& entropy, Instant now,
        std::uint8_t shard = 0);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Interfaces, addresses, routes. Errors: no_memory (table full), already_exists, not_found, invalid_argument.
  Result<InterfaceId> add_interface(const InterfaceConfig&);
  Result<void> remove_interface(InterfaceId);
  Result<void> set_interface_up(InterfaceId, bool up);
  Result<void> set_interface_mtu(InterfaceId, std::uint32_t mtu);
  Result<void> add_address(InterfaceId, const IpPrefix&, AddressOptions = {});
  Result<void> remove_address(InterfaceId, const IpAddress&);
  Result<void> add_route(const RouteConfig&);
  Result<void> remove_route(const IpPrefix&, const IpAddress& gateway);

  // Options of the stack, and of one socket. invalid_argument out of range; no_protocol_option for a wrong level.
  Result<void> set_option(OptionId, std::int64_t value);
  [[nodiscard]] std::int64_t option(OptionId id) const { return core_.options.get(id); }
  Result<void> set_option(Handle, OptionId, std::int64_t value);
  [[nodiscard]] Result<std::int64_t> option(Handle, OptionId) const;

  // Packets and time. `batch` is emptied by input; output appends at most batch.room() packets, link headers included.
  void set_now(Instant now);
  void input(InterfaceId, PacketBatch& batch, Instant now);
  // True: there is more (what has_output says from then on).
  bool output(InterfaceId, PacketBatch& batch, Instant now);
  [[nodiscard]] bool has_output(InterfaceId) const;
  // Runs what is due, at most `budget` expiries; what is left keeps next_deadline() in the past.
  void run_timers(Instant now, unsigned budget = 256);
  // Packets to our own addresses: at most `budget` of them go back in. True when some are left.
  bool run_loopback(Instant now, unsigned budget = 64);
  // Ends up to `budget` connections from number `next` on, with a RST to peers that still count on them; no event is
  // called for. True: there are more. For a stack that is about to end.
  [[nodiscard]] bool reset_peers(Index& next, unsigned budget);
  // When run_timers must be called next. Never later than the truth.
  [[nodiscard]] Instant next_deadline() const;

  // Sockets.
  Result<Handle> open_stream(OwnerId owner = 0) { return open(core_.modules.tcp, owner); }
  Result<Handle> open_udp(OwnerId owner = 0) { return open(core_.modules.udp, owner); }
  Result<Handle> open_icmp(OwnerId owner = 0) { return open(core_.modules.icmp, owner); }
  // Every IP packet of this version and protocol (0: all) is offered; sent packets get an IP header.
  Result<Handle> open_raw(IpVersion version, std::uint8_t protocol, OwnerId owner = 0);
  // `how` matters to streams. O(1), with BindHow::alone O(connections).
  Result<void> bind(Handle, const Endpoint&, BindHow how = BindHow::beside_connections);
  Result<void> listen(Handle, std::uint32_t backlog, BindHow how = BindHow::beside_connections);
  // Starts; Ready::connected or Ready::error tells how it went. A datagram socket is connected at once.
  Result<void> connect(Handle, const Endpoint&);
  // An empty Handle: nothing to accept yet.
  Result<Handle> try_accept(Handle, Endpoint* remote = nullptr);
  Result<IoCount> try_send(Handle, ByteSpan);
  Result<IoCount> try_send_to(Handle, ByteSpan, const Endpoint& to);
  // Of a datagram socket: from this address, through this interface ...; `to` may be null when it is connected.
  Result<IoCount> try_send_as(Handle, ByteSpan, const Endpoint* to, const SendOverrides&);
  Result<IoCount> try_receive(Handle, MutableByteSpan, RecvFlags = RecvFlags::none);
  Result<IoCount> try_receive_from(Handle, MutableByteSpan, Message&, RecvFlags = RecvFlags::none);
  // Multicast groups: UDP, raw and ping sockets join and leave, from any source or from certain ones (RFC 3678; option
  // ip_multicast_all for what a socket hears that joined nothing). Errors: as iface/multicast.hpp says; not_supported
  // for streams.
  Result<void> join_group(Handle, const GroupRequest&);
  Result<void> leave_group(Handle, const GroupRequest&);
  Result<void> block_source(Handle, const GroupRequest&);
  Result<void> unblock_source(Handle, const GroupRequest&);
  Result<void> set_source_filter(Handle, const GroupRequest&, FilterMode, std::span<const IpAddress> sources);
  // How many sources the filter has; as many as fit are written.
  Result<std::size_t> source_filter(Handle, const GroupRequest&, FilterMode&, std::span<IpAddress> sources);
  // Of a raw socket; of others not_supported. invalid_argument: no place for a checksum.
  Result<void> set_raw(Handle, const RawSettings&);
  [[nodiscard]] Result<RawSettings> raw(Handle) const;
  // The oldest entry of the socket's error queue (option ip_receive_errors); would_block when it is empty. `quoted`
  // gets as much as fits of what the entry keeps of the datagram.
  Result<IoCount> try_receive_error(Handle, MutableByteSpan quoted, ErrorEntry&);
  Result<void> shutdown(Handle, ShutdownHow);
  Result<void> close(Handle);
  Result<void> abort(Handle);
  [[nodiscard]] Result<Endpoint> local_endpoint(Handle);
  [[nodiscard]] Result<Endpoint> remote_endpoint(Handle);

  // Readiness.
  [[nodiscard]] Ready readiness(Handle);
  Result<void> set_sink(Handle, const Sink*, std::uint64_t user, Ready interest);
  [[nodiscard]] bool next_ready(ReadyEvent& event) { return core_.sockets.next_ready(event); }
  [[nodiscard]] bool has_ready() const { return core_.sockets.has_ready(); }
  // SO_ERROR: the error that waits on the socket, taken; without one a soft error of a connection that goes on, as
  // Linux has it. No value: none (or a bad handle).
  std::optional<Errc> take_error(Handle);

  [[nodiscard]] const Counters& counters() const { return core_.counters; }
  [[nodiscard]] PacketPool& pool() { return core_.pool; }
  [[nodiscard]] Instant now() const { return core_.now; }
  void on_drop(Delegate<void(const Packet&, DropReason)> observer) { core_.on_drop = observer; }
  void check_invariants();
  // The state itself, for protocol modules' own inspection functions (tcp::info, iface::neighbors ...).
  [[nodiscard]] Core& core() { return core_; }
  [[nodiscard]] const Core& core() const { return core_; }

 private:
  Result<Handle> open(const TransportModule* module, OwnerId owner);
  [[nodiscard]] const SocketOps* ops(Index socket) const;
  Result<ip::DatagramSocket*> datagram(Handle);
  template <class R, class... Params, class... Args>
  R call(R (*SocketOps::*verb)(Core&, Index, Params...), Handle h, Args&&... args);
  Result<void> end(void (*SocketOps::*verb)(Core&, Index), Handle h);

  Core core_;
};

}  // namespace leat
