#pragma once
// The packetdrill plug-in, driven as packetdrill drives it: packets in and out as bare IP, a clock that is the stack's,
// and blocking calls on a second thread.

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <tools/packetdrill/interface.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <tests/support/packet_builder.hpp>
#include <thread>

namespace leat::test {

using wire::TcpFlag;
using Init = void (*)(const char*, packetdrill_interface*);

// The plug-in as packetdrill finds it: all symbols at once, kept to itself.
inline Init find_init() {
#ifdef LEAT_PACKETDRILL_SO
  void* const library = ::dlopen(LEAT_PACKETDRILL_SO, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  void* const found = ::dlsym(library, "packetdrill_interface_init");
  Init init = nullptr;
  std::memcpy(&init, &found, sizeof init);
  return init;
#else
  return &packetdrill_interface_init;
#endif
}

struct Seen {
  Bytes packet;
  long long time_us = 0;
  Decoded ip;
  wire::TcpHeader tcp;
};

// Whether the thread comes to sleep: how the tool knows that a call blocks.
inline bool sleeps(pid_t thread) {
  for (int looks = 0; looks < 1'000'000; ++looks) {
    std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(stat, text);
    if (text.find(") S ") != std::string::npos) return true;
    std::this_thread::yield();
  }
  return false;
}

class Packetdrill : public ::testing::Test {
 protected:
  void SetUp() override { open("local=192.168.0.8,remote=192.0.2.1,mtu=1500,seed=3"); }
  void TearDown() override { close(); }
  void open(const char* flags) {
    const Init init = find_init();
    ASSERT_NE(init, nullptr);
    init(flags, &i);
    u = i.userdata;
  }
  void close() {
    if (u != nullptr) i.free(u);
    u = nullptr;
  }
  void inject(const Tcp& t, const Bytes& data = {}) {
    const Bytes p = tcp_packet({.source = ip("192.0.2.1"), .destination = ip("192.168.0.8")}, t, data);
    ASSERT_EQ(i.netdev_send(u, p.data(), p.size()), 0);
  }
  void inject_udp(unsigned from, unsigned to, const Bytes& data) {
    const Bytes p = udp_packet({.source = ip("192.0.2.1"), .destination = ip("192.168.0.8")}, from, to, data);
    ASSERT_EQ(i.netdev_send(u, p.data(), p.size()), 0);
  }
  // The next packet; nothing: none will ever come.
  std::optional<Seen> receive() {
    Seen s;
    s.packet.resize(65536);
    std::size_t n = s.packet.size();
    EXPECT_EQ(i.netdev_receive(u, s.packet.data(), &n, &s.time_us), 0);
    if (n == 0) return std::nullopt;
    s.packet.resize(n);
    s.ip = decode_ip(s.packet);
    EXPECT_TRUE(s.ip.checksums_ok);
    if (const auto tcp = wire::TcpView::parse(s.ip.l4); tcp && s.ip.protocol == 6) s.tcp = tcp->header();
    return s;
  }
  long long now() {
    timeval t{};
    EXPECT_EQ(i.gettimeofday(u, &t, nullptr), 0);
    return t.tv_sec * 1'000'000LL + t.tv_usec;
  }
  // Port 8080 unless another is named.
  int listen(std::uint16_t port = 8080) {
    const int fd = i.socket(u, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    EXPECT_EQ(i.bind(u, fd, static_cast<sockaddr*>(static_cast<void*>(&a)), sizeof a), 0);
    EXPECT_EQ(i.listen(u, fd, 1), 0);
    return fd;
  }
  // A connection from the peer; its sequence numbers begin at 1001, ours at `ours`.
  int accept(int listener, const Bytes& options = {}) {
    inject({.from = 5000, .to = 8080, .seq = 1000, .flags = TcpFlag::syn, .options = options});
    const auto syn_ack = receive();
    EXPECT_TRUE(syn_ack && syn_ack->tcp.flags.all(TcpFlag::syn | wire::TcpFlags(TcpFlag::ack)));
    ours = syn_ack->tcp.seq.value() + 1;
    inject({.from = 5000, .to = 8080, .seq = 1001, .ack = ours, .flags = TcpFlag::ack});
    return i.accept(u, listener, nullptr, nullptr);
  }

  // Data of the peer's; `seq` counts from its first octet.
  void inject_data(std::uint32_t seq, std::string_view text) {
    inject({.from = 5000,
            .to = 8080,
            .seq = 1001 + seq,
            .ack = ours,
            .flags = TcpFlag::ack | wire::TcpFlags(TcpFlag::psh)},
           bytes_of(text));
  }
  static const sockaddr* sa(const sockaddr_in& a) { return static_cast<const sockaddr*>(static_cast<const void*>(&a)); }
  static sockaddr* sa(sockaddr_in& a) { return static_cast<sockaddr*>(static_cast<void*>(&a)); }
  static sockaddr_in address(const char* text, std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = inet_addr(text);
    return a;
  }

  packetdrill_interface i{};
  void* u = nullptr;
  std::uint32_t ours = 0;
};

}  // namespace leat::test
