// A server of BSD sockets: descriptors that never block in an epoll set, edge-triggered, in one thread.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <leat/runtime/clock.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "form_server.hpp"
#include "http_exchange.hpp"
#include "log.hpp"
#include "node.hpp"
#include "posix_descriptor.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kScratch = std::size_t{256} << 10;
constexpr unsigned kAcceptsATurn = 256;
constexpr std::size_t kTurn = std::size_t{1} << 20;  // bytes that a connection moves before the next one's turn

class PosixServer;

// Each takes a descriptor of the kernel's, too; the process and the files that are served have some as well.
std::size_t most_connections() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t others = limit.rlim_cur / 16 + 32;
  return static_cast<std::size_t>(std::max<rlim_t>(limit.rlim_cur, others + 8) - others);
}

// What is in the set.
class Watched {
 public:
  enum class Then : std::uint8_t { wait, again, end };
  virtual ~Watched() = default;
  // Goes on until the socket has nothing more to give and takes nothing more, or has had its turn.
  virtual Then run(PosixServer& server) = 0;
  // True: it has lived too long without a move, and is broken off.
  virtual bool expire(Instant) { return false; }

  bool queued = false;  // had its turn and could go on: the server's
};

class PosixServer final : public FormServer {
 public:
  using Exists = std::unique_ptr<Watched>;
  explicit PosixServer(std::shared_ptr<SharedStack> stack)
      : stack_(std::move(stack)),
        net_(std::make_shared<posix::Sockets>(stack_)),
        set_(net_, net_->epoll_create1(EPOLL_CLOEXEC)) {
    if (set_.get() < 0) throw Failure("no descriptor for an epoll set is left", "close some, or raise 'ulimit -n'");
  }

  Result<void> serve_http(HttpSite& site, Port port) override;
  Result<void> serve_echo(EchoCounters& counters, Port port) override;
  void run() override;

  // For what is watched.
  [[nodiscard]] MutableByteSpan scratch() { return scratch_; }
  [[nodiscard]] Instant now() const { return now_; }
  // Takes it in. False: the set has no room.
  bool add(int fd, Exists watched);
  // What is left of the descriptors is for the files that are served.
  [[nodiscard]] bool full() const { return watched_.size() >= most_; }
  // To be tried again soon: there was no descriptor for another connection.
  void starve(Watched& listener) {
    if (std::ranges::find(starved_, &listener) == starved_.end()) starved_.push_back(&listener);
  }

 private:
  Result<PosixDescriptor> open(int type, Port port);
  void go_on(Watched& w);
  void end(Watched& w);
  void look_for_idle();

  std::shared_ptr<SharedStack> stack_;
  std::shared_ptr<posix::Sockets> net_;
  PosixDescriptor set_;
  std::size_t most_ = most_connections();
  std::vector<std::uint8_t> scratch_ = std::vector<std::uint8_t>(kScratch);
  std::unordered_map<Watched*, Exists> watched_;
  std::vector<Watched*> again_;  // the queued
  std::vector<Watched*> starved_;
  Instant now_ = monotonic_now();
  Instant next_look_ = now_ + kIdle / 2;
};

// A connection as HttpExchange wants it.
class Stream {
 public:
  explicit Stream(PosixDescriptor&& d) : d_(std::move(d)) {}
  void begin_turn(Instant now) {
    now_ = now;
    moved_ = 0;
  }
  IoCount read(MutableByteSpan to) {
    if (moved_ >= kTurn) return {};
    const ssize_t n = d_.net().recv(d_.get(), to.data(), to.size(), 0);
    if (n == 0) return {.count = 0, .status = IoStatus::end_of_stream};
    return {.count = moved(n), .status = over_ ? IoStatus::end_of_stream : IoStatus::would_block};
  }
  std::size_t try_write(ByteSpan from) {
    if (moved_ >= kTurn) return 0;
    return moved(d_.net().send(d_.get(), from.data(), from.size(), MSG_NOSIGNAL));
  }
  void shutdown_write() { d_.net().shutdown(d_.get(), SHUT_WR); }
  void close() { over_ = true; }
  void abort() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    d_.net().setsockopt(d_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    over_ = true;
  }
  [[nodiscard]] Watched::Then then() const {
    return over_ ? Watched::Then::end : moved_ >= kTurn ? Watched::Then::again : Watched::Then::wait;
  }
  [[nodiscard]] Instant last_progress() const { return last_progress_; }

