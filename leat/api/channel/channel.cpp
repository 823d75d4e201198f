#include <leat/api/channel/channel.hpp>
#include <vector>

namespace leat::channel {
namespace {

// What is received for nobody would be lost.
bool wants_answer(const Command& c) {
  return std::holds_alternative<TcpAccept>(c) || std::holds_alternative<TcpRecv>(c) ||
         std::holds_alternative<UdpRecv>(c) || std::holds_alternative<RawRecv>(c) ||
         std::holds_alternative<RecvMany>(c) || std::holds_alternative<Control>(c);
}

// Which socket a command receives from, and into what.
struct Receiver {
  Handle socket;
  MutableByteSpan to;
};
Receiver receiver_of(const Command& command) {
  if (const auto* const t = std::get_if<TcpRecv>(&command)) return {t->socket, t->to};
  if (const auto* const u = std::get_if<UdpRecv>(&command)) return {u->socket, u->to};
  if (const auto* const r = std::get_if<RawRecv>(&command)) return {r->socket, r->to};
  return {};
}

}  // namespace

// A request without an answer: its own memory, gone when it is done.
struct Channel::Detached {
  Detached(const Channel& c, const Command& command) : service(c.service_), shared(c.shared_), request(owned(command)) {
    request.op.context = this;
    request.op.completed = [](Op& o) { static_cast<Detached*>(o.context)->next(); };
  }
  // The command with what it names of its caller's memory in memory of this.
  Command owned(Command command) {
    std::visit(
        [&](auto& c) {
          if constexpr (requires { c.bytes; }) {
            bytes.assign(c.bytes.begin(), c.bytes.end());
            c.bytes = bytes;
          } else if constexpr (requires { c.prefixes; }) {
            ips.assign(c.prefixes.begin(), c.prefixes.end());
            c.prefixes = ips;
          } else if constexpr (requires { c.datagrams; }) {
            for (const OutDatagram& d : c.datagrams) bytes.insert(bytes.end(), d.bytes.begin(), d.bytes.end());
            datagrams.assign(c.datagrams.begin(), c.datagrams.end());
            ByteSpan rest = bytes;
            for (OutDatagram& d : datagrams) {
              d.bytes = rest.first(d.bytes.size());
              rest = rest.subspan(d.bytes.size());
            }
            c.datagrams = datagrams;
          }
        },
        command);
    return command;
  }
  void next() {
    if (request.advance()) return service->start(request.op);
    // What it opened has nobody who could use it.
    const Handle opened = std::visit(
        [](const auto& r) {
          if constexpr (requires { r.listener; }) {
            return r.listener;
          } else if constexpr (requires { r.socket; }) {
            return r.socket;
          } else {
            return Handle{};
          }
        },
        request.response);
    if (opened && !closing) {
      closing = true;
      request.op.reset();
      request.op.close(opened);
      request.response = Ok{};
      return service->start(request.op);
    }
    if (counted) {
      const std::lock_guard lock(shared->mutex);
      --shared->under_way;
    }
    delete this;
  }

  std::vector<std::uint8_t> bytes;
  std::vector<IpPrefix> ips;
  std::vector<OutDatagram> datagrams;
  std::shared_ptr<Service> service;
  std::shared_ptr<Shared> shared;
  Request request;
  bool counted = false;
  bool closing = false;
};

Channel::Channel(std::shared_ptr<Service> service, Executor* executor, std::size_t capacity)
    : service_(std::move(service)), executor_(executor), shared_(std::make_shared<Shared>(capacity)) {}

Response Channel::run(const Command& command, Instant deadline, bool dont_wait) const {
  if (!*this) return Error::of(Errc::shut_down);
  Request request(command, deadline, dont_wait);
  for (bool more = request.begin(); more; more = request.advance()) service_->run(request.op);
  return request.response;
}

Response Channel::request_blocking(const Command& command, Duration timeout) const {
  return run(command, deadline(timeout), false);
}

Response Channel::try_request(const Command& command) const {
  return run(command, Instant::never(), true);
}

Channel::Awaiter Channel::request(const Command& command, Duration timeout) const {
  return {*this, command, deadline(timeout)};
}

bool Channel::request_nonblocking(const Command& command) const {
  if (!*this || wants_answer(command)) return false;
  const bool closes = std::holds_alternative<Close>(command);
  if (!closes) {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->under_way >= shared_->capacity) return false;
    ++shared_->under_way;
  }
  auto detached = std::make_unique<Detached>(*this, command);
  detached->counted = !closes;
  if (!detached->request.begin()) {  // refused as it stands
    if (!closes) {
      const std::lock_guard lock(shared_->mutex);
      --shared_->under_way;
    }
    return false;
  }
  detached->request.op.flags.some = false;  // nobody is there to send the rest of a TcpSend
  service_->start(detached.release()->request.op);
  return true;
}

bool Channel::Awaiter::await_ready() {
  if (!channel_) {
    steps.response = Error::of(Errc::shut_down);
    return true;
  }
  return !steps.begin();
}

// What it received stays for the next request of the socket; what it opened is closed.
Channel::Awaiter::~Awaiter() {
  if (!withdraw()) return;
  Service& stack = channel_.service();
  steps.finish_withdrawn();
  if (const auto* const bytes = std::get_if<Recv>(&steps.response)) {
    const Receiver who = receiver_of(command_);
    give_back(stack, who.socket, who.to.first(bytes->count), {}, steps.op.value);
  } else if (const auto* const datagram = std::get_if<RecvFrom>(&steps.response)) {
    const Receiver who = receiver_of(command_);
    give_back(stack, who.socket, who.to.first(datagram->count), datagram->message, 0);
  } else if (const auto* const received = std::get_if<ReceivedMany>(&steps.response)) {
    const auto& many = std::get<RecvMany>(command_);
    give_back_many(stack, many.socket, many.into.first(received->datagrams));
  } else if (const auto* const accepted = std::get_if<Accepted>(&steps.response)) {
    if (const auto* const c = std::get_if<TcpAccept>(&command_))
      give_back_connection(stack, c->listener, accepted->socket, accepted->remote);
  }
  if (const Handle opened = steps.opened()) (void)channel_.request_nonblocking(Close{opened});
  // A close counts from when it is asked for; this one may never have been taken from a queue.
  if (const auto* const close = std::get_if<Close>(&command_)) (void)channel_.request_nonblocking(*close);
}

}  // namespace leat::channel
