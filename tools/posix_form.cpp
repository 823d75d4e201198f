// The form of BSD sockets, for a thread that waits in its calls. Servers (posix_server) wait for all in an epoll set.

#include <netinet/in.h>
#include <sys/time.h>

#include <cerrno>
#include <leat/api/posix/sockets.hpp>
#include <utility>

#include "form.hpp"
#include "posix_descriptor.hpp"

namespace leat::tools {

namespace {

using posix::Sockets;

Result<void> result_of(long answer) {
  if (answer < 0) return fail(errc_of_posix(answer));
  return {};
}

// Zero is for ever, as the option has it.
void set_timeout(const PosixDescriptor& d, int option, Duration patience) {
  timeval t{};
  if (patience != Duration::max()) {
    t.tv_sec = static_cast<time_t>(patience.count_s());
    t.tv_usec = static_cast<suseconds_t>(patience.count_us() % 1'000'000);
  }
  d.net().setsockopt(d.get(), SOL_SOCKET, option, &t, sizeof t);
}
void set_patience(const PosixDescriptor& d, const Patience& patience) {
  set_timeout(d, SO_RCVTIMEO, patience.read);
  set_timeout(d, SO_SNDTIMEO, patience.write);
}

class PosixStream final : public FormStream {
 public:
  PosixStream(PosixDescriptor&& d, const Endpoint& remote) : d_(std::move(d)), remote_(remote) {}
  Result<std::size_t> read(MutableByteSpan to) override {
    const ssize_t n = d_.net().recv(d_.get(), to.data(), to.size(), 0);
    if (n < 0) return fail(errc_of_posix(n));
    return static_cast<std::size_t>(n);
  }
  Result<void> write(ByteSpan from) override {
    while (!from.empty()) {
      const ssize_t n = d_.net().send(d_.get(), from.data(), from.size(), MSG_NOSIGNAL);
      if (n < 0) return fail(errc_of_posix(n));
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
  PosixDescriptor d_;
  Endpoint remote_;
};

class PosixListener final : public FormListener {
 public:
  PosixListener(PosixDescriptor&& d, const FormCalls& calls) : d_(std::move(d)), patience_(calls.patience) {}
  Result<std::unique_ptr<FormStream>> accept(Duration within) override {
    if (within != Duration::max()) set_timeout(d_, SO_RCVTIMEO, within);  // of accept, too
    PosixAddress from;
    const int fd = d_.net().accept4(d_.get(), from.get(), &from.length, 0);
    if (fd < 0) return fail(errc_of_posix(fd));
    PosixDescriptor accepted(d_.shared(), fd);
    set_patience(accepted, patience_);
    return std::unique_ptr<FormStream>(std::make_unique<PosixStream>(std::move(accepted), from.endpoint()));
  }

 private:
  PosixDescriptor d_;
  Patience patience_;
};

class PosixDatagrams final : public FormDatagrams {
 public:
  explicit PosixDatagrams(PosixDescriptor&& d) : d_(std::move(d)) {}
  Result<std::size_t> receive(MutableByteSpan to, Endpoint& from) override {
    PosixAddress address;
    const ssize_t n = d_.net().recvfrom(d_.get(), to.data(), to.size(), 0, address.get(), &address.length);
    if (n < 0) return fail(errc_of_posix(n));
    from = address.endpoint();
    return static_cast<std::size_t>(n);
  }
  Result<void> send(ByteSpan bytes, const Endpoint& to) override {
    PosixAddress address(to);
    return result_of(d_.net().sendto(d_.get(), bytes.data(), bytes.size(), 0, address.get(), address.length));
  }

 private:
  PosixDescriptor d_;
};

class PosixForm final : public FormCalls {
 public:
  explicit PosixForm(std::shared_ptr<SharedStack> stack) : net_(std::make_shared<Sockets>(std::move(stack))) {}

  Result<std::unique_ptr<FormListener>> listen(const Endpoint& local) override {
    auto d = open_posix(net_, SOCK_STREAM, local);
    if (!d) return fail(d.error());
    if (const auto r = result_of(net_->listen(d->get(), kBacklog)); !r) return fail(r.error());
    return std::unique_ptr<FormListener>(std::make_unique<PosixListener>(std::move(*d), *this));
  }
  Result<std::unique_ptr<FormStream>> connect(const Endpoint& remote, Duration within) override {
    auto d = open_posix(net_, SOCK_STREAM, {});
    if (!d) return fail(d.error());
    set_timeout(*d, SO_SNDTIMEO, within);  // of connect, too
    PosixAddress to(remote);
    const int answer = net_->connect(d->get(), to.get(), to.length);
    if (answer == -EINPROGRESS) return fail(Errc::timed_out);
    if (answer < 0) return fail(errc_of_posix(answer));
    set_patience(*d, patience);
    return std::unique_ptr<FormStream>(std::make_unique<PosixStream>(std::move(*d), remote));
  }
  Result<std::unique_ptr<FormDatagrams>> datagrams(const Endpoint& local, const Endpoint& remote) override {
    auto d = open_posix(net_, SOCK_DGRAM, local);
    if (!d) return fail(d.error());
    if (remote != Endpoint{}) {
      PosixAddress to(remote);
      if (const auto r = result_of(net_->connect(d->get(), to.get(), to.length)); !r) return fail(r.error());
    }
    set_patience(*d, patience);
    return std::unique_ptr<FormDatagrams>(std::make_unique<PosixDatagrams>(std::move(*d)));
  }

 private:
  std::shared_ptr<Sockets> net_;
};

}  // namespace

std::unique_ptr<FormCalls> make_posix_form(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<PosixForm>(std::move(stack));
}

}  // namespace leat::tools
