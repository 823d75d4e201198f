#pragma once
// Socket options of Boost.Asio's types (no_delay, reuse_address, linger ...) in terms of the option table. They name
// themselves by the operating system's level and number. Threading: values.

#include <leat/op/options.hpp>
#include <optional>

namespace leat::asio::detail {

struct option_value {
  OptionId id;
  std::int64_t value = 0;
};
// What the bytes of this option mean; nothing: it is not known here.
[[nodiscard]] std::optional<option_value> option_from_system(int level, int name, const void* data, std::size_t size);
// Writes the value as the option's bytes. False: it is not known, or has another size.
[[nodiscard]] bool option_to_system(int level, int name, std::int64_t value, void* data, std::size_t size);
[[nodiscard]] std::optional<OptionId> option_of_system(int level, int name);

}  // namespace leat::asio::detail
