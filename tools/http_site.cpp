#include "http_site.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <leat/runtime/clock.hpp>

#include "failure.hpp"
#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kMaxListed = 10000;
// RFC 9110 9.3 and RFC 5789: known, though GET and HEAD alone are served.
constexpr std::array<std::string_view, 7> kMethods{"POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

// Opens what is below `root`, never following a link out of it.
int open_below(int root, const std::string& path) {
  const char* name = path.empty() ? "." : path.c_str();
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, root, name, &how, sizeof how);
  if (fd >= 0 || errno != ENOSYS) return static_cast<int>(fd);
  // Before Linux 5.6: no links at all, segment by segment.
  int at = ::dup(root);
  for (const std::string_view segment : split(std::string_view(name), '/')) {
    if (segment.empty() || at < 0) continue;
    const int next = ::openat(at, std::string(segment).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    const int saved = errno;
    ::close(at);
    errno = saved;
    at = next;
  }
  return at;
}

struct FolderEntry {
  std::string name;
  bool folder;
};

std::vector<FolderEntry> list_folder(int fd) {
  std::vector<FolderEntry> entries;
  const int copy = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return entries;
  DIR* folder = ::fdopendir(copy);
  if (folder == nullptr) {
    ::close(copy);
    return entries;
  }
  while (const dirent* e = ::readdir(folder)) {
    const std::string name(&e->d_name[0]);
    if (name.starts_with('.') || entries.size() == kMaxListed) continue;
    struct stat s {};
    const bool known = ::fstatat(fd, name.c_str(), &s, 0) == 0;
    entries.push_back({name, known && S_ISDIR(s.st_mode)});
  }
  ::closedir(folder);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

std::string listing(const std::string& path, const std::vector<FolderEntry>& entries) {
  const std::string title = cat("Index of /", html_escape(path));
  std::string page = cat("<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>", title,
                         "</title></head>\n<body><h1>", title, "</h1>\n<ul>\n");
  if (!path.empty()) page += "<li><a href=\"../\">../</a></li>\n";
  for (const FolderEntry& e : entries) {
    const std::string_view slash = e.folder ? "/" : "";
    page +=
        cat("<li><a href=\"./", percent_encode_path(e.name), slash, "\">", html_escape(e.name), slash, "</a></li>\n");
  }
  return page + "</ul></body></html>\n";
}

std::string entity_tag(const struct stat& s) {
  return cat("\"", s.st_size, "-", s.st_mtim.tv_sec, "-", s.st_mtim.tv_nsec, "\"");
}

// RFC 9110 13: may the client keep what it has?
bool not_modified(const HttpRequest& request, const struct stat& s) {
  if (const std::string* tags = request.header("if-none-match"); tags != nullptr) {
    const std::string own = entity_tag(s);
    for (std::string_view tag : split(*tags, ',')) {
      tag = trim(tag);
      if (tag.starts_with("W/")) tag.remove_prefix(2);
      if (tag == own || tag == "*") return true;
    }
    return false;
  }
  const std::string* since = request.header("if-modified-since");
  if (since == nullptr) return false;
  const auto date = parse_http_date(*since);
  return date && s.st_mtim.tv_sec <= *date;
}

// RFC 9110 13.1.5: a range of another version of the file is no range.
bool range_applies(const HttpRequest& request, const struct stat& s) {
  const std::string* condition = request.header("if-range");
  return condition == nullptr || *condition == entity_tag(s) || *condition == http_date(s.st_mtim.tv_sec);
}

}  // namespace

HttpSite::HttpSite(const std::string& root, bool log_requests)
    : root_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), log_(log_requests) {
  if (root_.get() < 0)
    throw Failure(cat("can't serve ", root, ": ", std::strerror(errno)), "give a folder that can be read");
}

HttpAnswer HttpSite::answer(const HttpRequest& request, const Endpoint& from) {
  requests_.fetch_add(1, std::memory_order_relaxed);
  HttpAnswer a;
  a.head_only = request.method == "HEAD";
  a.close = !request.keep_alive() || request.has_body();
  if (request.method != "GET" && !a.head_only) {
    // RFC 9110 15.6.2: 501 for what is no method to us at all.
    const bool known = std::find(kMethods.begin(), kMethods.end(), request.method) != kMethods.end();
    refuse(a, known ? 405 : 501, known ? "Allow: GET, HEAD\r\n" : "");
  } else if (const auto path = file_path_of(request.target); !path) {
    refuse(a, 400);
  } else {
    find(a, request, *path);
  }
  if (log_) log_info(cat(from, " ", request.method, " ", request.target.substr(0, 200), " ", a.status, " ", a.length));
  return a;
}

HttpAnswer HttpSite::bad_request(int status) {
  HttpAnswer a;
  a.close = true;
  refuse(a, status);
  return a;
}

