// nc in the forms that block: this thread copies from the peer to standard output, another from standard input to the
// peer.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <leat/core/tcp/info.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/runtime/clock.hpp>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "json.hpp"
#include "log.hpp"
#include "nc.hpp"
#include "node.hpp"
#include "text.hpp"

namespace leat::tools {

void throw_if_set_up_wrong(const Endpoint& remote, Errc error) {
  if (error == Errc::network_unreachable)
    throw Failure(cat("no connection to ", remote, ": ", error_text(error)),
                  "give the stack an address or gateway that reaches it");
  if (error == Errc::permission_denied)
    throw Failure(cat("can't send to ", remote, ": it is a broadcast address"), "say --option broadcast=yes");
}

Failure input_failure(int error) {
  return {cat("can't read standard input: ", std::strerror(error)), "give a file or a pipe"};
}

int report_nc(const Plan& plan, const Totals& totals, const std::string& problem, Duration took, int stopped_by) {
  if (plan.json) {
    Value v;
    v.set("sent", totals.sent)
        .set("received", totals.received)
        .set("seconds", static_cast<double>(took.count_ns()) / 1e9);
    if (!problem.empty()) v.set("error", problem);
    std::fprintf(stderr, "%s\n", v.dump().c_str());  // stdout has the data
  } else if (!problem.empty()) {
    std::fprintf(stderr, "leat: %s\n", problem.c_str());
  }
  if (stopped_by != 0) return 128 + stopped_by;
  return problem.empty() ? kExitOk : kExitNegative;
}

namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;
// How often somebody who waits looks whether the other direction moved.
constexpr Duration kLook = Duration::ms(250);

// Standard input in a thread of its own, until its end or until the other direction is over. `error` is what reading
// ended with.
class InputThread {
 public:
  // `take` gets every piece; an empty one is the end. False from it: no more.
  template <class Take>
  InputThread(std::size_t most, std::atomic<int>& error, Take take)
      : error_(error),
        bell_(::eventfd(0, EFD_CLOEXEC)),
        end_(::eventfd(0, EFD_CLOEXEC)),
        thread_([this, most, take] { run(most, take); }) {}
  ~InputThread() {
    ring(bell_);
    thread_.join();
  }
  InputThread(const InputThread&) = delete;
  InputThread& operator=(const InputThread&) = delete;
  [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_relaxed); }
  // Readable from then on.
  [[nodiscard]] int end_fd() const { return end_.get(); }

 private:
  static void ring(const Descriptor& bell) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t rung = ::write(bell.get(), &one, sizeof one);
  }
  template <class Take>
  void run(std::size_t most, Take take) {
    std::vector<std::uint8_t> buffer(most);
    for (;;) {
      std::array<pollfd, 2> fds{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{bell_.get(), POLLIN, 0}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) return;
      if (fds[0].revents == 0) continue;
      const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error_.store(errno, std::memory_order_relaxed);
      if (got <= 0) {  // before the end is passed on
        ended_.store(true, std::memory_order_relaxed);
        ring(end_);
      }
      if (!take(ByteSpan{buffer.data(), got <= 0 ? 0 : static_cast<std::size_t>(got)}) || got <= 0) return;
    }
  }
  std::atomic<int>& error_;
  Descriptor bell_;
  Descriptor end_;
  // Written by the thread, read by who waits for the end of a conversation. Relaxed: nothing hangs on it.
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

