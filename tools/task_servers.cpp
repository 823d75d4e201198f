// Servers of tasks, all of them in one thread: coroutines on their executor, and commands awaited on a run queue. What
// the two do is the same; a form says how it is called.

#include <leat/api/channel/task.hpp>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <leat/api/coroutine/executor.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <leat/runtime/clock.hpp>
#include <list>
#include <utility>
#include <vector>

#include "form_server.hpp"
#include "http_talk.hpp"

namespace leat::tools {

namespace {

constexpr Duration kForever = Duration::max();

// 64 KiB of a connection's own. Not cleared, so that one that says little touches little of it.
class Buffer {
 public:
  static constexpr std::size_t kSize = std::size_t{64} << 10;
  [[nodiscard]] MutableByteSpan all() const { return {bytes_.get(), kSize}; }
  [[nodiscard]] ByteSpan first(std::size_t n) const { return ByteSpan{bytes_.get(), n}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(kSize);
};

// --- the two forms ---------------------------------------------------------------------------------------------------

struct Coroutines {
  template <class T>
  using Task = coroutine::Task<T>;
  using Stream = coroutine::TcpStream;
  using Listener = coroutine::TcpListener;
  using Datagrams = coroutine::UdpSocket;

  static auto read(Stream& s, MutableByteSpan to, Duration within) { return s.read(to, {.within = within}); }
  static auto write_all(Stream& s, ByteSpan from, Duration within) { return s.write_all(from, {.within = within}); }
  static void finish(Stream& s) { (void)s.shutdown(ShutdownHow::write); }
  static Endpoint remote(const Stream& s) { return s.remote_endpoint().value_or(Endpoint{}); }
  static auto accept(Listener& l) { return l.accept(); }
  static auto receive(Datagrams& s, MutableByteSpan to) { return s.receive_from(to); }
  static auto answer(Datagrams& s, ByteSpan bytes, const Message& m) { return s.answer(bytes, m); }

  explicit Coroutines(std::shared_ptr<SharedStack> s) : stack(std::move(s)) {}
  Result<Listener> listen(const Endpoint& local) { return Listener::listen(stack, local, kBacklog); }
  Result<Datagrams> datagrams(const Endpoint& local) { return Datagrams::open(stack, local); }
  static Task<void> breathe() { (void)co_await coroutine::sleep_for(kBreath); }
  void spawn(Task<void> task) { executor.spawn(std::move(task)); }
  void run() { executor.run(); }

  std::shared_ptr<SharedStack> stack;
  coroutine::Executor executor{stack};
};

struct Commands {
  template <class T>
  using Task = channel::Task<T>;
  using Stream = channel::TcpStream;
  using Listener = channel::TcpListener;
  using Datagrams = channel::UdpSocket;

  static auto read(Stream& s, MutableByteSpan to, Duration within) { return s.async_recv(to, within); }
  static auto write_all(Stream& s, ByteSpan from, Duration within) { return s.async_send_all(from, within); }
  static void finish(Stream& s) { (void)s.shutdown_write(); }
  static Endpoint remote(const Stream& s) { return s.remote_addr(); }
  static auto accept(Listener& l) { return l.async_accept(); }
  static auto receive(Datagrams& s, MutableByteSpan to) { return s.async_recv_from(to); }
  static auto answer(Datagrams& s, ByteSpan bytes, const Message& m) { return s.async_answer(bytes, m); }

  explicit Commands(std::shared_ptr<SharedStack> s) : stack(std::move(s)) {}
  Result<Listener> listen(const Endpoint& local) { return Listener::listen(channel, local, kBacklog); }
  Result<Datagrams> datagrams(const Endpoint& local) { return Datagrams::bind(channel, local); }
  Task<void> breathe() { co_await queue.sleep_until(queue.now() + kBreath); }
  void spawn(Task<void> task) {
    const auto at = tasks.emplace(tasks.end());
    *at = end_of(std::move(task), at);
    at->start();
  }
  void run() {
    while (!tasks.empty()) {
      if (queue.run_ready() == 0) queue.wait();
      for (const auto at : std::exchange(ended, {})) tasks.erase(at);
    }
  }

  using Place = std::list<Task<void>>::iterator;
  Task<void> end_of(Task<void> task, Place at) {
    co_await task;
    ended.push_back(at);  // its frame is in use until this has returned
  }

