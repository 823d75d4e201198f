// Raw sockets, on Linux and on Leat: what comes, whose the checksum is.

#include <netinet/icmp6.h>

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

template <class Backend>
class PosixRaw : public SameProgram<Backend> {};
TYPED_TEST_SUITE(PosixRaw, Backends, BackendNames);

// ICMP_FILTER: a raw socket sees the request that it sent to its own host, and the reply.
TYPED_TEST(PosixRaw, IcmpTypesThatShallNotCome) {
  auto& n = this->net;
  constexpr int kIcmpFilter = 1;
  const int raw = n.socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
  if (raw == -EPERM) GTEST_SKIP() << "raw sockets are root's";
  const int u = this->udp();
  const int other = n.socket(AF_INET, SOCK_RAW, 253);
  EXPECT_EQ(this->set(u, IPPROTO_RAW, kIcmpFilter, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->set(other, IPPROTO_RAW, kIcmpFilter, 1), -EOPNOTSUPP);
  EXPECT_EQ(this->option(other, IPPROTO_RAW, kIcmpFilter), -EOPNOTSUPP);
  EXPECT_EQ(this->set(raw, IPPROTO_RAW, 7, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(raw, IPPROTO_RAW, kIcmpFilter), 0);
  const sockaddr_in to = v4(0);
  const std::array<std::uint8_t, 8> request{8, 0, 0xf7, 0xfd, 0, 1, 0, 1};
  const auto types_that_come = [&] {  // until the reply, which is the last
    EXPECT_EQ(n.sendto(raw, request.data(), request.size(), 0, sa(to), length_of(to)), 8);
    std::vector<int> types;
    std::array<std::uint8_t, 100> got{};
    while (this->wait_for(raw, POLLIN) == POLLIN && n.recv(raw, got.data(), got.size(), 0) == 28) {
      types.push_back(got[20]);
      if (got[20] == 0) break;
    }
    return types;
  };
  EXPECT_EQ(types_that_come(), (std::vector{8, 0}));
  EXPECT_EQ(this->set(raw, IPPROTO_RAW, kIcmpFilter, 1 << 8), 0);
  EXPECT_EQ(this->option(raw, IPPROTO_RAW, kIcmpFilter), 1 << 8);
  EXPECT_EQ(types_that_come(), (std::vector{0}));
  this->close_all({raw, u, other});
}

TYPED_TEST(PosixRaw, Icmpv6TypesThatShallNotCome) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int raw = n.socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMPV6);
  if (raw == -EPERM) GTEST_SKIP() << "raw sockets are root's";
  const int other = n.socket(AF_INET6, SOCK_RAW, 253);
  icmp6_filter filter{};
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
  EXPECT_EQ(n.setsockopt(other, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, length_of(filter)), -EOPNOTSUPP);
  EXPECT_EQ(n.setsockopt(raw, IPPROTO_ICMPV6, 7, &filter, length_of(filter)), -ENOPROTOOPT);
  EXPECT_EQ(n.setsockopt(raw, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, length_of(filter)), 0);
  icmp6_filter told{};
  socklen_t length = length_of(told);
  EXPECT_EQ(n.getsockopt(raw, IPPROTO_ICMPV6, ICMP6_FILTER, &told, &length), 0);
  EXPECT_EQ(std::memcmp(&told, &filter, sizeof told), 0);
  EXPECT_EQ(length, length_of(told));
  const sockaddr_in6 to = v6(0);
  const std::array<std::uint8_t, 8> request{128, 0, 0, 0, 0, 1, 0, 1};
  EXPECT_EQ(n.sendto(raw, request.data(), request.size(), 0, sa(to), length_of(to)), 8);
  EXPECT_EQ(this->wait_for(raw, POLLIN), POLLIN);
  EXPECT_EQ(n.poll(nullptr, 0, 2), 0);
  std::array<std::uint8_t, 100> got{};
  EXPECT_EQ(n.recv(raw, got.data(), got.size(), 0), 8);
  EXPECT_EQ(got[0], 129);
  EXPECT_EQ(n.recv(raw, got.data(), got.size(), 0), -EAGAIN);
  EXPECT_EQ(n.sendto(raw, request.data(), 3, 0, sa(to), length_of(to)), -EINVAL);  // no room for its checksum
  this->close_all({raw, other});
}

