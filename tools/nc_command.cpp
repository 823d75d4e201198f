// nc: standard input to a peer, the peer to standard output.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <leat/core/tcp/info.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/signals.hpp>
#include <optional>
#include <utility>

#include "commands.hpp"
#include "log.hpp"
#include "nc.hpp"
#include "node.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;

// Standard input, read only when somebody can take it. A plain file can't be watched, and never needs to be.
class Input {
 public:
  Input(Runner& runner, std::function<void()> ready) : runner_(runner), ready_(std::move(ready)) {}
  ~Input() { want(false); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // While wanted, `ready` is called whenever read() would give something.
  void want(bool wanted) {
    if (wanted == wanted_ || (ended_ && wanted)) return;
    wanted_ = wanted;
    if (!wanted) {
      runner_.unwatch(STDIN_FILENO);
      runner_.cancel(again_);
      return;
    }
    if (!runner_.watch(STDIN_FILENO, EPOLLIN, [this](std::uint32_t) { ready_(); })) poll_again();
  }
  // Count 0: the end.
  std::size_t read(MutableByteSpan to) {
    ssize_t got = 0;
    do got = ::read(STDIN_FILENO, to.data(), to.size());
    while (got < 0 && errno == EINTR);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got < 0) throw input_failure(errno);
    ended_ = true;
    want(false);
    return 0;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void poll_again() {
    again_ = runner_.after(Duration{}, [this] {
      if (!wanted_) return;
      ready_();
      if (wanted_) poll_again();
    });
  }
  Runner& runner_;
  std::function<void()> ready_;
  Runner::TimerId again_ = 0;
  bool wanted_ = false;
  bool ended_ = false;
};

// Standard output that never blocks the stack: `room()` bytes can be written at once.
class Output {
 public:
  Output(Runner& runner, std::function<void()> ready) : runner_(runner), ready_(std::move(ready)) {
    struct stat s {};
    plain_ = ::fstat(STDOUT_FILENO, &s) == 0 && S_ISREG(s.st_mode);
  }
  ~Output() { runner_.unwatch(STDOUT_FILENO); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // 0: not now, and `ready` is called when there is room.
  std::size_t room() {
    if (plain_) return kChunk;
    pollfd p{STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&p, 1, 0) > 0) return PIPE_BUF;  // a pipe that is writable takes that much without blocking
    if (!waiting_) {
      waiting_ = runner_.watch(STDOUT_FILENO, EPOLLOUT, [this](std::uint32_t) {
        runner_.unwatch(STDOUT_FILENO);
        waiting_ = false;
        ready_();
      });
      if (!waiting_) return PIPE_BUF;  // can't be watched: let it block
    }
    return 0;
  }
  void write(ByteSpan bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR && errno != EAGAIN)
        throw Failure(cat("can't write to standard output: ", std::strerror(errno)), "");
      if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

 private:
  Runner& runner_;
  std::function<void()> ready_;
  bool plain_ = false;
  bool waiting_ = false;
};

// One TCP connection, made or accepted.
class StreamNc {
 public:
  StreamNc(Node& node, Duration patience)
      : node_(node),
        patience_(patience),
        input_(node.runner(), [this] { pump(); }),
        output_(node.runner(), [this] { pump(); }),
        buffer_(kChunk) {}

  void connect(const Endpoint& remote) {
    auto made = StreamConnection::connect(node_.stack(), remote, [this](StreamConnection& c) { on_event(c); });
    if (!made) throw_if_set_up_wrong(remote, made.error());
    if (!made) {
      problem_ = cat("no connection to ", remote, ": ", error_text(made.error()));
      done_ = true;
      return;
    }
    client_ = std::move(*made);
    remote_ = remote;
  }

  void listen(std::uint16_t port) {
    server_ = std::make_unique<StreamServer>(
        node_.stack(), StreamServer::Options{.port = Port{port}, .backlog = 1, .max_connections = 1},
        [this](StreamConnection& c) { on_event(c); });
    if (const auto status = server_->status(); !status)
      throw Failure(cat("can't listen on port ", port, ": ", error_text(status.error())), "choose another port");
    log_info(cat("listening on port ", port));
  }

  int run() {
    const StopOnSignals signals(node_.runner());
    const Instant start = monotonic_now();
    last_ = start;
    watch_patience();
    if (!done_) node_.runner().run_until([this] { return done_; });
    input_.want(false);
    progress_.finish();
    return report_nc(node_.plan(), totals_, problem_, monotonic_now() - start,
                     connected_ || done_ ? 0 : StopOnSignals::caught());
  }

 private:
  void on_event(StreamConnection& c) {
    if (connection_ == nullptr && !ended_) {
      connection_ = &c;
      remote_ = c.remote();
      if (c.is_open()) log_debug(cat("connected with ", remote_));
    }
    if (!c.is_open()) {
      if (c.error())
        problem_ = cat(connected_ ? "connection with " : "no connection to ", remote_, connected_ ? " lost: " : ": ",
                       error_text(*c.error()));
      connection_ = nullptr;
      ended_ = true;
      done_ = true;
      return;
    }
    connected_ = true;
    pump();
    if (any(node_.stack().readiness(c.handle()) & Ready::closed)) {
      take_the_rest(c);
      pump();
    }
  }

