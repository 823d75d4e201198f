// leat_packetdrill.so: Leat under packetdrill. The flags string is key=value,...:
//
//   local=192.168.0.8,remote=192.0.2.1,gateway=192.168.0.1,mtu=1500,seed=7,options_file=/tmp/x,tcp_timestamps=0,...
//
// `local` may be given several times, with or without prefix length. `options_file` names a file of lines "key=value"
// or "key value", read at the first socket(): what a script's own commands wrote there. Every other key is an option of
// the stack (op/options.hpp) or a sysctl of Linux's or FreeBSD's by its name and in its unit (script/names.hpp).

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <leat/api/posix/sockets.hpp>
#include <leat/script/names.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "interface.h"
#include "virtual_stack.hpp"

namespace {

using leat::IpAddress;
using leat::IpPrefix;
using leat::tools::VirtualStack;
using leat::tools::VirtualStackOptions;

[[noreturn]] void refuse(const std::string& what) {
  throw std::runtime_error(what);
}

std::int64_t number(const std::string& key, const std::string& text) {
  std::int64_t n = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (problem != std::errc{} || end != text.data() + text.size()) refuse(key + ": '" + text + "' is no number");
  return n;
}

IpAddress address(const std::string& key, const std::string& text) {
  const auto a = IpAddress::parse(text);
  if (!a) refuse(key + ": '" + text + "' is no address");
  return *a;
}

// What a sysctl's text means; of three numbers (tcp_rmem) the last one counts.
std::int64_t sysctl_value(const leat::script::OptionName& name, const std::string& key, const std::string& text) {
  using leat::script::Scale;
  if (name.scale == Scale::congestion) {
    const auto kind = leat::script::congestion_value(text);
    if (!kind) refuse(key + ": '" + text + "' is no congestion control");
    return *kind;
  }
  const std::size_t last = name.scale == Scale::last_of_three ? text.find_last_of(" \t") : std::string::npos;
  return leat::script::scaled(name.scale, number(key, last == std::string::npos ? text : text.substr(last + 1)));
}

using Setting = std::pair<leat::OptionId, std::int64_t>;
std::optional<Setting> setting(const std::string& key, const std::string& text) {
  if (const auto id = leat::find_option(key)) return Setting{*id, number(key, text)};
  if (const auto* const name = leat::script::find_sysctl(key)) return Setting{name->id, sysctl_value(*name, key, text)};
  return std::nullopt;
}

struct Flags {
  VirtualStackOptions stack;
  std::string options_file;
};

void read_flag(Flags& f, const std::string& key, const std::string& value) {
  if (key == "local") {
    const auto p = IpPrefix::parse(value);
    if (!p) refuse("local: '" + value + "' is no address");
    f.stack.addresses.push_back(*p);
  } else if (key == "gateway") {
    f.stack.gateways.push_back(address(key, value));
  } else if (key == "remote") {
    (void)address(key, value);  // replies to any remote leave by the one device
  } else if (key == "mtu") {
    f.stack.mtu = static_cast<std::uint32_t>(number(key, value));
  } else if (key == "seed") {
    f.stack.seed = static_cast<std::uint64_t>(number(key, value));
  } else if (key == "ip_version") {
    (void)value;  // the addresses tell
  } else if (key == "options_file") {
    f.options_file = value;
  } else if (const auto option = setting(key, value)) {
    f.stack.options.push_back(*option);
  } else {
    refuse("unknown flag '" + key + "'");
  }
}

Flags read_flags(const char* text) {
  Flags f;
  std::istringstream all(text == nullptr ? "" : text);
  for (std::string item; std::getline(all, item, ',');) {
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) refuse("'" + item + "' is not key=value");
    read_flag(f, item.substr(0, equals), item.substr(equals + 1));
  }
  if (f.stack.addresses.empty()) {
    f.stack.addresses.push_back(*IpPrefix::parse("192.168.0.8/16"));
    f.stack.addresses.push_back(*IpPrefix::parse("fd3d:fa7b:d17d::8/64"));
  }
  return f;
}

