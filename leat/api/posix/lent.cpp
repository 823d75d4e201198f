#include <cerrno>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/errors.hpp>
#include <leat/api/posix/lent.hpp>
#include <leat/api/posix/sockets.hpp>

namespace leat::posix {

void Lent::release() {
  if (!lease_.held() || service_ == nullptr) return;
  Op op;
  op.verb = Verb::release_lease;
  op.lease = &lease_;
  do service_->run(op);
  while (op.error == Errc::interrupted);
  lease_ = Lease{};  // a stack that has ended took everything with it
  service_.reset();
}

ssize_t Sockets::receive_lent(int fd, Lent& to, int flags, sockaddr* from, socklen_t* length) {
  File f;
  if (const int bad = find_socket(fd, f); bad != 0) return bad;
  if ((flags & ~MSG_DONTWAIT) != 0) return -EINVAL;
  if (from != nullptr && length == nullptr) return -EFAULT;
  to.release();
  Message message;
  Op op;
  op.verb = Verb::receive_lease;
  op.socket = f.handle;
  op.lease = &to.lease_;
  op.message = &message;
  const bool wait = waits(f, flags);
  op.flags.dont_wait = !wait;
  if (wait) op.deadline = deadline_after(f.open->receive_timeout_ns.load(std::memory_order_relaxed));
  run_waiting(op);
  if (op.error != Errc{}) return op.error == Errc::not_supported ? -ENOTCONN : failed(fd, f, op);
  if (op.status == IoStatus::would_block) return -EAGAIN;
  if (to.lease_.held()) to.service_ = service_;
  if (from != nullptr) {
    if (f.handle.kind() == SocketKind::stream) {
      *length = 0;
    } else {
      write_address(message.from, f.has(kV6), from, length, message.interface);
    }
  }
  return static_cast<ssize_t>(op.count);
}

}  // namespace leat::posix
