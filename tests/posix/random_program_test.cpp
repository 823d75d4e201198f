// Programs drawn from a seed, run call by call on Linux's sockets and on Leat's: the same answers, errno values,
// readiness and bytes. LEAT_RANDOM_PROGRAMS=N runs more of them, LEAT_RANDOM_SEED=N is the first seed. Where
// docs/posix.md names a difference, a program ends: known_difference() is the list.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <leat/base/rng.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
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
  lingering,
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
  epoll_ctl,
  epoll_wait,
  poll_all,
  select,
  fcntl,
  keep_dup,
  dup2,
  accept_name,
  want_control,
  sendmsg,
  recvmsg,
  sendmmsg,
  recvmmsg,
  set_option,
  get_option,
  errqueue,
  recv_in_time,
  count_
};
constexpr const char* kNames[] = {
    "socket",     "bind",        "listen",      "accept",   "connect",    "send",       "recv",        "shutdown",
    "close",      "dup",         "poll",        "so_error", "lingering",  "reuse",      "nodelay",     "keepalive",
    "v6only",     "getsockname", "getpeername", "fionread", "disconnect", "sendto",     "recvfrom",    "epoll_ctl",
    "epoll_wait", "poll_all",    "select",      "fcntl",    "keep_dup",   "dup2",       "accept_name", "want_control",
    "sendmsg",    "recvmsg",     "sendmmsg",    "recvmmsg", "set_option", "get_option", "errqueue",    "recv_in_time"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Call::count_));

// One call. Descriptors are places, ports are the program's own; what `size` and `choice` mean depends on the call.
struct Step {
  Call call = Call::socket;
  unsigned slot = 0, to = 0, size = 0, choice = 0, port = 0;
};

// What a socket is before a call.
struct Facts {
  bool stream = false;
  bool closed = false;               // no connection, none under way
  std::array<int, kSlots> states{};  // of all streams
  bool tried = false;                // listened, has or had a peer, or tried to get one
  bool v6 = false;
  bool any_v6_tried = false;  // of all places
  unsigned port = 0;
};

template <class T, std::size_t N>
T pick(const T (&from)[N], unsigned choice) {
  return from[choice % N];
}

