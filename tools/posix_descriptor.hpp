#pragma once
// What the commands of the posix form share: a descriptor that closes itself, addresses, and errno as an error of ours.
// Threading: as Sockets.

#include <sys/socket.h>

#include <leat/api/posix/sockets.hpp>
#include <leat/base/address.hpp>
#include <leat/base/result.hpp>
#include <memory>
#include <utility>

namespace leat::tools {

class PosixDescriptor {
 public:
  PosixDescriptor(std::shared_ptr<posix::Sockets> net, int fd) : net_(std::move(net)), fd_(fd) {}
  PosixDescriptor(PosixDescriptor&& o) noexcept : net_(std::move(o.net_)), fd_(std::exchange(o.fd_, -1)) {}
  PosixDescriptor& operator=(PosixDescriptor&&) = delete;
  ~PosixDescriptor() {
    if (fd_ >= 0) net_->close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] posix::Sockets& net() const { return *net_; }
  [[nodiscard]] const std::shared_ptr<posix::Sockets>& shared() const { return net_; }

 private:
  std::shared_ptr<posix::Sockets> net_;
  int fd_;
};

// An endpoint for a call, or of one. Addresses of version 4 are mapped ones: the sockets are for both versions.
struct PosixAddress {
  PosixAddress() = default;
  explicit PosixAddress(const Endpoint& e);
  sockaddr* get() { return static_cast<sockaddr*>(static_cast<void*>(&storage)); }
  [[nodiscard]] Endpoint endpoint();
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
};

// What a call answers below zero, as the error that it stands for.
[[nodiscard]] Errc errc_of_posix(long answer);
// A socket for both versions, bound when an address or a port is given. `type` as for socket(), with its flags.
[[nodiscard]] Result<PosixDescriptor> open_posix(const std::shared_ptr<posix::Sockets>& net, int type,
                                                 const Endpoint& local);

}  // namespace leat::tools
