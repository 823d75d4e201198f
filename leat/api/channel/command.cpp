#include <leat/api/channel/command.hpp>

namespace leat::channel {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

// The longest payloads: 65,535 less the headers that the total length counts (RFC 768, RFC 791 3.1, RFC 8200 3).
constexpr std::size_t kMaxUdp4 = 65535 - 20 - 8;
constexpr std::size_t kMaxUdp6 = 65535 - 8;
constexpr std::size_t kMaxRaw4 = 65535 - 20;
constexpr std::size_t kMaxRaw6 = 65535;

BadRequest reachable(const Endpoint& e) {
  return e.address.is_unspecified() || e.port == Port{} ? BadRequest::unaddressable : BadRequest::none;
}

// An empty datagram is a datagram.
BadRequest sendable(std::size_t bytes, const Endpoint& to, bool raw) {
  const bool v4 = to.address.is_v4();
  const std::size_t most = raw ? (v4 ? kMaxRaw4 : kMaxRaw6) : (v4 ? kMaxUdp4 : kMaxUdp6);
  if (bytes > most) return BadRequest::big_packet;
  if (raw) return to.address.is_unspecified() ? BadRequest::unaddressable : BadRequest::none;
  return reachable(to);
}

}  // namespace

BadRequest check(const Command& command) {
  const auto receiver = [](MutableByteSpan to) { return to.empty() ? BadRequest::zero_size_buffer : BadRequest::none; };
  return std::visit(
      Overload{
          [](const TcpConnect& c) {
            const BadRequest bad = reachable(c.remote);
            const bool any = c.local.address.is_unspecified();
            if (bad == BadRequest::none && !any && c.local.address.is_v4() != c.remote.address.is_v4())
              return BadRequest::wrong_ip_version;
            return bad;
          },
          [](const TcpSend& c) { return c.bytes.empty() ? BadRequest::zero_size_buffer : BadRequest::none; },
          [&](const TcpRecv& c) { return receiver(c.to); },
          [&](const UdpRecv& c) { return receiver(c.to); },
          [&](const RawRecv& c) { return receiver(c.to); },
          [](const UdpSend& c) { return sendable(c.bytes.size(), c.to, false); },
          [](const RawSend& c) {
            return sendable(c.bytes.size(), {c.to, Port{}}, true);
          },
          [](const SendMany& c) {
            for (const OutDatagram& d : c.datagrams)
              if (const BadRequest bad = sendable(d.bytes.size(), d.to, c.socket.kind() == SocketKind::raw);
                  bad != BadRequest::none)
                return bad;
            return BadRequest::none;
          },
          [&](const RecvMany& c) {
            for (const InDatagram& d : c.into)
              if (d.to.empty()) return BadRequest::zero_size_buffer;
            return c.into.empty() ? BadRequest::zero_size_buffer : BadRequest::none;
          },
          [](const auto&) { return BadRequest::none; },
      },
      command);
}

bool Request::begin() {
  if (const BadRequest bad = check(command_); bad != BadRequest::none) return answer(Error::of(bad));
  const bool opens = std::holds_alternative<TcpListen>(command_) || std::holds_alternative<TcpConnect>(command_) ||
                     std::holds_alternative<UdpBind>(command_) || std::holds_alternative<RawOpen>(command_);
  return run_step(opens ? Step::open : Step::only);
}

bool Request::run_step(Step step) {
  op.reset();
  op.deadline = deadline_;
  op.flags.dont_wait = dont_wait_;
  step_ = step;
  switch (step) {
    case Step::open:
      if (const auto* raw = std::get_if<RawOpen>(&command_)) {
        op.open(SocketKind::raw, raw->version, raw->protocol);
      } else {
        op.open(std::holds_alternative<UdpBind>(command_) ? SocketKind::udp : SocketKind::stream);
      }
      return true;
    case Step::bind:
      if (const auto* udp = std::get_if<UdpBind>(&command_)) {
        op.bind(opened_, udp->local);
      } else if (const auto* listen = std::get_if<TcpListen>(&command_)) {
        op.bind(opened_, listen->local);
      } else {
        op.bind(opened_, std::get<TcpConnect>(command_).local);
      }
      return true;
    case Step::listen:
      op.listen(opened_, std::get<TcpListen>(command_).backlog);
      return true;
    case Step::connect:
      op.connect(opened_, std::get<TcpConnect>(command_).remote);
      return true;
    case Step::local:
      op.verb = Verb::local_endpoint;
      op.socket = opened_;
      return true;
    case Step::only:
      prepare_only();
      return true;
    case Step::clean_up:
      op.deadline = Instant::never();
      op.abort(opened_);
      return true;
  }
  return false;
}