class Tool {
 public:
  explicit Tool(Flags&& flags)
      : options_file_(std::move(flags.options_file)),
        stack(std::make_shared<VirtualStack>(flags.stack)),
        net(std::make_unique<leat::posix::Sockets>(stack)) {}
  ~Tool() {
    net.reset();  // while its stack is there
  }
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  // What a script's commands left for us; once.
  void read_options() {
    if (options_file_.empty()) return;
    std::ifstream file(std::exchange(options_file_, {}));
    for (std::string line; std::getline(file, line);) {
      std::ranges::replace(line, '=', ' ');
      std::istringstream words(line);
      std::string key, value;
      if (!(words >> key) || !std::getline(words >> std::ws, value)) continue;
      value.erase(value.find_last_not_of(" \t\r") + 1);
      const auto option = setting(key, value);
      if (!option) refuse("unknown option '" + key + "' in the options file");
      stack->set_option(option->first, option->second);
    }
  }

 private:
  std::string options_file_;

 public:
  std::shared_ptr<VirtualStack> stack;
  std::unique_ptr<leat::posix::Sockets> net;
};

Tool& tool(void* userdata) {
  return *static_cast<Tool*>(userdata);
}

// Minus errno becomes -1 and errno.
template <class R>
R posix_answer(R r) {
  if (r >= 0) return r;
  errno = static_cast<int>(-r);
  return -1;
}

template <class F>
auto call(void* userdata, F&& f) -> decltype(f(tool(userdata))) {
  using R = decltype(f(tool(userdata)));
  try {
    return posix_answer(f(tool(userdata)));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "leat_packetdrill: %s\n", e.what());
    errno = EINVAL;
    return static_cast<R>(-1);
  }
}

// What libc answered, as ours answer.
template <class R>
R libc_answer(R r) {
  return r < 0 ? static_cast<R>(-errno) : r;
}

// An end of a pipe, or nothing at all: libc knows.
bool is_libcs(const Tool& t, int fd) {
  return !t.net->owns(fd);
}

// All commands of ours take an int, and that is what callers give: the upper half of a long would be anything.
int set_fcntl(void* u, int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  const int argument = va_arg(more, int);
  va_end(more);
  return call(u, [&](Tool& t) {
    return is_libcs(t, fd) ? libc_answer(::fcntl(fd, command, argument)) : t.net->fcntl(fd, command, argument);
  });
}

int set_ioctl(void* u, int fd, unsigned long request, ...) {
  va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return call(u, [&](Tool& t) {
    return is_libcs(t, fd) ? libc_answer(::ioctl(fd, request, argument)) : t.net->ioctl(fd, request, argument);
  });
}

int netdev_send(void* u, const void* packet, size_t count) {
  return call(u, [&](Tool& t) {
    t.stack->inject({static_cast<const std::uint8_t*>(packet), count});
    return 0;
  });
}

int netdev_receive(void* u, void* buffer, size_t* count, long long* time_usecs) {
  return call(u, [&](Tool& t) {
    std::vector<std::uint8_t> packet;
    leat::Instant time;
    const size_t room = *count;
    *count = 0;
    if (!t.stack->emitted(packet, time)) return 0;  // nothing will ever come
    if (packet.size() > room) return -EMSGSIZE;
    std::memcpy(buffer, packet.data(), packet.size());
    *count = packet.size();
    *time_usecs = time.count_us();
    return 0;
  });
}

int tell_time(void* u, struct timeval* to, struct timezone*) {
  return call(u, [&](Tool& t) {
    const leat::Instant now = t.stack->ask_time();
    if (to == nullptr) return 0;
    to->tv_sec = static_cast<time_t>(now.count_us() / 1'000'000);
    to->tv_usec = static_cast<suseconds_t>(now.count_us() % 1'000'000);
    return 0;
  });
}

// A number that the kernel gave for something of its own. If it names a leftover here, which was closed past us, that
// ends.
int is_the_kernels_now(Tool& t, int fd) {
  if (is_libcs(t, fd)) return 0;
  const int second = ::dup(fd);
  if (second < 0) return -errno;
  const int r = t.net->dup2(second, fd);
  ::close(second);
  return r < 0 ? r : 0;
}

