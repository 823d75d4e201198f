#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/fork_watch.hpp>
#include <leat/api/posix/owned_buffer.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

int OwnedBuffer::error() const {
  return complete() ? errno_or_zero(op_.error) : 0;
}

void OwnedBuffer::reset() {
  if (service_ == nullptr) return;
  if (under_way()) {
    service_->cancel(op_);
    wait();
  }
  if (lease_.held()) {
    Op op;
    op.verb = Verb::release_lease;
    op.lease = &lease_;
    do service_->run(op);
    while (op.error == Errc::interrupted);
    lease_ = Lease{};
  }
  state_.store(State::idle, std::memory_order_relaxed);
  service_.reset();
}

int Sockets::take_buffer(OwnedBuffer& buffer, std::size_t size) {
  if (fork_generation_ != fork_generation()) return -EBADF;
  buffer.reset();
  if (size == 0 || size > 65536) return -EINVAL;
  Op op;
  op.verb = Verb::take_lease;
  op.lease = &buffer.lease_;
  op.value = static_cast<std::int64_t>(size);
  run_through(op);
  if (op.error == Errc{}) buffer.service_ = service_;
  return negative(op.error);
}

int Sockets::send_owned(int fd, OwnedBuffer& buffer, std::size_t size, const sockaddr* to, socklen_t length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  const bool stream = f.handle.kind() == SocketKind::stream;
  if (stream && f.phase != Phase::connected && f.phase != Phase::connecting) return -ENOTCONN;
  if (size == 0 || size > buffer.data().size()) return -EINVAL;
  GivenAddress address;
  if (!stream) {
    if (to == nullptr && f.phase != Phase::connected) return -EDESTADDRREQ;
    if (to != nullptr) {
      if (const int bad = read_address(to, length, f.has(kV6), AddressUse::send_datagram, address); bad != 0)
        return bad;
    }
    if (const int bad = ensure_bound(f); bad != 0) return bad;
  }
  Op& op = buffer.op_;
  op.completed = nullptr;
  op.reset();
  op.verb = Verb::send_lease;
  op.socket = f.handle;
  op.lease = &buffer.lease_;
  op.value = static_cast<std::int64_t>(size);
  op.has_endpoint = !stream && to != nullptr;
  op.endpoint = address.endpoint;
  op.context = &buffer;
  op.completed = [](Op& o) {
    auto& state = static_cast<OwnedBuffer*>(o.context)->state_;
    state.store(OwnedBuffer::State::complete, std::memory_order_release);
    state.notify_all();
  };
  buffer.state_.store(OwnedBuffer::State::under_way, std::memory_order_relaxed);
  service_->start(op);
  return 0;
}

}  // namespace leat::posix
