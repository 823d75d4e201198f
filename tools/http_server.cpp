#include "http_server.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <leat/base/error_table.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/runtime/clock.hpp>

#include "failure.hpp"
#include "http_message.hpp"
#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kScratch = std::size_t{256} << 10;
constexpr std::size_t kMaxListed = 10000;
constexpr Duration kLinger = Duration::s(5);  // how long a refused client may go on sending

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

struct HttpServer::Shared {
  Descriptor root;
  bool log = false;
  Duration idle;
  std::vector<std::uint8_t> scratch = std::vector<std::uint8_t>(kScratch);
  std::uint64_t requests = 0;
  std::uint64_t body_bytes = 0;
};

// One connection: requests one after the other, each answered before the next is looked at.
class HttpServer::Exchange {
 public:
  explicit Exchange(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void run(StreamConnection& c) {
    if (!c.is_open()) return;
    for (;;) {
      if (!send(c)) return;  // the rest waits until the client takes more
      if (closing_) {
        drain(c);
        return;
      }
      if (!receive(c)) return;
    }
  }

 private:
  // Sends what is under way. False when the connection takes no more for now.
  bool send(StreamConnection& c) {
    if (c.pending() > 0) return false;
    while (left_ > 0) {
      const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(left_, kScratch));
      const ssize_t got = ::pread(file_.get(), shared_->scratch.data(), want, static_cast<off_t>(at_));
      if (got <= 0) {  // the file became shorter: its length was promised, so the connection must break
        c.abort();
        return false;
      }
      const std::size_t sent = c.try_write({shared_->scratch.data(), static_cast<std::size_t>(got)});
      at_ += sent;
      left_ -= sent;
      shared_->body_bytes += sent;
      if (sent < static_cast<std::size_t>(got)) return false;
    }
    file_ = Descriptor{};
    return true;
  }

  // Reads until there is a request, and answers it. False when there is nothing more for now, or ever.
  bool receive(StreamConnection& c) {
    for (;;) {
      HttpRequest request;
      switch (reader_.next(request)) {
        case HttpRequestReader::State::complete:
          answer(c, request);
          return true;
        case HttpRequestReader::State::bad:
          closing_ = true;
          fail(c, reader_.status(), false);
          return true;
        case HttpRequestReader::State::incomplete:
          break;
      }
      const IoCount got = c.read({shared_->scratch.data(), HttpRequestReader::kMaxHead});
      if (got.count > 0) {
        if (reader_.buffered() == 0) head_began_ = c.stack().now();
        if (c.stack().now() - head_began_ > shared_->idle) {  // byte by byte, to keep us waiting
          closing_ = true;
          fail(c, 408, false);
          return true;
        }
        reader_.append({shared_->scratch.data(), got.count});
      } else {
        if (got.status == IoStatus::end_of_stream) c.close();
        return false;
      }
    }
  }

  // RFC 9112 9.6: after the last answer, our FIN; then the client's bytes are read and dropped until its own, so that
  // no RST takes the answer from it.
  void drain(StreamConnection& c) {
    c.shutdown_write();
    for (;;) {
      const IoCount got = c.read({shared_->scratch.data(), kScratch});
      if (got.status == IoStatus::end_of_stream) {
        c.close();
        return;
      }
      if (got.count == 0) return;
    }
  }

  void answer(StreamConnection& c, const HttpRequest& request) {
    ++shared_->requests;
    head_only_ = request.method == "HEAD";
    if (!request.keep_alive() || request.has_body()) closing_ = true;
    if (request.method != "GET" && !head_only_) {
      fail(c, 405, head_only_, "Allow: GET, HEAD\r\n");
    } else if (const auto path = file_path_of(request.target); !path) {
      fail(c, 400, head_only_);
    } else {
      serve(c, request, *path);
    }
    if (shared_->log)
      log_info(cat(c.remote(), " ", request.method, " ", request.target.substr(0, 200), " ", status_, " ", length_));
  }

  void serve(StreamConnection& c, const HttpRequest& request, const std::string& path) {
    Descriptor file(open_below(shared_->root.get(), path));
    struct stat s {};
    if (file.get() < 0 || ::fstat(file.get(), &s) != 0) {
      const bool hidden = errno == EACCES || errno == EPERM || errno == EXDEV || errno == ELOOP;
      return fail(c, hidden ? 403 : errno == EMFILE || errno == ENFILE ? 500 : 404, head_only_);
    }
    if (S_ISDIR(s.st_mode)) {
      if (!path.empty() && !path.ends_with('/'))
        return fail(c, 301, head_only_, cat("Location: /", percent_encode_path(path), "/\r\n"));
      Descriptor index(open_below(file.get(), "index.html"));
      struct stat index_stat {};
      if (index.get() < 0 || ::fstat(index.get(), &index_stat) != 0 || !S_ISREG(index_stat.st_mode))
        return send_page(c, 200, listing(path, list_folder(file.get())), "text/html; charset=utf-8", head_only_);
      return send_file(c, request, std::move(index), index_stat, "index.html");
    }
    if (!S_ISREG(s.st_mode)) return fail(c, 403, head_only_);  // pipes, devices
    if (path.ends_with('/')) return fail(c, 404, head_only_);
    send_file(c, request, std::move(file), s, path);
  }

