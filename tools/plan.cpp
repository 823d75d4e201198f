#include "plan.hpp"

#include <algorithm>
#include <array>
#include <leat/runtime/reserved_storage.hpp>

#include "config_file.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::array<std::string_view, 4> kKinds{"tap", "tun", "memory", "shm"};
constexpr std::array<std::string_view, 7> kLaterKinds{"af_packet", "af_xdp", "dpdk",       "netmap",
                                                      "pcap",      "vde",    "qemu_stream"};
constexpr std::size_t kMaxInterfaceName = 15;
// Unless the configuration says otherwise. What none uses costs address space only.
constexpr std::uint32_t kConnections = 262144;

std::string range_text(const OptionInfo& info) {
  return info.minimum == info.maximum ? cat(info.minimum) : cat(info.minimum, " to ", info.maximum);
}

struct NamedChoice {
  OptionId id;
  std::string_view name;
  std::int64_t value;
};
constexpr std::array<NamedChoice, 2> kChoices{
    {{OptionId::tcp_congestion, "newreno", 0}, {OptionId::tcp_congestion, "cubic", 1}}};

std::optional<std::int64_t> option_number(OptionId id, const OptionInfo& info, std::string_view text) {
  if (info.type == OptionType::boolean) {
    if (text == "true" || text == "yes" || text == "on") return 1;
    if (text == "false" || text == "no" || text == "off") return 0;
  }
  for (const NamedChoice& choice : kChoices)
    if (choice.id == id && choice.name == text) return choice.value;
  if (!text.empty() && text.front() == '-')
    if (const auto n = parse_number(text.substr(1)); n && *n < INT64_MAX) return -static_cast<std::int64_t>(*n);
  if (info.type == OptionType::duration_us)
    if (const auto d = parse_duration(text); d && *d > Duration{}) return d->count_us();
  const auto n = info.type == OptionType::bytes ? parse_size(text) : parse_number(text);
  if (!n || *n > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(*n);
}

void add_defaults(Plan& plan) {
  if (plan.interfaces.empty()) plan.interfaces.emplace_back();
  for (InterfacePlan& interface : plan.interfaces) {
    if (interface.name.empty()) interface.name = interface.device.name.empty() ? "leat0" : interface.device.name;
    if (!interface.addresses.empty() || plan.interfaces.size() > 1) continue;
    interface.addresses.push_back(*IpPrefix::parse(kDefaultAddress4));
    if (interface.mtu == 0 || interface.mtu >= 1280) interface.addresses.push_back(*IpPrefix::parse(kDefaultAddress6));
  }
}

Failure impossible_mtu(std::uint32_t mtu) {
  return {cat("MTU ", mtu, " is not possible"), "take one from 68 to 65535"};
}

// A gateway is a host of its own.
void check_gateway(const Plan& plan, const IpAddress& gateway, std::string_view place) {
  for (const InterfacePlan& interface : plan.interfaces) {
    for (const IpPrefix& address : interface.addresses) {
      if (address.address == gateway)
        throw Failure(cat(place, "gateway ", gateway, " is an own address of interface ", interface.name),
                      "give the address of the neighbour that forwards");
      if (address.broadcast() == gateway)
        throw Failure(cat(place, "gateway ", gateway, " is a broadcast address of interface ", interface.name),
                      "give the address of the neighbour that forwards");
    }
  }
}

// No address is there twice; those of a link are each link's own.
void check_addresses_differ(const Plan& plan) {
  std::vector<std::pair<IpAddress, const InterfacePlan*>> seen;
  for (const InterfacePlan& interface : plan.interfaces) {
    for (std::size_t i = 0; i < interface.addresses.size(); ++i) {
      const IpAddress& a = interface.addresses[i].address;
      for (const auto& [other, of] : seen)
        if (other == a && (of == &interface || !a.is_link_local()))
          throw Failure(cat(place_of(interface.address_places, i), "the address ", a, " is there twice"),
                        "give it to one interface, once");
      seen.emplace_back(a, &interface);
    }
  }
}

void check_options(const Plan& plan) {
  OptionValues values;
  for (const auto& [id, value] : plan.options) (void)values.set(id, value);  // in range: parsed
  if (values.get(OptionId::ephemeral_first) > values.get(OptionId::ephemeral_last))
    throw Failure("option ephemeral_first is larger than ephemeral_last", "give both, the smaller port first");
}

void check(const Plan& plan) {
  check_addresses_differ(plan);
  check_options(plan);
  for (const RoutePlan& route : plan.routes)
    if (!route.config.gateway.is_unspecified()) check_gateway(plan, route.config.gateway, route.place);
  for (const InterfacePlan& interface : plan.interfaces) {
    check_device_kind(interface.device, interface.device.kind);
    if (interface.mtu != 0 && (interface.mtu < 68 || interface.mtu > 65535)) throw impossible_mtu(interface.mtu);
    for (std::size_t i = 0; i < interface.addresses.size(); ++i) {
      const IpPrefix& address = interface.addresses[i];
      if (!address.address.is_v4() && interface.mtu != 0 && interface.mtu < 1280)
        throw Failure(cat(place_of(interface.address_places, i), "MTU ", interface.mtu,
                          " is too small for the IPv6 address ", address),
                      "IPv6 needs 1280");
    }
    if (interface.mac && interface.device.kind == "tun")
      throw Failure("a tun has no Ethernet address", "leave the MAC address out, or take a tap");
    for (std::size_t i = 0; i < interface.gateways.size(); ++i) {
      const IpAddress& gateway = interface.gateways[i];
      const std::string_view place = place_of(interface.gateway_places, i);
      for (std::size_t before = 0; before < i; ++before)
        if (interface.gateways[before].version() == gateway.version())
          throw Failure(cat(place, "a second gateway of one IP version: ", gateway),
                        "give one, and [[route]] tables of a configuration file for more");
      check_gateway(plan, gateway, place);
      const bool reachable =
          gateway.is_link_local() || std::any_of(interface.addresses.begin(), interface.addresses.end(),
                                                 [&](const IpPrefix& a) { return a.contains(gateway); });
      if (!reachable)
        throw Failure(cat(place, "gateway ", gateway, " is in no network of interface ", interface.name),
                      "give the interface an address of the gateway's network");
    }
  }
}

}  // namespace

