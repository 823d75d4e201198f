#pragma once
// Result<T>: a value or an Errc, with the member names of std::expected that we use. No exceptions, constexpr, and
// never silently ignored. Would-block and end-of-stream are not errors: they are values of IoCount.
//
// Threading: a value type.

#include <cstddef>
#include <cstdint>
#include <leat/base/assert.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace leat {

// The one public error code. error_table.hpp maps each to an errno value, a name and a sentence.
enum class Errc : std::uint8_t {
  invalid_argument = 1,
  bad_handle,   // stale or foreign handle
  wrong_state,  // the call does not fit the socket's state
  not_supported,
  address_in_use,
  address_not_available,
  network_unreachable,  // no route
  host_unreachable,     // neighbour or ICMP says so
  protocol_unreachable,
  connection_refused,
  connection_reset,
  connection_aborted,
  timed_out,
  not_connected,
  already_connected,
  in_progress,
  message_too_long,
  no_buffers,  // a pool is empty; try again
  no_memory,   // a table is full
  permission_denied,
  interrupted,
  cancelled,
  broken_pipe,  // written after the sending side was shut down
  destination_required,
  again,      // re-entered from its own shard
  shut_down,  // the stack is gone
  io_error,   // a device failed
  not_found,
  already_exists,
  protocol_error,
  no_protocol_option,
  no_device,  // there is no such interface
};

struct Unexpected {
  Errc error;
};
[[nodiscard]] constexpr Unexpected fail(Errc error) {
  return Unexpected{error};
}

template <class T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(std::move(value)), has_value_(true) {}  // NOLINT(google-explicit-constructor)
  constexpr Result(Unexpected u) : error_(u.error), has_value_(false) {}     // NOLINT(google-explicit-constructor)
  constexpr Result(Result&& o) noexcept : has_value_(o.has_value_) {
    if (has_value_) {
      std::construct_at(&value_, std::move(o.value_));
    } else {
      error_ = o.error_;
    }
  }
  constexpr Result(const Result& o) : has_value_(o.has_value_) {
    if (has_value_) {
      std::construct_at(&value_, o.value_);
    } else {
      error_ = o.error_;
    }
  }
  constexpr Result& operator=(Result o) noexcept {
    destroy();
    has_value_ = o.has_value_;
    if (has_value_) {
      std::construct_at(&value_, std::move(o.value_));
    } else {
      error_ = o.error_;
    }
    return *this;
  }
  constexpr ~Result() { destroy(); }

  [[nodiscard]] constexpr bool has_value() const { return has_value_; }
  constexpr explicit operator bool() const { return has_value_; }
  constexpr T& value() & {
    LEAT_ASSERT(has_value_);
    return value_;
  }
  constexpr const T& value() const& {
    LEAT_ASSERT(has_value_);
    return value_;
  }
  constexpr T&& value() && {
    LEAT_ASSERT(has_value_);
    return std::move(value_);
  }
  constexpr T& operator*() & { return value(); }
  constexpr const T& operator*() const& { return value(); }
  constexpr T&& operator*() && { return std::move(*this).value(); }
  constexpr T* operator->() { return &value(); }
  constexpr const T* operator->() const { return &value(); }
  [[nodiscard]] constexpr Errc error() const {
    LEAT_ASSERT(!has_value_);
    return error_;
  }
  template <class U>
  constexpr T value_or(U&& other) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(other));
  }

 private:
  constexpr void destroy() {
    if (has_value_) std::destroy_at(&value_);
  }
  union {
    T value_;
    Errc error_;
  };
  bool has_value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  constexpr Result() = default;
  constexpr Result(Unexpected u) : error_(u.error) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr bool has_value() const { return error_ == Errc{}; }
  constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr Errc error() const {
    LEAT_ASSERT(!has_value());
    return error_;
  }

 private:
  Errc error_{};
};

// What a non-blocking transfer did. `count` bytes moved (or one connection accepted: 1). `status` says why it is less
// than asked for: `would_block` means wait for readiness, `end_of_stream` that no more will ever come.
enum class IoStatus : std::uint8_t { done, would_block, end_of_stream };
struct IoCount {
  std::size_t count = 0;
  IoStatus status = IoStatus::done;
};

}  // namespace leat
