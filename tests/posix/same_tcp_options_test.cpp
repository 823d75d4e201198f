// Options of streams, and what TCP tells of them, on Linux and on Leat.

#include "tests/posix/same_program.hpp"

namespace leat::test {
namespace {

TYPED_TEST_SUITE(PosixOptions, Backends, BackendNames);

TYPED_TEST(PosixOptions, TcpLevel) {
  auto& n = this->net;
  const auto p = this->connected();
  const int s = p.client;
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_NODELAY, 5), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_CORK, 1), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_CORK), 1);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_CORK, 0), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 30), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPIDLE, 40000), -EINVAL);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPINTVL), 75);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPINTVL, 10), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPCNT), 9);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_SYNCNT), 6);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_SYNCNT, 0), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), 0);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1), -EINVAL);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, TCP_MAXSEG, 10), -EINVAL);
  EXPECT_GT(this->option(s, IPPROTO_TCP, TCP_MAXSEG), 536);
  EXPECT_EQ(this->set(s, IPPROTO_TCP, 250, 1), -ENOPROTOOPT);
  EXPECT_EQ(this->option(s, IPPROTO_TCP, 250), -ENOPROTOOPT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), -ENOENT);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
  char name[16] = {};
  socklen_t len = length_of(name);
  EXPECT_EQ(n.getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
  EXPECT_STREQ(name, "reno");
  EXPECT_EQ(len, 16U);
  const int fresh = this->tcp();
  EXPECT_EQ(this->option(fresh, IPPROTO_TCP, TCP_MAXSEG), 536);
  EXPECT_EQ(n.setsockopt(s, IPPROTO_TCP, TCP_ULP, "nonsense", 8), -ENOENT);
  this->close_all({fresh, p.client, p.server, p.listener});
}

TYPED_TEST(PosixOptions, TcpInfo) {
  auto& n = this->net;
  const auto p = this->connected();
  std::string data(3000, 'x');
  EXPECT_EQ(n.send(p.client, data.data(), data.size(), 0), 3000);
  EXPECT_EQ(n.recv(p.server, data.data(), data.size(), MSG_WAITALL), 3000);
  tcp_info info{};
  socklen_t len = length_of(info);
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(len, length_of(info));
  EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
  EXPECT_EQ(info.tcpi_ca_state, TCP_CA_Open);
  EXPECT_EQ(info.tcpi_retransmits, 0);
  EXPECT_EQ(info.tcpi_backoff, 0);
  EXPECT_EQ(info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
            TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
  EXPECT_GT(info.tcpi_snd_wscale, 0);
  EXPECT_GT(info.tcpi_rcv_wscale, 0);
  EXPECT_GE(info.tcpi_snd_cwnd, 2U);
  EXPECT_EQ(info.tcpi_unacked, 0U);
  EXPECT_EQ(info.tcpi_lost, 0U);
  EXPECT_EQ(info.tcpi_total_retrans, 0U);
  EXPECT_GT(info.tcpi_snd_mss, 536U);
  EXPECT_GT(info.tcpi_advmss, 536U);
  EXPECT_GT(info.tcpi_pmtu, 1000U);
  EXPECT_GE(info.tcpi_rto, 200'000U);
  EXPECT_EQ(info.tcpi_snd_ssthresh, 0x7fffffffU);
  len = 8;  // a part of it
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(len, 8U);
  // What the C library's structure lacks, by its offset: tcpi_bytes_received at 128, tcpi_bytes_acked at 120.
  std::array<std::uint8_t, 512> raw{};
  len = length_of(raw);
  const auto at = [&](std::size_t offset) {
    std::uint64_t v = 0;
    std::memcpy(&v, &raw[offset], 8);
    return v;
  };
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, raw.data(), &len), 0);
  EXPECT_EQ(at(128), 3000U);
  EXPECT_GE(len, 232U);
  EXPECT_EQ(at(192) & 0xffffffffU, 1U) << "tcpi_delivered: its SYN";
  EXPECT_EQ(at(168), 0U) << "tcpi_busy_time: it has sent nothing";
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLRDHUP), POLLRDHUP);
  EXPECT_EQ(n.getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &(len = length_of(info))), 0);
  EXPECT_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
  EXPECT_EQ(n.getsockopt(p.listener, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
  EXPECT_EQ(info.tcpi_state, TCP_LISTEN);
  this->close_all({p.client, p.server, p.listener});
}

// SO_RCVLOWAT: what is less is not readable and does not end a read that waits.
TYPED_TEST(PosixOptions, LowWaterMark) {
  auto& n = this->net;
  const auto p = this->connected();
  char b[64] = {};
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 10), 0);
  EXPECT_EQ(this->option(p.server, SOL_SOCKET, SO_RCVLOWAT), 10);
  EXPECT_EQ(n.send(p.client, "12345", 5, 0), 5);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 30), 0);
  EXPECT_EQ(n.recv(p.server, b, 3, MSG_PEEK), 3);  // all that it asks for
  EXPECT_EQ(n.send(p.client, "67890", 5, 0), 5);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(p.server, b, 64, 0), 10);
  EXPECT_EQ(n.send(p.client, "12345", 5, 0), 5);
  const timeval t{0, 30'000};
  EXPECT_EQ(n.setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, length_of(t)), 0);
  EXPECT_EQ(n.recv(p.server, b, 64, MSG_PEEK), 5);  // what there is when the time is over
  EXPECT_EQ(n.recv(p.server, b, 64, MSG_DONTWAIT), 5);
  EXPECT_EQ(n.send(p.client, "123", 3, 0), 3);
  EXPECT_EQ(this->wait_for(p.server, POLLIN, 30), 0);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 3), 0);
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 100), 0);
  EXPECT_EQ(n.shutdown(p.client, SHUT_WR), 0);  // the end is news however little came before
  EXPECT_EQ(this->wait_for(p.server, POLLIN), POLLIN);
  EXPECT_EQ(n.recv(p.server, b, 64, 0), 3);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVBUF, 20000), 0);
  EXPECT_EQ(this->set(p.server, SOL_SOCKET, SO_RCVLOWAT, 30000), 0);
  EXPECT_EQ(this->option(p.server, SOL_SOCKET, SO_RCVLOWAT), 20000);  // half of the buffer, which counts double
  const int u = this->udp();                                          // of datagrams each is enough
  const sockaddr_in own = v4(this->bind_any(u));
  EXPECT_EQ(this->set(u, SOL_SOCKET, SO_RCVLOWAT, 10), 0);
  EXPECT_EQ(n.sendto(u, "x", 1, 0, sa(own), length_of(own)), 1);
  EXPECT_EQ(this->wait_for(u, POLLIN), POLLIN);
  this->close_all({u, p.client, p.server, p.listener});
}

TYPED_TEST(PosixOptions, QuickAckWearsOff) {
  auto& n = this->net;
  const auto p = this->connected();
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 0), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 0);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  char b = 0;
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(n.send(p.client, "?", 1, 0), 1);
    EXPECT_EQ(n.recv(p.server, &b, 1, 0), 1);
    EXPECT_EQ(n.send(p.server, "!", 1, 0), 1);
    EXPECT_EQ(n.recv(p.client, &b, 1, 0), 1);
  }
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 0);
  EXPECT_EQ(this->set(p.server, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
  EXPECT_EQ(this->option(p.server, IPPROTO_TCP, TCP_QUICKACK), 1);
  this->close_all({p.client, p.server, p.listener});
}

}  // namespace
}  // namespace leat::test