std::span<const std::string_view> device_kinds() {
  return kKinds;
}
std::span<const std::string_view> later_device_kinds() {
  return kLaterKinds;
}

void check_device_kind(const DeviceSpec& device, std::string_view what) {
  if (std::find(kKinds.begin(), kKinds.end(), device.kind) != kKinds.end()) return;
  if (std::find(kLaterKinds.begin(), kLaterKinds.end(), device.kind) != kLaterKinds.end())
    throw Failure(cat(what, ": device kind '", device.kind, "' is not in this version"),
                  "take tap, tun, memory or shm; 'leat doctor' tells what works here");
  std::vector<std::string_view> all(kKinds.begin(), kKinds.end());
  all.insert(all.end(), kLaterKinds.begin(), kLaterKinds.end());
  const std::string hint = did_you_mean(device.kind, all);
  throw Failure(cat(what, ": unknown device kind '", device.kind, "'"),
                hint.empty() ? "take tap, tun, memory or shm" : hint);
}

DeviceSpec parse_device(std::string_view text, std::string_view what) {
  const std::size_t colon = text.find(':');
  DeviceSpec device{std::string(text.substr(0, colon)), ""};
  if (colon != std::string_view::npos) device.name = text.substr(colon + 1);
  check_device_kind(device, what);
  if (device.name.empty()) device.name = "leat0";
  if (device.name.size() > kMaxInterfaceName || device.name.find_first_of("/ \t") != std::string::npos ||
      device.name == "." || device.name == "..")
    throw Failure(cat(what, ": '", device.name, "' can't be an interface's name"),
                  "take at most 15 characters without blank and slash, such as leat0");
  return device;
}

IpPrefix parse_prefix(std::string_view text, std::string_view what) {
  if (const auto prefix = IpPrefix::parse(text)) return *prefix;
  throw Failure(cat(what, ": '", text, "' is not an address with a prefix length"),
                "write it as 10.0.0.2/24 or fd00::2/64");
}

