#pragma once
// The fields of Linux's tcp_info that assertions may ask for, read from a live connection.
//
// Threading: the owner of the stack.

#include <leat/core/stack.hpp>
#include <optional>
#include <string_view>

namespace leat::script {

// Nothing when the field has no meaning here or the socket is no connection.
[[nodiscard]] std::optional<std::int64_t> tcp_field(Stack& stack, Handle socket, std::string_view name);

}  // namespace leat::script
