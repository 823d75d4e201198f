#pragma once
// HttpSite: what is served over HTTP/1.1: the files below a folder (GET, HEAD, one byte range, conditional requests,
// listings), as answers without I/O, for every form in which they are sent. Nothing outside the folder can be reached,
// by ".." or by symbolic link.
//
//   HttpSite site("public", true);
//   HttpAnswer a = site.answer(request, peer);
//   while (auto piece = site.next(a, buffer); !piece->empty()) site.sent(a, send(*piece));   // !piece: break it off
//   if (a.close) end the connection
//
// Threading: any thread; an answer has one user.

#include <atomic>
#include <cstdint>
#include <leat/base/address.hpp>
#include <leat/device/descriptor.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "http_message.hpp"

struct stat;

namespace leat::tools {

struct HttpAnswer {
  std::string head;  // with the body of a page that is made here
  std::size_t head_sent = 0;
  Descriptor file;  // of which `left` bytes follow, from `at` on
  std::uint64_t at = 0;
  std::uint64_t left = 0;
  bool close = false;  // no further request on this connection
  bool head_only = false;
  int status = 0;
  std::uint64_t length = 0;
};

class HttpSite {
 public:
  // Throws Failure when the folder can't be read.
  HttpSite(const std::string& root, bool log_requests);

  [[nodiscard]] HttpAnswer answer(const HttpRequest& request, const Endpoint& from);
  // To bytes that are no request.
  [[nodiscard]] HttpAnswer bad_request(int status);
  // The next bytes of an answer, in `buffer`; empty at its end. Head and body together, so that no small segment waits
  // for the acknowledgement of another (RFC 9293 3.7.4). Nothing: the file became shorter; its length was promised, so
  // the connection must break.
  [[nodiscard]] static std::optional<ByteSpan> next(const HttpAnswer& answer, MutableByteSpan buffer);
  // So many of them were sent.
  void sent(HttpAnswer& answer, std::size_t count);

  [[nodiscard]] std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_.load(std::memory_order_relaxed); }

 private:
  void find(HttpAnswer& answer, const HttpRequest& request, const std::string& path);
  void give(HttpAnswer& answer, const HttpRequest& request, Descriptor file, const struct stat& s,
            std::string_view name);
  void refuse(HttpAnswer& answer, int status, const std::string& extra = "");
  void page(HttpAnswer& answer, int status, const std::string& text, std::string_view type,
            const std::string& extra = "");
  static void head(HttpAnswer& answer, int status, std::string_view type, std::optional<std::uint64_t> length,
                   const std::string& extra);

  Descriptor root_;
  bool log_;
  // Counted by every thread that serves, read by the one that reports. Relaxed: nothing hangs on them.
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> body_bytes_{0};
};

}  // namespace leat::tools