IpPrefix parse_interface_address(std::string_view text, std::string_view what) {
  const IpPrefix prefix = parse_prefix(text, what);
  const IpAddress& a = prefix.address;
  if (a.is_unspecified() || a.is_multicast() || a.is_loopback() || a.is_limited_broadcast())
    throw Failure(cat(what, ": ", a, " can't be an interface's address"),
                  "take a unicast address, such as 10.0.0.2/24");
  if (text.find('/') == std::string_view::npos)
    throw Failure(cat(what, ": '", text, "' has no prefix length"), cat("write ", a, a.is_v4() ? "/24" : "/64"));
  // The first address of an IPv4 network names it; a /31 and a /32 have none (RFC 3021).
  if (a.is_v4() && prefix.length < 31 && (a.v4_value() & (UINT32_MAX >> prefix.length)) == 0)
    throw Failure(cat(what, ": ", a, " is the address of its network"), "take another one of it");
  if (prefix.broadcast() == a)
    throw Failure(cat(what, ": ", a, " is the broadcast address of its own network"), "take another one of it");
  return prefix;
}

IpAddress parse_address(std::string_view text, std::string_view what) {
  if (const auto address = IpAddress::parse(text)) return *address;
  const bool name = text.find_first_not_of("0123456789.:abcdefABCDEF") != std::string_view::npos;
  throw Failure(cat(what, ": '", text, "' is not an IP address"),
                name ? "names are not looked up: write it as 10.0.0.1 or fd00::1" : "write it as 10.0.0.1 or fd00::1");
}

MacAddress parse_mac(std::string_view text, std::string_view what) {
  const auto mac = MacAddress::parse(text);
  if (!mac) throw Failure(cat(what, ": '", text, "' is not a MAC address"), "write it as 02:00:00:00:00:02");
  if (mac->is_multicast() || mac->is_zero())
    throw Failure(cat(what, ": ", *mac, " can't be a station's address"),
                  "take one with an even first byte, such as 02:00:00:00:00:02");
  return *mac;
}

OptionId parse_option_name(std::string_view name) {
  if (const auto id = find_option(name)) return *id;
  std::vector<std::string_view> known;
  known.reserve(kOptions);
  for (const OptionInfo& info : kOptionInfo) known.push_back(info.name);
  const std::string hint = did_you_mean(name, known);
  throw Failure(cat("unknown option '", name, "'"), hint.empty() ? "'--option list' names them" : hint);
}

std::string option_list() {
  const auto value = [](const OptionInfo& info, std::int64_t v) {
    if (info.type == OptionType::boolean) return std::string(v != 0 ? "yes" : "no");
    if (info.type == OptionType::duration_us) return time_text(static_cast<double>(v) / 1e6);
    for (const NamedChoice& choice : kChoices)
      if (option_info(choice.id).name == info.name && choice.value == v) return std::string(choice.name);
    return std::to_string(v);
  };
  std::vector<std::vector<std::string>> rows{{"option", "default", "from", "to", "what it does"}};
  for (const OptionInfo& info : kOptionInfo)
    rows.push_back({std::string(info.name), value(info, info.initial), value(info, info.minimum),
                    value(info, info.maximum), cat(info.sentence, " (", info.source, ")")});
  return table(rows);
}

std::int64_t parse_option_value(OptionId id, std::string_view text) {
  const OptionInfo& info = option_info(id);
  const auto value = option_number(id, info, trim(text));
  if (!value) {
    constexpr std::array<std::string_view, 5> kForms{"true or false", "a whole number", "a size such as 64K",
                                                     "a time such as 40ms", "a number or name"};
    std::string names;
    for (const NamedChoice& choice : kChoices)
      if (choice.id == id) names += cat(names.empty() ? "" : " or ", choice.name);
    throw Failure(cat("option ", info.name, ": '", text, "' is not a value"),
                  names.empty() ? cat("write ", kForms[static_cast<std::size_t>(info.type)]) : cat("take ", names));
  }
  if (*value < info.minimum || *value > info.maximum)
    throw Failure(cat("option ", info.name, ": ", text, " is out of range"),
                  cat("take ", range_text(info), info.type == OptionType::duration_us ? " microseconds" : ""));
  return *value;
}

