#pragma once
// HttpServer: the files below a folder over HTTP/1.1 (GET, HEAD, keep-alive, pipelining, one byte range, conditional
// requests, folder listings), on a Leat stack. Nothing outside the folder can be reached, by ".." or by symbolic link.
//
// A file is read when the connection can take more, straight into the scratch buffer that all connections share: a
// thousand transfers cost a thousand descriptors, and no memory besides the stack's send buffers. Times out what
// neither sends a request nor takes the answer. Threading: the owner of the shard.

#include <leat/runtime/host.hpp>
#include <memory>
#include <string>

namespace leat::tools {

class HttpServer {
 public:
  struct Options {
    std::string root;
    std::uint16_t port = 80;
    bool log_requests = false;
    Duration idle = Duration::s(60);
  };
  // Throws Failure when the folder can't be read or the port is taken.
  HttpServer(Host& host, const Options& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::uint64_t bytes_sent() const;  // of bodies

 private:
  struct Shared;
  void expire();

  Host& host_;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<StreamServer> server_;
  Runner::TimerId timer_ = 0;
};

}  // namespace leat::tools
