#pragma once
// CraftedPeer: the other end of up to a million connections, without a stack of its own: it writes segments into
// packets with the right numbers and checksums, and reads just enough of what comes back. So only the stack under test
// costs time in a measured section.
//
// Connection i has a source address and port of its own and lives behind one gateway, whose ARP requests the peer
// answers. Twelve bytes are kept for each. Threading: one thread.

#include <bench/stacks.hpp>
#include <leat/wire/tcp.hpp>

namespace leat::bench {

class CraftedPeer {
 public:
  static constexpr std::uint16_t kPort = 80;
  static constexpr std::uint32_t kPayload = 64;

  // Makes an Ethernet interface with an address and a default route on `stack`, and a listener.
  CraftedPeer(Stack& stack, std::uint32_t connections);

  // Hands connections over, all accepted: sink and interest are the caller's.
  void establish(const Sink* sink, Ready interest);
  // The next in-order data segment of connection i. Empty when the pool is.
  [[nodiscard]] Packet data(std::uint32_t i, Instant now);
  // Looks at a packet from the stack: answers ARP into `replies()`. Cheap for TCP.
  void take(Packet&& p) {
    if (p.head().size() > 13 && p.head()[12] == 0x08 && p.head()[13] == 0x06) answer(p);
    p.reset();
  }
  // Injects ARP replies that wait, outside of measured sections.
  void flush(Instant now);

  [[nodiscard]] InterfaceId interface() const { return interface_; }
  [[nodiscard]] const std::vector<Handle>& handles() const { return handles_; }

 private:
  struct Connection {
    SeqNum seq, ack;
    std::uint32_t their_time = 0;
  };
  void answer(const Packet& request);
  void handshake(std::uint32_t first, std::uint32_t count, const Sink* sink, Ready interest);
  [[nodiscard]] Packet segment(std::uint32_t i, wire::TcpFlags flags, std::uint32_t payload, Instant now, bool syn);

  Stack& stack_;
  InterfaceId interface_ = kNoInterface;
  Handle listener_;
  std::vector<Connection> connections_;
  std::vector<Handle> handles_;
  PacketBatch replies_;
};

}  // namespace leat::bench
