#pragma once
// Errors as Boost.Asio's programs expect them: error codes of the system category, by the one table of errors, so that
// they compare equal to boost::asio::error::connection_refused and the others. Threading: values.

#include <boost/asio/error.hpp>
#include <leat/base/error_table.hpp>

namespace leat::asio {

namespace net = boost::asio;
using error_code = boost::system::error_code;

[[nodiscard]] inline error_code to_error_code(Errc e) {
  if (e == Errc{}) return {};
  if (e == Errc::cancelled) return net::error::operation_aborted;
  return {errno_of(e), boost::system::system_category()};
}

}  // namespace leat::asio
