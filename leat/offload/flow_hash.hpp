#pragma once
// Which flow a packet belongs to, and hashes of it. `flow_hash` is cheap and unkeyed: for tables that live for one
// batch (GRO) or where a bad spread costs nothing but time. `steering_hash` is keyed (SipHash-1-3), so that a peer
// can't choose which shard it loads; ports and addresses weigh the same, and both directions of a connection, as well
// as an ICMP error that quotes it, give the same value.
//
// A fragment has no ports: all parts of a datagram hash by addresses. Threading: pure functions.

#include <leat/base/address.hpp>
#include <leat/base/siphash.hpp>
#include <leat/wire/ip_protocol.hpp>
#include <optional>

namespace leat {

// From whose side a packet's addresses are seen: of a received packet the source is remote, of one that we sent (or
// that an ICMP error quotes) it is local.
enum class FlowDirection : std::uint8_t { received, sent };

struct PacketFlow {
  FlowKey key;
  wire::IpProtocol protocol{};
  bool has_ports = false;
};
// Of an IP packet, its first bytes contiguous. Nothing when it is no IP packet.
[[nodiscard]] std::optional<PacketFlow> packet_flow(ByteSpan ip, FlowDirection direction);

// One multiplication that folds 128 bits to 64; every input bit reaches the upper half.
constexpr std::uint64_t multiply_mix(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;
  std::uint64_t x = (a ^ ((b << 32) | (b >> 32))) * kOdd;
  x ^= x >> 32;
  x = (x + b) * kOdd;
  return x ^ (x >> 29);
}

constexpr std::uint32_t flow_hash(const FlowKey& key) {
  const std::uint8_t* local = key.local.bytes().data();
  const std::uint8_t* remote = key.remote.bytes().data();
  const std::uint64_t ports = (std::uint64_t{key.local_port.value()} << 16) | key.remote_port.value();
  std::uint64_t x = multiply_mix(load_be64(local + 8), load_be64(remote + 8));
  if (!key.local.is_v4()) x = multiply_mix(x ^ load_be64(local), load_be64(remote));
  x = multiply_mix(x, ports);
  return static_cast<std::uint32_t>(x >> 32);
}

constexpr std::uint64_t steering_hash(SipKey key, const FlowKey& flow) {
  const std::uint8_t* local = flow.local.bytes().data();
  const std::uint8_t* remote = flow.remote.bytes().data();
  const std::uint64_t ports = (std::uint64_t{flow.local_port.value()} << 16) | flow.remote_port.value();
  return siphash13(key, load_be64(local), load_be64(local + 8), load_be64(remote), load_be64(remote + 8), ports);
}

}  // namespace leat