int make_pipe(Tool& t, int fds[2]) {
  if (::pipe(fds) != 0) return -errno;
  for (const int fd : {fds[0], fds[1]})
    if (const int bad = is_the_kernels_now(t, fd); bad != 0) return bad;
  return 0;
}

// Between a pipe of the kernel's and a socket of ours, by copying.
ssize_t splice_by_copy(Tool& t, int from, int to, size_t count, unsigned flags) {
  if (is_libcs(t, from) && is_libcs(t, to)) return libc_answer(::splice(from, nullptr, to, nullptr, count, flags));
  std::vector<std::uint8_t> buffer(std::min<size_t>(count, 65536));
  const int wait = (flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0;
  if (is_libcs(t, to)) {
    if (::fcntl(to, F_GETFD) < 0) return -errno;  // before anything was taken
    const ssize_t got = t.net->recv(from, buffer.data(), buffer.size(), wait);
    return got <= 0 ? got : libc_answer(::write(to, buffer.data(), static_cast<size_t>(got)));
  }
  if (is_libcs(t, from)) {
    const ssize_t got = libc_answer(::read(from, buffer.data(), buffer.size()));
    return got <= 0 ? got : t.net->send(to, buffer.data(), static_cast<size_t>(got), wait | MSG_NOSIGNAL);
  }
  return -EINVAL;
}

// For the companion (preload.cpp): getsockopt of libc's on a descriptor of ours. 1: it is none.
Tool* current = nullptr;

int forwarded_getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  if (current == nullptr || !current->net->owns(fd)) return 1;
  return call(current, [&](Tool& t) { return t.net->getsockopt(fd, level, name, value, length); });
}

void tell_companion() {
  using Forward = int (*)(int, int, int, void*, socklen_t*);
  using Register = void (*)(Forward);
  void* const found = ::dlsym(RTLD_DEFAULT, "leat_packetdrill_register");
  if (found == nullptr) return;
  Register tell = nullptr;
  std::memcpy(&tell, &found, sizeof tell);  // as POSIX has it for functions
  tell(&forwarded_getsockopt);
}

}  // namespace

