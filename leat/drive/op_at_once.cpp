// Verbs that never wait.

#include <leat/core/tcp/info.hpp>
#include <leat/drive/op_engine.hpp>

namespace leat {

OpEngine::Try OpEngine::run_at_once(Op& op) {
  Stack& s = *stack_;
  switch (op.verb) {
    case Verb::none:
      return end(op, Errc{});
    case Verb::open: {
      const auto h = op.kind == SocketKind::udp    ? s.open_udp(op.owner)
                     : op.kind == SocketKind::icmp ? s.open_icmp(op.owner)
                     : op.kind == SocketKind::raw  ? s.open_raw(op.version, op.protocol, op.owner)
                                                   : s.open_stream(op.owner);
      if (h) op.handle = *h;
      return end(op, h ? Errc{} : h.error());
    }
    case Verb::bind:
      return end(op, s.bind(op.socket, op.endpoint, op.flags.alone ? BindHow::alone : BindHow::beside_connections));
    case Verb::listen:
      return end(op, s.listen(op.socket, op.backlog, op.flags.alone ? BindHow::alone : BindHow::beside_connections));
    case Verb::shutdown:
      return end(op, s.shutdown(op.socket, op.how));
    case Verb::abort:
      end_waiters(op.socket, Errc::bad_handle);
      return end(op, s.abort(op.socket));
    case Verb::local_endpoint:
      return give_endpoint(op, s.local_endpoint(op.socket));
    case Verb::remote_endpoint:
      return give_endpoint(op, s.remote_endpoint(op.socket));
    case Verb::set_option:
      return end(op, s.set_option(op.socket, op.option, op.value));
    case Verb::get_option: {
      const auto v = s.option(op.socket, op.option);
      if (v) op.value = *v;
      return end(op, v ? Errc{} : v.error());
    }
    case Verb::take_error:
      if (s.core().sockets.find(op.socket) == kNoIndex) return end(op, Errc::bad_handle);
      op.value = static_cast<std::int64_t>(s.take_error(op.socket).value_or(Errc{}));
      return end(op, Errc{});
    case Verb::give_error: {
      const Index i = s.core().sockets.find(op.socket);
      if (i == kNoIndex) return end(op, Errc::bad_handle);
      s.core().sockets[i].error = static_cast<Errc>(op.value);
      s.core().sockets.notify(i, Ready::error);
      return end(op, Errc{});
    }
    case Verb::tcp_info: {
      const Index i = s.core().sockets.find(op.socket);
      if (i == kNoIndex) return end(op, Errc::bad_handle);
      if (s.core().sockets[i].role == SocketKind::listener) {
        *op.info = {};
        op.info->state = tcp::TcpState::listen;
        return end(op, Errc{});
      }
      if (s.core().sockets[i].role != SocketKind::stream) return end(op, Errc::not_supported);
      *op.info = tcp::info(s.core(), i);
      return end(op, Errc{});
    }
    case Verb::readiness:
      if (s.core().sockets.find(op.socket) == kNoIndex) return end(op, Errc::bad_handle);
      op.ready = s.readiness(op.socket);
      return end(op, Errc{});
    case Verb::add_member:
    case Verb::change_member:
    case Verb::remove_member:
    case Verb::wake_set:
    case Verb::close_set:
      return attempt_set_call(op);
    case Verb::release_lease:
      return end(op, release_lease(*op.lease));
    case Verb::take_lease:
      return end(op, take_lease(*op.lease, op.value));
    case Verb::group:
      return end(op, group_call(*op.group, op.socket));
    case Verb::set_raw:
      return end(op, s.set_raw(op.socket, *op.raw));
    case Verb::get_raw: {
      const auto settings = s.raw(op.socket);
      if (settings) *op.raw = *settings;
      return end(op, settings ? Errc{} : settings.error());
    }
    case Verb::control:
      return end(op, control(s, *op.request));
    default:
      return end(op, Errc::not_supported);
  }
}

Result<void> OpEngine::group_call(GroupCall& call, Handle socket) {
  switch (call.verb) {
    case GroupVerb::join:
      return stack_->join_group(socket, call.request);
    case GroupVerb::leave:
      return stack_->leave_group(socket, call.request);
    case GroupVerb::block_source:
      return stack_->block_source(socket, call.request);
    case GroupVerb::unblock_source:
      return stack_->unblock_source(socket, call.request);
    case GroupVerb::set_filter:
      return stack_->set_source_filter(socket, call.request, call.mode, call.sources.first(call.count));
    case GroupVerb::get_filter: {
      const auto n = stack_->source_filter(socket, call.request, call.mode, call.sources);
      if (!n) return fail(n.error());
      call.count = *n;
      return {};
    }
  }
  return fail(Errc::invalid_argument);
}

OpEngine::Try OpEngine::give_endpoint(Op& op, const Result<Endpoint>& r) {
  if (r) op.endpoint = *r;
  return end(op, r ? Errc{} : r.error());
}

}  // namespace leat