std::optional<ByteSpan> HttpSite::next(const HttpAnswer& a, MutableByteSpan buffer) {
  const std::size_t of_head = std::min(a.head.size() - a.head_sent, buffer.size());
  std::copy_n(a.head.data() + a.head_sent, of_head, buffer.data());
  const MutableByteSpan rest = buffer.subspan(of_head);
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(a.left, rest.size()));
  if (want == 0) return buffer.first(of_head);
  const ssize_t got = ::pread(a.file.get(), rest.data(), want, static_cast<off_t>(a.at));
  if (got <= 0) return std::nullopt;
  return buffer.first(of_head + static_cast<std::size_t>(got));
}

void HttpSite::sent(HttpAnswer& a, std::size_t count) {
  const std::size_t of_head = std::min(a.head.size() - a.head_sent, count);
  const std::size_t of_body = count - of_head;
  a.head_sent += of_head;
  a.at += of_body;
  a.left -= of_body;
  if (a.left == 0) a.file = Descriptor{};
  body_bytes_.fetch_add(of_body, std::memory_order_relaxed);
}

void HttpSite::find(HttpAnswer& a, const HttpRequest& request, const std::string& path) {
  Descriptor file(open_below(root_.get(), path));
  struct stat s {};
  if (file.get() < 0 || ::fstat(file.get(), &s) != 0) {
    const bool hidden = errno == EACCES || errno == EPERM || errno == EXDEV || errno == ELOOP;
    return refuse(a, hidden ? 403 : errno == EMFILE || errno == ENFILE ? 500 : 404);
  }
  if (S_ISDIR(s.st_mode)) {
    if (!path.empty() && !path.ends_with('/'))
      return refuse(a, 301, cat("Location: /", percent_encode_path(path), "/\r\n"));
    Descriptor index(open_below(file.get(), "index.html"));
    struct stat index_stat {};
    if (index.get() < 0 || ::fstat(index.get(), &index_stat) != 0 || !S_ISREG(index_stat.st_mode))
      return page(a, 200, listing(path, list_folder(file.get())), "text/html; charset=utf-8");
    return give(a, request, std::move(index), index_stat, "index.html");
  }
  if (!S_ISREG(s.st_mode)) return refuse(a, 403);  // pipes, devices
  if (path.ends_with('/')) return refuse(a, 404);
  give(a, request, std::move(file), s, path);
}

void HttpSite::give(HttpAnswer& a, const HttpRequest& request, Descriptor file, const struct stat& s,
                    std::string_view name) {
  const auto size = static_cast<std::uint64_t>(s.st_size);
  std::string extra =
      cat("Last-Modified: ", http_date(s.st_mtim.tv_sec), "\r\nETag: ", entity_tag(s), "\r\nAccept-Ranges: bytes\r\n");
  if (not_modified(request, s)) return head(a, 304, "", std::nullopt, extra);
  ByteRange range{0, size == 0 ? 0 : size - 1};
  RangeAnswer kind = RangeAnswer::whole;
  // RFC 9110 14.2: Range is for GET alone.
  const std::string* asked = request.header("range");
  if (asked != nullptr && !a.head_only && range_applies(request, s)) kind = parse_range(*asked, size, range);
  if (kind == RangeAnswer::unsatisfiable) return refuse(a, 416, cat("Content-Range: bytes */", size, "\r\n"));
  const std::uint64_t length = kind == RangeAnswer::part ? range.last - range.first + 1 : size;
  if (kind == RangeAnswer::part) extra += cat("Content-Range: bytes ", range.first, "-", range.last, "/", size, "\r\n");
  head(a, kind == RangeAnswer::part ? 206 : 200, content_type_of(name), length, extra);
  if (a.head_only) return;
  a.file = std::move(file);
  a.at = kind == RangeAnswer::part ? range.first : 0;
  a.left = length;
}

void HttpSite::refuse(HttpAnswer& a, int status, const std::string& extra) {
  page(a, status, cat(status, " ", reason_of(status), "\n"), "text/plain; charset=utf-8", extra);
}

void HttpSite::page(HttpAnswer& a, int status, const std::string& text, std::string_view type,
                    const std::string& extra) {
  head(a, status, type, text.size(), extra);
  if (a.head_only) return;
  a.head += text;
  body_bytes_.fetch_add(text.size(), std::memory_order_relaxed);
}

void HttpSite::head(HttpAnswer& a, int status, std::string_view type, std::optional<std::uint64_t> length,
                    const std::string& extra) {
  a.status = status;
  a.length = length.value_or(0);
  a.head = cat("HTTP/1.1 ", status, " ", reason_of(status),
               "\r\nServer: leat\r\nDate: ", http_date(wall_clock_ns() / 1'000'000'000), "\r\n");
  if (!type.empty()) a.head += cat("Content-Type: ", type, "\r\n");
  if (length) a.head += cat("Content-Length: ", *length, "\r\n");
  a.head += extra;
  a.head += a.close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n";
}

}  // namespace leat::tools
