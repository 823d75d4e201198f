#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bench/bare_echo.hpp>
#include <bench/bench.hpp>
#include <bench/latency_servers.hpp>
#include <bench/stacks.hpp>
#include <cerrno>
#include <cstring>
#include <leat/api/channel/tcp.hpp>
#include <leat/api/posix/sockets.hpp>
#include <leat/device/descriptor.hpp>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/device/tap_unsafe.hpp>
#include <leat/runtime/clock.hpp>
#include <leat/runtime/host.hpp>
#include <leat/runtime/packet_memory.hpp>
#include <leat/runtime/shared_stack.hpp>

namespace leat::bench {
namespace {

constexpr std::string_view kVethServer = "latserver";
constexpr unsigned kLooksPerClock = 16;  // of a spinning loop

class Reporter {
 public:
  explicit Reporter(int fd) : fd_(fd) {}
  void listening() {
    EchoReport r;
    r.ok = true;
    send(r);
  }
  void failed(const std::exception& e) {
    EchoReport r;
    r.fail(e);
    send(r);
  }

 private:
  void send(const EchoReport& r) const { (void)!::write(fd_, &r, sizeof r); }
  int fd_;
};

sockaddr_in socket_address(std::uint32_t address) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(kEchoPort);
  at.sin_addr.s_addr = htonl(address);
  return at;
}

WaitPolicy policy_of(const EchoSetting& s) {
  return s.spin ? WaitPolicy{.spin = Duration::ms(kEchoSpinMs)} : WaitPolicy::sleeping();
}

// --- the kernel's
// ------------------------------------------------------------------------------------------------------

// Blocking; or spinning, and blocking when nothing comes for a while.
ssize_t kernel_receive(int fd, std::vector<std::uint8_t>& buffer, bool spin) {
  if (!spin) return ::recv(fd, buffer.data(), buffer.size(), 0);
  const Instant end = monotonic_now() + Duration::ms(kEchoSpinMs);
  for (unsigned looks = 0;;) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n >= 0 || errno != EAGAIN) return n;
    if (++looks % kLooksPerClock == 0 && monotonic_now() > end) return ::recv(fd, buffer.data(), buffer.size(), 0);
  }
}

