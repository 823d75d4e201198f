#pragma once
// What sockets of datagrams share (UDP, raw, ping): a receive queue with a budget, a remembered path, and the way to
// get bytes into and out of packets.
//
// The queue keeps whole packets, headers included: who sent them is read from the headers when they are received, so a
// datagram costs no memory beside its chunks. It counts true size (chunks, not payload) against the receive buffer, and
// one socket gets at most a quarter of each class of chunk, so that one that nobody reads can't starve the pool.
//
// Threading: the owner of the shard.

#include <array>
#include <leat/base/counters.hpp>
#include <leat/core/ip/ip.hpp>
#include <optional>

namespace leat::ip {

class DatagramQueue {
 public:
  // Takes the packet, or drops it with `full`. True: taken.
  bool push(Core&, Packet&&, std::int64_t limit, DropReason full);
  [[nodiscard]] Packet pop(PacketPool&);
  // The same, and it counts still until it is given back.
  [[nodiscard]] Packet lend(PacketPool& pool) {
    Packet p = pop(pool);
    lent_ += p.true_size();
    return p;
  }
  void give_back(std::uint32_t bytes) { lent_ -= bytes; }
  [[nodiscard]] bool empty() const { return packets_.empty(); }
  [[nodiscard]] Index front() const { return packets_.front(); }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t missed() const { return missed_; }  // datagrams that did not fit, so far
  void clear(PacketPool&);

 private:
  using ChunkCounts = std::array<std::uint32_t, kChunkClasses>;
  [[nodiscard]] static ChunkCounts chunks_of(const Packet&);

  PacketFifo packets_;
  std::uint32_t bytes_ = 0;  // true size
  std::uint32_t lent_ = 0;   // true size
  std::uint32_t missed_ = 0;
  ChunkCounts chunks_{};
};

struct DatagramSocket {
  Index socket = kNoIndex;  // in Core::sockets
  Endpoint local, remote;
  bool connected = false;
  bool read_shut = false;
  bool write_shut = false;
  DatagramQueue queue;
  Index memberships = kNoIndex;          // in multicast groups: iface/multicast.hpp
  bool waiting = false;                  // on the list of those who found `waits_for`'s transmit queue full
  InterfaceId waits_for = kNoInterface;  // kNoInterface: the loopback queue
  IndexLink wait_link;
  Path path;  // the last one used
  IpAddress path_to;
  IpAddress path_from;  // what was asked for, maybe unspecified
};

// The socket's datagram part, when it is one of these; nullptr: it is a stream or a listener.
[[nodiscard]] DatagramSocket* datagram_of(Core&, Index socket);

// What the IP header of a queued packet says.
struct IpFacts {
  IpAddress source, destination;
  std::uint8_t ttl = 0, traffic_class = 0;
};
[[nodiscard]] IpFacts ip_facts(const Packet&);

// The socket's path to `to`, looked up anew when something changed. Errc::permission_denied for broadcast without the
// option.
[[nodiscard]] Result<const Path*> path_of(Core&, DatagramSocket&, const IpAddress& to,
                                          const SendOverrides* as = nullptr);
// A packet with `header` bytes of room and the data behind them. Long data is spread over several chunks; empty when
// the pool has too few.
// With as->chunk, where the data must lie, most of it is not copied.
[[nodiscard]] Packet make_datagram(Core&, std::uint32_t header, ByteSpan data, const SendOverrides* as = nullptr);
// Whether the way out along s.path has room for one more packet. Without it, the socket waits: Ready::writable follows.
[[nodiscard]] bool has_room(Core&, DatagramSocket&);
// There is room again on an interface (kNoInterface: in the loopback queue), or it is gone: those who waited are told.
void room_again(Core&, InterfaceId);
void stop_waiting(Core&, DatagramSocket&);
// How a datagram is to be sent along s.path, from the socket's options and what this call says.
[[nodiscard]] SendInfo send_info(Core&, const DatagramSocket&, const IpAddress& to, std::uint8_t protocol,
                                 const SendOverrides* as);
// An error that came for the socket: kept for the next call, and told.
void set_error(Core&, const DatagramSocket&, Errc);
// The error that waits, taken.
[[nodiscard]] std::optional<Errc> take_error(Core&, const DatagramSocket&);
// An ICMP error about a datagram of the socket's: queued if it asked for that, kept for the next call, and told.
// `payload`: of the datagram, as much as was quoted.
void report_error(Core&, const DatagramSocket&, const IcmpError&, Port destination, ByteSpan payload);
// The datagram does not fit the path that was just looked up: queued as above, and the error to answer.
[[nodiscard]] Errc too_long(Core&, const DatagramSocket&, const Endpoint& to);
// Which part of a queued packet the user gets.
enum class Shown : std::uint8_t {
  udp_data,   // and the ports go into the Message
  transport,  // from the transport header on
  packet,     // from the IP header on
};
// The error that waits, then the front of the queue; would_block or end_of_stream when there is none.
[[nodiscard]] Result<IoCount> receive(Core&, DatagramSocket&, Shown, MutableByteSpan to, RecvFlags, Message*);
[[nodiscard]] Ready readiness(Core&, const DatagramSocket&);
// Of those whose peer is an address alone (raw, ping): unspecified ends the connection.
[[nodiscard]] Result<void> connect(Core&, DatagramSocket&, const Endpoint& remote);
[[nodiscard]] Result<Endpoint> remote_of(const DatagramSocket&);
[[nodiscard]] Result<void> shutdown(Core&, DatagramSocket&, ShutdownHow);

}  // namespace leat::ip
