// bulk over a TAP: the kernel's TCP on one side, Leat on the other, both driven by one thread, so that every cycle of
// both, kernel time included, is that thread's CPU time. It happens in a child process with a network namespace of its
// own: nothing is left behind, and no privilege is needed where user namespaces may be made.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/loads.hpp>
#include <bench/own_namespace.hpp>
#include <bench/stacks.hpp>
#include <cerrno>
#include <cstring>
#include <leat/device/netlink_unsafe.hpp>
#include <leat/device/tap_unsafe.hpp>

namespace leat::bench {
namespace {

constexpr std::uint64_t kBytes = 1'000'000'000;
constexpr std::uint64_t kBytesSlow = 200'000'000;  // without GSO
constexpr std::uint16_t kPort = 5001;
constexpr std::uint32_t kKernelAddress = 0x0a4e0001, kLeatAddress = 0x0a4e0002;

// What the child tells its parent, through a pipe.
struct Outcome {
  bool ok = false;
  std::array<char, 400> why{};
  std::array<char, 16> congestion{};
  double seconds = 1e9;
  std::uint64_t bytes = 0, rx_packets = 0, tx_packets = 0;
  void fail(std::string_view text) {
    const std::size_t n = std::min(text.size(), why.size() - 1);
    std::copy_n(text.begin(), n, why.begin());
  }
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// The kernel's end of the connection, never blocking.
class KernelEnd {
 public:
  KernelEnd() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    if (fd_.get() < 0) throw std::runtime_error("socket");
    // BBR, the default on some machines, costs much more CPU without its own scheduler.
    for (const char* name : {"cubic", "reno"}) {
      if (setsockopt(fd_.get(), IPPROTO_TCP, TCP_CONGESTION, name, static_cast<socklen_t>(std::strlen(name))) == 0)
        break;
    }
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  void start_connecting() {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kPort);
    to.sin_addr.s_addr = htonl(kLeatAddress);
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
      throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
    }
  }
  std::size_t send() { return count(::send(fd_.get(), data_.data(), data_.size(), MSG_DONTWAIT | MSG_NOSIGNAL)); }
  std::size_t receive() { return count(recv(fd_.get(), data_.data(), data_.size(), MSG_DONTWAIT)); }
  void name_congestion(std::array<char, 16>& to) const {
    auto length = static_cast<socklen_t>(to.size());
    getsockopt(fd_.get(), IPPROTO_TCP, TCP_CONGESTION, to.data(), &length);
  }

