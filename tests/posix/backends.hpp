#pragma once
// The POSIX calls over two networks: the kernel's, on its loopback interface, and a Leat stack under a virtual clock,
// on its own. Both answer zero or more, or minus an errno value, so that one program can be run on both.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <leat/api/posix/calls.hpp>

#include "tests/support/virtual_service.hpp"

namespace leat::test {

// The functions of calls.hpp, with no stack in use: the kernel's.
class LinuxBackend {
 public:
  static constexpr const char* kName = "Linux";
  static constexpr bool kIsLeat = false;

#define LEAT_CALL(name)                     \
  template <class... Args>                  \
  auto name(Args... args) {                 \
    const auto r = posix::name(args...);    \
    return r < 0 ? decltype(r)(-errno) : r; \
  }
  LEAT_CALL(socket)
  LEAT_CALL(bind)
  LEAT_CALL(listen)
  LEAT_CALL(accept)
  LEAT_CALL(accept4)
  LEAT_CALL(connect)
  LEAT_CALL(getsockname)
  LEAT_CALL(getpeername)
  LEAT_CALL(shutdown)
  LEAT_CALL(close)
  LEAT_CALL(dup)
  LEAT_CALL(dup2)
  LEAT_CALL(dup3)
  LEAT_CALL(fcntl)
  LEAT_CALL(ioctl)
  LEAT_CALL(send)
  LEAT_CALL(sendto)
  LEAT_CALL(sendmsg)
  LEAT_CALL(sendmmsg)
  LEAT_CALL(recv)
  LEAT_CALL(recvfrom)
  LEAT_CALL(recvmsg)
  LEAT_CALL(recvmmsg)
  LEAT_CALL(read)
  LEAT_CALL(write)
  LEAT_CALL(readv)
  LEAT_CALL(writev)
  LEAT_CALL(getsockopt)
  LEAT_CALL(setsockopt)
  LEAT_CALL(poll)
  LEAT_CALL(ppoll)
  LEAT_CALL(select)
  LEAT_CALL(pselect)
  LEAT_CALL(epoll_create)
  LEAT_CALL(epoll_create1)
  LEAT_CALL(epoll_ctl)
  LEAT_CALL(epoll_wait)
  LEAT_CALL(epoll_pwait)
  LEAT_CALL(epoll_pwait2)
#undef LEAT_CALL
};

class LeatBackend : public posix::Sockets {
 public:
  static constexpr const char* kName = "Leat";
  static constexpr bool kIsLeat = true;
  explicit LeatBackend(std::shared_ptr<VirtualWorld> world = std::make_shared<VirtualWorld>(), std::size_t host = 0)
      : posix::Sockets(service_in(std::move(world), host)) {}

 private:
  // A service that keeps its world.
  static std::shared_ptr<Service> service_in(std::shared_ptr<VirtualWorld> world, std::size_t host) {
    Service& service = world->service(host);
    return {std::move(world), &service};
  }
};

}  // namespace leat::test
