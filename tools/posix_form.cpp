// The form of BSD sockets: descriptors, blocking calls, errno.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/sockets.hpp>
#include <leat/base/error_table.hpp>
#include <utility>

#include "form.hpp"

namespace leat::tools {

namespace {

using posix::Sockets;
using Net = std::shared_ptr<Sockets>;

// What a call answers below zero, as the error that it stands for.
Errc errc_of(long answer) {
  const int number = static_cast<int>(-answer);
  if (number == EAGAIN) return Errc::timed_out;  // a blocking call whose SO_RCVTIMEO or SO_SNDTIMEO passed
  for (const ErrorInfo& e : error_table())
    if (e.errno_number == number) return e.code;
  return number == ENETDOWN ? Errc::shut_down : Errc::io_error;
}
Result<void> result_of(long answer) {
  if (answer < 0) return fail(errc_of(answer));
  return {};
}

class Descriptor {
 public:
  Descriptor(Net net, int fd) : net_(std::move(net)), fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : net_(std::move(o.net_)), fd_(std::exchange(o.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) net_->close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] Sockets& net() const { return *net_; }
  [[nodiscard]] const Net& shared() const { return net_; }

 private:
  Net net_;
  int fd_;
};

struct Address {
  Address() = default;
  explicit Address(const Endpoint& e) : length(posix::write_address(e, true, storage)) {}
  sockaddr* get() { return static_cast<sockaddr*>(static_cast<void*>(&storage)); }
  [[nodiscard]] Endpoint endpoint() {
    posix::GivenAddress given;
    if (posix::read_address(get(), length, true, posix::AddressUse::send_datagram, given) != 0) return {};
    return given.endpoint;
  }
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
};

// Zero is for ever, as the option has it.
void set_timeout(const Descriptor& d, int option, Duration patience) {
  timeval t{};
  if (patience != Duration::max()) {
    t.tv_sec = static_cast<time_t>(patience.count_s());
    t.tv_usec = static_cast<suseconds_t>(patience.count_us() % 1'000'000);
  }
  d.net().setsockopt(d.get(), SOL_SOCKET, option, &t, sizeof t);
}
void set_patience(const Descriptor& d, const Patience& patience) {
  set_timeout(d, SO_RCVTIMEO, patience.read);
  set_timeout(d, SO_SNDTIMEO, patience.write);
}

class PosixStream final : public FormStream {
 public:
  PosixStream(Descriptor&& d, const Endpoint& remote) : d_(std::move(d)), remote_(remote) {}
  Result<std::size_t> read(MutableByteSpan to) override {
    const ssize_t n = d_.net().recv(d_.get(), to.data(), to.size(), 0);
    if (n < 0) return fail(errc_of(n));
    return static_cast<std::size_t>(n);
  }
  Result<void> write(ByteSpan from) override {
    while (!from.empty()) {
      const ssize_t n = d_.net().send(d_.get(), from.data(), from.size(), MSG_NOSIGNAL);
      if (n < 0) return fail(errc_of(n));
      from = from.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }
  void finish() override { d_.net().shutdown(d_.get(), SHUT_WR); }
  void abort() override {
    const linger now{.l_onoff = 1, .l_linger = 0};
    d_.net().setsockopt(d_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    d_.net().shutdown(d_.get(), SHUT_RDWR);
  }
  [[nodiscard]] Endpoint remote() const override { return remote_; }
  [[nodiscard]] Handle handle() const override { return d_.net().handle(d_.get()); }

 private:
  Descriptor d_;
  Endpoint remote_;
};

class PosixListener final : public FormListener {
 public:
  PosixListener(Descriptor&& d, const FormCalls& calls)
      : d_(std::move(d)), patience_(calls.patience), nodelay_(calls.nodelay) {}
  Result<std::unique_ptr<FormStream>> accept(Duration within) override {
    if (within != Duration::max()) set_timeout(d_, SO_RCVTIMEO, within);  // of accept, too
    Address from;
    const int fd = d_.net().accept4(d_.get(), from.get(), &from.length, 0);
    if (fd < 0) return fail(errc_of(fd));
    Descriptor accepted(d_.shared(), fd);
    set_patience(accepted, patience_);
    const int on = 1;
    if (nodelay_) d_.net().setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return std::unique_ptr<FormStream>(std::make_unique<PosixStream>(std::move(accepted), from.endpoint()));
  }

 private:
  Descriptor d_;
  Patience patience_;
  bool nodelay_;
};

class PosixDatagrams final : public FormDatagrams {
 public:
  explicit PosixDatagrams(Descriptor&& d) : d_(std::move(d)) {}
  Result<std::size_t> receive(MutableByteSpan to, Endpoint& from) override {
    Address address;
    const ssize_t n = d_.net().recvfrom(d_.get(), to.data(), to.size(), 0, address.get(), &address.length);
    if (n < 0) return fail(errc_of(n));
    from = address.endpoint();
    return static_cast<std::size_t>(n);
  }
  Result<void> send(ByteSpan bytes, const Endpoint& to) override {
    Address address(to);
    return result_of(d_.net().sendto(d_.get(), bytes.data(), bytes.size(), 0, address.get(), address.length));
  }

 private:
  Descriptor d_;
};

class PosixForm final : public FormCalls {
 public:
  explicit PosixForm(std::shared_ptr<SharedStack> stack) : net_(std::make_shared<Sockets>(std::move(stack))) {}

  Result<std::unique_ptr<FormListener>> listen(const Endpoint& local) override {
    auto d = open(SOCK_STREAM, local);
    if (!d) return fail(d.error());
    if (const auto r = result_of(net_->listen(d->get(), kBacklog)); !r) return fail(r.error());
    return std::unique_ptr<FormListener>(std::make_unique<PosixListener>(std::move(*d), *this));
  }
  Result<std::unique_ptr<FormStream>> connect(const Endpoint& remote, Duration within) override {
    auto d = open(SOCK_STREAM, {});
    if (!d) return fail(d.error());
    set_timeout(*d, SO_SNDTIMEO, within);  // of connect, too
    Address to(remote);
    const int answer = net_->connect(d->get(), to.get(), to.length);
    if (answer == -EINPROGRESS) return fail(Errc::timed_out);
    if (answer < 0) return fail(errc_of(answer));
    set_patience(*d, patience);
    return std::unique_ptr<FormStream>(std::make_unique<PosixStream>(std::move(*d), remote));
  }
  Result<std::unique_ptr<FormDatagrams>> datagrams(const Endpoint& local, const Endpoint& remote) override {
    auto d = open(SOCK_DGRAM, local);
    if (!d) return fail(d.error());
    if (remote != Endpoint{}) {
      Address to(remote);
      if (const auto r = result_of(net_->connect(d->get(), to.get(), to.length)); !r) return fail(r.error());
    }
    set_patience(*d, patience);
    return std::unique_ptr<FormDatagrams>(std::make_unique<PosixDatagrams>(std::move(*d)));
  }

 private:
  // A socket for both versions, bound when an address or a port is given.
  Result<Descriptor> open(int type, const Endpoint& local) {
    const int fd = net_->socket(AF_INET6, type, 0);
    if (fd < 0) return fail(errc_of(fd));
    Descriptor d(net_, fd);
    const int off = 0;
    (void)net_->setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (local == Endpoint{}) return d;
    Address at(local);
    if (const int answer = net_->bind(fd, at.get(), at.length); answer < 0) return fail(errc_of(answer));
    return d;
  }
  Net net_;
};

}  // namespace

std::unique_ptr<FormCalls> make_posix_form(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<PosixForm>(std::move(stack));
}

}  // namespace leat::tools