void serve_kernel(const EchoSetting& s, Reporter& report) {
  if (::unshare(CLONE_NEWNET) != 0) throw Unable("no second network namespace: " + std::string(std::strerror(errno)));
  const auto parent = static_cast<std::uint32_t>(::getppid());
  if (!netlink::add_veth(kVethServer, kVethClient, parent))
    throw Unable("the kernel makes no veth pair: modprobe veth");
  must(netlink::add_address(kVethServer, {IpAddress::v4(server_address(s.form)), 24}), "the server's address");
  must(netlink::link_up(kVethServer), "the veth pair");
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  prepare_kernel_socket(listener.get());
  const sockaddr_in at = socket_address(server_address(s.form));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
      ::listen(listener.get(), 4) != 0)
    throw std::runtime_error("the kernel's server: " + std::string(std::strerror(errno)));
  report.listening();
  std::vector<std::uint8_t> buffer(kEchoBuffer);
  for (;;) {
    const Descriptor c(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!c) continue;
    prepare_kernel_socket(c.get());
    for (;;) {
      const ssize_t n = kernel_receive(c.get(), buffer, s.spin);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      if (::send(c.get(), buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
    }
  }
}

// --- Leat's
// ------------------------------------------------------------------------------------------------------------

std::string own_prefix(EchoForm form) {
  return "10.79." + std::to_string(static_cast<unsigned>(form)) + ".2/24";
}
std::string tap_name(EchoForm form) {
  return "lat" + std::string(name_of(form));
}
// After the TAP was opened.
void give_kernel_address(EchoForm form) {
  must(netlink::add_address(tap_name(form), {IpAddress::v4(client_address(form)), 24}), "the kernel's address");
}
[[noreturn]] void fail_to_open(const TapProblem& why) {
  throw Unable(std::string(why.cause) + "; " + std::string(why.fix));
}

std::shared_ptr<SharedStack> shared_stack(const EchoSetting& s) {
  SharedStackOptions options;
  options.wait = policy_of(s);
  auto stack = must(SharedStack::make(options), "a stack");
  TapProblem why;
  if (!stack->open_tap(tap_name(s.form), {own_prefix(s.form)}, &why)) fail_to_open(why);
  give_kernel_address(s.form);
  must(stack->with_owner([](Shard& shard) { (void)shard.stack().set_option(OptionId::tcp_nodelay, 1); }), "option");
  return stack;
}

// -EINTR: a debugger came or went, or somebody counts our system calls.
bool send_all(posix::Sockets& net, int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = net.send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n == -EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

void serve_posix(const EchoSetting& s, Reporter& report) {
  posix::Sockets net(shared_stack(s));
  const int listener = net.socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in at = socket_address(server_address(s.form));
  if (net.bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || net.listen(listener, 4) != 0)
    throw std::runtime_error("the POSIX form does not listen");
  report.listening();
  std::vector<std::uint8_t> buffer(kEchoBuffer);
  for (;;) {
    const int c = net.accept(listener, nullptr, nullptr);
    if (c < 0) continue;
    for (;;) {
      const ssize_t n = net.recv(c, buffer.data(), buffer.size(), 0);
      if (n == -EINTR) continue;
      if (n <= 0 || !send_all(net, c, {buffer.data(), static_cast<std::size_t>(n)})) break;
    }
    net.close(c);
  }
}

void serve_channel(const EchoSetting& s, Reporter& report) {
  const channel::Channel channel(shared_stack(s));
  const auto listener = must(
      channel::TcpListener::listen(channel, {IpAddress::v4(server_address(s.form)), Port{kEchoPort}}, 4), "listener");
  report.listening();
  std::vector<std::uint8_t> buffer(kEchoBuffer);
  for (;;) {
    const auto c = listener.accept();
    if (!c) continue;
    for (;;) {
      const auto n = c->recv(buffer);
      if (!n && n.error() == Errc::interrupted) continue;
      if (!n || *n == 0) break;
      const auto sent = c->send_all({buffer.data(), *n});
      if (!sent || *sent != *n) break;
    }
  }
}

void serve_event(const EchoSetting& s, Reporter& report) {
  leat::Host host({.wait = policy_of(s)});
  TapProblem why;
  if (!host.open_tap(tap_name(s.form), {own_prefix(s.form)}, &why)) fail_to_open(why);
  give_kernel_address(s.form);
  must(host.stack().set_option(OptionId::tcp_nodelay, 1), "option");
  std::vector<std::uint8_t> buffer(kEchoBuffer);
  must(host.serve(Port{kEchoPort},
                  [&buffer](StreamConnection& c) {
                    while (c.pending() == 0) {
                      const IoCount got = c.read(buffer);
                      if (got.count == 0) break;
                      c.write({buffer.data(), got.count});
                    }
                    if (c.at_end()) c.close();
                  }),
       "listener");
  report.listening();
  host.run();
}

// --- no stack's

// Nothing when a frame should be there after a wait and is not.
ssize_t read_frame(int fd, std::vector<std::uint8_t>& frame, bool spin) {
  const Instant end = spin ? monotonic_now() + Duration::ms(kEchoSpinMs) : Instant{};
  for (unsigned looks = 1; spin; ++looks) {
    const ssize_t n = ::read(fd, frame.data(), frame.size());
    if (n > 0) return n;
    if (looks % kLooksPerClock == 0 && monotonic_now() > end) break;
  }
  pollfd p{fd, POLLIN, 0};
  if (::poll(&p, 1, -1) != 1) return 0;
  return ::read(fd, frame.data(), frame.size());
}

void serve_floor(const EchoSetting& s, Reporter& report) {
  auto memory = must(PacketMemory::make(hosted_pool_layout(std::size_t{4} << 20)), "packet memory");
  TapProblem why;
  const std::string name = tap_name(s.form);
  const auto tap = Tap::open({.name = name}, memory.pool(), &why);
  if (!tap) fail_to_open(why);
  // The echo computes no checksum, and takes what is longer than a frame in one piece.
  if (!tap->info().checksum_offload || !tap->info().tso4) throw Unable("this kernel's TAP has no vnet header");
  give_kernel_address(s.form);
  report.listening();
  const int fd = tap->poll_fd();
  const std::size_t before = tap->vnet_header_length();
  const IpAddress address = IpAddress::v4(server_address(s.form));
  std::vector<std::uint8_t> frame(kEchoBuffer + 128);
  for (;;) {
    const ssize_t n = read_frame(fd, frame, s.spin);
    if (n <= static_cast<ssize_t>(before)) continue;
    const MutableByteSpan all{frame.data(), static_cast<std::size_t>(n)};
    if (turn_round(all.subspan(before), tap->caps().mac, address)) (void)!::write(fd, all.data(), all.size());
  }
}

}  // namespace

std::string_view name_of(EchoForm form) {
  constexpr std::array<std::string_view, kEchoForms.size()> names{"linux", "posix", "channel", "event", "floor"};
  return names[static_cast<std::size_t>(form)];
}

std::uint32_t client_address(EchoForm form) {
  return 0x0a4f0001 | static_cast<std::uint32_t>(form) << 8;  // 10.79.FORM.1
}
std::uint32_t server_address(EchoForm form) {
  return 0x0a4f0002 | static_cast<std::uint32_t>(form) << 8;
}

void EchoReport::fail(std::string_view text) {
  ok = false;
  const std::size_t n = std::min(text.size(), why.size() - 1);
  std::copy_n(text.begin(), n, why.begin());
}

void EchoReport::fail(const std::exception& e) {
  fail(e.what());
  unable = dynamic_cast<const Unable*>(&e) != nullptr;
}

void EchoReport::throw_unless_ok(std::string_view who) const {
  if (ok) return;
  if (unable) throw Unable(why.data());
  throw std::runtime_error(std::string(who) + ": " + why.data());
}

bool stay_on_cpu(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

void prepare_kernel_socket(int fd) {
  // BBR, the default on some machines, paces by timers.
  for (const std::string_view name : {"cubic", "reno"})
    if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0) break;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void serve_echo(const EchoSetting& setting, int report_to) {
  Reporter report(report_to);
  try {
    if (!stay_on_cpu(setting.cpu)) throw Unable("the server can't stay on a CPU: " + std::string(std::strerror(errno)));
    switch (setting.form) {
      case EchoForm::linux_sockets:
        return serve_kernel(setting, report);
      case EchoForm::posix:
        return serve_posix(setting, report);
      case EchoForm::channel:
        return serve_channel(setting, report);
      case EchoForm::event:
        return serve_event(setting, report);
      case EchoForm::floor:
        return serve_floor(setting, report);
    }
  } catch (const std::exception& e) {
    report.failed(e);
  }
}

}  // namespace leat::bench
