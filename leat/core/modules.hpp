#pragma once
// The module table: which protocols and algorithms an image contains. The application names a constexpr Modules; what
// it does not name is never referenced, so the linker drops it. kAllModules (all_modules.hpp) has everything.
//
// A table entry is called once per packet or rarer, never per byte. Entries are plain functions over Core: state lives
// in Core and its storage, so that a module is only code.

#include <array>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/result.hpp>
#include <leat/base/time.hpp>
#include <leat/buf/packet_batch.hpp>
#include <leat/op/handle.hpp>
#include <leat/op/message.hpp>
#include <leat/op/options.hpp>
#include <leat/op/sink.hpp>
#include <span>

namespace leat {

struct Core;

// How the destination of a received packet was meant.
enum class IpCast : std::uint8_t { unicast, multicast, broadcast };

// What IP hands to a transport: the packet still begins at its IP header (for ICMP errors and raw sockets);
// meta().l4_offset tells where the transport header is and the packet is trimmed to the IP length.
struct TransportInput {
  Packet packet;
  IpAddress source;
  IpAddress destination;
  InterfaceId interface = kNoInterface;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 0;
  std::uint8_t traffic_class = 0;  // DSCP and ECN
  IpCast cast = IpCast::unicast;
};

// What an ICMP error said, translated to one form for both versions.
enum class IcmpErrorKind : std::uint8_t {
  network_unreachable,
  host_unreachable,
  protocol_unreachable,
  port_unreachable,
  packet_too_big,
  prohibited,
  time_exceeded,
  parameter_problem,
  source_route_failed,
  other,  // an error type of IPv6 that is not known: RFC 4443 2.4 (a) has it passed up
};
struct IcmpError {
  IcmpErrorKind kind = IcmpErrorKind::network_unreachable;
  std::uint8_t type = 0, code = 0;  // as on the wire
  std::uint32_t info = 0;           // MTU or pointer
  IpAddress offender;               // who sent the error
  IpAddress local, remote;          // of the quoted packet: its source and destination
  std::uint8_t protocol = 0;
  ByteSpan quoted;  // what was quoted from the transport header on, maybe nothing
  InterfaceId interface = kNoInterface;
  Scope scope = 0;
};

// The socket verbs of one protocol. `socket` is the index in Core::sockets. A null entry answers Errc::not_supported.
struct SocketOps {
  Result<void> (*bind)(Core&, Index socket, const Endpoint&, BindHow) = nullptr;
  Result<void> (*connect)(Core&, Index socket, const Endpoint&) = nullptr;
  Result<void> (*listen)(Core&, Index socket, std::uint32_t backlog, BindHow) = nullptr;
  Result<Handle> (*accept)(Core&, Index socket, Endpoint* remote) = nullptr;  // empty Handle: would block
  // `as` may be null; streams know no such thing.
  Result<IoCount> (*send)(Core&, Index socket, ByteSpan, const Endpoint* to, const SendOverrides* as) = nullptr;
  Result<IoCount> (*receive)(Core&, Index socket, MutableByteSpan, RecvFlags, Message*) = nullptr;
  Result<void> (*shutdown)(Core&, Index socket, ShutdownHow) = nullptr;
  void (*close)(Core&, Index socket) = nullptr;  // the handle ends now; the protocol goes on as it must
  void (*abort)(Core&, Index socket) = nullptr;
  Ready (*readiness)(Core&, Index socket) = nullptr;
  Result<Endpoint> (*local)(Core&, Index socket) = nullptr;
  Result<Endpoint> (*remote)(Core&, Index socket) = nullptr;
  void (*option_changed)(Core&, Index socket, OptionId) = nullptr;
};

struct TransportModule {
  std::uint8_t protocol = 0;
  void (*input)(Core&, std::span<TransportInput>) = nullptr;  // takes the packets
  void (*icmp_error)(Core&, const IcmpError&) = nullptr;
  void (*run_timers)(Core&, unsigned budget) = nullptr;
  Instant (*next_deadline)(const Core&) = nullptr;
  // Appends packets of this interface's dirty connections to the batch while it has room; data starts at the link
  // header. True: there is more.
  bool (*output)(Core&, InterfaceId, PacketBatch&) = nullptr;
  bool (*has_output)(const Core&, InterfaceId) = nullptr;
  // `version` and `protocol` matter to raw sockets only.
  Result<Handle> (*open)(Core&, std::uint8_t owner, IpVersion version, std::uint8_t protocol) = nullptr;
  // Tells the peers of up to `budget` connections, from number `next` on, that these are over. True: there are more.
  bool (*reset_peers)(Core&, Index& next, unsigned budget) = nullptr;
  // Takes back whatever the module holds: packets, records, timers. The stack is ending.
  void (*shut_down)(Core&) = nullptr;
  void (*check_invariants)(const Core&) = nullptr;
};

// The IPv6 part of the network layer (ipv6_input, ICMPv6, NDP); the IPv4 part is always there.
struct Ipv6Module;
namespace tcp {
struct SackOps;
struct CongestionOps;
}  // namespace tcp

inline constexpr std::size_t kCongestionKinds = 4;  // newreno, cubic, bbr, dctcp: values of option tcp_congestion

struct Modules {
  const Ipv6Module* ipv6 = nullptr;
  const TransportModule* tcp = nullptr;
  const TransportModule* udp = nullptr;
  const TransportModule* raw = nullptr;       // protocol 0: offered every IP packet before its transport
  const TransportModule* icmp = nullptr;      // ping sockets
  std::array<const SocketOps*, 6> sockets{};  // by SocketKind
  const tcp::SackOps* sack = nullptr;
  std::array<const tcp::CongestionOps*, kCongestionKinds> congestion{};
};

}  // namespace leat