void write_out(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      throw Failure(cat("can't write to standard output: ", std::strerror(errno)), "");
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

class SharedNc {
 public:
  SharedNc(Node& node, Form form, const NcRequest& request)
      : node_(node), request_(request), calls_(make_form(form, node.shared())) {}

  int run() {
    const Instant start = monotonic_now();
    touch();
    if (request_.datagrams) {
      datagrams();
    } else if (auto s = stream()) {
      exchange(*s);
    }
    progress_.finish();
    if (const int error = input_error_.load(std::memory_order_relaxed); error != 0) throw input_failure(error);
    return report_nc(node_.plan(), {sent_.load(), received_}, problem_, monotonic_now() - start);
  }

 private:
  void touch() { moved_ns_.store(monotonic_now().count_ns(), std::memory_order_relaxed); }
  [[nodiscard]] Duration quiet() const {
    return monotonic_now() - Instant::from_ns(moved_ns_.load(std::memory_order_relaxed));
  }

  std::unique_ptr<FormStream> stream() {
    calls_->patience.read = kLook;  // to look around now and then
    if (request_.listen) {
      auto listener = calls_->listen(request_.peer);
      if (!listener)
        throw Failure(cat("can't listen on port ", request_.peer.port.value(), ": ", error_text(listener.error())),
                      "choose another port");
      log_info(cat("listening on port ", request_.peer.port.value()));
      auto s = (*listener)->accept(request_.patience > Duration{} ? request_.patience : Duration::max());
      if (!s && s.error() == Errc::timed_out) {
        problem_ = nobody(request_.patience);
        return nullptr;
      }
      if (!s) throw Failure(cat("nobody can be let in: ", error_text(s.error())), "");
      return std::move(*s);
    }
    const Duration limit = request_.patience > Duration{} ? request_.patience : kConnectPatience;
    auto made = calls_->connect(request_.peer, limit);
    if (!made) throw_if_set_up_wrong(request_.peer, made.error());
    if (!made && made.error() == Errc::timed_out) {
      problem_ = nobody(limit);
    } else if (!made) {
      problem_ = cat("no connection to ", request_.peer, ": ", error_text(made.error()));
    }
    return made ? std::move(*made) : nullptr;
  }

  static std::string nobody(Duration limit) {
    return cat("no connection for ", time_text(static_cast<double>(limit.count_ns()) / 1e9));
  }
  // True when nothing moved for longer than is to be waited.
  bool out_of_patience(FormStream& s) {
    if (request_.patience == Duration{} || quiet() < request_.patience) return false;
    const std::lock_guard lock(mutex_);
    if (problem_.empty())
      problem_ = cat("nothing moved for ", time_text(static_cast<double>(request_.patience.count_ns()) / 1e9));
    s.abort();
    return true;
  }

  void lost(const FormStream& s, Errc error) {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) problem_ = cat("connection with ", s.remote(), " lost: ", error_text(error));
  }

  void exchange(FormStream& s) {
    std::vector<std::uint8_t> buffer(kChunk);
    const InputThread input(kChunk, input_error_, [&](ByteSpan bytes) {
      if (bytes.empty()) {
        s.finish();
        touch();
        return true;
      }
      if (const auto r = s.write(bytes); !r) {
        lost(s, r.error());
        return false;
      }
      sent_.fetch_add(bytes.size(), std::memory_order_relaxed);
      touch();
      return true;
    });
    for (;;) {
      const auto got = s.read(buffer);
      if (!got && got.error() == Errc::timed_out) {
        if (out_of_patience(s)) return;
        continue;
      }
      if (!got) return lost(s, got.error());
      if (*got == 0) return send_the_rest(s, input);
      received_ += *got;
      touch();
      write_out({buffer.data(), *got});
      progress_.update({sent_.load(std::memory_order_relaxed), received_});
    }
  }

  // The peer has finished and may go on reading: standard input goes to it until its end, and until the peer has
  // acknowledged everything.
  void send_the_rest(FormStream& s, const InputThread& input) {
    if (!input.ended() && ::isatty(STDIN_FILENO) != 0) log_info("the peer has finished; the end of input ends this");
    while (!input.ended()) {  // or until the connection is over
      Watch over;
      over.socket = s.handle();
      Op op;
      op.verb = Verb::poll;
      op.watches = {&over, 1};
      op.also_fd = input.end_fd();
      op.deadline = node_.shared()->now() + kLook;
      node_.shared()->run(op);
      if (op.error != Errc::timed_out && op.error != Errc::interrupted) break;
      if (out_of_patience(s)) return;
      progress_.update({sent_.load(std::memory_order_relaxed), received_});
    }
    for (std::uint64_t acknowledged = 0;;) {
      Op op;
      op.finish(s.handle());
      op.deadline = node_.shared()->now() + kLook;
      node_.shared()->run(op);
      if (op.error == Errc{}) return;
      if (op.error == Errc::not_connected) return was_over(s);
      if (op.error != Errc::timed_out) return lost(s, op.error);
      tcp::TcpInfo info;
      op.reset();
      op.verb = Verb::tcp_info;
      op.socket = s.handle();
      op.info = &info;
      node_.shared()->run(op);
      if (std::exchange(acknowledged, info.bytes_acked) != info.bytes_acked) touch();
      if (out_of_patience(s)) return;
      progress_.update({sent_.load(std::memory_order_relaxed), received_});
    }
  }

  // The connection had ended before finish() was asked for: well, or with an error that nobody has heard of.
  void was_over(const FormStream& s) {
    Op op;
    op.verb = Verb::take_error;
    op.socket = s.handle();
    node_.shared()->run(op);
    if (const auto error = static_cast<Errc>(op.value); op.error == Errc{} && error != Errc{}) lost(s, error);
  }

  void datagrams() {
    calls_->patience.read = kLook;
    auto socket = request_.listen ? calls_->datagrams(request_.peer) : calls_->datagrams({}, request_.peer);
    if (!socket) throw_if_set_up_wrong(request_.peer, socket.error());
    if (!socket && !request_.listen) {
      problem_ = cat("can't send to ", request_.peer, ": ", error_text(socket.error()));
      return;
    }
    if (!socket)
      throw Failure(cat("can't use port ", request_.peer.port.value(), ": ", error_text(socket.error())),
                    "choose another port");
    if (request_.listen) log_info(cat("listening on port ", request_.peer.port.value()));
    Endpoint peer = request_.listen ? Endpoint{} : request_.peer;
    std::optional<InputThread> input;
    const auto begin = [&] {
      input.emplace(kMaxDatagram, input_error_, [&](ByteSpan bytes) {
        touch();
        if (bytes.empty()) return true;
        if (const auto r = (*socket)->send(bytes, peer); !r) {
          const std::lock_guard lock(mutex_);
          if (problem_.empty()) problem_ = cat("can't send to ", peer, ": ", error_text(r.error()));
          failed_.store(true, std::memory_order_relaxed);
          return false;
        }
        sent_.fetch_add(bytes.size(), std::memory_order_relaxed);
        return true;
      });
    };
    if (!request_.listen) begin();
    std::vector<std::uint8_t> buffer(65536);
    for (;;) {
      Endpoint from;
      const auto got = (*socket)->receive(buffer, from);
      if (!got && got.error() != Errc::timed_out) {
        const std::lock_guard lock(mutex_);
        if (problem_.empty()) problem_ = cat(peer, ": ", error_text(got.error()));
        return;
      }
      if (failed_.load(std::memory_order_relaxed)) return;
      if (!got) {
        const Duration limit = request_.patience > Duration{} ? request_.patience : kUdpQuiet;
        const bool applies = request_.patience > Duration{} || (input && input->ended() && !request_.listen);
        if (applies && quiet() >= limit) return;
        continue;
      }
      if (request_.listen && peer == Endpoint{}) {
        peer = from;
        begin();
      }
      if (from != peer) continue;
      received_ += *got;
      touch();
      write_out({buffer.data(), *got});
    }
  }

  Node& node_;
  NcRequest request_;
  std::unique_ptr<FormCalls> calls_;
  NcProgress progress_;
  std::uint64_t received_ = 0;
  // Written by the thread of standard input, read by the other. Relaxed: nothing hangs on them.
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::int64_t> moved_ns_{0};
  std::atomic<int> input_error_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::string problem_;  // guarded by mutex_ while both threads run
};

}  // namespace

int run_shared_nc(const Plan& plan, Form form, const NcRequest& request) {
  Node node(plan, Node::Owner::shared);
  node.announce();
  const int code = SharedNc(node, form, request).run();
  // FIN and the last ACKs, before the device goes.
  const Instant until = monotonic_now() + Duration::s(3);
  for (bool busy = true; busy && monotonic_now() < until;) {
    node.with_stack([&](Stack& stack) { busy = stack.core().tcp.connection_pool.used() > 0; });
    if (busy) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  node.finish_capture();
  return code;
}

}  // namespace leat::tools
