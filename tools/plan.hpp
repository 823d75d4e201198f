#pragma once
// Plan: what a stack shall look like, gathered from the command line and a configuration file, checked, and not yet
// built. Host (host.hpp) builds it. Everything wrong with it is a Failure that says where.

#include <cstdint>
#include <leat/core/config.hpp>
#include <leat/core/storage.hpp>
#include <leat/device/impairment.hpp>
#include <leat/op/options.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"

namespace leat::tools {

// KIND[:NAME]
struct DeviceSpec {
  std::string kind = "tap";
  std::string name = "leat0";
  bool operator==(const DeviceSpec&) const = default;
};

struct InterfacePlan {
  std::string name;
  DeviceSpec device;
  std::optional<MacAddress> mac;
  std::uint32_t mtu = 0;  // 0: the device's
  std::vector<IpPrefix> addresses;
  std::vector<IpAddress> gateways;  // one per IP version
  // Where each of them stands in the configuration file, "FILE:LINE:COLUMN: ", for what shows later to be wrong.
  std::vector<std::string> address_places;
  std::vector<std::string> gateway_places;
};

struct RoutePlan {
  RouteConfig config;     // its interface is found by name
  std::string interface;  // empty: found from the gateway
  std::string name;       // of its destination, as it was written
  std::string place;      // as above
};

// The place of the `at`th; empty for what the command line says.
[[nodiscard]] inline std::string_view place_of(const std::vector<std::string>& places, std::size_t at) {
  return at < places.size() ? std::string_view(places[at]) : std::string_view{};
}

struct Plan {
  std::vector<InterfacePlan> interfaces;
  std::vector<RoutePlan> routes;
  std::vector<std::pair<OptionId, std::int64_t>> options;
  Limits limits;
  std::uint64_t packet_memory = std::uint64_t{256} << 20;
  std::string pcap;
  std::uint32_t snap_length = 0;  // 0: whole packets
  bool setup = false;
  bool trace = false;
  bool json = false;
  std::optional<std::uint64_t> seed;
  std::optional<ImpairmentConfig> impairment;  // each way
};

// What the command line says about the stack, as text.
struct StackArguments {
  std::string device;
  std::vector<std::string> addresses;
  std::vector<std::string> gateways;
  std::string mac;
  std::optional<std::uint32_t> mtu;
  std::string config;
  std::string pcap;
  std::uint32_t snap_length = 0;
  std::vector<std::string> options;
  std::string impair;
  std::optional<std::uint64_t> seed;
  bool setup = false;
  bool trace = false;
  bool json = false;
  bool verbose = false;
  bool quiet = false;
};

inline constexpr std::string_view kDefaultAddress4 = "10.9.0.2/24";
inline constexpr std::string_view kDefaultAddress6 = "fd09::2/64";

// The configuration file, then what the command line says, which wins. Without any address the defaults above hold.
[[nodiscard]] Plan make_plan(const StackArguments& arguments);

// Pieces of it, each with a Failure that names `what`.
[[nodiscard]] DeviceSpec parse_device(std::string_view text, std::string_view what = "--device");
[[nodiscard]] IpPrefix parse_prefix(std::string_view text, std::string_view what);
[[nodiscard]] IpPrefix parse_interface_address(std::string_view text, std::string_view what);
[[nodiscard]] IpAddress parse_address(std::string_view text, std::string_view what);
[[nodiscard]] MacAddress parse_mac(std::string_view text, std::string_view what);
[[nodiscard]] std::int64_t parse_option_value(OptionId id, std::string_view text);
// "delay=20ms,jitter=2ms,loss=2%,reorder=1%,duplicate=1%,corrupt=0.1%,rate=100M,queue=64"
[[nodiscard]] ImpairmentConfig parse_impairment(std::string_view text, std::string_view what = "--impair");
[[nodiscard]] OptionId parse_option_name(std::string_view name);
// A table of all options with default, range and sentence.
[[nodiscard]] std::string option_list();
// Kinds of device that this version has, and those that are to come.
[[nodiscard]] std::span<const std::string_view> device_kinds();
[[nodiscard]] std::span<const std::string_view> later_device_kinds();
// Throws for a device that can't be: a kind of a later version, or none at all.
void check_device_kind(const DeviceSpec& device, std::string_view what);
[[nodiscard]] std::uint16_t checked_port(std::uint64_t port, std::string_view what);

}  // namespace leat::tools
