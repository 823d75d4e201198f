#pragma once
// Socket addresses in tests, from text.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

namespace leat::test {

inline sockaddr_in v4(std::uint16_t port, const char* address = "127.0.0.1") {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, address, &a.sin_addr);
  return a;
}
inline sockaddr_in6 v6(std::uint16_t port, const char* address = "::1") {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  a.sin6_port = htons(port);
  inet_pton(AF_INET6, address, &a.sin6_addr);
  return a;
}
template <class A>
const sockaddr* sa(const A& a) {
  return static_cast<const sockaddr*>(static_cast<const void*>(&a));
}
template <class A>
constexpr socklen_t length_of(const A&) {
  return sizeof(A);
}
template <class A>
sockaddr* sa(A& a) {
  return static_cast<sockaddr*>(static_cast<void*>(&a));
}

}  // namespace leat::test
