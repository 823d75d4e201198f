// The form of commands: typed sockets on a channel.

#include <leat/api/channel/tcp.hpp>
#include <leat/api/channel/udp.hpp>
#include <utility>

#include "form.hpp"

namespace leat::tools {

namespace {

class ChannelStream final : public FormStream {
 public:
  ChannelStream(channel::TcpStream&& s, const Patience& patience) : s_(std::move(s)), patience_(patience) {}
  Result<std::size_t> read(MutableByteSpan to) override { return s_.recv(to, patience_.read); }
  Result<void> write(ByteSpan from) override {
    const auto n = s_.send_all(from, patience_.write);
    if (!n) return fail(n.error());
    if (*n < from.size()) return fail(Errc::timed_out);
    return {};
  }
  void finish() override { (void)s_.shutdown_write(); }
  void abort() override { s_.abort(); }
  [[nodiscard]] Endpoint remote() const override { return s_.remote_addr(); }
  [[nodiscard]] Handle handle() const override { return s_.handle(); }

 private:
  channel::TcpStream s_;
  Patience patience_;
};

class ChannelListener final : public FormListener {
 public:
  ChannelListener(channel::TcpListener&& l, const FormCalls& calls) : l_(std::move(l)), patience_(calls.patience) {}
  Result<std::unique_ptr<FormStream>> accept(Duration within) override {
    auto s = l_.accept(within);
    if (!s) return fail(s.error());
    return std::unique_ptr<FormStream>(std::make_unique<ChannelStream>(std::move(*s), patience_));
  }

 private:
  channel::TcpListener l_;
  Patience patience_;
};

class ChannelDatagrams final : public FormDatagrams {
 public:
  ChannelDatagrams(channel::UdpSocket&& s, const Patience& patience) : s_(std::move(s)), patience_(patience) {}
  Result<std::size_t> receive(MutableByteSpan to, Endpoint& from) override {
    const auto got = s_.recv_from(to, patience_.read);
    if (!got) return fail(got.error());
    from = got->message.from;
    return got->count;
  }
  Result<void> send(ByteSpan bytes, const Endpoint& to) override {
    const auto n = s_.send_to(bytes, to, patience_.write);
    if (!n) return fail(n.error());
    return {};
  }

 private:
  channel::UdpSocket s_;
  Patience patience_;
};

class ChannelForm final : public FormCalls {
 public:
  explicit ChannelForm(std::shared_ptr<SharedStack> stack) : channel_(std::move(stack)) {}

  Result<std::unique_ptr<FormListener>> listen(const Endpoint& local) override {
    auto l = channel::TcpListener::listen(channel_, local, kBacklog);
    if (!l) return fail(l.error());
    return std::unique_ptr<FormListener>(std::make_unique<ChannelListener>(std::move(*l), *this));
  }
  Result<std::unique_ptr<FormStream>> connect(const Endpoint& remote, Duration within) override {
    auto s = channel::TcpStream::connect(channel_, remote, within);
    if (!s) return fail(s.error());
    return std::unique_ptr<FormStream>(std::make_unique<ChannelStream>(std::move(*s), patience));
  }
  Result<std::unique_ptr<FormDatagrams>> datagrams(const Endpoint& local, const Endpoint& remote) override {
    auto s = channel::UdpSocket::bind(channel_, local);
    if (!s) return fail(s.error());
    if (remote != Endpoint{}) {  // no word of the channel's own: as the stack calls it
      Op op;
      op.connect(s->handle(), remote);
      channel_.service().run(op);
      if (const auto r = op.done(); !r) return fail(r.error());
    }
    return std::unique_ptr<FormDatagrams>(std::make_unique<ChannelDatagrams>(std::move(*s), patience));
  }

 private:
  channel::Channel channel_;
};

}  // namespace

std::unique_ptr<FormCalls> make_channel_form(std::shared_ptr<SharedStack> stack) {
  return std::make_unique<ChannelForm>(std::move(stack));
}

}  // namespace leat::tools