  void send_file(StreamConnection& c, const HttpRequest& request, Descriptor file, const struct stat& s,
                 std::string_view name) {
    const auto size = static_cast<std::uint64_t>(s.st_size);
    std::string extra = cat("Last-Modified: ", http_date(s.st_mtim.tv_sec), "\r\nETag: ", entity_tag(s),
                            "\r\nAccept-Ranges: bytes\r\n");
    if (not_modified(request, s)) return head(c, 304, "", std::nullopt, extra);
    ByteRange range{0, size == 0 ? 0 : size - 1};
    RangeAnswer kind = RangeAnswer::whole;
    // RFC 9110 14.2: Range is for GET alone.
    const std::string* asked = request.header("range");
    if (asked != nullptr && !head_only_ && range_applies(request, s)) kind = parse_range(*asked, size, range);
    if (kind == RangeAnswer::unsatisfiable)
      return fail(c, 416, head_only_, cat("Content-Range: bytes */", size, "\r\n"));
    const std::uint64_t length = kind == RangeAnswer::part ? range.last - range.first + 1 : size;
    if (kind == RangeAnswer::part)
      extra += cat("Content-Range: bytes ", range.first, "-", range.last, "/", size, "\r\n");
    head(c, kind == RangeAnswer::part ? 206 : 200, content_type_of(name), length, extra);
    if (head_only_) return;
    file_ = std::move(file);
    at_ = kind == RangeAnswer::part ? range.first : 0;
    left_ = length;
  }

  void fail(StreamConnection& c, int status, bool head_only, const std::string& extra = "") {
    send_page(c, status, cat(status, " ", reason_of(status), "\n"), "text/plain; charset=utf-8", head_only, extra);
  }

  void send_page(StreamConnection& c, int status, const std::string& page, std::string_view type, bool head_only,
                 const std::string& extra = "") {
    head(c, status, type, page.size(), extra, head_only ? std::string_view{} : page);
    if (!head_only) shared_->body_bytes += page.size();
  }

  void head(StreamConnection& c, int status, std::string_view type, std::optional<std::uint64_t> length,
            const std::string& extra, std::string_view body = {}) {
    status_ = status;
    length_ = length.value_or(0);
    std::string text = cat("HTTP/1.1 ", status, " ", reason_of(status),
                           "\r\nServer: leat\r\nDate: ", http_date(wall_clock_ns() / 1'000'000'000), "\r\n");
    if (!type.empty()) text += cat("Content-Type: ", type, "\r\n");
    if (length) text += cat("Content-Length: ", *length, "\r\n");
    text += extra;
    text += closing_ ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n";
    text += body;
    c.write({reinterpret_bytes(text), text.size()});
  }

  // A string's characters as bytes.
  static const std::uint8_t* reinterpret_bytes(const std::string& text) {
    return static_cast<const std::uint8_t*>(static_cast<const void*>(text.data()));
  }

  std::shared_ptr<Shared> shared_;
  HttpRequestReader reader_;
  Descriptor file_;
  Instant head_began_;  // when the first byte of the next request came
  std::uint64_t at_ = 0;
  std::uint64_t left_ = 0;
  bool closing_ = false;
  bool head_only_ = false;
  int status_ = 0;
  std::uint64_t length_ = 0;
};

HttpServer::HttpServer(Host& host, const Options& options) : host_(host), shared_(std::make_shared<Shared>()) {
  shared_->root = Descriptor(::open(options.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (shared_->root.get() < 0)
    throw Failure(cat("can't serve ", options.root, ": ", std::strerror(errno)), "give a folder that can be read");
  shared_->log = options.log_requests;
  shared_->idle = options.idle;
  server_ =
      StreamServer::with_factory(host.stack(), {.port = Port{options.port}, .max_connections = options.max_connections},
                                 [shared = shared_](StreamConnection&) -> StreamServer::Handler {
                                   auto exchange = std::make_shared<Exchange>(shared);
                                   return [exchange](StreamConnection& c) { exchange->run(c); };
                                 });
  if (const auto status = server_->status(); !status) {
    if (status.error() == Errc::address_in_use)
      throw Failure(cat("port ", options.port, " is already in use on this stack"), "choose another with --port");
    throw Failure(cat("can't listen on port ", options.port, ": ", error_info(status.error()).sentence), "");
  }
  expire();
}

HttpServer::~HttpServer() {
  host_.runner().cancel(timer_);
}

// Ends connections on which nothing moved for long. The timer sleeps as long as an idle connection may last, so that
// an idle server costs a wake-up a minute.
void HttpServer::expire() {
  const Instant now = host_.stack().now();
  server_->each([&](StreamConnection& c) {
    if (now - c.last_progress() > shared_->idle) c.abort();
  });
  timer_ = host_.runner().after(std::max(shared_->idle / 2, kLinger), [this] { expire(); });
}

std::uint64_t HttpServer::requests() const {
  return shared_->requests;
}
std::uint64_t HttpServer::bytes_sent() const {
  return shared_->body_bytes;
}

}  // namespace leat::tools