  std::shared_ptr<SharedStack> stack;
  channel::RunQueue queue{{[](void*) { return monotonic_now(); }, nullptr}};
  channel::Channel channel{stack, &queue};
  std::list<Task<void>> tasks;
  std::vector<Place> ended;
};

std::size_t count_of(std::size_t n) {
  return n;
}
std::size_t count_of(const IoCount& n) {
  return n.count;
}

// --- what they serve -------------------------------------------------------------------------------------------------

template <class Form>
typename Form::template Task<void> serve_echo_stream(typename Form::Stream s, EchoCounters& counters) {
  (void)s.set_option(OptionId::tcp_nodelay, 1);
  const Buffer buffer;
  for (;;) {
    const auto got = co_await Form::read(s, buffer.all(), kForever);
    if (!got || count_of(*got) == 0) co_return;
    counters.stream_bytes.fetch_add(count_of(*got), std::memory_order_relaxed);
    const auto sent = co_await Form::write_all(s, buffer.first(count_of(*got)), kForever);
    if (!sent) co_return;
  }
}

template <class Form>
typename Form::template Task<void> serve_echo_datagrams(typename Form::Datagrams s, EchoCounters& counters) {
  const Buffer buffer;
  for (;;) {
    const auto got = co_await Form::receive(s, buffer.all());
    if (!got && got.error() == Errc::connection_refused) continue;  // an earlier answer's port is closed
    if (!got) co_return;
    counters.datagrams.fetch_add(1, std::memory_order_relaxed);
    (void)co_await Form::answer(s, buffer.first(got->count), got->message);
  }
}

// False: the connection is over.
template <class Form>
typename Form::template Task<bool> send_answer(typename Form::Stream& s, HttpSite& site, HttpAnswer& a,
                                               MutableByteSpan buffer) {
  for (;;) {
    const auto piece = HttpSite::next(a, buffer);
    if (!piece) {
      s.abort();
      co_return false;
    }
    if (piece->empty()) co_return true;
    const auto sent = co_await Form::write_all(s, *piece, kIdle);
    if (!sent || count_of(*sent) < piece->size()) co_return false;
    site.sent(a, piece->size());
  }
}

template <class Form>
typename Form::template Task<void> serve_http_stream(typename Form::Stream s, HttpSite& site) {
  (void)s.set_option(OptionId::tcp_nodelay, 1);  // answers to requests that came together
  const Buffer buffer;
  HttpTalk talk(site, Form::remote(s), kIdle);
  for (;;) {
    std::optional<HttpAnswer> answer = talk.next();
    if (!answer) {
      const auto got = co_await Form::read(s, buffer.all().first(HttpRequestReader::kMaxHead), kIdle);
      if (!got && got.error() == Errc::timed_out) s.abort();
      if (!got || count_of(*got) == 0) co_return;
      talk.received(buffer.first(count_of(*got)), monotonic_now());
      continue;
    }
    const bool sent = co_await send_answer<Form>(s, site, *answer, buffer.all());
    if (!sent) co_return;
    if (!answer->close) continue;
    // RFC 9112 9.6: our FIN, then the client's bytes until its own, so that no RST takes the answer from it.
    Form::finish(s);
    for (;;) {
      const auto got = co_await Form::read(s, buffer.all(), kIdle);
      if (!got || count_of(*got) == 0) co_return;
    }
  }
}

template <class Form>
class TaskServer final : public FormServer {
 public:
  explicit TaskServer(std::shared_ptr<SharedStack> stack) : form_(std::move(stack)) {}

  Result<void> serve_http(HttpSite& site, Port port) override {
    auto listener = form_.listen({IpAddress{}, port});
    if (!listener) return fail(listener.error());
    form_.spawn(accept_all(std::move(*listener),
                           [&site](typename Form::Stream s) { return serve_http_stream<Form>(std::move(s), site); }));
    return {};
  }
  Result<void> serve_echo(EchoCounters& counters, Port port) override {
    auto listener = form_.listen({IpAddress{}, port});
    if (!listener) return fail(listener.error());
    auto datagrams = form_.datagrams({IpAddress{}, port});
    if (!datagrams) return fail(datagrams.error());
    form_.spawn(accept_all(std::move(*listener), [&counters](typename Form::Stream s) {
      counters.connections.fetch_add(1, std::memory_order_relaxed);
      return serve_echo_stream<Form>(std::move(s), counters);
    }));
    form_.spawn(serve_echo_datagrams<Form>(std::move(*datagrams), counters));
    return {};
  }
  void run() override { form_.run(); }

 private:
  template <class Serve>
  typename Form::template Task<void> accept_all(typename Form::Listener listener, Serve serve) {
    for (;;) {
      auto s = co_await Form::accept(listener);
      if (s) {
        form_.spawn(serve(std::move(*s)));
      } else if (form_.stack->stopped()) {
        co_return;
      } else if (s.error() != Errc::connection_aborted) {
        co_await form_.breathe();  // nothing is left for another one
      }
    }
  }
  Form form_;
};

}  // namespace

std::unique_ptr<FormServer> make_coroutine_server(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<TaskServer<Coroutines>>(std::move(stack));
}
std::unique_ptr<FormServer> make_channel_server(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<TaskServer<Commands>>(std::move(stack));
}

}  // namespace leat::tools
