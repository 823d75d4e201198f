// What libc's own getsockopt says of a descriptor of the plug-in's: that it is no socket, but under the companion
// (LD_PRELOAD, which the second entry of ctest does) what Leat says.

#include "tests/packetdrill/driver.hpp"

namespace leat::test {
namespace {

class PacketdrillCompanion : public Packetdrill {
 protected:
  static bool preloaded() { return std::getenv("LEAT_PACKETDRILL_PRELOADED") != nullptr; }
};

TEST_F(PacketdrillCompanion, LibcIsAskedForWhatLeatKnows) {
  const int fd = accept(listen(), {2, 4, 0x03, 0xe8});  // the peer's MSS: 1000
  ASSERT_GE(fd, 0);
  inject_data(0, "unread");
  tcp_info info{};
  socklen_t length = sizeof info;
  std::array<std::uint32_t, 9> memory{};
  socklen_t memory_length = sizeof memory;
  std::array<char, 64> congestion{};
  socklen_t congestion_length = congestion.size();
  if (!preloaded()) {
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), -1);
    EXPECT_EQ(errno, ENOTSOCK);
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &memory_length), -1);
    EXPECT_EQ(errno, ENOTSOCK);
    return;
  }
  ASSERT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  EXPECT_GE(length, offsetof(tcp_info, tcpi_snd_wnd));
  EXPECT_EQ(info.tcpi_state, 1);  // TCP_ESTABLISHED
  EXPECT_EQ(info.tcpi_snd_mss, 1000U);
  EXPECT_EQ(info.tcpi_advmss, 1460U);
  EXPECT_EQ(info.tcpi_bytes_received, 6U);
  EXPECT_EQ(info.tcpi_data_segs_in, 1U);
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &memory_length), 0);
  EXPECT_EQ(memory_length, sizeof memory);
  EXPECT_EQ(memory[0], 6U);
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, congestion.data(), &congestion_length), 0);
  EXPECT_EQ(congestion_length, 0U);  // Reno and CUBIC tell nothing
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, 9999, &info, &length), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
  // Without a plug-in the number is libc's again.
  close();
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(PacketdrillCompanion, TheKernelsSocketsAnswerForThemselves) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  EXPECT_EQ(info.tcpi_state, 7);  // TCP_CLOSE
  int type = 0;
  length = sizeof type;
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), 0);
  EXPECT_EQ(type, SOCK_STREAM);
  EXPECT_EQ(::close(fd), 0);
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace leat::test
