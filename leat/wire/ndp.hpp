#pragma once
// Neighbour discovery (RFC 4861, RFC 4191 for the router preference): the five messages, whole, with their options.
//
// `parse` takes the ICMPv6 message from its type byte on (its checksum verified by the caller) and the fields of the IP
// header that the rules speak of. It applies every validity rule of RFC 4861 6.1, 7.1 and 8.1 that needs no state: what
// it returns may be believed as far as a neighbour may be. `emit` writes the message with its checksum field 0; finish
// it with finish_icmpv6_checksum.
//
// Messages are rare, so these are plain structs. Threading: values; `redirected` borrows the bytes it was parsed from.

#include <leat/base/static_vector.hpp>
#include <leat/wire/ethernet.hpp>
#include <leat/wire/icmpv6.hpp>
#include <optional>

namespace leat::wire {

// What of the IP header the validity rules need.
struct NdpEnvelope {
  IpAddress source;
  IpAddress destination;
  std::uint8_t hop_limit = 255;
};

// RFC 4861 4.6.2.
struct PrefixInformation {
  IpAddress prefix;
  std::uint8_t length = 0;
  bool on_link = false;
  bool autonomous = false;
  std::uint32_t valid_lifetime_s = 0;  // 0xffffffff: for ever
  std::uint32_t preferred_lifetime_s = 0;
  constexpr bool operator==(const PrefixInformation&) const = default;
};

struct NdpOptions {
  static constexpr std::size_t kMaxPrefixes = 8;
  std::optional<MacAddress> source_mac;
  std::optional<MacAddress> target_mac;
  std::optional<std::uint32_t> mtu;
  StaticVector<PrefixInformation, kMaxPrefixes> prefixes;  // the first eight
  ByteSpan redirected;                                     // the start of the packet that caused a redirect
  std::uint8_t skipped = 0;                                // unknown options, wrong lengths, prefixes beyond the cap

  bool operator==(const NdpOptions& o) const;
  // RFC 4861 4.6: an option of length 0 makes the whole message invalid, as does one past the end; unknown options are
  // skipped.
  static Parsed<NdpOptions> parse(ByteSpan options);
  // 0 when `out` is too small, or there is nothing to write.
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

// RFC 4861 4.1, 6.1.1.
struct RouterSolicitation {
  NdpOptions options;
  bool operator==(const RouterSolicitation&) const = default;
  static Parsed<RouterSolicitation> parse(ByteSpan message, const NdpEnvelope& envelope);
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

// RFC 4191 2.1: two bits, signed.
enum class RouterPreference : std::uint8_t { medium = 0, high = 1, low = 3 };

// RFC 4861 4.2, 6.1.2. A field of 0 means "not said", but for the router lifetime.
struct RouterAdvertisement {
  std::uint8_t hop_limit = 0;
  bool managed = false;  // addresses by DHCPv6
  bool other = false;    // other configuration by DHCPv6
  RouterPreference preference = RouterPreference::medium;
  std::uint16_t router_lifetime_s = 0;  // 0: not a default router
  std::uint32_t reachable_time_ms = 0;
  std::uint32_t retransmit_timer_ms = 0;
  NdpOptions options;
  bool operator==(const RouterAdvertisement&) const = default;
  static Parsed<RouterAdvertisement> parse(ByteSpan message, const NdpEnvelope& envelope);
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

// RFC 4861 4.3, 7.1.1. From `::` it is duplicate address detection.
struct NeighborSolicitation {
  IpAddress target;
  NdpOptions options;
  bool operator==(const NeighborSolicitation&) const = default;
  static Parsed<NeighborSolicitation> parse(ByteSpan message, const NdpEnvelope& envelope);
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

// RFC 4861 4.4, 7.1.2.
struct NeighborAdvertisement {
  bool router = false;
  bool solicited = false;
  bool override_cache = false;
  IpAddress target;
  NdpOptions options;
  bool operator==(const NeighborAdvertisement&) const = default;
  static Parsed<NeighborAdvertisement> parse(ByteSpan message, const NdpEnvelope& envelope);
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

// RFC 4861 4.5, 8.1. That the sender is the current first hop for the destination is for the caller to check.
struct Redirect {
  IpAddress target;  // a better first hop, or the destination itself when it is on the link
  IpAddress destination;
  NdpOptions options;
  bool operator==(const Redirect&) const = default;
  static Parsed<Redirect> parse(ByteSpan message, const NdpEnvelope& envelope);
  [[nodiscard]] std::size_t emit(MutableByteSpan out) const;
};

}  // namespace leat::wire