 private:
  std::size_t moved(ssize_t n) {
    if (n < 0) {
      over_ = over_ || (n != -EAGAIN && n != -EINTR);
      return 0;
    }
    last_progress_ = now_;
    moved_ += static_cast<std::size_t>(n);
    return static_cast<std::size_t>(n);
  }

  PosixDescriptor d_;
  Instant now_, last_progress_ = monotonic_now();
  std::size_t moved_ = 0;  // in this turn
  bool over_ = false;
};

class HttpConnection final : public Watched {
 public:
  HttpConnection(PosixServer& server, HttpSite& site, PosixDescriptor&& d, const Endpoint& from)
      : stream_(std::move(d)), exchange_(site, server.scratch(), from, kIdle) {}
  Then run(PosixServer& server) override {
    stream_.begin_turn(server.now());
    exchange_.run(stream_, server.now());
    return stream_.then();
  }
  bool expire(Instant now) override {
    if (now - stream_.last_progress() <= kIdle) return false;
    stream_.abort();
    return true;
  }

 private:
  Stream stream_;
  HttpExchange exchange_;
};

class EchoConnection final : public Watched {
 public:
  EchoConnection(EchoCounters& counters, PosixDescriptor&& d) : stream_(std::move(d)), counters_(&counters) {
    counters_->connections.fetch_add(1, std::memory_order_relaxed);
  }
  Then run(PosixServer& server) override {
    stream_.begin_turn(server.now());
    while (send_what_is_left()) {
      const IoCount got = stream_.read(server.scratch());
      if (got.count == 0) {
        if (got.status == IoStatus::end_of_stream) stream_.close();
        break;
      }
      counters_->stream_bytes.fetch_add(got.count, std::memory_order_relaxed);
      const ByteSpan bytes = server.scratch().first(got.count);
      const ByteSpan rest = bytes.subspan(stream_.try_write(bytes));
      left_.assign(rest.begin(), rest.end());
    }
    return stream_.then();
  }

 private:
  bool send_what_is_left() {
    if (left_.empty()) return true;
    const std::size_t sent = stream_.try_write(left_);
    left_.erase(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(sent));
    return left_.empty();
  }
  Stream stream_;
  EchoCounters* counters_;
  std::vector<std::uint8_t> left_;
};

// The IPV6_PKTINFO of a datagram: where it went to, and where the answer comes from.
struct AskedAddress {
  // The link stays only where addresses are of a link.
  void make_source(const msghdr& m) {
    cmsghdr* const c = CMSG_FIRSTHDR(&m);
    if (c == nullptr || c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO) return;
    in6_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(c), sizeof info);
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) return;
    info.ipi6_ifindex = 0;
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
  }
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
};

class EchoDatagrams final : public Watched {
 public:
  EchoDatagrams(EchoCounters& counters, PosixDescriptor&& d) : d_(std::move(d)), counters_(&counters) {
    const int on = 1;
    (void)d_.net().setsockopt(d_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  }
  Then run(PosixServer& server) override {
    const MutableByteSpan buffer = server.scratch();
    for (std::size_t moved = 0; moved < kTurn;) {
      PosixAddress from;
      AskedAddress asked;
      iovec piece{buffer.data(), buffer.size()};
      msghdr m{};
      m.msg_name = from.get();
      m.msg_namelen = from.length;
      m.msg_iov = &piece;
      m.msg_iovlen = 1;
      m.msg_control = asked.control.data();
      m.msg_controllen = asked.control.size();
      const ssize_t n = d_.net().recvmsg(d_.get(), &m, 0);
      if (n == -ECONNREFUSED) continue;  // an earlier answer's port is closed
      if (n < 0) return n == -EAGAIN || n == -EINTR ? Then::wait : Then::end;
      counters_->datagrams.fetch_add(1, std::memory_order_relaxed);
      piece.iov_len = static_cast<std::size_t>(n);
      asked.make_source(m);
      (void)d_.net().sendmsg(d_.get(), &m, 0);
      moved += piece.iov_len + 64;
    }
    return Then::again;
  }

 private:
  PosixDescriptor d_;
  EchoCounters* counters_;
};

class Listener final : public Watched {
 public:
  using Make = std::function<std::unique_ptr<Watched>(PosixDescriptor&&, const Endpoint&)>;
  Listener(PosixDescriptor&& d, Make make) : d_(std::move(d)), make_(std::move(make)) {}
  Then run(PosixServer& server) override {
    for (unsigned n = 0; n < kAcceptsATurn; ++n) {
      if (server.full()) return starve(server, -EMFILE);
      PosixAddress from;
      const int fd = d_.net().accept4(d_.get(), from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd == -EAGAIN) return Then::wait;
      if (fd == -ECONNABORTED || fd == -EINTR) continue;
      if (fd == -ENETDOWN) return Then::end;
      if (fd < 0) return starve(server, fd);
      PosixDescriptor accepted(d_.shared(), fd);
      const int on = 1;
      (void)d_.net().setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (!server.add(fd, make_(std::move(accepted), from.endpoint()))) return starve(server, -ENOMEM);
    }
    return Then::again;
  }

