#pragma once
// The names that a script may use: errno values, socket constants, socket options and sysctls, each mapped to what
// Leat calls it. A name that is not here is an error of the script, never a silent no-op.
//
// Threading: constants.

#include <cstdint>
#include <leat/op/options.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace leat::script {

// ECONNRESET, SOL_SOCKET, O_NONBLOCK, POLLIN, SHUT_WR, TCP_ESTABLISHED ...: the values of Linux.
[[nodiscard]] std::optional<std::int64_t> constant(std::string_view name);
// The name of an errno value; its number as text when it has none.
[[nodiscard]] std::string errno_name(std::int64_t value);

// How a socket option's or sysctl's number becomes an option's value.
enum class Scale : std::uint8_t { same, seconds, milliseconds, last_of_three, congestion, positive };
struct OptionName {
  std::string_view name;
  OptionId id;
  Scale scale = Scale::same;
};
[[nodiscard]] const OptionName* find_socket_option(std::string_view name);
[[nodiscard]] const OptionName* find_sysctl(std::string_view name);
// The option's value for a number as the script writes it, and back.
[[nodiscard]] std::int64_t scaled(Scale scale, std::int64_t value);
[[nodiscard]] std::int64_t unscaled(Scale scale, std::int64_t value);
// "reno", "cubic" ...: the value of option tcp_congestion.
[[nodiscard]] std::optional<std::int64_t> congestion_value(std::string_view name);
[[nodiscard]] std::string_view congestion_name(std::int64_t value);

struct IcmpName {
  std::string_view type;
  std::string_view code;  // empty: none is said
  std::uint8_t type_value;
  std::uint8_t code_value;
};
[[nodiscard]] std::span<const IcmpName> icmp_names(bool ipv6);

}  // namespace leat::script
