#pragma once
// Segments: between what a script writes and bytes on the wire. A Flow holds what maps the two: the script's sequence
// numbers start where it likes, the stack's at an unpredictable ISN; likewise time stamps.
//
// Payload is never zeros: byte i of a stream (counted from the first byte behind the SYN) is stream_byte(i) in both
// directions, so that every segment sent, and everything read, is checked for its content too.
//
// Threading: values and pure functions.

#include <leat/base/bytes.hpp>
#include <leat/script/script.hpp>

namespace leat::script {

[[nodiscard]] constexpr std::uint8_t stream_byte(std::uint64_t offset) {
  return static_cast<std::uint8_t>(offset * 7 + (offset >> 8) * 13 + 1);
}

// One connection, or one pair of datagram endpoints, as the script sees it.
struct Flow {
  Endpoint local;
  Endpoint remote;
  std::uint8_t protocol = 6;
  std::optional<std::uint32_t> script_isn;  // of our side, as the script counts
  std::uint32_t live_isn = 0;
  std::optional<std::uint32_t> remote_isn;                      // of the other side: the same in script and on the wire
  bool over = false;                                            // a new SYN from us may begin with a new ISN
  std::vector<std::pair<std::uint32_t, std::uint32_t>> stamps;  // TS val of ours: script's, live

  [[nodiscard]] std::uint32_t to_live(std::uint32_t seq) const {
    return script_isn ? seq - *script_isn + live_isn : seq;
  }
  [[nodiscard]] std::uint32_t to_script(std::uint32_t seq) const {
    return script_isn ? seq - live_isn + *script_isn : seq;
  }
  // What the script's `ecr` of an inbound segment is on the wire.
  [[nodiscard]] std::uint32_t echo_to_live(std::uint32_t stamp) const;
  [[nodiscard]] std::uint32_t stamp_to_script(std::uint32_t live) const;
};

struct LivePacket {
  Duration time;  // since the script's start
  std::vector<std::uint8_t> bytes;
};

// What IP and transport say, decoded; `error` names what is malformed (lengths, checksums).
struct Decoded {
  std::string error;
  IpAddress source, destination;
  std::uint8_t protocol = 0, ttl = 0, traffic_class = 0;
  ByteSpan transport;  // from the transport header on
  Port source_port, destination_port;
};
[[nodiscard]] Decoded decode(ByteSpan packet);

// The bytes of an inbound packet. Marks in `flow` what it changes (the other side's ISN, a reset).
[[nodiscard]] std::vector<std::uint8_t> build(const PacketSpec& spec, Flow& flow);

// Compares; learns the mapping of ISN and time stamps on the way. The text says what differs; empty: it matches.
[[nodiscard]] std::string compare(const PacketSpec& spec, const LivePacket& live, const Decoded& packet, Flow& flow,
                                  const Config& config);

// In the script's syntax: `0.100000 > S. 0:0(0) ack 1 win 65535 <mss 1460>`.
[[nodiscard]] std::string describe(const LivePacket& live, const Decoded& packet, const Flow* flow);
[[nodiscard]] std::string time_text(Duration time);

}  // namespace leat::script
