// HTTP requests from any bytes, whole and in pieces: the same requests and the same answer to bad ones. What a target
// names stays below its root; a range lies in its file; a date that is read is written alike.
#include <algorithm>
#include <cstdlib>
#include <leat/base/bytes.hpp>
#include <tools/http_message.hpp>

namespace {

using namespace leat;         // NOLINT(google-build-using-namespace)
using namespace leat::tools;  // NOLINT(google-build-using-namespace)

void require(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::vector<HttpRequest> requests;
  int status = 0;
};

// `piece` bytes at a time; 0: all at once.
Outcome read(ByteSpan bytes, std::size_t piece) {
  Outcome out;
  HttpRequestReader reader;
  while (out.status == 0) {
    const std::size_t n = piece == 0 ? bytes.size() : std::min(piece, bytes.size());
    reader.append(bytes.first(n));
    bytes = bytes.subspan(n);
    HttpRequest request;
    HttpRequestReader::State state{};
    while ((state = reader.next(request)) == HttpRequestReader::State::complete) {
      out.requests.push_back(std::move(request));
      request = {};
    }
    if (state == HttpRequestReader::State::bad) out.status = reader.status();
    if (bytes.empty()) break;
  }
  return out;
}

void look_at(const HttpRequest& r) {
  require(!r.method.empty() && !r.target.empty());
  (void)r.keep_alive();
  (void)r.has_body();
  if (const auto path = file_path_of(r.target)) {
    require(!path->starts_with('/') && path->find('\0') == std::string::npos);
    for (std::size_t at = 0; at <= path->size();) {
      const std::size_t end = std::min(path->find('/', at), path->size());
      require(path->substr(at, end - at) != "..");
      at = end + 1;
    }
    const auto again = file_path_of("/" + percent_encode_path(*path));
    require(again && *again == *path);
  }
  for (const auto& [name, value] : r.headers) {
    require(value.find('\n') == std::string::npos && value.find('\r') == std::string::npos);
    for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{10}, ~std::uint64_t{0}}) {
      ByteRange range;
      if (parse_range(value, size, range) == RangeAnswer::part) require(range.first <= range.last && range.last < size);
    }
    if (const auto date = parse_http_date(value)) require(http_date(*date) == value);
    const std::string escaped = html_escape(value);
    require(escaped.find('<') == std::string::npos && escaped.find('"') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes{data + 1, size - 1};
  const Outcome whole = read(bytes, 0);
  for (const HttpRequest& r : whole.requests) look_at(r);
  const Outcome pieces = read(bytes, 1U + data[0]);
  require(whole.status == pieces.status && whole.requests.size() == pieces.requests.size());
  for (std::size_t i = 0; i < whole.requests.size(); ++i) {
    require(whole.requests[i].target == pieces.requests[i].target);
    require(whole.requests[i].headers == pieces.requests[i].headers);
  }
  std::size_t head = 0;
  const std::string_view text{static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
  if (parse_response_head(text, head)) require(head <= bytes.size());
  return 0;
}