 private:
  static std::size_t count(ssize_t n) {
    if (n < 0 && errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) {
      throw std::runtime_error(std::string("the kernel's socket: ") + std::strerror(errno));
    }
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  Descriptor fd_;
  std::vector<std::uint8_t> data_ = std::vector<std::uint8_t>(262'144, 0x5a);
};

struct Setting {
  std::uint32_t mtu = 1500;
  bool gso = true;
  bool receive = true;        // as Leat sees it
  bool every_second = false;  // an ACK for every second segment, also of a super-segment
};
constexpr std::uint32_t kHeaders = 52;  // IPv4 and TCP with timestamps

class TapBulk {
 public:
  explicit TapBulk(const Setting& s)
      : setting_(s), pool_(make_pool({.packets = 16384, .chunks = {8192, 8192, 512}, .reserve = 64})) {
    TapProblem why;
    auto tap =
        Tap::open({.name = "leatbench", .mtu = s.mtu, .vnet_header = s.gso, .gso = s.gso, .checksum_offload = s.gso},
                  pool_.pool(), &why);
    if (!tap) throw Unable(std::string(why.cause) + "; " + std::string(why.fix));
    tap_.emplace(std::move(*tap));
    if (s.gso && !tap_->info().tso4)
      throw Unable("the kernel refuses segmentation offload on a TAP: run with --no-gso");
    must(netlink::add_address(tap_->info().name_view(), {IpAddress::v4(kKernelAddress), 24}), "the kernel's address");
    device_.emplace(*tap_);
    host_.emplace(pool_.pool(), 16, 5);
    if (s.every_second) must(host_->stack.set_option(OptionId::tcp_stretch_acks, 0), "option");
    const InterfaceId i = must(host_->shard.attach(*device_, {.name = "tap"}), "attach");
    must(host_->stack.add_address(i, {IpAddress::v4(kLeatAddress), 24}), "address");
    const Handle listener = must(host_->stack.open_stream(), "socket");
    must(host_->stack.bind(listener, {IpAddress::v4(kLeatAddress), Port{kPort}}), "bind");
    must(host_->stack.listen(listener, 4), "listen");
    kernel_.start_connecting();
    const Instant end = monotonic_now() + Duration::s(5);
    while (!socket_) {
      turn();
      socket_ = must(host_->stack.try_accept(listener), "accept");
      if (monotonic_now() > end) throw std::runtime_error("the kernel's connection did not arrive");
    }
  }

  void run(std::uint64_t bytes, Outcome& best) {
    const DeviceCounters before = tap_->counters();
    const double began = thread_cpu_seconds();
    std::uint64_t moved = 0;
    Instant progress = monotonic_now();
    while (moved < bytes) {
      const std::size_t n = setting_.receive ? receive() : send();
      moved += n;
      const Instant t = turn();
      if (n > 0) progress = t;
      if (t - progress > Duration::s(10)) throw std::runtime_error("the transfer stands still");
    }
    const double seconds = thread_cpu_seconds() - began;
    if (best.bytes > 0 && static_cast<double>(moved) / seconds <= static_cast<double>(best.bytes) / best.seconds)
      return;
    best.bytes = moved;
    best.seconds = seconds;
    best.rx_packets = tap_->counters().rx_packets - before.rx_packets;
    best.tx_packets = tap_->counters().tx_packets - before.tx_packets;
    kernel_.name_congestion(best.congestion);
  }

 private:
  Instant turn() {
    const Instant t = monotonic_now();
    host_->shard.turn(t);
    return t;
  }
  std::size_t receive() {
    kernel_.send();
    std::size_t all = 0;
    while (true) {
      const auto got = host_->stack.try_receive(socket_, buffer_);
      if (!got) fail_with("receive", got.error());
      all += got->count;
      if (got->count < buffer_.size()) return all;
    }
  }
  std::size_t send() {
    while (true) {
      const auto sent = host_->stack.try_send(socket_, buffer_);
      if (!sent) fail_with("send", sent.error());
      if (sent->count < buffer_.size()) break;
    }
    return kernel_.receive();
  }

  Setting setting_;
  PacketMemory pool_;
  std::optional<Tap> tap_;
  std::optional<DeviceRef<Tap>> device_;
  std::optional<Host> host_;
  KernelEnd kernel_;
  Handle socket_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(65536, 0x5a);
};

// In the child.
void measure(const Setting& setting, const Request& request, Outcome& outcome) {
  try {
    enter_own_namespace();
    TapBulk bulk(setting);
    const std::uint64_t bytes = scaled(request, setting.gso ? kBytes : kBytesSlow);
    for (int i = 0; i < request.repetitions; ++i) bulk.run(bytes, outcome);
    outcome.ok = true;
  } catch (const std::exception& e) {
    outcome.fail(e.what());
  }
}

Outcome in_child(const Setting& setting, const Request& request) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw Unable("no pipe: " + std::string(std::strerror(errno)));
  const Descriptor reader(ends[0]);
  Outcome outcome;
  const pid_t child = fork();
  if (child < 0) {
    close(ends[1]);
    throw Unable("no process: " + std::string(std::strerror(errno)));
  }
  if (child == 0) {
    measure(setting, request, outcome);
    const bool told = write(ends[1], &outcome, sizeof outcome) == sizeof outcome;
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  const bool told = read(reader.get(), &outcome, sizeof outcome) == sizeof outcome;
  int status = 0;
  waitpid(child, &status, 0);
  if (!told) outcome.fail("the measuring process ended early");
  return outcome;
}

}  // namespace

std::vector<Row> run_bulk_tap(const Request& request) {
  std::vector<Row> rows;
  const auto run = [&](const Setting& s) {
    const char* direction = s.receive ? "receive" : "send";
    if (!request.direction.empty() && request.direction != direction) return;
    if (request.gso && *request.gso != s.gso) return;
    say(request, std::string("bulk over TAP: ") + direction + (s.gso ? ", GSO" : "") +
                     (s.every_second ? ", an ACK for every second segment" : ""));
    const Outcome o = in_child(s, request);
    if (!o.ok) throw Unable(o.why.data());
    const auto packets = static_cast<double>(s.receive ? o.rx_packets : o.tx_packets);
    const auto acks = static_cast<double>(s.receive ? o.tx_packets : o.rx_packets);
    const double segments = static_cast<double>(o.bytes) / (s.mtu - kHeaders);
    Row& row = rows.emplace_back();
    row.set("device", "tap").set("mtu", s.mtu).set("direction", direction).set("gso", s.gso).set("bytes", o.bytes);
    row.set("checksums", s.gso ? "offload" : "software").set("zero_copy", false).set("cpus", 1).set("wait", "spin");
    row.set("kernel_congestion_control", o.congestion.data());
    if (s.receive) row.set("tcp_stretch_acks", s.every_second ? 0 : 1);
    row.set("acks_per_segment", acks / segments)
        .set("segments_per_packet", segments / packets)
        .set("gbit_per_s_per_core", static_cast<double>(o.bytes) * 8e-9 / o.seconds)
        .set("packets_per_s", packets / o.seconds)
        .set("ns_per_packet", o.seconds * 1e9 / packets);
  };
  for (const std::uint32_t mtu : or_default<std::uint32_t>(request.mtus, {1500})) {
    for (const bool gso : {true, false}) {
      run({.mtu = mtu, .gso = gso, .receive = true});
      if (gso) run({.mtu = mtu, .gso = gso, .receive = true, .every_second = true});
      run({.mtu = mtu, .gso = gso, .receive = false});
    }
  }
  return rows;
}

}  // namespace leat::bench