void packetdrill_interface_init(const char* flags, struct packetdrill_interface* i) {
  Tool* made = nullptr;
  try {
    made = std::make_unique<Tool>(read_flags(flags)).release();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "leat_packetdrill: --so_flags: %s\n", e.what());
    std::exit(2);
  }
  i->userdata = made;
  current = made;
  tell_companion();
  i->free = [](void* u) {
    const std::unique_ptr<Tool> ended(&tool(u));
    if (current == ended.get()) current = nullptr;
  };
  i->socket = [](void* u, int domain, int type, int protocol) {
    return call(u, [&](Tool& t) {
      t.read_options();
      return t.net->socket(domain, type, protocol);
    });
  };
  i->bind = [](void* u, int fd, const sockaddr* a, socklen_t n) {
    return call(u, [&](Tool& t) { return t.net->bind(fd, a, n); });
  };
  i->listen = [](void* u, int fd, int n) { return call(u, [&](Tool& t) { return t.net->listen(fd, n); }); };
  i->accept = [](void* u, int fd, sockaddr* a, socklen_t* n) {
    return call(u, [&](Tool& t) { return t.net->accept(fd, a, n); });
  };
  i->connect = [](void* u, int fd, const sockaddr* a, socklen_t n) {
    return call(u, [&](Tool& t) { return t.net->connect(fd, a, n); });
  };
  i->read = [](void* u, int fd, void* b, size_t n) {
    return call(u, [&](Tool& t) { return is_libcs(t, fd) ? libc_answer(::read(fd, b, n)) : t.net->read(fd, b, n); });
  };
  i->readv = [](void* u, int fd, const iovec* p, int n) {
    return call(u, [&](Tool& t) { return is_libcs(t, fd) ? libc_answer(::readv(fd, p, n)) : t.net->readv(fd, p, n); });
  };
  i->recv = [](void* u, int fd, void* b, size_t n, int f) {
    return call(u, [&](Tool& t) { return t.net->recv(fd, b, n, f); });
  };
  i->recvfrom = [](void* u, int fd, void* b, size_t n, int f, sockaddr* a, socklen_t* l) {
    return call(u, [&](Tool& t) { return t.net->recvfrom(fd, b, n, f, a, l); });
  };
  i->recvmsg = [](void* u, int fd, msghdr* m, int f) {
    return call(u, [&](Tool& t) { return t.net->recvmsg(fd, m, f); });
  };
  i->write = [](void* u, int fd, const void* b, size_t n) {
    return call(u, [&](Tool& t) { return is_libcs(t, fd) ? libc_answer(::write(fd, b, n)) : t.net->write(fd, b, n); });
  };
  i->writev = [](void* u, int fd, const iovec* p, int n) {
    return call(u,
                [&](Tool& t) { return is_libcs(t, fd) ? libc_answer(::writev(fd, p, n)) : t.net->writev(fd, p, n); });
  };
  i->send = [](void* u, int fd, const void* b, size_t n, int f) {
    return call(u, [&](Tool& t) { return t.net->send(fd, b, n, f); });
  };
  i->sendto = [](void* u, int fd, const void* b, size_t n, int f, const sockaddr* a, socklen_t l) {
    return call(u, [&](Tool& t) { return t.net->sendto(fd, b, n, f, a, l); });
  };
  i->sendmsg = [](void* u, int fd, const msghdr* m, int f) {
    return call(u, [&](Tool& t) { return t.net->sendmsg(fd, m, f); });
  };
  i->fcntl = &set_fcntl;
  i->ioctl = &set_ioctl;
  i->close = [](void* u, int fd) {
    return call(u, [&](Tool& t) { return is_libcs(t, fd) ? libc_answer(::close(fd)) : t.net->close(fd); });
  };
  i->shutdown = [](void* u, int fd, int how) { return call(u, [&](Tool& t) { return t.net->shutdown(fd, how); }); };
  i->getsockopt = [](void* u, int fd, int l, int o, void* v, socklen_t* n) {
    return call(u, [&](Tool& t) { return t.net->getsockopt(fd, l, o, v, n); });
  };
  i->setsockopt = [](void* u, int fd, int l, int o, const void* v, socklen_t n) {
    return call(u, [&](Tool& t) { return t.net->setsockopt(fd, l, o, v, n); });
  };
  i->poll = [](void* u, pollfd* fds, nfds_t n, int ms) {
    return call(u, [&](Tool& t) { return t.net->poll(fds, n, ms); });
  };
  i->netdev_send = &netdev_send;
  i->netdev_receive = &netdev_receive;
  i->usleep = [](void* u, useconds_t us) {
    return call(u, [&](Tool& t) {
      t.stack->sleep(leat::Duration::us(us));
      return 0;
    });
  };
  i->gettimeofday = &tell_time;
  i->epoll_create = [](void* u, int n) { return call(u, [&](Tool& t) { return t.net->epoll_create(n); }); };
  i->epoll_ctl = [](void* u, int set, int op, int fd, epoll_event* e) {
    return call(u, [&](Tool& t) { return t.net->epoll_ctl(set, op, fd, e); });
  };
  i->epoll_wait = [](void* u, int set, epoll_event* e, int n, int ms) {
    return call(u, [&](Tool& t) { return t.net->epoll_wait(set, e, n, ms); });
  };
  i->pipe = [](void* u, int fds[2]) { return call(u, [&](Tool& t) { return make_pipe(t, fds); }); };
  i->splice = [](void* u, int from, off64_t* from_offset, int to, off64_t* to_offset, size_t n, unsigned how) {
    return call(u, [&](Tool& t) -> ssize_t {
      if (from_offset != nullptr || to_offset != nullptr) return -ESPIPE;
      return splice_by_copy(t, from, to, n, how);
    });
  };
}
