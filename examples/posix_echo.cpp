// BSD sockets over Leat: an echo server in a thread, a client in another, each on a stack of its own; the stacks are
// joined by a wire in memory. Only `net.` in front of the calls differs from a program for the kernel.
#include <netinet/in.h>

#include <array>
#include <cstdio>
#include <leat/api/posix/address.hpp>
#include <leat/api/posix/sockets.hpp>
#include <string_view>
#include <thread>

#include "joined_stacks.hpp"

namespace {

sockaddr* any(sockaddr_storage& a) {
  return static_cast<sockaddr*>(static_cast<void*>(&a));
}

void serve(leat::posix::Sockets& net, int listener) {
  const int fd = net.accept(listener, nullptr, nullptr);
  std::array<char, 1024> data{};
  for (ssize_t n = 0; (n = net.recv(fd, data.data(), data.size(), 0)) > 0;)
    net.send(fd, data.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL);
  net.close(fd);
}

}  // namespace

int main() {
  const JoinedStacks stacks;
  leat::posix::Sockets server(stacks.server()), client(stacks.client());

  const int listener = server.socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage here{};
  const socklen_t length =
      leat::posix::write_address({leat::IpAddress::any(leat::IpVersion::v4), leat::Port{7}}, false, here);
  if (server.bind(listener, any(here), length) < 0 || server.listen(listener, 8) < 0) return 1;
  std::thread thread([&] { serve(server, listener); });

  const int fd = client.socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage there{};
  leat::posix::write_address({JoinedStacks::address(1), leat::Port{7}}, false, there);
  int status = client.connect(fd, any(there), length) == 0 ? 0 : 1;
  constexpr std::string_view kText = "hello by BSD sockets";
  client.send(fd, kText.data(), kText.size(), 0);
  std::array<char, 100> back{};
  const ssize_t n = client.recv(fd, back.data(), kText.size(), MSG_WAITALL);
  if (n != static_cast<ssize_t>(kText.size())) status = 1;
  std::printf("came back: %.*s\n", static_cast<int>(n), back.data());
  client.close(fd);
  thread.join();
  return status;
}
