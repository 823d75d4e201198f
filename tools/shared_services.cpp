#include "shared_services.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <leat/api/coroutine/executor.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/runtime/clock.hpp>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "http_site.hpp"
#include "http_talk.hpp"
#include "log.hpp"
#include "text.hpp"

namespace leat::tools {

namespace {

constexpr std::size_t kMaxThreads = 4096;  // connections at once, in the forms with a thread for each
constexpr Duration kIdle = Duration::s(60);
constexpr std::chrono::milliseconds kBreath{10};  // before trying again what wants for resources

// 64 KiB of a connection's own. Not cleared, so that one that says little touches little of it.
class Buffer {
 public:
  static constexpr std::size_t kSize = std::size_t{64} << 10;
  [[nodiscard]] MutableByteSpan all() const { return {bytes_.get(), kSize}; }
  [[nodiscard]] ByteSpan first(std::size_t n) const { return ByteSpan{bytes_.get(), n}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(kSize);
};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

struct EchoCounters {
  // Counted by every thread that serves. Relaxed: nothing hangs on them.
  std::atomic<std::uint64_t> connections{0}, stream_bytes{0}, datagrams{0};
};

// --- a thread for each connection ------------------------------------------------------------------------------------

// Threads that are counted, so that their end can be waited for.
class Threads {
 public:
  ~Threads() { wait(); }
  // False: the machine gives no more threads.
  template <class F>
  bool start(F&& work) {
    std::unique_lock lock(mutex_);
    if (running_ == kMaxThreads && !std::exchange(told_, true))
      log_info(cat(kMaxThreads, " connections have a thread each, more wait; --form event and coroutine hold more"));
    changed_.wait(lock, [this] { return running_ < kMaxThreads; });
    try {
      std::thread([this, work = std::forward<F>(work)]() mutable {
        work();
        const std::lock_guard done(mutex_);
        --running_;
        changed_.notify_all();
      }).detach();
    } catch (const std::system_error&) {
      return false;
    }
    ++running_;  // before it can be counted down: it takes the mutex for that
    return true;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::size_t running_ = 0;
  bool told_ = false;
};

void echo_stream(FormStream& s, EchoCounters& counters) {
  const Buffer buffer;
  for (;;) {
    const auto got = s.read(buffer.all());
    if (!got || *got == 0) return;
    counters.stream_bytes.fetch_add(*got, std::memory_order_relaxed);
    if (!s.write(buffer.first(*got))) return;
  }
}

void echo_datagrams(FormDatagrams& s, EchoCounters& counters) {
  const Buffer buffer;
  for (;;) {
    Endpoint from;
    const auto got = s.receive(buffer.all(), from);
    if (!got && got.error() == Errc::connection_refused) continue;  // an earlier answer's port is closed
    if (!got) return;
    counters.datagrams.fetch_add(1, std::memory_order_relaxed);
    (void)s.send(buffer.first(*got), from);
  }
}

// The next bytes of an answer, empty at its end: head and body together, so that no small segment waits for the
// acknowledgement of another (RFC 9293 3.7.4). Nothing: the file is shorter than was promised.
std::optional<ByteSpan> next_piece(HttpSite& site, HttpAnswer& a, MutableByteSpan buffer) {
  std::size_t size = 0;
  if (!a.head.empty()) {
    const ByteSpan head = a.bytes();
    size = std::min(head.size() - a.head_sent, buffer.size());
    std::copy_n(head.begin() + static_cast<std::ptrdiff_t>(a.head_sent), size, buffer.begin());
    a.head_sent += size;
    if (a.head_sent < head.size()) return buffer.first(size);
    a.head.clear();
  }
  if (a.left == 0 || size == buffer.size()) return buffer.first(size);
  const std::size_t got = site.read(a, buffer.subspan(size));
  if (got == 0) return std::nullopt;
  site.sent(a, got);
  return buffer.first(size + got);
}

// False: the connection is over.
bool send_answer(FormStream& s, HttpSite& site, HttpAnswer& a, MutableByteSpan buffer) {
  for (;;) {
    const auto piece = next_piece(site, a, buffer);
    if (!piece) {
      s.abort();
      return false;
    }
    if (piece->empty()) return true;
    if (!s.write(*piece)) return false;
  }
}

void serve_stream(FormStream& s, HttpSite& site) {
  const Buffer buffer;
  HttpTalk talk(site, s.remote(), kIdle);
  for (;;) {
    std::optional<HttpAnswer> answer = talk.next();
    if (!answer) {
      const auto got = s.read(buffer.all().first(HttpRequestReader::kMaxHead));
      if (!got && got.error() == Errc::timed_out) return s.abort();
      if (!got || *got == 0) return;
      talk.received(buffer.first(*got), monotonic_now());
      continue;
    }
    if (!send_answer(s, site, *answer, buffer.all())) return;
    if (!answer->close) continue;
    // RFC 9112 9.6: our FIN, then the client's bytes until its own, so that no RST takes the answer from it.
    s.finish();
    for (auto got = s.read(buffer.all()); got && *got > 0;) got = s.read(buffer.all());
    return;
  }
}

// --- coroutines ------------------------------------------------------------------------------------------------------

using coroutine::Limit;
using coroutine::Task;

constexpr Limit kIdleLimit{.within = kIdle};

Task<void> echo(coroutine::TcpStream s, EchoCounters& counters) {
  const Buffer buffer;
  for (;;) {
    const auto got = co_await s.read(buffer.all());
    if (!got || got->count == 0) co_return;
    counters.stream_bytes.fetch_add(got->count, std::memory_order_relaxed);
    if (!co_await s.write_all(buffer.first(got->count))) co_return;
  }
}

Task<void> echo(coroutine::UdpSocket s, EchoCounters& counters) {
  const Buffer buffer;
  for (;;) {
    const auto got = co_await s.receive_from(buffer.all());
    if (!got && got.error() == Errc::connection_refused) continue;
    if (!got) co_return;
    counters.datagrams.fetch_add(1, std::memory_order_relaxed);
    (void)co_await s.send_to(buffer.first(got->count), got->message.from);
  }
}

Task<bool> send_answer(coroutine::TcpStream& s, HttpSite& site, HttpAnswer& a, MutableByteSpan buffer) {
  for (;;) {
    const auto piece = next_piece(site, a, buffer);
    if (!piece) {
      s.abort();
      co_return false;
    }
    if (piece->empty()) co_return true;
    const auto sent = co_await s.write_all(*piece, kIdleLimit);
    if (!sent || sent->count < piece->size()) co_return false;
  }
}

Task<void> serve(coroutine::TcpStream s, HttpSite& site) {
  (void)s.set_option(OptionId::tcp_nodelay, 1);
  const Buffer buffer;
  HttpTalk talk(site, s.remote_endpoint().value_or(Endpoint{}), kIdle);
  for (;;) {
    std::optional<HttpAnswer> answer = talk.next();
    if (!answer) {
      const auto got = co_await s.read(buffer.all().first(HttpRequestReader::kMaxHead), kIdleLimit);
      if (!got && got.error() == Errc::timed_out) s.abort();
      if (!got || got->count == 0) co_return;
      talk.received(buffer.first(got->count), monotonic_now());
      continue;
    }
    if (!co_await send_answer(s, site, *answer, buffer.all())) co_return;
    if (!answer->close) continue;
    (void)s.shutdown(ShutdownHow::write);
    for (auto got = co_await s.read(buffer.all(), kIdleLimit); got && got->count > 0;)
      got = co_await s.read(buffer.all(), kIdleLimit);
    co_return;
  }
}

template <class Serve>
Task<void> accept_all(coroutine::TcpListener listener, coroutine::Executor& executor, Serve serve_one) {
  for (;;) {
    auto s = co_await listener.accept();
    if (!s) co_return;
    executor.spawn(serve_one(std::move(*s)));
  }
}

template <class T>
T must(Result<T>&& r, std::uint16_t port) {
  if (!r && r.error() == Errc::address_in_use)
    throw Failure(cat("port ", port, " is already in use on this stack"), "choose another with --port");
  if (!r) throw Failure(cat("can't serve on port ", port, ": ", error_text(r.error())), "");
  return std::move(*r);
}

}  // namespace

void block_stop_signals() {
  const sigset_t set = stop_signals();
  (void)::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void wait_for_stop_signal(const std::function<void()>& every_second) {
  const sigset_t set = stop_signals();
  const timespec second{.tv_sec = 1, .tv_nsec = 0};
  while (::sigtimedwait(&set, nullptr, &second) < 0) every_second();
}

struct SharedServices::Inside {
  explicit Inside(Node& n) : node(n) {}
  Node& node;
  std::unique_ptr<HttpSite> site;
  EchoCounters echoed;

  // posix, channel
  std::unique_ptr<FormCalls> calls;
  std::vector<std::unique_ptr<FormListener>> listeners;
  std::unique_ptr<FormDatagrams> datagrams;
  std::vector<std::thread> acceptors;
  Threads threads;

  // coroutine
  std::unique_ptr<coroutine::Executor> executor;
  std::thread runner;
  std::atomic<bool> stopping{false};

  template <class Serve>
  void accept_in_a_thread(std::unique_ptr<FormListener> listener, Serve serve_one) {
    FormListener& l = *listeners.emplace_back(std::move(listener));
    acceptors.emplace_back([this, &l, serve_one] {
      for (;;) {
        auto s = l.accept();
        if (!s && node.shared()->stopped()) return;
        if (!s) {
          if (s.error() != Errc::connection_aborted) std::this_thread::sleep_for(kBreath);  // no descriptors, say
          continue;
        }
        if (!threads.start([stream = std::shared_ptr<FormStream>(std::move(*s)), serve_one] { serve_one(*stream); }))
          std::this_thread::sleep_for(kBreath);  // and the connection is closed
      }
    });
  }
  void run_executor() {
    if (runner.joinable()) return;
    runner = std::thread([this] { executor->run(); });
  }
};

SharedServices::SharedServices(Node& node, Form form) : inside_(std::make_unique<Inside>(node)) {
  if (form == Form::coroutine) {
    inside_->executor = std::make_unique<coroutine::Executor>(node.shared());
  } else {
    inside_->calls = make_form(form, node.shared());
  }
}

SharedServices::~SharedServices() {
  stop();
}

void SharedServices::serve_http(const std::string& root, std::uint16_t port, bool log_requests) {
  Inside& in = *inside_;
  in.site = std::make_unique<HttpSite>(root, log_requests);
  HttpSite& site = *in.site;
  const Endpoint local{IpAddress{}, Port{port}};
  if (in.executor) {
    auto listener = must(coroutine::TcpListener::listen(in.node.shared(), local, kBacklog), port);
    in.executor->spawn(accept_all(std::move(listener), *in.executor,
                                  [&site](coroutine::TcpStream s) { return serve(std::move(s), site); }));
    return in.run_executor();
  }
  in.calls->patience = {kIdle, kIdle};
  in.calls->nodelay = true;  // answers to requests that came together
  in.accept_in_a_thread(must(in.calls->listen(local), port), [&site](FormStream& s) { serve_stream(s, site); });
}

void SharedServices::serve_echo(std::uint16_t port) {
  Inside& in = *inside_;
  EchoCounters& counters = in.echoed;
  const Endpoint local{IpAddress{}, Port{port}};
  if (in.executor) {
    auto listener = must(coroutine::TcpListener::listen(in.node.shared(), local, kBacklog), port);
    auto datagrams = must(coroutine::UdpSocket::open(in.node.shared(), local), port);
    in.executor->spawn(accept_all(std::move(listener), *in.executor, [&counters](coroutine::TcpStream s) {
      counters.connections.fetch_add(1, std::memory_order_relaxed);
      return echo(std::move(s), counters);
    }));
    in.executor->spawn(echo(std::move(datagrams), counters));
    return in.run_executor();
  }
  in.calls->patience = {};
  in.datagrams = must(in.calls->datagrams(local), port);
  in.accept_in_a_thread(must(in.calls->listen(local), port), [&counters](FormStream& s) {
    counters.connections.fetch_add(1, std::memory_order_relaxed);
    echo_stream(s, counters);
  });
  (void)in.threads.start([&in, &counters] { echo_datagrams(*in.datagrams, counters); });
}

void SharedServices::stop() {
  Inside& in = *inside_;
  if (in.stopping.exchange(true)) return;
  in.node.shared()->stop();
  for (std::thread& t : in.acceptors) t.join();
  in.threads.wait();
  if (in.runner.joinable()) in.runner.join();
}

SharedServices::Counts SharedServices::counts() const {
  const Inside& in = *inside_;
  Counts c;
  if (in.site) {
    c.http_requests = in.site->requests();
    c.http_bytes = in.site->body_bytes();
  }
  c.echo = {in.echoed.connections.load(std::memory_order_relaxed),
            in.echoed.stream_bytes.load(std::memory_order_relaxed),
            in.echoed.datagrams.load(std::memory_order_relaxed)};
  return c;
}

}  // namespace leat::tools
