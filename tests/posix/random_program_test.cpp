// Programs drawn from a seed, run call by call on Linux's sockets and on Leat's: the same answers, errno values,
// readiness and bytes. LEAT_RANDOM_PROGRAMS=N runs more of them, LEAT_RANDOM_SEED=N is the first seed. Where
// docs/posix.md names a difference, a program ends: known_difference() is the list.

#include <gtest/gtest.h>

#include <csignal>
#include <leat/base/rng.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/posix/backends.hpp"
#include "tests/posix/sockaddr.hpp"
#include "tests/support/from_environment.hpp"

namespace leat::test {
namespace {

constexpr unsigned kSlots = 6;
constexpr unsigned kPorts = 3;

enum class Call : std::uint8_t {
  socket,
  bind,
  listen,
  accept,
  connect,
  send,
  recv,
  shutdown,  // up to here: likelier at the beginning
  close,
  dup,
  poll,
  so_error,
  linger_0,
  reuse,
  nodelay,
  keepalive,
  v6only,
  getsockname,
  getpeername,
  fionread,
  disconnect,
  sendto,
  recvfrom,
  count_
};
constexpr const char* kNames[] = {"socket",      "bind",     "listen",     "accept",    "connect", "send",
                                  "recv",        "shutdown", "close",      "dup",       "poll",    "so_error",
                                  "linger",      "reuse",    "nodelay",    "keepalive", "v6only",  "getsockname",
                                  "getpeername", "fionread", "disconnect", "sendto",    "recvfrom"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Call::count_));

// One call. Descriptors are places, ports are the program's own; what `size` and `choice` mean depends on the call.
struct Step {
  Call call = Call::socket;
  unsigned slot = 0, to = 0, size = 0, choice = 0, port = 0;
};

template <class T, std::size_t N>
T pick(const T (&from)[N], unsigned choice) {
  return from[choice % N];
}

// Runs steps and tells what must not differ, as text.
template <class Backend>
class Machine {
 public:
  Machine(std::uint16_t first_port, bool slowly) : first_(first_port), slowly_(slowly) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() {
    for (const Place& p : places_)
      if (p.fd >= 0) (void)net_.close(p.fd);
  }

