#pragma once
// Ancillary data of sendmsg() and recvmsg(). Threading: values.

#include <sys/socket.h>

#include <cstring>
#include <leat/op/op.hpp>

namespace leat::posix {

// Appends control messages to a msghdr's buffer as long as they fit; MSG_CTRUNC says that one did not.
class ControlWriter {
 public:
  explicit ControlWriter(msghdr& m) : message_(&m), room_(m.msg_control == nullptr ? 0 : m.msg_controllen) {}
  template <class T>
  void put(int level, int type, const T& value) {
    put_bytes(level, type, &value, sizeof value);
  }
  void put_bytes(int level, int type, const void* data, std::size_t size);
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] bool truncated() const { return truncated_; }

 private:
  msghdr* message_;
  std::size_t room_;
  std::size_t used_ = 0;
  bool truncated_ = false;
};

// The levels that a message is looked at for; what is of the other says nothing to it, as on Linux.
struct ControlLevels {
  bool ip = false;
  bool ipv6 = false;
  bool udp = false;
  bool mapped = false;  // of an AF_INET6 socket to an IPv4 address: IPV6_PKTINFO names a mapped one
};

// What the control messages of a sendmsg() ask for.
struct SendControl {
  SendOverrides overrides;
  std::uint16_t segment = 0;  // UDP_SEGMENT: octets of each datagram that the data is to be cut into
};
// 0, or a negative errno value where one is malformed or unknown.
[[nodiscard]] int read_control(const msghdr& m, ControlLevels levels, SendControl& to);

}  // namespace leat::posix