ImpairmentConfig parse_impairment(std::string_view text, std::string_view what) {
  constexpr std::array<std::string_view, 9> kNames{"delay",     "jitter",  "loss", "reorder", "reorder_by",
                                                   "duplicate", "corrupt", "rate", "queue"};
  ImpairmentConfig config;
  if (trim(text).empty()) throw Failure(cat(what, ": no impairment"), "write it as delay=20ms,loss=2%");
  for (const std::string_view part : split(text, ',')) {
    const std::size_t equal = part.find('=');
    const std::string_view name = trim(part.substr(0, equal));
    const std::string_view value = equal == std::string_view::npos ? std::string_view{} : trim(part.substr(equal + 1));
    const auto bad = [&](std::string_view form) {
      return Failure(cat(what, ": '", part, "' is not understood"), cat("write ", name, "=", form));
    };
    const auto time = [&](Duration& to) {
      const auto d = parse_duration(value);
      if (!d) throw bad("20ms");
      to = *d;
    };
    const auto chance = [&](std::uint32_t& to) {
      const auto p = parse_ppm(value);
      if (!p) throw bad("2%");
      to = *p;
    };
    if (name == "delay") {
      time(config.delay);
    } else if (name == "jitter") {
      time(config.jitter);
    } else if (name == "reorder_by") {
      time(config.reorder_by);
    } else if (name == "loss") {
      chance(config.loss_ppm);
    } else if (name == "reorder") {
      chance(config.reorder_ppm);
    } else if (name == "duplicate") {
      chance(config.duplicate_ppm);
    } else if (name == "corrupt") {
      chance(config.corrupt_ppm);
    } else if (name == "rate") {
      const auto rate = parse_size(value);
      if (!rate) throw bad("100M");
      config.rate_bps = *rate;
    } else if (name == "queue") {
      const auto queue = parse_size(value);
      if (!queue || *queue > UINT32_MAX) throw bad("64");
      config.queue_packets = static_cast<std::uint32_t>(*queue);
    } else {
      const std::string hint = did_you_mean(name, kNames);
      throw Failure(
          cat(what, ": unknown impairment '", name, "'"),
          hint.empty() ? "take delay, jitter, loss, reorder, reorder_by, duplicate, corrupt, rate, queue" : hint);
    }
  }
  return config;
}

std::uint16_t checked_port(std::uint64_t port, std::string_view what) {
  if (port == 0 || port > 65535) throw Failure(cat(what, ": ", port, " is not a port"), "take one from 1 to 65535");
  return static_cast<std::uint16_t>(port);
}

Plan make_plan(const StackArguments& a) {
  Plan plan;
  plan.limits = hosted_limits(kConnections);
  if (!a.config.empty()) read_config_file(a.config, plan);
  const bool about_interface =
      !a.device.empty() || !a.addresses.empty() || !a.gateways.empty() || !a.mac.empty() || a.mtu.has_value();
  if (plan.interfaces.empty() && about_interface) plan.interfaces.emplace_back();
  if (about_interface) {
    InterfacePlan& first = plan.interfaces.front();
    if (!a.device.empty()) first.device = parse_device(a.device);
    if (!a.addresses.empty()) {
      first.addresses.clear();
      first.address_places.clear();
      for (const std::string& text : a.addresses) first.addresses.push_back(parse_interface_address(text, "--ip"));
    }
    if (!a.mac.empty()) first.mac = parse_mac(a.mac, "--mac");
    if (a.mtu == 0U) throw impossible_mtu(0);
    if (a.mtu) first.mtu = *a.mtu;
    if (!a.gateways.empty()) {
      first.gateways.clear();
      first.gateway_places.clear();
      for (const std::string& text : a.gateways) first.gateways.push_back(parse_address(text, "--gateway"));
    }
  }
  add_defaults(plan);
  for (const std::string& text : a.options) {
    const std::size_t equal = text.find('=');
    if (equal == std::string::npos) throw Failure(cat("--option: '", text, "' has no value"), "write NAME=VALUE");
    const OptionId id = parse_option_name(trim(std::string_view(text).substr(0, equal)));
    plan.options.emplace_back(id, parse_option_value(id, std::string_view(text).substr(equal + 1)));
  }
  if (!a.pcap.empty()) plan.pcap = a.pcap;
  plan.snap_length = a.snap_length;
  plan.setup = a.setup;
  plan.trace = a.trace;
  plan.json = a.json;
  if (a.seed) plan.seed = a.seed;
  if (!a.impair.empty()) plan.impairment = parse_impairment(a.impair);
  check(plan);
  return plan;
}

}  // namespace leat::tools
