// many_clients ADDRESS PORT COUNT: so many connections at once through the kernel, at most 500 of them under way; then
// a request on each, and its answer. Prints what it counted; exit code 1 when one is missing, 77 when this user may not
// have as many descriptors. The fixed text of the answer's body is `hello\n`.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kUnderWay = 500;
constexpr int kPatienceMs = 60000;  // only what hangs takes that long
constexpr std::string_view kRequest = "GET /hello HTTP/1.1\r\nHost: many\r\n\r\n";

bool raise_limit(rlim_t want) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < want) return false;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// The sockets that are connected; fewer than `count` when some were refused or nothing happened for long.
std::vector<int> connect_all(const sockaddr_in& to, int count) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> connected;
  int begun = 0, ended = 0;
  while (ended < count) {
    for (; begun < count && begun - ended < kUnderWay; ++begun) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      (void)::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);  // NOLINT: what the call takes
      epoll_event event{};
      event.events = EPOLLOUT;
      event.data.fd = fd;
      ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    }
    std::array<epoll_event, 256> events;
    const int n = ::epoll_wait(set, events.data(), static_cast<int>(events.size()), kPatienceMs);
    if (n <= 0) break;
    for (int i = 0; i < n; ++i, ++ended) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      ::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr);
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error == 0) connected.push_back(fd);
    }
  }
  ::close(set);
  return connected;
}

bool answered(int fd) {
  std::string text;
  while (!text.ends_with("hello\n")) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&p, 1, kPatienceMs) <= 0) return false;
    std::array<char, 4096> bytes;
    const ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return text.starts_with("HTTP/1.1 200 ");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int count = std::atoi(argv[3]);
  if (!raise_limit(static_cast<rlim_t>(count) + 64)) {
    std::puts("this user may not have as many descriptors");
    return 77;
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
  if (::inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  const std::vector<int> connected = connect_all(to, count);
  int asked = 0, served = 0;
  for (const int fd : connected)
    asked +=
        ::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kRequest.size()) ? 1 : 0;
  for (const int fd : connected) served += answered(fd) ? 1 : 0;
  std::printf("%zu connected, %d asked, %d answered\n", connected.size(), asked, served);
  return served == count ? 0 : 1;
}
