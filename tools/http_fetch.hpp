#pragma once
// HttpFetch: one GET from a Leat stack, its body to a sink as it comes. Threading: the owner of the shard.

#include <functional>
#include <leat/runtime/stream.hpp>
#include <string>

namespace leat::tools {

class HttpFetch {
 public:
  using Sink = std::function<void(ByteSpan)>;
  // Starts at once.
  HttpFetch(Stack& stack, const Endpoint& server, const std::string& path, Sink sink);

  [[nodiscard]] bool done() const { return done_; }
  // Done, and the whole body came.
  [[nodiscard]] bool ok() const { return done_ && problem_.empty(); }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }  // of the body
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void on_event(StreamConnection& c);
  void end(StreamConnection& c, const std::string& problem);

  std::string request_;
  Sink sink_;
  std::unique_ptr<StreamConnection> connection_;
  std::string head_;
  std::vector<std::uint8_t> buffer_;
  bool in_body_ = false;
  int status_ = 0;
  std::uint64_t length_ = UINT64_MAX;  // until the server closes
  std::uint64_t received_ = 0;
  bool done_ = false;
  std::string problem_;
};

}  // namespace leat::tools
