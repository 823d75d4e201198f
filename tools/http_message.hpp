#pragma once
// HTTP/1.1 messages, sans-IO: requests from bytes as they come, and the small things that an answer is made of.
// RFC 9110 and RFC 9112. What is not clearly right is refused: two readers of one message must never disagree.
// Threading: values.

#include <cstdint>
#include <leat/base/bytes.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leat::tools {

struct HttpRequest {
  std::string method;
  std::string target;  // as sent
  int minor_version = 1;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  [[nodiscard]] const std::string* header(std::string_view lower_case_name) const;
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool has_body() const;
};

// Collects the bytes of requests, which may come in any pieces and several at once.
class HttpRequestReader {
 public:
  static constexpr std::size_t kMaxHead = 16384;
  enum class State : std::uint8_t { incomplete, complete, bad };

  void append(ByteSpan bytes);
  // `complete`: `request` is the next one, and its bytes are gone from here. `bad`: `status()` is what to answer, and
  // nothing after it can be trusted.
  State next(HttpRequest& request);
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::size_t buffered() const { return buffer_.size(); }

 private:
  State refuse(int status);
  std::string buffer_;
  std::size_t scanned_ = 0;  // no end of a head before here
  int status_ = 0;
};

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive
};
enum class RangeAnswer : std::uint8_t { whole, part, unsatisfiable };
// RFC 9110 14.2: one range of a file of `size` bytes. Several ranges, other units and nonsense are ignored: whole.
[[nodiscard]] RangeAnswer parse_range(std::string_view header, std::uint64_t size, ByteRange& range);

// The path of a target as relative file name: percent-decoded, query cut off, every segment a plain name. Nothing when
// it would leave its root ("..", NUL, a bad escape). "" is the root itself. A slash at the end stays.
[[nodiscard]] std::optional<std::string> file_path_of(std::string_view target);
[[nodiscard]] std::string percent_encode_path(std::string_view path);
[[nodiscard]] std::string html_escape(std::string_view text);
[[nodiscard]] std::string_view content_type_of(std::string_view file_name);
[[nodiscard]] std::string_view reason_of(int status);
// RFC 9110 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", and back (that form only).
[[nodiscard]] std::string http_date(std::int64_t unix_seconds);
[[nodiscard]] std::optional<std::int64_t> parse_http_date(std::string_view text);

// The head of a response, as a client reads it. Nothing while incomplete; `head_bytes` is its length.
struct HttpResponse {
  int status = 0;
  std::optional<std::uint64_t> content_length;
};
[[nodiscard]] std::optional<HttpResponse> parse_response_head(std::string_view bytes, std::size_t& head_bytes);

}  // namespace leat::tools