void Request::prepare_only() {
  std::visit(Overload{
                 [&](const SetIps& c) {
                   control_.verb = ControlVerb::set_addresses;
                   control_.interface = c.interface;
                   control_.prefixes = c.prefixes;
                   op.control(control_);
                 },
                 [&](const Control& c) { op.control(*c.request); },
                 [&](const TcpAccept& c) { op.accept(c.listener); },
                 [&](const TcpSend& c) {
                   op.send(c.socket, c.bytes);
                   op.flags.some = true;
                 },
                 [&](const TcpRecv& c) { op.receive(c.socket, c.to); },
                 [&](const TcpShutdown& c) { op.shutdown(c.socket, c.how); },
                 [&](const TcpFinish& c) { op.finish(c.socket); },
                 [&](const UdpSend& c) { op.send_to(c.socket, c.bytes, c.to); },
                 [&](const UdpRecv& c) { op.receive_from(c.socket, c.to, message_); },
                 [&](const RawSend& c) {
                   op.send_to(c.socket, c.bytes, {c.to, Port{}});
                 },
                 [&](const RawRecv& c) { op.receive_from(c.socket, c.to, message_); },
                 [&](const SendMany& c) { op.send_many(c.socket, c.datagrams); },
                 [&](const RecvMany& c) { op.receive_many(c.socket, c.into); },
                 [&](const Close& c) { op.close(c.socket); },
                 [](const auto&) {},
             },
             command_);
}

bool Request::fail_with(Errc error) {
  response = error == Error::kFullCode && dont_wait_ ? Error::full() : Error::of(error);
  finished_ = !opened_ || error == Errc::shut_down;
  return finished_ ? false : run_step(Step::clean_up);
}

void Request::finish_withdrawn() {
  if (finished_) return;
  finished_ = true;
  if (op.error != Errc{}) {
    response = Error::of(op.error);
  } else if (step_ == Step::only) {
    (void)answer_only();
  } else if (step_ == Step::open) {
    opened_ = op.handle;
  }
}

bool Request::advance() {
  if (step_ == Step::clean_up) {  // the response is there already
    finished_ = true;
    return false;
  }
  in_progress_ = in_progress_ || (step_ == Step::connect && dont_wait_ && op.error == Errc::in_progress);
  if (op.error != Errc{} && !(step_ == Step::connect && in_progress_)) return fail_with(op.error);
  return after(step_);
}

bool Request::after(Step step) {
  switch (step) {
    case Step::open:
      opened_ = op.handle;
      if (std::holds_alternative<RawOpen>(command_)) return answer(Opened{opened_});
      if (const auto* connect = std::get_if<TcpConnect>(&command_); connect != nullptr && connect->local == Endpoint{})
        return run_step(Step::connect);
      return run_step(Step::bind);
    case Step::bind:
      if (std::holds_alternative<UdpBind>(command_)) return run_step(Step::local);
      return run_step(std::holds_alternative<TcpListen>(command_) ? Step::listen : Step::connect);
    case Step::listen:
    case Step::connect:
      return run_step(Step::local);
    case Step::local:
      if (std::holds_alternative<UdpBind>(command_)) return answer(Bound{opened_, op.endpoint});
      if (std::holds_alternative<TcpListen>(command_)) return answer(Listening{opened_, op.endpoint});
      return answer(Connected{opened_, op.endpoint, std::get<TcpConnect>(command_).remote, in_progress_});
    case Step::only:
      return answer_only();
    case Step::clean_up:
      break;
  }
  return false;
}

bool Request::answer_only() {
  const bool moved = op.count > 0;
  const bool blocked = !moved && op.status == IoStatus::would_block;
  return std::visit(
      Overload{
          [&](const TcpAccept&) {
            return op.handle ? answer(Accepted{op.handle, op.endpoint}) : answer(WouldBlock{});
          },
          [&](const TcpSend&) { return moved ? answer(Sent{op.count}) : answer(WouldBlock{}); },
          [&](const TcpRecv&) {
            if (moved) return answer(Recv{op.count});
            return blocked ? answer(WouldBlock{}) : answer(Finished{});
          },
          [&](const UdpSend&) { return blocked ? answer(WouldBlock{}) : answer(Sent{op.count}); },
          [&](const RawSend&) { return blocked ? answer(WouldBlock{}) : answer(Sent{op.count}); },
          [&](const UdpRecv&) {
            return blocked ? answer(WouldBlock{}) : answer(RecvFrom{op.count, message_});
          },
          [&](const RawRecv&) {
            return blocked ? answer(WouldBlock{}) : answer(RecvFrom{op.count, message_});
          },
          [&](const SendMany&) { return blocked ? answer(WouldBlock{}) : answer(SentMany{op.count}); },
          [&](const RecvMany&) { return blocked ? answer(WouldBlock{}) : answer(ReceivedMany{op.count}); },
          [&](const auto&) { return answer(Ok{}); },
      },
      command_);
}

}  // namespace leat::channel