  std::string run(const Step& s) {
    std::ostringstream seen;
    Place& p = places_[s.slot];
    switch (s.call) {
      case Call::socket:
        if (p.fd >= 0) (void)net_.close(p.fd);
        p.v6 = s.size % 3 == 2;
        p.fd =
            net_.socket(p.v6 ? AF_INET6 : AF_INET, (s.choice % 3 == 2 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
        seen << std::min(p.fd, 0);
        at_once(p.fd);
        break;
      case Call::bind:
        seen << with_address(s, [&](const auto& a) { return net_.bind(p.fd, sa(a), length_of(a)); });
        break;
      case Call::connect:
        seen << with_address(s, [&](const auto& a) { return net_.connect(p.fd, sa(a), length_of(a)); });
        break;
      case Call::disconnect: {
        const sockaddr none{};  // AF_UNSPEC
        seen << net_.connect(p.fd, &none, length_of(none));
        break;
      }
      case Call::listen:
        seen << net_.listen(p.fd, static_cast<int>(s.size % 4));
        break;
      case Call::accept: {
        const int got = net_.accept4(p.fd, nullptr, nullptr, SOCK_NONBLOCK);
        seen << std::min(got, 0);
        if (got < 0) break;
        if (places_[s.to].fd >= 0) (void)net_.close(places_[s.to].fd);
        places_[s.to] = {got, p.v6};
        at_once(got);
        break;
      }
      case Call::send: {
        const std::string data = text(s);
        seen << net_.send(p.fd, data.data(), data.size(), MSG_NOSIGNAL);
        break;
      }
      case Call::sendto: {
        const std::string data = text(s);
        seen << with_address(s, [&](const auto& a) {
          return net_.sendto(p.fd, data.data(), data.size(), MSG_NOSIGNAL, sa(a), length_of(a));
        });
        break;
      }
      case Call::recv: {
        const int flags = pick({0, 0, 0, int{MSG_PEEK}, int{MSG_TRUNC}, MSG_WAITALL | MSG_DONTWAIT}, s.choice);
        std::string data(s.size + 1, '.');
        const auto got = net_.recv(p.fd, data.data(), std::size_t{s.size}, flags);
        seen << got;
        if (got > 0 && flags != MSG_TRUNC) seen << ' ' << data.substr(0, static_cast<std::size_t>(got));
        break;
      }
      case Call::recvfrom: {
        std::string data(s.size + 1, '.');
        sockaddr_in6 from{};
        socklen_t n = length_of(from);
        const auto got = net_.recvfrom(p.fd, data.data(), std::size_t{s.size}, 0, sa(from), &n);
        seen << got;
        if (got >= 0) seen << ", name of " << n;
        break;
      }
      case Call::shutdown:
        seen << net_.shutdown(p.fd, pick({SHUT_RD, SHUT_WR, SHUT_RDWR}, s.size));
        break;
      case Call::close:
        seen << net_.close(p.fd);
        p.fd = -1;
        break;
      case Call::dup: {
        const int got = net_.dup(p.fd);
        seen << std::min(got, 0);
        if (got >= 0) (void)net_.close(got);
        break;
      }
      case Call::poll: {
        pollfd one{p.fd, pick({short{POLLIN | POLLOUT | POLLRDHUP}, short{POLLIN}, short{POLLOUT}, short{0}}, s.size),
                   0};
        seen << net_.poll(&one, 1, 0);
        seen << " revents " << one.revents;
        break;
      }
      case Call::so_error:
        seen << option(p.fd, SOL_SOCKET, SO_ERROR);
        break;
      case Call::linger_0: {
        const linger l{1, 0};
        seen << net_.setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &l, length_of(l));
        break;
      }
      case Call::reuse:
        seen << set(p.fd, SOL_SOCKET, s.choice % 3 == 0 ? SO_REUSEPORT : SO_REUSEADDR, s.size % 2);
        break;
      case Call::nodelay:
        seen << set(p.fd, IPPROTO_TCP, TCP_NODELAY, 1);
        break;
      case Call::keepalive:
        seen << set(p.fd, SOL_SOCKET, SO_KEEPALIVE, s.size % 2);
        break;
      case Call::v6only:
        seen << set(p.fd, IPPROTO_IPV6, IPV6_V6ONLY, s.size % 2);
        break;
      case Call::getsockname:
      case Call::getpeername: {
        sockaddr_in6 a{};
        socklen_t n = length_of(a);
        const int r =
            s.call == Call::getsockname ? net_.getsockname(p.fd, sa(a), &n) : net_.getpeername(p.fd, sa(a), &n);
        seen << r;
        if (r == 0) tell_name(seen, a, n);
        break;
      }
      case Call::fionread: {
        int n = -1;
        const int r = net_.ioctl(p.fd, FIONREAD, &n);
        seen << r << ' ' << n;
        break;
      }
      case Call::count_:
        break;
    }
    settle();
    return seen.str();
  }

 private:
  struct Place {
    int fd = -1;
    bool v6 = false;
  };

  static std::string text(const Step& s) { return std::string(s.size, static_cast<char>('a' + s.choice % 26)); }
  void tell_name(std::ostringstream& seen, const sockaddr_in6& a, socklen_t n) const {
    char address[INET6_ADDRSTRLEN] = "?";
    sockaddr_in a4{};
    std::memcpy(&a4, &a, sizeof a4);
    const bool v4 = a.sin6_family == AF_INET;
    (void)inet_ntop(a.sin6_family, v4 ? static_cast<const void*>(&a4.sin_addr) : &a.sin6_addr, address, sizeof address);
    const unsigned port = ntohs(a.sin6_port);
    const bool own = port >= first_ && port < first_ + kPorts;
    seen << " length " << n << ' ' << address << " port "
         << (own         ? std::to_string(port - first_)
             : port == 0 ? "0"
                         : "some");
  }
  // No segment waits for an ACK that the peer may delay.
  void at_once(int fd) { (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }
  // What is on its way arrives.
  void settle() {
    if constexpr (Backend::kIsLeat) {
      (void)net_.poll(nullptr, 0, 2);
    } else {
      (void)net_.poll(nullptr, 0, slowly_ ? 3 : 0);
    }
  }
  // Now and then of the other family.
  template <class F>
  long with_address(const Step& s, F&& f) {
    const auto port = static_cast<std::uint16_t>(first_ + s.port);
    if (places_[s.slot].v6 != (s.choice % 17 == 0)) {
      return static_cast<long>(f(v6(port, pick({"::1", "::1", "::", "::ffff:127.0.0.1"}, s.choice))));
    }
    return static_cast<long>(f(v4(port, pick({"127.0.0.1", "127.0.0.1", "0.0.0.0"}, s.choice))));
  }
  int option(int fd, int level, int name) {
    int v = 0;
    socklen_t n = length_of(v);
    const int r = net_.getsockopt(fd, level, name, &v, &n);
    return r < 0 ? r : v;
  }
  int set(int fd, int level, int name, unsigned to) {
    const int v = static_cast<int>(to);
    return net_.setsockopt(fd, level, name, &v, length_of(v));
  }

  Backend net_;
  std::uint16_t first_;
  bool slowly_;
  std::array<Place, kSlots> places_;
};

// docs/posix.md, "What differs from Linux": after these nothing can be compared.
bool known_difference(const Step& s, const std::string& on_linux, const std::string& on_leat) {
  const bool differ = on_linux != on_leat;
  switch (s.call) {
    case Call::shutdown:  // Linux keeps what has come, and shuts what is not connected as well as complaining
      return on_linux == "-107" || (s.size % 3 != 1 && on_linux == "0");
    case Call::disconnect:  // Linux keeps a pending error
      return true;
    case Call::bind:
    case Call::listen:
    case Call::v6only:  // Linux: connections hold their port; an attempt that failed unasked has let go of its
      return differ &&
             (on_linux == "-98" || on_leat == "-22" || on_leat == "-12");  // or this world's listeners are used up
    case Call::connect:
    case Call::sendto:  // between the families
      return differ && (on_leat == "-101" || on_linux == "-97");
    case Call::recv:
    case Call::recvfrom:  // Linux tells a reader nothing of a reset after the peer's end
      return differ && on_leat == "-104" && on_linux.starts_with("0");
    case Call::getsockname:  // Linux tells the port that it has let go of
      return differ && on_linux.ends_with("some") && on_leat.ends_with("port 0");
    default:
      return false;
  }
}

constexpr Step kConnection[] = {{Call::socket, 0, 0, 0, 0, 0},  {Call::bind, 0, 0, 0, 3, 0},
                                {Call::listen, 0, 0, 3, 0, 0},  {Call::socket, 1, 0, 0, 0, 0},
                                {Call::connect, 1, 0, 0, 3, 0}, {Call::accept, 0, 2, 0, 0, 0}};

std::vector<Step> draw(std::uint64_t seed) {
  Rng rng({seed, 0x9e3779b97f4a7c15U});
  std::vector<Step> program;
  // Two thirds begin with a connection between places 1 and 2; the others with three sockets.
  const bool connected = seed % 3 != 0;
  if (connected) program.assign(std::begin(kConnection), std::end(kConnection));
  std::array<std::optional<unsigned>, kSlots> bound;
  if (connected) bound[0] = 0;
  for (unsigned i = 0; i < 80; ++i) {
    Step s;
    s.call = static_cast<Call>(rng.below(static_cast<std::uint32_t>(Call::count_)));
    if (i < 30 && rng.below(3) == 0) s.call = static_cast<Call>(rng.below(static_cast<std::uint32_t>(Call::shutdown)));
    s.slot = rng.below(kSlots);
    if (connected && rng.below(3) == 0) s.slot = 1 + s.slot % 2;
    if (!connected && i < 3) {
      s.call = Call::socket;
      s.slot = i;
    }
    s.to = rng.below(kSlots);
    s.size = rng.below(20);
    s.choice = rng.below(600);
    s.port = rng.below(kPorts);
    if (s.call == Call::bind) bound[s.slot] = s.port;
    if (s.call == Call::connect && bound[s.slot] == s.port) continue;  // to itself: row T1 takes that for a forgery
    program.push_back(s);
  }
  return program;
}

// What differed, with all that was done before; nothing: it was the same.
std::optional<std::string> difference(std::uint64_t seed, bool slowly) {
  const auto first_port = static_cast<std::uint16_t>(10'000 + seed * kPorts % 20'000);
  Machine<LinuxBackend> linux_machine(first_port, slowly);
  Machine<LeatBackend> leat_machine(first_port, slowly);
  std::ostringstream done;
  for (const Step& s : draw(seed)) {
    const std::string on_linux = linux_machine.run(s);
    const std::string on_leat = leat_machine.run(s);
    if (known_difference(s, on_linux, on_leat)) return {};
    done << kNames[static_cast<std::size_t>(s.call)] << " slot " << s.slot << " to " << s.to << " a " << s.size << " b "
         << s.choice << " port " << s.port << " = " << on_linux << '\n';
    if (on_linux != on_leat) return "Leat: " + on_leat + "\n" + done.str();
  }
  return {};
}

bool has_loopback(LinuxBackend& net) {
  const int s4 = net.socket(AF_INET, SOCK_DGRAM, 0);
  const int s6 = net.socket(AF_INET6, SOCK_DGRAM, 0);
  const sockaddr_in a4 = v4(9);
  const sockaddr_in6 a6 = v6(9);
  const bool works =
      s6 >= 0 && net.connect(s4, sa(a4), length_of(a4)) == 0 && net.connect(s6, sa(a6), length_of(a6)) == 0;
  if (s4 >= 0) (void)net.close(s4);
  if (s6 >= 0) (void)net.close(s6);
  return works;
}

TEST(PosixRandomProgram, AnswersAsLinux) {
  std::signal(SIGPIPE, SIG_IGN);
  LinuxBackend net;
  if (!has_loopback(net)) GTEST_SKIP() << "the kernel has no loopback interface for both versions of IP here";
  const std::uint64_t first = from_environment("LEAT_RANDOM_SEED", 1);
  const std::uint64_t count = from_environment("LEAT_RANDOM_PROGRAMS", 500);
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + count && failures < 10; ++seed) {
    if (!difference(seed, false)) continue;
    // Linux may have been late: on a busy machine a packet of the loopback interface waits for its turn.
    if (const auto differs = difference(seed, true)) {
      ADD_FAILURE() << "seed " << seed << ", step: " << *differs;
      ++failures;
    }
  }
}

}  // namespace
}  // namespace leat::test
