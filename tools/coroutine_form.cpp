// The form of coroutines, for a thread that waits for one at a time: each direction of a stream has an executor of its
// own, so that a reader and a writer in two threads do not wait for each other. Servers (task_servers) run all their
// connections on one executor instead.

#include <leat/api/coroutine/executor.hpp>
#include <leat/api/coroutine/socket.hpp>
#include <utility>

#include "form.hpp"

namespace leat::tools {

namespace {

using coroutine::Executor;
using coroutine::Limit;
using coroutine::Task;

class CoroutineStream final : public FormStream {
 public:
  CoroutineStream(coroutine::TcpStream&& s, const Endpoint& remote, const Patience& patience)
      : reading_(s.service()), writing_(s.service()), s_(std::move(s)), remote_(remote), patience_(patience) {}
  Result<std::size_t> read(MutableByteSpan to) override {
    const Result<IoCount> got = reading_.run([](auto& s, auto into, auto limit) -> Task<Result<IoCount>> {
      co_return co_await s.read(into, limit);
    }(s_, to, Limit{.within = patience_.read}));
    if (!got) return fail(got.error());
    return got->count;
  }
  Result<void> write(ByteSpan from) override {
    const Result<IoCount> sent = writing_.run([](auto& s, auto bytes, auto limit) -> Task<Result<IoCount>> {
      co_return co_await s.write_all(bytes, limit);
    }(s_, from, Limit{.within = patience_.write}));
    if (!sent) return fail(sent.error());
    if (sent->count < from.size()) return fail(Errc::timed_out);
    return {};
  }
  void finish() override { (void)s_.shutdown(ShutdownHow::write); }
  void abort() override { s_.abort(); }
  [[nodiscard]] Endpoint remote() const override { return remote_; }
  [[nodiscard]] Handle handle() const override { return s_.handle(); }

 private:
  Executor reading_, writing_;
  coroutine::TcpStream s_;
  Endpoint remote_;
  Patience patience_;
};

std::unique_ptr<FormStream> wrap(coroutine::TcpStream&& s, const Patience& patience) {
  const Endpoint remote = s.remote_endpoint().value_or(Endpoint{});
  return std::make_unique<CoroutineStream>(std::move(s), remote, patience);
}

class CoroutineListener final : public FormListener {
 public:
  CoroutineListener(coroutine::TcpListener&& l, const FormCalls& calls)
      : executor_(l.service()), l_(std::move(l)), patience_(calls.patience) {}
  Result<std::unique_ptr<FormStream>> accept(Duration within) override {
    auto s = executor_.run([](auto& l, auto limit) -> Task<Result<coroutine::TcpStream>> {
      co_return co_await l.accept(limit);
    }(l_, Limit{.within = within}));
    if (!s) return fail(s.error());
    return wrap(std::move(*s), patience_);
  }

 private:
  Executor executor_;
  coroutine::TcpListener l_;
  Patience patience_;
};

class CoroutineDatagrams final : public FormDatagrams {
 public:
  CoroutineDatagrams(coroutine::UdpSocket&& s, const Patience& patience)
      : reading_(s.service()), writing_(s.service()), s_(std::move(s)), patience_(patience) {}
  Result<std::size_t> receive(MutableByteSpan to, Endpoint& from) override {
    const auto got = reading_.run([](auto& s, auto into, auto limit) -> Task<Result<coroutine::Datagram>> {
      co_return co_await s.receive_from(into, limit);
    }(s_, to, Limit{.within = patience_.read}));
    if (!got) return fail(got.error());
    from = got->message.from;
    return got->count;
  }
  Result<void> send(ByteSpan bytes, const Endpoint& to) override {
    const auto sent = writing_.run([](auto& s, auto data, auto peer, auto limit) -> Task<Result<IoCount>> {
      co_return co_await s.send_to(data, peer, limit);
    }(s_, bytes, to, Limit{.within = patience_.write}));
    if (!sent) return fail(sent.error());
    return {};
  }

 private:
  Executor reading_, writing_;
  coroutine::UdpSocket s_;
  Patience patience_;
};

class CoroutineForm final : public FormCalls {
 public:
  explicit CoroutineForm(std::shared_ptr<SharedStack> stack) : service_(std::move(stack)), executor_(service_) {}

  Result<std::unique_ptr<FormListener>> listen(const Endpoint& local) override {
    auto l = coroutine::TcpListener::listen(service_, local, kBacklog);
    if (!l) return fail(l.error());
    return std::unique_ptr<FormListener>(std::make_unique<CoroutineListener>(std::move(*l), *this));
  }
  Result<std::unique_ptr<FormStream>> connect(const Endpoint& remote, Duration within) override {
    auto s = executor_.run([](auto service, auto to, auto limit) -> Task<Result<coroutine::TcpStream>> {
      co_return co_await coroutine::TcpStream::connect(service, to, limit);
    }(service_, remote, Limit{.within = within}));
    if (!s) return fail(s.error());
    return wrap(std::move(*s), patience);
  }
  Result<std::unique_ptr<FormDatagrams>> datagrams(const Endpoint& local, const Endpoint& remote) override {
    auto s = coroutine::UdpSocket::open(service_, local);
    if (!s) return fail(s.error());
    if (remote != Endpoint{})
      if (const auto r = s->connect(remote); !r) return fail(r.error());
    return std::unique_ptr<FormDatagrams>(std::make_unique<CoroutineDatagrams>(std::move(*s), patience));
  }

 private:
  std::shared_ptr<Service> service_;
  Executor executor_;
};

}  // namespace

std::unique_ptr<FormCalls> make_coroutine_form(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<CoroutineForm>(std::move(stack));
}

}  // namespace leat::tools
