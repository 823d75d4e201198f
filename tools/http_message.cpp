#include "http_message.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "text.hpp"

namespace leat::tools {

namespace {

// RFC 9110 5.6.2
bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}
bool has_list_element(std::string_view list, std::string_view wanted) {
  for (const std::string_view element : split(list, ','))
    if (lower(trim_blanks(element)) == wanted) return true;
  return false;
}

// 0: fine; else the status to answer.
int parse_request_line(std::string_view line, HttpRequest& request) {
  const std::size_t a = line.find(' ');
  const std::size_t b = line.rfind(' ');
  if (a == std::string_view::npos || b == a) return 400;
  const std::string_view method = line.substr(0, a);
  const std::string_view target = line.substr(a + 1, b - a - 1);
  const std::string_view version = line.substr(b + 1);
  if (!is_token(method) || target.empty()) return 400;
  if (std::any_of(target.begin(), target.end(), [](char c) { return c <= ' ' || c == 0x7f; })) return 400;
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.') return 400;
  if (version[5] != '1' || version[7] < '0' || version[7] > '9') return 505;
  request.method = method;
  request.target = target;
  request.minor_version = version[7] - '0';
  return 0;
}

int parse_header_line(std::string_view line, HttpRequest& request) {
  // RFC 9112 5: no blank before the colon, no folded lines.
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return 400;
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  if (std::any_of(value.begin(), value.end(), [](char c) { return c == '\0' || c == '\r' || c == '\n'; })) return 400;
  constexpr std::size_t kMaxHeaders = 100;
  if (request.headers.size() == kMaxHeaders) return 431;
  request.headers.emplace_back(lower(line.substr(0, colon)), value);
  return 0;
}

// What holds for the whole head.
int check_request(const HttpRequest& request) {
  const auto count = [&](std::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(),
                         [&](const auto& h) { return h.first == name; });
  };
  // RFC 9112 3.2: exactly one Host in HTTP/1.1.
  if (count("host") > 1 || (request.minor_version >= 1 && count("host") == 0)) return 400;
  // RFC 9112 6.3: what two readers could take for two lengths.
  if (count("content-length") > 1 || (count("content-length") == 1 && count("transfer-encoding") > 0)) return 400;
  if (const std::string* length = request.header("content-length"); length != nullptr && !parse_number(*length))
    return 400;
  return 0;
}

}  // namespace

const std::string* HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

bool HttpRequest::keep_alive() const {
  // RFC 9112 9.3
  const std::string* connection = header("connection");
  if (connection != nullptr && has_list_element(*connection, "close")) return false;
  if (minor_version >= 1) return true;
  return connection != nullptr && has_list_element(*connection, "keep-alive");
}

bool HttpRequest::has_body() const {
  if (header("transfer-encoding") != nullptr) return true;
  const std::string* length = header("content-length");
  return length != nullptr && parse_number(*length).value_or(1) != 0;
}

void HttpRequestReader::append(ByteSpan bytes) {
  buffer_.append(bytes.begin(), bytes.end());
}

HttpRequestReader::State HttpRequestReader::refuse(int status) {
  status_ = status;
  buffer_.clear();
  return State::bad;
}

HttpRequestReader::State HttpRequestReader::next(HttpRequest& request) {
  if (status_ != 0) return State::bad;
  // RFC 9112 2.2: empty lines before a request are skipped.
  while (buffer_.starts_with("\r\n")) {
    buffer_.erase(0, 2);
    scanned_ = 0;
  }
  // RFC 9112 2.2: a line that ends with LF alone may be taken for one. We don't, and don't wait for more of it either:
  // who guesses where a head ends disagrees with others about it.
  for (std::size_t at = scanned_; (at = buffer_.find('\n', at)) != std::string::npos; ++at) {
    if (at > 0 && buffer_[at - 1] == '\r') {
      if (at >= 3 && buffer_.compare(at - 3, 4, "\r\n\r\n") == 0) break;  // what follows is of the next
      continue;
    }
    return refuse(400);
  }
  const std::size_t from = scanned_ > 3 ? scanned_ - 3 : 0;
  const std::size_t end = buffer_.find("\r\n\r\n", from);
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    if (buffer_.size() > kMaxHead) return refuse(buffer_.find("\r\n") == std::string::npos ? 414 : 431);
    return State::incomplete;
  }
  if (end > kMaxHead) return refuse(431);
  request = HttpRequest{};
  std::string_view head(buffer_.data(), end);
  for (bool first = true; first || !head.empty(); first = false) {
    const std::size_t line_end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, line_end);
    const int status = first ? parse_request_line(line, request) : parse_header_line(line, request);
    if (status != 0) return refuse(status);
    head.remove_prefix(std::min(line_end + 2, head.size()));
  }
  if (const int status = check_request(request); status != 0) return refuse(status);
  buffer_.erase(0, end + 4);
  scanned_ = 0;
  return State::complete;
}