  // Both directions are over, and the connection goes with this event: what the output did not take yet stays here.
  void take_the_rest(StreamConnection& c) {
    for (;;) {
      const IoCount got = c.read(buffer_);
      if (got.count == 0) break;
      rest_.insert(rest_.end(), buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(got.count));
      totals_.received += got.count;
    }
    connection_ = nullptr;
    ended_ = true;
  }
  void write_the_rest() {
    std::size_t room = 0;
    while (rest_at_ < rest_.size() && (room = output_.room()) > 0) {
      const ByteSpan piece = ByteSpan{rest_}.subspan(rest_at_);
      output_.write(piece.first(std::min(room, piece.size())));
      rest_at_ += std::min(room, piece.size());
      last_ = monotonic_now();
    }
    done_ = rest_at_ == rest_.size();
  }

  void pump() {
    if (done_) return;
    if (ended_) return write_the_rest();
    if (connection_ == nullptr) return;
    StreamConnection& c = *connection_;
    while (!c.at_end()) {  // the peer's bytes, as long as there are some and somebody takes them
      const std::size_t room = output_.room();
      if (room == 0) break;
      const IoCount got = c.read(MutableByteSpan{buffer_}.first(room));
      if (c.at_end() && !input_.ended() && ::isatty(STDIN_FILENO) != 0)
        log_info("the peer has finished; the end of input ends this");
      if (got.count == 0) break;
      totals_.received += got.count;
      last_ = monotonic_now();
      output_.write({buffer_.data(), got.count});
      progress_.update(totals_);
    }
    const bool can_send = c.pending() == 0 && !input_.ended();
    input_.want(can_send);
    if (!can_send) return;
    pollfd p{STDIN_FILENO, POLLIN, 0};
    while (c.pending() == 0 && ::poll(&p, 1, 0) > 0) {
      const std::size_t got = input_.read(buffer_);
      if (got == 0) {
        c.shutdown_write();
        return;
      }
      totals_.sent += got;
      last_ = monotonic_now();
      c.write({buffer_.data(), got});
      progress_.update(totals_);
    }
    input_.want(c.pending() == 0);
  }

  // Looks once in a while whether something moved.
  void watch_patience() {
    const Duration limit = patience_ > Duration{} ? patience_ : kConnectPatience;
    const bool applies = patience_ > Duration{} || (server_ == nullptr && !connected_);
    if (connection_ != nullptr && connected_) {  // what the peer acknowledges has moved, too
      const Core& core = node_.stack().core();
      const Index i = core.sockets.find(connection_->handle());
      const std::uint64_t now = i == kNoIndex ? acknowledged_ : tcp::info(core, i).bytes_acked;
      if (std::exchange(acknowledged_, now) != now) last_ = monotonic_now();
    }
    if (applies && monotonic_now() - last_ >= limit) {
      problem_ = cat(connected_ ? "nothing moved" : "no connection", " for ",
                     time_text(static_cast<double>(limit.count_ns()) / 1e9));
      done_ = true;
      return;
    }
    node_.runner().after(std::min(limit / 8, Duration::ms(500)), [this] { watch_patience(); });
  }

  Node& node_;
  Duration patience_;
  Input input_;
  Output output_;
  std::vector<std::uint8_t> buffer_;
  std::unique_ptr<StreamConnection> client_;
  std::unique_ptr<StreamServer> server_;
  StreamConnection* connection_ = nullptr;
  Endpoint remote_;
  Totals totals_;
  std::vector<std::uint8_t> rest_;
  std::size_t rest_at_ = 0;
  std::uint64_t acknowledged_ = 0;
  NcProgress progress_;
  std::string problem_;
  Instant last_;
  bool connected_ = false;
  bool ended_ = false;
  bool done_ = false;
};

// Datagrams: each read of the input is one, each received one is written as it came.
class DatagramNc {
 public:
  DatagramNc(Node& node, Duration patience)
      : node_(node), patience_(patience), input_(node.runner(), [this] { send_input(); }), buffer_(65536) {}

  void connect(const Endpoint& remote) {
    open();
    if (const auto r = node_.stack().connect(socket_.handle(), remote); !r) {
      throw_if_set_up_wrong(remote, r.error());
      problem_ = cat("can't send to ", remote, ": ", error_text(r.error()));
      done_ = true;
      return;
    }
    peer_ = remote;
    input_.want(true);
  }
  void listen(std::uint16_t port) {
    open();
    if (const auto r = node_.stack().bind(socket_.handle(), {IpAddress{}, Port{port}}); !r)
      throw Failure(cat("can't use port ", port, ": ", error_text(r.error())), "choose another port");
    listening_ = true;
    log_info(cat("listening on port ", port));
  }
  int run() {
    const StopOnSignals signals(node_.runner());
    const Instant start = monotonic_now();
    last_ = start;
    watch_quiet();
    if (!done_) node_.runner().run_until([this] { return done_; });
    return report_nc(node_.plan(), totals_, problem_, monotonic_now() - start,
                     peer_ != Endpoint{} || done_ ? 0 : StopOnSignals::caught());
  }

