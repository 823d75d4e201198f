#pragma once
// What parsers return. `Parsed<T>` is a view or a struct, or the named reason why the bytes are not one. The word is
// for counters, traces and tests: the caller drops the packet whatever it says.
//
// Threading: value types.

#include <cstdint>
#include <leat/base/assert.hpp>
#include <string_view>

namespace leat::wire {

enum class ParseError : std::uint8_t {
  none,
  truncated,          // fewer bytes than the header needs
  bad_version,        // an IP version that the parser is not for
  bad_header_length,  // a header length below the minimum or beyond the bytes
  bad_length,         // a length field that contradicts the packet's length
  bad_type,           // a type, code or operation that must not appear
  bad_address,        // an address that must not appear in the field
  bad_hop_limit,      // a message that must come from a neighbour came from further away
  bad_checksum,       // where the parser verifies it
  bad_option,         // an option with an impossible length, or one that must not appear
};

constexpr std::string_view name_of(ParseError error) {
  switch (error) {
    case ParseError::none:
      return "none";
    case ParseError::truncated:
      return "truncated";
    case ParseError::bad_version:
      return "bad version";
    case ParseError::bad_header_length:
      return "bad header length";
    case ParseError::bad_length:
      return "bad length";
    case ParseError::bad_type:
      return "bad type";
    case ParseError::bad_address:
      return "bad address";
    case ParseError::bad_hop_limit:
      return "bad hop limit";
    case ParseError::bad_checksum:
      return "bad checksum";
    case ParseError::bad_option:
      return "bad option";
  }
  return "unknown";
}

template <class T>
class [[nodiscard]] Parsed {
 public:
  constexpr Parsed(const T& value) : value_(value) {}   // NOLINT(google-explicit-constructor)
  constexpr Parsed(ParseError error) : error_(error) {  // NOLINT(google-explicit-constructor)
    LEAT_ASSERT(error != ParseError::none);
  }
  [[nodiscard]] constexpr bool has_value() const { return error_ == ParseError::none; }
  constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr ParseError error() const { return error_; }
  constexpr const T& operator*() const {
    LEAT_ASSERT(has_value());
    return value_;
  }
  constexpr const T* operator->() const { return &**this; }

 private:
  T value_{};
  ParseError error_ = ParseError::none;
};

}  // namespace leat::wire