// Runs steps and tells what must not differ, as text.
template <class Backend>
class Machine {
 public:
  Machine(std::uint16_t first_port, bool slowly) : first_(first_port), slowly_(slowly) {
    for (int& e : sets_) e = net_.epoll_create1(0);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() {
    for (const Place& p : places_)
      if (p.fd >= 0) (void)net_.close(p.fd);
    for (const int e : sets_) (void)net_.close(e);
  }

  Facts facts(const Step& s) {
    const int fd = places_[s.slot].fd;
    Facts f;
    sockaddr_in6 a{};
    socklen_t n = length_of(a);
    f.stream = option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
    if (net_.getsockname(fd, sa(a), &n) == 0) f.port = ntohs(a.sin6_port);
    for (unsigned i = 0; i < kSlots; ++i) {
      tcp_info info{};
      n = length_of(info);
      if (net_.getsockopt(places_[i].fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0) f.states[i] = info.tcpi_state;
    }
    f.closed = f.states[s.slot] == TCP_CLOSE;
    f.tried = *places_[s.slot].tried;
    f.v6 = places_[s.slot].v6;
    for (const Place& p : places_) f.any_v6_tried = f.any_v6_tried || (p.v6 && *p.tried);
    return f;
  }

  std::string run(const Step& s) {
    std::ostringstream seen;
    Place& p = places_[s.slot];
    switch (s.call) {
      case Call::socket:
        if (p.fd >= 0) (void)net_.close(p.fd);
        p.v6 = s.size % 3 == 2;
        p.tried = std::make_shared<bool>(false);
        p.fd =
            net_.socket(p.v6 ? AF_INET6 : AF_INET, (s.choice % 3 == 2 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
        seen << std::min(p.fd, 0);
        at_once(p.fd);
        break;
      case Call::bind:
        seen << with_address(s, [&](const auto& a) { return net_.bind(p.fd, sa(a), length_of(a)); });
        break;
      case Call::connect:
        *p.tried = true;
        seen << with_address(s, [&](const auto& a) { return net_.connect(p.fd, sa(a), length_of(a)); });
        break;
      case Call::disconnect: {
        const sockaddr none{};  // AF_UNSPEC
        seen << net_.connect(p.fd, &none, length_of(none));
        pollfd now{p.fd, POLLIN | POLLOUT | POLLRDHUP, 0};
        seen << " revents " << net_.poll(&now, p.fd < 0 ? 0 : 1, 0) << ' ' << now.revents;
        break;
      }
      case Call::listen:
        *p.tried = true;
        seen << net_.listen(p.fd, static_cast<int>(s.size % 4));
        break;
      case Call::accept: {
        const int got = net_.accept4(p.fd, nullptr, nullptr, SOCK_NONBLOCK);
        seen << std::min(got, 0);
        if (got < 0) break;
        if (places_[s.to].fd >= 0) (void)net_.close(places_[s.to].fd);
        places_[s.to] = {got, p.v6, std::make_shared<bool>(true)};
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
        const int flags = receive_flags(s);
        std::string data(s.size + 1, '.');
        const auto got = net_.recv(p.fd, data.data(), std::size_t{s.size}, flags);
        seen << got;
        if (got > 0 && (flags & MSG_TRUNC) == 0) seen << ' ' << data.substr(0, static_cast<std::size_t>(got));
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
      case Call::lingering: {
        const linger l{s.choice % 5 != 0, s.choice % 3 == 0 ? 1 : 0};
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
      case Call::epoll_ctl:
        control_set(s, p, seen);
        break;
      case Call::epoll_wait:
        wait_for_set(s, seen);
        break;
      case Call::poll_all:
        poll_all(s, seen);
        break;
      case Call::select:
        select_some(s, seen);
        break;
      case Call::fcntl:
        file_control(s, p, seen);
        break;
      case Call::keep_dup:
        keep_duplicate(s, p, seen);
        break;
      case Call::dup2:
        replace_descriptor(s, p, seen);
        break;
      case Call::accept_name:
        accept_with_name(s, p, seen);
        break;
      case Call::want_control:
        ask_for_control(s, p, seen);
        break;
      case Call::set_option:
        set_some_option(s, p, seen);
        break;
      case Call::get_option:
        get_some_option(s, p, seen);
        break;
      case Call::sendmsg:
        send_message(s, p, seen);
        break;
      case Call::recvmsg:
        receive_message(s, p, seen);
        break;
      case Call::sendmmsg:
      case Call::recvmmsg:
        many_messages(s, p, seen);
        break;
      case Call::errqueue:
        read_error_queue(s, p, seen);
        break;
      case Call::recv_in_time:
        receive_in_time(s, p, seen);
        break;
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
    std::shared_ptr<bool> tried = std::make_shared<bool>(false);  // listened, has or had a peer, or tried to get one
  };

  struct Option {
    int level, name;
  };
  static constexpr Option kControlOptions[] = {{IPPROTO_IP, IP_PKTINFO},          {IPPROTO_IP, IP_RECVTTL},
                                               {IPPROTO_IP, IP_RECVTOS},          {IPPROTO_IPV6, IPV6_RECVPKTINFO},
                                               {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_RECVTCLASS},
                                               {IPPROTO_IP, IP_RECVERR},          {IPPROTO_IPV6, IPV6_RECVERR}};
  static constexpr Option kValueOptions[] = {{IPPROTO_IP, IP_TTL},
                                             {IPPROTO_IP, IP_TOS},
                                             {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
                                             {IPPROTO_IPV6, IPV6_TCLASS},
                                             {SOL_SOCKET, SO_BROADCAST},
                                             {SOL_SOCKET, SO_PRIORITY},
                                             {SOL_SOCKET, SO_OOBINLINE},
                                             {IPPROTO_IP, IP_MULTICAST_TTL},
                                             {IPPROTO_IP, IP_MULTICAST_LOOP},
                                             {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
                                             {IPPROTO_TCP, TCP_KEEPIDLE},
                                             {IPPROTO_TCP, TCP_KEEPCNT},
                                             {IPPROTO_TCP, TCP_SYNCNT},
                                             {IPPROTO_TCP, TCP_LINGER2},
                                             {IPPROTO_TCP, TCP_USER_TIMEOUT},
                                             {IPPROTO_IP, IP_MINTTL},
                                             {SOL_SOCKET, SO_DONTROUTE},
                                             {SOL_SOCKET, SO_RXQ_OVFL},
                                             {IPPROTO_IP, IP_FREEBIND}};
  template <std::size_t N>
  static const Option& pick_option(const Option (&of)[N], const Step& s) {
    return of[s.choice % N];
  }

  // One message in three pieces, its control data and its name.
  struct Message {
    explicit Message(const Step& s) : data(s.size + 4, static_cast<char>('a' + s.choice % 26)) {
      pieces = {iovec{data.data(), s.size / 2}, iovec{nullptr, 0},
                iovec{data.data() + s.size / 2, s.size - s.size / 2}};
      header.msg_iov = pieces.data();
      header.msg_iovlen = pieces.size();
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    void with_control(const Step& s) {
      const Option o = pick({Option{IPPROTO_IP, IP_TTL}, Option{IPPROTO_IP, IP_TOS},
                             Option{IPPROTO_IPV6, IPV6_HOPLIMIT}, Option{IPPROTO_IPV6, IPV6_TCLASS}, Option{0, 0}},
                            s.choice);
      if (o.name == 0) return;
      const int value = pick({0, 1, 77, 255, 256, -1}, s.choice / 5);
      header.msg_control = control.data();
      header.msg_controllen = CMSG_SPACE(sizeof value);
      cmsghdr* const c = CMSG_FIRSTHDR(&header);
      *c = {.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = o.level, .cmsg_type = o.name};
      std::memcpy(CMSG_DATA(c), &value, sizeof value);
    }
    std::string data;
    std::array<iovec, 3> pieces{};
    msghdr header{};
    sockaddr_in6 name{};
    alignas(cmsghdr) std::array<char, 512> control{};
  };
  static int receive_flags(const Step& s) {
    return pick({0, 0, 0, int{MSG_PEEK}, int{MSG_TRUNC}, int{MSG_WAITALL}, MSG_PEEK | MSG_TRUNC, MSG_PEEK | MSG_WAITALL,
                 MSG_WAITALL | MSG_DONTWAIT},
                s.choice);
  }
  void tell_message(std::ostringstream& seen, msghdr& h) const {
    seen << " flags " << h.msg_flags;
    if (h.msg_namelen != 0) {
      sockaddr_in6 a{};
      std::memcpy(&a, h.msg_name, sizeof a);
      tell_name(seen, a, h.msg_namelen);
    }
    std::vector<std::string> all;
    for (cmsghdr* c = CMSG_FIRSTHDR(&h); c != nullptr; c = CMSG_NXTHDR(&h, c)) {
      std::ostringstream one;
      one << ", " << c->cmsg_level << ' ' << c->cmsg_type << ':';
      const std::size_t length = c->cmsg_len - CMSG_LEN(0);
      const bool info = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO);
      const bool info6 = (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO);
      for (std::size_t i = 0; i < length; ++i) {
        if ((info && i < 4) || (info6 && i >= 16)) continue;  // numbers of interfaces
        one << ' ' << unsigned{CMSG_DATA(c)[i]};
      }
      all.push_back(one.str());
    }
    std::sort(all.begin(), all.end());
    for (const std::string& one : all) seen << one;
  }
  void tell_events(std::ostringstream& seen, int set, int most) {
    std::array<epoll_event, 16> got{};
    const int n = net_.epoll_wait(set, got.data(), most, 0);
    seen << n;
    if (n <= 0 || most == 1) return;
    std::sort(got.begin(), got.begin() + n, [](const epoll_event& a, const epoll_event& b) {
      return std::pair{std::uint32_t{a.data.u32}, std::uint32_t{a.events}} <
             std::pair{std::uint32_t{b.data.u32}, std::uint32_t{b.events}};
    });
    for (int i = 0; i < n; ++i)
      seen << ", " << std::uint32_t{got[static_cast<unsigned>(i)].data.u32} << ' '
           << std::uint32_t{got[static_cast<unsigned>(i)].events};
  }
  void control_set(const Step& s, Place& p, std::ostringstream& seen) {
    if (option(p.fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && !in_use(p.fd)) return;  // docs/posix.md: not hung up
    const int op = pick({EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL}, s.size);
    // An edge of EPOLLOUT comes on Linux with each datagram that the interface has let go of.
    const std::uint32_t how = pick({0U, 0U, std::uint32_t{EPOLLET}, std::uint32_t{EPOLLONESHOT},
                                    std::uint32_t{EPOLLET | EPOLLONESHOT}, std::uint32_t{EPOLLEXCLUSIVE}},
                                   s.choice / 4);
    const std::uint32_t what = pick({std::uint32_t{EPOLLIN}, std::uint32_t{EPOLLIN | EPOLLOUT | EPOLLRDHUP},
                                     std::uint32_t{EPOLLOUT}, std::uint32_t{0}},
                                    s.choice);
    epoll_event e{.events = how | ((how & EPOLLET) != 0 ? what & ~std::uint32_t{EPOLLOUT} : what),
                  .data = {.u32 = s.slot}};
    const bool nested = s.to == 5;  // one set in the other; the second in itself
    if (nested) e.data.u32 = 100;
    seen << net_.epoll_ctl(sets_[nested ? s.port % 2 : s.to % 2], op, nested ? sets_[1] : p.fd, &e);
  }
  void wait_for_set(const Step& s, std::ostringstream& seen) {
    tell_events(seen, sets_[s.to % 2], s.size % 5 == 0 ? 1 : 16);
  }
  void poll_all(const Step& s, std::ostringstream& seen) {
    std::array<pollfd, kSlots + 2> all{};
    for (unsigned i = 0; i < kSlots; ++i)
      all[i] = {places_[i].fd, static_cast<short>((s.choice >> i & 1) != 0 ? POLLIN | POLLOUT : POLLRDHUP | POLLPRI),
                0};
    for (unsigned i = 0; i < 2; ++i) all[kSlots + i] = {sets_[i], POLLIN, 0};
    seen << net_.poll(all.data(), nfds_t{all.size()}, 0);
    for (const pollfd& f : all) seen << ' ' << f.revents;
  }
  void select_some(const Step& s, std::ostringstream& seen) {
    std::array<fd_set, 3> of{};
    int most = -1;
    for (unsigned i = 0; i < kSlots; ++i) {
      if (places_[i].fd < 0 || (s.choice >> i & 1) == 0) continue;
      most = std::max(most, places_[i].fd);
      for (fd_set& f : of) FD_SET(places_[i].fd, &f);
    }
    timeval none{};
    seen << net_.select(most + 1, &of[0], &of[1], &of[2], &none);
    for (const Place& q : places_)
      for (fd_set& f : of) seen << (q.fd >= 0 && FD_ISSET(q.fd, &f) ? " 1" : " 0");
  }
  void file_control(const Step& s, Place& p, std::ostringstream& seen) {
    switch (s.size % 5) {
      case 0:
        seen << net_.fcntl(p.fd, F_GETFL);
        break;
      case 1:
        seen << net_.fcntl(p.fd, F_SETFL, O_NONBLOCK | pick({0, O_RDWR}, s.choice));
        break;
      case 2:
        seen << net_.fcntl(p.fd, F_GETFD);
        break;
      case 3:
        seen << net_.fcntl(p.fd, F_SETFD, static_cast<int>(s.choice % 2));
        break;
      default: {
        const int got = net_.fcntl(p.fd, F_DUPFD_CLOEXEC, 10);
        seen << std::min(got, 0);
        if (got >= 0) keep(s.to, got, p);
      }
    }
  }
  void keep_duplicate(const Step& s, Place& p, std::ostringstream& seen) {
    const int got = net_.dup(p.fd);
    seen << std::min(got, 0);
    if (got >= 0) keep(s.to, got, p);
  }
  void replace_descriptor(const Step& s, Place& p, std::ostringstream& seen) {
    Place& to = places_[s.to];
    if (to.fd < 0) return;
    const int got = net_.dup2(p.fd, to.fd);
    seen << (got == to.fd ? 0 : got);
    if (got >= 0) to = {to.fd, p.v6, p.tried};
  }
  void accept_with_name(const Step& s, Place& p, std::ostringstream& seen) {
    sockaddr_in6 from{};
    auto n = static_cast<socklen_t>(s.choice % 2 == 0 ? sizeof from : s.choice % sizeof from);
    const bool whole = n == sizeof from;
    const int got = net_.accept4(p.fd, sa(from), &n, SOCK_NONBLOCK | (s.size % 2 == 0 ? int{SOCK_CLOEXEC} : 0));
    seen << std::min(got, 0);
    if (got < 0) return;
    if (whole) {
      tell_name(seen, from, n);
    } else {
      seen << " length " << n;
    }
    seen << ' ' << net_.fcntl(got, F_GETFD);
    keep(s.to, got, {got, p.v6, std::make_shared<bool>(true)});
    at_once(got);
  }
  void ask_for_control(const Step& s, Place& p, std::ostringstream& seen) {
    const auto& o = pick_option(kControlOptions, s);
    const unsigned on = s.size % 4 != 0 ? 1 : 0;
    seen << set(p.fd, o.level, o.name, on);
    // Linux has one for each version of IP.
    if (o.name == IPV6_RECVERR || o.name == IP_RECVERR) {
      (void)set(p.fd, IPPROTO_IP, IP_RECVERR, on);
      (void)set(p.fd, IPPROTO_IPV6, IPV6_RECVERR, on);
    }
  }
  void set_some_option(const Step& s, Place& p, std::ostringstream& seen) {
    const auto& o = pick_option(kValueOptions, s);
    unsigned value = pick({0U, 1U, 5U, 64U, 255U, 256U, ~0U}, s.size);
    if (o.level == SOL_SOCKET && o.name == SO_PRIORITY) value %= 7;  // beyond 6 Linux asks for CAP_NET_ADMIN
    seen << set(p.fd, o.level, o.name, value) << ' ' << o.level << ' ' << o.name;
  }
  void get_some_option(const Step& s, Place& p, std::ostringstream& seen) {
    const auto& o = s.size % 2 == 0 ? pick_option(kControlOptions, s) : pick_option(kValueOptions, s);
    seen << option(p.fd, o.level, o.name) << ' ' << o.level << ' ' << o.name;
  }
  void send_message(const Step& s, Place& p, std::ostringstream& seen) {
    Message m(s);
    m.with_control(s);
    seen << (s.choice % 3 == 0 ? net_.sendmsg(p.fd, &m.header, MSG_NOSIGNAL) : with_address(s, [&](auto a) {
      m.header.msg_name = &a;
      m.header.msg_namelen = length_of(a);
      return net_.sendmsg(p.fd, &m.header, MSG_NOSIGNAL);
    }));
  }
  void receive_message(const Step& s, Place& p, std::ostringstream& seen) {
    Message m(s);
    m.header.msg_control = m.control.data();
    m.header.msg_controllen = s.choice % 7 == 0 ? s.choice % 40 : m.control.size();
    m.header.msg_name = &m.name;
    m.header.msg_namelen = length_of(m.name);
    const auto got = net_.recvmsg(p.fd, &m.header, receive_flags(s));
    seen << got;
    if (got >= 0) tell_message(seen, m.header);
  }
  void many_messages(const Step& s, Place& p, std::ostringstream& seen) {
    Message m[3] = {Message(s), Message(s), Message(s)};
    mmsghdr all[3] = {{m[0].header, 0}, {m[1].header, 0}, {m[2].header, 0}};
    if (s.call == Call::sendmmsg) {
      seen << net_.sendmmsg(p.fd, &all[0], 1 + s.choice % 3, MSG_NOSIGNAL);
    } else {
      seen << net_.recvmmsg(p.fd, &all[0], 1 + s.choice % 3, s.choice % 5 == 0 ? int{MSG_WAITFORONE} : 0, nullptr);
    }
    for (const mmsghdr& one : all) seen << ' ' << one.msg_len << (one.msg_hdr.msg_flags & MSG_TRUNC ? "T" : "");
  }
  void read_error_queue(const Step& s, Place& p, std::ostringstream& seen) {
    Message m(s);
    m.header.msg_control = m.control.data();
    m.header.msg_controllen = m.control.size();
    m.header.msg_name = &m.name;
    m.header.msg_namelen = length_of(m.name);
    const auto got = net_.recvmsg(p.fd, &m.header, MSG_ERRQUEUE);
    seen << got;
    if (got >= 0) tell_message(seen, m.header);
  }
  // One that blocks, for a moment.
  void receive_in_time(const Step& s, Place& p, std::ostringstream& seen) {
    const timeval moment{0, 2000}, none{};
    std::string data(s.size + 1, '.');
    seen << net_.setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &moment, length_of(moment));
    seen << ' ' << net_.fcntl(p.fd, F_SETFL, 0);
    seen << ' ' << net_.recv(p.fd, data.data(), std::size_t{s.size}, receive_flags(s) & ~MSG_TRUNC) << ' ' << data;
    (void)net_.fcntl(p.fd, F_SETFL, O_NONBLOCK);
    (void)net_.setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &none, length_of(none));
  }
  // Listens or is connected.
  bool in_use(int fd) {
    sockaddr_in6 a{};
    socklen_t n = length_of(a);
    return option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 || net_.getpeername(fd, sa(a), &n) == 0;
  }
  void keep(unsigned slot, int fd, const Place& as) {
    if (places_[slot].fd >= 0) (void)net_.close(places_[slot].fd);
    places_[slot] = {fd, as.v6, as.tried};
  }

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
  std::array<int, 2> sets_{};
};

// docs/posix.md, "What differs from Linux": after these nothing can be compared.
bool known_difference(const Step& s, const Facts& linux_had, const Facts& leat_had, const std::string& on_linux,
                      const std::string& on_leat) {
  const auto are = [&](std::string_view linux_exactly, std::string_view leat_exactly) {
    return on_linux == linux_exactly && on_leat == leat_exactly;
  };
  if (on_linux == on_leat) {
    // What Linux makes of a stream that listened, was connected, or tried to be, keeps an address perhaps.
    if (s.call == Call::disconnect) return linux_had.stream && linux_had.tried && on_linux.starts_with("0 ");
    // Its UDP socket that once had a peer of IPv4 takes "::" for that host, also when it has none any more.
    if (s.call == Call::connect || s.call == Call::sendto || s.call == Call::sendmsg)
      return !linux_had.stream && linux_had.tried && linux_had.v6 && s.choice % 17 != 0 && s.choice % 4 == 2;
    // It shuts a stream that is not connected as well as complaining.
    const bool for_reading = s.size % 3 != 1;
    return s.call == Call::shutdown && on_linux == "-107" && (linux_had.stream || for_reading);
  }
  // A connection that is over, or an attempt that failed and was not asked about, still has its port here.
  const bool let_go = linux_had.stream && linux_had.closed && leat_had.port != 0;
  // Linux: a stream that once tried IPv4 does not hear the answers of IPv6.
  for (unsigned i = 0; i < kSlots; ++i)
    if (linux_had.states[i] == TCP_SYN_SENT && leat_had.states[i] != TCP_SYN_SENT) return true;
  // Nor do its UDP sockets hear the errors of one version of IP after the other's.
  const bool v6_datagrams = !linux_had.stream && linux_had.v6;
  switch (s.call) {
    case Call::shutdown:  // Linux gives up an attempt that is under way
      return linux_had.states[s.slot] == TCP_SYN_SENT && are("0", "-107");
    case Call::epoll_ctl:  // the accept queue of Linux's listener may be full
      return on_linux.empty() != on_leat.empty();
    case Call::bind:  // a peer of one family leaves that of the other free
      return (linux_had.any_v6_tried && are("0", "-98")) || (let_go && (are("0", "-22") || are("-98", "-22")));
    case Call::v6only:
      return let_go && are("0", "-22");
    case Call::get_option:  // Linux: of an accepted connection what came with the SYN, and an option of each version of
                            // IP
      if (linux_had.v6 && (on_linux.ends_with(" 0 1") || on_linux.ends_with(" 41 67"))) return true;
      return linux_had.stream && (on_linux.ends_with(" 0 33") || on_linux.ends_with(" 41 18") || on_linux == "0 41 16");
    case Call::sendmsg:  // a malformed control message before an address of the other family
      if (are("-101", "-22")) return true;
      [[fallthrough]];
    case Call::connect:
    case Call::sendto:  // between the families, and "::" of who has a name or a peer of IPv4
      return on_leat == "-101" || (!linux_had.stream && on_linux == "-97") || (v6_datagrams && s.choice % 4 == 2);
    case Call::sendmmsg:  // Linux: the kernel's loopback interface brings the ICMP error of the first at once
      return on_linux.starts_with("1 ") && on_leat.starts_with("2 ");
    case Call::recv:
    case Call::recvmsg:
    case Call::recvmmsg:
    case Call::recvfrom:  // Linux tells a reader nothing of a reset after the peer's end
      return (linux_had.stream && on_leat == "-104" && on_linux.starts_with("0")) ||
             (v6_datagrams && on_leat == "-111");
    case Call::recv_in_time:
      if (v6_datagrams && on_leat.starts_with("0 0 -111")) return true;
      return linux_had.stream && on_leat.starts_with("0 0 -104 ") && on_linux.starts_with("0 0 0 ");
    case Call::errqueue:  // Linux: TOS and TTL of the ICMP message too, and both versions of IP on one socket
      return on_linux.starts_with(on_leat.substr(0, 2)) && on_leat[0] != '-';
    case Call::getsockname:  // Linux tells the port that it has let go of, and a name of the other family
      if (are("0 length 28 ::1 port some", "0 length 28 ::ffff:127.0.0.1 port some")) return !linux_had.stream;
      return on_linux.ends_with("port some") && on_leat.ends_with("port 0") &&
             on_linux.substr(0, on_linux.size() - 4) == on_leat.substr(0, on_leat.size() - 1);
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
    program.push_back(s);
  }
  return program;
}

// Ports of the kernel that nothing holds: no service of this machine, and no TIME-WAIT of a program before. Below the
// range from which the kernel takes ports of its own.
class FreePorts {
 public:
  // The first of kPorts in a row; 0: for two minutes none were free.
  std::uint16_t next() {
    for (unsigned waited = 0; waited < 120; ++waited) {
      for (unsigned tried = 0; tried < kEnd - kBegin; tried += kPorts) {
        at_ = at_ + 2 * kPorts > kEnd ? kBegin : at_ + kPorts;
        if (are_free(at_)) return static_cast<std::uint16_t>(at_);
      }
      (void)net_.poll(nullptr, 0, 1000);
    }
    return 0;
  }

 private:
  static constexpr unsigned kBegin = 1024, kEnd = 32'768;
  bool are_free(unsigned first) {
    for (unsigned port = first; port < first + kPorts; ++port)
      if (!is_free(SOCK_STREAM, port) || !is_free(SOCK_DGRAM, port)) return false;
    return true;
  }
  // For both versions of IP: "::" takes the port of both.
  bool is_free(int type, unsigned port) {
    const int fd = net_.socket(AF_INET6, type, 0);
    const sockaddr_in6 a = v6(static_cast<std::uint16_t>(port), "::");
    const bool free = net_.bind(fd, sa(a), length_of(a)) == 0;
    (void)net_.close(fd);
    return free;
  }
  LinuxBackend net_;
  unsigned at_ = 10'000;
};

// What differed, with all that was done before; nothing: it was the same.
// `compared` grows by the calls that were compared.
std::optional<std::string> difference(std::uint64_t seed, bool slowly, FreePorts& ports, std::uint64_t& compared) {
  const std::uint16_t first_port = ports.next();
  if (first_port == 0) return "no free ports";
  Machine<LinuxBackend> linux_machine(first_port, slowly);
  Machine<LeatBackend> leat_machine(first_port, slowly);
  std::ostringstream done;
  for (const Step& s : draw(seed)) {
    const Facts linux_had = linux_machine.facts(s), leat_had = leat_machine.facts(s);
    const std::string on_linux = linux_machine.run(s);
    const std::string on_leat = leat_machine.run(s);
    if (known_difference(s, linux_had, leat_had, on_linux, on_leat)) return {};
    done << kNames[static_cast<std::size_t>(s.call)] << " slot " << s.slot << " to " << s.to << " a " << s.size << " b "
         << s.choice << " port " << s.port << " = " << on_linux << '\n';
    ++compared;
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
  std::uint64_t compared = 0;
  FreePorts ports;
  for (std::uint64_t seed = first; seed < first + count && failures < 10; ++seed) {
    if (!difference(seed, false, ports, compared)) continue;
    // Linux may have been late: on a busy machine a packet of the loopback interface waits for its turn.
    if (const auto differs = difference(seed, true, ports, compared)) {
      ADD_FAILURE() << "seed " << seed << ", step: " << *differs;
      ++failures;
    }
  }
  EXPECT_GT(compared, count * 20) << "known_difference() ends too many programs too soon";
}

}  // namespace
}  // namespace leat::test