 private:
  void open() {
    if (const auto r = socket_.open_udp(node_.stack(), CallbackSocket::Handler::to<&DatagramNc::on_event>(*this)); !r)
      throw Failure(cat("can't open a socket: ", error_text(r.error())), "");
  }
  void on_event(CallbackSocket&, Ready events) {
    if (any(events & Ready::error)) {
      if (const auto error = node_.stack().take_error(socket_.handle())) {
        problem_ = cat(peer_, ": ", error_text(*error));
        done_ = true;
        return;
      }
    }
    for (;;) {
      Message message;
      const auto got = node_.stack().try_receive_from(socket_.handle(), buffer_, message);
      if (!got || got->status != IoStatus::done) return;
      if (listening_ && peer_ == Endpoint{}) {
        peer_ = message.from;
        input_.want(true);
      }
      if (message.from != peer_) continue;
      totals_.received += got->count;
      last_ = monotonic_now();
      std::fwrite(buffer_.data(), 1, got->count, stdout);
      std::fflush(stdout);
    }
  }
  void send_input() {
    const std::size_t got = input_.read(MutableByteSpan{buffer_}.first(kMaxDatagram));
    last_ = monotonic_now();
    if (got == 0) return;
    if (const auto r = node_.stack().try_send_to(socket_.handle(), {buffer_.data(), got}, peer_); !r) {
      problem_ = cat("can't send to ", peer_, ": ", error_text(r.error()));
      done_ = true;
      return;
    }
    totals_.sent += got;
  }
  void watch_quiet() {
    const Duration limit = patience_ > Duration{} ? patience_ : kUdpQuiet;
    const bool applies = patience_ > Duration{} || (!listening_ && input_.ended());
    if (applies && monotonic_now() - last_ >= limit) {
      done_ = true;
      return;
    }
    node_.runner().after(std::min(limit / 8, Duration::ms(500)), [this] { watch_quiet(); });
  }

  Node& node_;
  Duration patience_;
  CallbackSocket socket_;
  Input input_;
  std::vector<std::uint8_t> buffer_;
  Endpoint peer_;
  Totals totals_;
  std::string problem_;
  Instant last_;
  bool listening_ = false;
  bool done_ = false;
};

template <class Nc>
int run_with(Node& node, Duration patience, bool listen, const std::string& host, std::uint16_t port) {
  Nc nc(node, patience);
  node.announce();
  if (listen) {
    nc.listen(port);
  } else {
    nc.connect({parse_address(host, "HOST"), Port{port}});
  }
  return nc.run();
}

}  // namespace

int run_nc(const Arguments& a) {
  std::string host;
  std::uint64_t port = a.port.value_or(0);
  std::vector<std::string> targets = a.targets;
  if (!a.listen) {
    if (targets.empty()) throw Failure("no address to connect to", "leat nc HOST PORT, or leat nc -l PORT");
    host = targets.front();
    const IpAddress to = parse_address(host, "HOST");
    if (to.is_unspecified() || (!a.udp && (to.is_multicast() || to.is_limited_broadcast())))
      throw Failure(cat("no connection to ", to, ": it is no address of one host"), "give a unicast address");
    targets.erase(targets.begin());
  }
  if (targets.size() > 1) throw Failure(cat("too much behind the port: '", targets[1], "'"), "leat nc -l PORT");
  if (!targets.empty()) {
    const auto number = parse_number(targets.front());
    if (!number) throw Failure(cat("'", targets.front(), "' is not a port"), "take one from 1 to 65535");
    if (a.port) throw Failure(cat("two ports: ", *number, " and --port ", *a.port), "give one of them");
    port = *number;
  }
  if (!a.port && targets.empty()) throw Failure("no port", a.listen ? "leat nc -l PORT" : "leat nc HOST PORT");
  const std::uint16_t checked = checked_port(port, "PORT");
  Duration patience;
  if (!a.wait.empty()) {
    const auto d = parse_duration(a.wait.find_first_not_of("0123456789.") == std::string::npos ? a.wait + "s" : a.wait);
    if (!d) throw Failure(cat("--wait: '", a.wait, "' is not a time"), "write it as 5s");
    patience = *d;
  }
  if (const Form form = parse_form(a.form); form != Form::event)
    return run_shared_nc(make_plan(a.stack), form,
                         {.listen = a.listen,
                          .datagrams = a.udp,
                          .peer = {a.listen ? IpAddress{} : parse_address(host, "HOST"), Port{checked}},
                          .patience = patience});
  Node node(make_plan(a.stack));
  return a.udp ? run_with<DatagramNc>(node, patience, a.listen, host, checked)
               : run_with<StreamNc>(node, patience, a.listen, host, checked);
}

}  // namespace leat::tools
