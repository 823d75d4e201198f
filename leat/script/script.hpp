#pragma once
// Script: what a `.pkt` file says, parsed. Segments in, segments out and socket calls, each at a time, in the syntax
// of packetdrill; README.md says which part of it. Sequence numbers, time stamps and descriptors are the script's own:
// the runner maps them to live ones.
//
// Threading: plain values.

#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/base/time.hpp>
#include <leat/op/options.hpp>
#include <leat/wire/tcp.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leat::script {

struct Position {
  unsigned line = 1;
  unsigned column = 1;
};

// Something that is wrong with a script, or with what the stack did at that place.
struct Diagnostic {
  Position at;
  std::string message;
};

// `0.1`, `+0.1`, `*`, `0.1~0.2`, `+0~+0.1`. `last` equals `first` unless a range was given.
struct EventTime {
  enum class Kind : std::uint8_t { absolute, relative, any };
  Kind kind = Kind::relative;
  Duration first;
  Duration last;
};

enum class Direction : std::uint8_t { inbound, outbound };

enum class EcnSpec : std::uint8_t { unchecked, not_ect, ect0, ect1, ect01, ce };

struct IpSpec {
  EcnSpec ecn = EcnSpec::unchecked;
  std::optional<std::uint8_t> tos;
  std::optional<std::uint8_t> ttl;
  std::optional<IpAddress> source;  // none: the connection's
  std::optional<IpAddress> destination;
};

struct PortSpec {
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
};

struct TcpOptionSpec {
  enum class Kind : std::uint8_t { eol, nop, mss, wscale, sack_ok, sack, timestamps, fast_open, hex };
  Kind kind = Kind::nop;
  std::uint32_t value = 0;  // mss, wscale, TS val
  std::uint32_t echo = 0;   // TS ecr
  std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
  std::vector<std::uint8_t> bytes;  // hex: the option as it stands on the wire; fast_open: the cookie
};

struct SequenceRange {
  std::uint32_t start = 0;
  std::uint32_t length = 0;
};

struct TcpSpec {
  wire::TcpFlags flags;
  SequenceRange seq;
  std::optional<std::uint32_t> ack;
  std::optional<std::uint16_t> window;
  std::optional<std::uint16_t> urgent;
  bool any_options = false;  // <...>
  std::vector<TcpOptionSpec> options;
};

struct UdpSpec {
  std::uint32_t length = 0;
};

struct IcmpSpec {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::optional<std::uint32_t> mtu;
  std::optional<SequenceRange> quoted_tcp;  // what the error quotes; the next segment's start when nothing is said
  std::optional<std::uint32_t> quoted_udp;
};

struct PacketSpec {
  Direction direction = Direction::inbound;
  IpSpec ip;
  std::optional<PortSpec> ports;
  std::variant<TcpSpec, UdpSpec, IcmpSpec> body;
};

// An argument or a result of a call.
struct Expr {
  enum class Kind : std::uint8_t { ellipsis, integer, text, word, array, structure, either, call };
  Kind kind = Kind::ellipsis;
  Position at;
  std::int64_t value = 0;
  std::string name;                 // word, text, or what is called
  std::vector<Expr> items;          // of array, structure, either (a|b), call
  std::vector<std::string> fields;  // of structure: a name for each item, empty when positional
};

struct CallSpec {
  std::string name;
  std::vector<Expr> arguments;
  std::optional<Duration> end;         // a blocking call's end: absolute or relative like the event's time
  std::optional<std::int64_t> result;  // none: `= ?`, anything
  std::string error;                   // "EAGAIN" ...
};

// Options of the stack that a line in backticks sets.
struct SettingSpec {
  std::vector<std::pair<OptionId, std::int64_t>> values;
};

// One operation of an assertion in reverse Polish order.
struct AssertStep {
  enum class Kind : std::uint8_t { number, field, apply };
  Kind kind = Kind::number;
  std::int64_t value = 0;
  std::string name;  // of a field, or an operator
};
struct AssertSpec {
  Position at;
  std::string text;
  std::vector<AssertStep> steps;
};
struct CodeSpec {
  std::vector<AssertSpec> asserts;
};

struct Event {
  Position at;
  std::string text;  // as written, for messages
  EventTime time;
  std::variant<PacketSpec, CallSpec, SettingSpec, CodeSpec> action;
};

struct Config {
  Duration tolerance = Duration::us(4000);
  IpVersion version = IpVersion::v4;
  IpAddress local;
  IpAddress remote;
  std::uint8_t prefix_length = 0;
  std::uint32_t mtu = 1500;
  std::uint16_t bind_port = 8080;
  std::uint16_t connect_port = 8080;
  Duration timestamp_tick;  // of TS val in the script; zero: only equality is checked
};

struct Script {
  std::string name;
  Config config;
  std::vector<Event> events;
};

}  // namespace leat::script