 private:
  Then starve(PosixServer& server, int error) {
    if (!std::exchange(told_, true))
      log_warning(cat("no more connections for now: ", error_text(errc_of_posix(error)), "; they wait"));
    server.starve(*this);
    return Then::wait;
  }
  PosixDescriptor d_;
  Make make_;
  bool told_ = false;
};

Result<PosixDescriptor> PosixServer::open(int type, Port port) {
  auto d = open_posix(net_, type | SOCK_NONBLOCK | SOCK_CLOEXEC, {IpAddress{}, port});
  if (!d || type != SOCK_STREAM) return d;
  if (const int answer = net_->listen(d->get(), kBacklog); answer < 0) return fail(errc_of_posix(answer));
  return d;
}

Result<void> PosixServer::serve_http(HttpSite& site, Port port) {
  auto d = open(SOCK_STREAM, port);
  if (!d) return fail(d.error());
  const int fd = d->get();
  const auto make = [this, &site](PosixDescriptor&& accepted, const Endpoint& from) {
    return std::make_unique<HttpConnection>(*this, site, std::move(accepted), from);
  };
  if (!add(fd, std::make_unique<Listener>(std::move(*d), make))) return fail(Errc::no_buffers);
  return {};
}

Result<void> PosixServer::serve_echo(EchoCounters& counters, Port port) {
  auto datagrams = open(SOCK_DGRAM, port);
  if (!datagrams) return fail(datagrams.error());
  auto d = open(SOCK_STREAM, port);
  if (!d) return fail(d.error());
  const int fd = d->get();
  const int fd_of_datagrams = datagrams->get();
  const auto make = [&counters](PosixDescriptor&& accepted, const Endpoint&) {
    return std::make_unique<EchoConnection>(counters, std::move(accepted));
  };
  if (!add(fd, std::make_unique<Listener>(std::move(*d), make)) ||
      !add(fd_of_datagrams, std::make_unique<EchoDatagrams>(counters, std::move(*datagrams))))
    return fail(Errc::no_buffers);
  return {};
}

bool PosixServer::add(int fd, Exists watched) {
  Watched& w = *watched;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &w;
  if (net_->epoll_ctl(set_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return false;
  watched_.emplace(&w, std::move(watched));
  return true;  // the set tells at once what is ready already
}

void PosixServer::run() {
  std::array<epoll_event, 256> events;
  while (!stack_->stopped()) {
    const Duration patience = again_.empty() && starved_.empty() ? std::max(next_look_ - now_, Duration{}) : kBreath;
    const int timeout_ms = again_.empty() ? static_cast<int>(patience.count_ms()) + 1 : 0;
    const int n = net_->epoll_wait(set_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    if (n < 0 && n != -EINTR) return;
    now_ = monotonic_now();
    for (int i = 0; i < n; ++i) go_on(*static_cast<Watched*>(events[static_cast<std::size_t>(i)].data.ptr));
    for (Watched* w : std::exchange(again_, {})) {
      w->queued = false;
      go_on(*w);
    }
    for (Watched* w : std::exchange(starved_, {})) go_on(*w);
    if (now_ >= next_look_) look_for_idle();
  }
}

void PosixServer::go_on(Watched& w) {
  switch (w.run(*this)) {
    case Watched::Then::wait:
      return;
    case Watched::Then::again:
      if (!std::exchange(w.queued, true)) again_.push_back(&w);
      return;
    case Watched::Then::end:
      return end(w);
  }
}

void PosixServer::end(Watched& w) {
  if (w.queued) std::erase(again_, &w);
  std::erase(starved_, &w);
  watched_.erase(&w);
}

void PosixServer::look_for_idle() {
  std::vector<Watched*> expired;
  for (const auto& [w, owner] : watched_)
    if (w->expire(now_)) expired.push_back(w);
  for (Watched* w : expired) end(*w);
  next_look_ = now_ + kIdle / 2;
}

}  // namespace

std::unique_ptr<FormServer> make_posix_server(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<PosixServer>(std::move(stack));
}

}  // namespace leat::tools