TYPED_TEST(PosixRaw, ChecksumOfRawIpv6) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  const int icmp = n.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  if (icmp == -EPERM) GTEST_SKIP() << "raw sockets are root's";
  EXPECT_EQ(this->option(icmp, IPPROTO_IPV6, IPV6_CHECKSUM), 2);
  EXPECT_EQ(this->set(icmp, IPPROTO_IPV6, IPV6_CHECKSUM, 4), -EINVAL);
  const int s = n.socket(AF_INET6, SOCK_RAW, 253);
  const int r = n.socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 253);
  EXPECT_EQ(this->option(s, IPPROTO_IPV6, IPV6_CHECKSUM), -1);
  EXPECT_EQ(this->set(s, IPPROTO_IPV6, IPV6_CHECKSUM, 3), -EINVAL);
  const sockaddr_in6 to = v6(0);
  std::array<char, 8> text{'c', 'h', 'e', 'c', 'k', 's', 'u', 'm'};
  std::array<char, 8> got{};
  const auto send = [&](std::size_t size) { return n.sendto(s, text.data(), size, 0, sa(to), length_of(to)); };
  for (const int at : {4, -1}) {
    EXPECT_EQ(this->set(s, IPPROTO_IPV6, IPV6_CHECKSUM, at), 0);
    EXPECT_EQ(this->option(s, IPPROTO_IPV6, IPV6_CHECKSUM), at);
    EXPECT_EQ(this->set(r, IPPROTO_RAW, IPV6_CHECKSUM, 2), 0);  // wherever it stands
    EXPECT_EQ(send(8), 8);
    EXPECT_EQ(n.poll(nullptr, 0, 2), 0);
    if (at == 4) {
      EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
    }
    EXPECT_EQ(n.recv(r, got.data(), got.size(), 0), at == 4 ? 8 : -EAGAIN);
    EXPECT_EQ(send(5), at == 4 ? -EINVAL : 5);
    EXPECT_EQ(n.poll(nullptr, 0, 2), 0);
    EXPECT_EQ(n.recv(r, got.data(), got.size(), 0), -EAGAIN);
  }
  EXPECT_EQ(std::string(got.data(), 4) + std::string(&got[6], 2), "checum");
  EXPECT_NE(std::string(&got[4], 2), "ks");
  this->close_all({icmp, s, r});
}

// IPV6_HDRINCL
TYPED_TEST(PosixRaw, Ipv6HeaderOfTheCallers) {
  if (!this->has_v6()) GTEST_SKIP() << "no IPv6 here";
  auto& n = this->net;
  constexpr int kIpv6HdrIncl = 36;
  const int s = n.socket(AF_INET6, SOCK_RAW, 253);
  if (s == -EPERM) GTEST_SKIP() << "raw sockets are root's";
  const int r = n.socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 253);
  EXPECT_EQ(this->option(s, IPPROTO_IPV6, kIpv6HdrIncl), 0);
  EXPECT_EQ(this->set(s, IPPROTO_IPV6, kIpv6HdrIncl, 1), 0);
  EXPECT_EQ(this->option(s, IPPROTO_IPV6, kIpv6HdrIncl), 1);
  std::array<std::uint8_t, 44> packet{0x60, 0, 0, 0, 0, 4, 253, 9};
  packet[23] = packet[39] = 1;  // from ::1 to ::1
  std::memcpy(&packet[40], "mine", 4);
  const sockaddr_in6 to = v6(0);
  EXPECT_EQ(n.sendto(s, packet.data(), 39, 0, sa(to), length_of(to)), -EINVAL);
  EXPECT_EQ(n.sendto(s, packet.data(), packet.size(), 0, sa(to), length_of(to)), 44);
  EXPECT_EQ(this->wait_for(r, POLLIN), POLLIN);
  std::array<char, 8> got{};
  EXPECT_EQ(n.recv(r, got.data(), got.size(), 0), 4);
  EXPECT_EQ(std::string(got.data(), 4), "mine");
  const int all = n.socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
  EXPECT_EQ(this->option(all, IPPROTO_IPV6, kIpv6HdrIncl), 1);
  this->close_all({s, r, all});
}

}  // namespace
}  // namespace leat::test