RangeAnswer parse_range(std::string_view header, std::uint64_t size, ByteRange& range) {
  if (lower(header.substr(0, 6)) != "bytes=") return RangeAnswer::whole;
  const std::string_view spec = trim_blanks(header.substr(6));
  const std::size_t dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) return RangeAnswer::whole;
  const std::string_view from = trim_blanks(spec.substr(0, dash));
  const std::string_view to = trim_blanks(spec.substr(dash + 1));
  const auto first = parse_number(from);
  const auto last = parse_number(to);
  if ((!from.empty() && !first) || (!to.empty() && !last) || (from.empty() && to.empty())) return RangeAnswer::whole;
  if (from.empty()) {  // the last so many bytes
    if (*last == 0 || size == 0) return RangeAnswer::unsatisfiable;
    range = {size - std::min(*last, size), size - 1};
    return RangeAnswer::part;
  }
  if (last && *last < *first) return RangeAnswer::whole;
  if (*first >= size) return RangeAnswer::unsatisfiable;
  range = {*first, last ? std::min(*last, size - 1) : size - 1};
  return RangeAnswer::part;
}

std::optional<std::string> file_path_of(std::string_view target) {
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos && !target.starts_with('/')) {
    const std::size_t slash = target.find('/', scheme + 3);  // RFC 9112 3.2.2: absolute form
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    if (i + 2 >= target.size()) return std::nullopt;
    const int high = hex_digit(target[i + 1]);
    const int low = hex_digit(target[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (path.find('\0') != std::string::npos) return std::nullopt;
  std::string clean;
  const auto segments = split(std::string_view(path), '/');
  for (const std::string_view segment : segments) {
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {  // RFC 3986 5.2.4, but that nothing is above the root
      if (clean.empty()) return std::nullopt;
      const std::size_t slash = clean.rfind('/');
      clean.erase(slash == std::string::npos ? 0 : slash);
      continue;
    }
    if (!clean.empty()) clean += '/';
    clean += segment;
  }
  if (!clean.empty() && (segments.back().empty() || segments.back() == "." || segments.back() == "..")) clean += '/';
  return clean;
}

std::string percent_encode_path(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain) {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += '%';
      text += kHex[byte >> 4];
      text += kHex[byte & 15U];
    }
  }
  return text;
}

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string_view content_type_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 28> kTypes{{
      {"html", "text/html; charset=utf-8"},
      {"htm", "text/html; charset=utf-8"},
      {"css", "text/css; charset=utf-8"},
      {"js", "text/javascript; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"json", "application/json"},
      {"txt", "text/plain; charset=utf-8"},
      {"md", "text/markdown; charset=utf-8"},
      {"log", "text/plain; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"xml", "application/xml"},
      {"svg", "image/svg+xml"},
      {"png", "image/png"},
      {"jpg", "image/jpeg"},
      {"jpeg", "image/jpeg"},
      {"gif", "image/gif"},
      {"webp", "image/webp"},
      {"ico", "image/x-icon"},
      {"pdf", "application/pdf"},
      {"wasm", "application/wasm"},
      {"woff2", "font/woff2"},
      {"mp4", "video/mp4"},
      {"webm", "video/webm"},
      {"mp3", "audio/mpeg"},
      {"zip", "application/zip"},
      {"gz", "application/gzip"},
      {"toml", "application/toml"},
      {"xz", "application/x-xz"},
  }};
  const std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) {
    const std::string extension = lower(name.substr(dot + 1));
    for (const auto& [known, type] : kTypes)
      if (known == extension) return type;
  }
  return "application/octet-stream";
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

namespace {
constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
}  // namespace

std::string http_date(std::int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm t{};
  ::gmtime_r(&seconds, &t);
  std::array<char, 40> text{};
  const int n = std::snprintf(
      text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[static_cast<std::size_t>(t.tm_wday)],
      t.tm_mday, kMonths[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  return {text.data(), static_cast<std::size_t>(n)};
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  std::array<char, 4> month{};
  std::tm t{};
  const std::string copy(text);
  if (copy.size() != 29 || std::sscanf(copy.c_str() + 5, "%2d %3s %4d %2d:%2d:%2d GMT", &t.tm_mday, month.data(),
                                       &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
    return std::nullopt;
  const auto m = std::find_if(kMonths.begin(), kMonths.end(),
                              [&](const char* name) { return std::string_view(name) == month.data(); });
  if (m == kMonths.end()) return std::nullopt;
  t.tm_mon = static_cast<int>(m - kMonths.begin());
  t.tm_year -= 1900;
  const auto seconds = static_cast<std::int64_t>(::timegm(&t));
  // RFC 9110 5.6.7: one form only. Another day of the week, a 30 February or an hour 24 does not come out again.
  return http_date(seconds) == text ? std::optional{seconds} : std::nullopt;
}

std::optional<HttpResponse> parse_response_head(std::string_view bytes, std::size_t& head_bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  head_bytes = end + 4;
  HttpResponse response;
  const auto lines = split(bytes.substr(0, end), '\n');
  if (lines.front().starts_with("HTTP/1.") && lines.front().size() >= 12)
    response.status = static_cast<int>(parse_number(lines.front().substr(9, 3)).value_or(0));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t colon = lines[i].find(':');
    if (colon == std::string_view::npos) continue;
    if (lower(lines[i].substr(0, colon)) == "content-length")
      response.content_length = parse_number(lines[i].substr(colon + 1));
  }
  return response;
}

}  // namespace leat::tools
