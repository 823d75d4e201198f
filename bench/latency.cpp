// latency: a TCP echo in a closed loop, one kernel client against five servers in turn: Linux's own over a veth pair
// to a second network namespace, and over a TAP Leat's in the POSIX, channel and event form and one without a stack,
// which shows what the kernel's part of it costs (form `floor`). First with client and server on one CPU, both sleeping
// while they wait; then on two, both spinning.
//
// It happens in a child process with a network namespace of its own, which makes the servers, each in a process, and is
// the client itself: nothing is left behind. A figure is the median of the alternations' percentiles; the servers'
// system calls are counted in a run of their own, as tracing is slow.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bench/clock.hpp>
#include <bench/latency_servers.hpp>
#include <bench/loads.hpp>
#include <bench/own_namespace.hpp>
#include <bench/stacks.hpp>
#include <bench/system_calls.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <leat/device/descriptor.hpp>
#include <leat/device/netlink_unsafe.hpp>

namespace leat::bench {
namespace {

constexpr std::array<std::size_t, 4> kSizes{100, 500, 1400, 4096};
constexpr std::uint64_t kRoundTrips = 2000;  // in each alternation
constexpr std::uint64_t kWarmUp = 100;
constexpr std::uint64_t kCounted = 400;           // round trips whose system calls are counted
constexpr Duration kMost = Duration::ms(250);     // an alternation ends early: two that spin may have to share CPUs
constexpr Duration kMostTraced = Duration::s(2);  // a counting run that takes longer is no count
constexpr int kPatienceS = 10;
constexpr unsigned kLooksPerClock = 1024;

struct Cell {
  double p50_us = 0, p99_us = 0;
  double calls = -1;  // system calls of the server for each round trip; below zero: not known
};
using Table = std::array<std::array<Cell, kEchoForms.size()>, kSizes.size()>;

// What the child tells its parent, through a pipe.
struct Outcome {
  EchoReport report;
  Table table{};
};

struct Setting {
  bool spin = false;
  std::array<std::size_t, 2> cpus{};  // the client's and the server's
  double ns_per_tick = 1;
};

[[noreturn]] void fail_by_errno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// A process of ours that ends with this object, and with its parent.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : pid_(::fork()) {
    if (pid_ < 0) throw Unable("no process: " + std::string(std::strerror(errno)));
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(1);
  }
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(Child&& o) noexcept : pid_(std::exchange(o.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void ended() { pid_ = -1; }  // somebody has waited for it

 private:
  pid_t pid_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Unable("no pipe: " + std::string(std::strerror(errno)));
    reader = Descriptor(ends[0]);
    writer = Descriptor(ends[1]);
  }
  Descriptor reader, writer;
};

Child start_server(const EchoSetting& setting) {
  Pipe pipe;
  Child server([&] { serve_echo(setting, pipe.writer.get()); });
  pipe.writer.reset();
  EchoReport report;
  if (::read(pipe.reader.get(), &report, sizeof report) != sizeof report) report.fail("a server's process ended early");
  report.throw_unless_ok(name_of(setting.form));
  return server;
}

class Client {
 public:
  Client(EchoForm form, std::size_t bytes, const Setting& setting)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), setting_(setting), data_(bytes, 0x5a), back_(bytes) {
    prepare_kernel_socket(fd_.get());
    const timeval limit{.tv_sec = kPatienceS, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // of connect, too
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kEchoPort);
    to.sin_addr.s_addr = htonl(server_address(form));
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail_by_errno("connect");
  }
  // Appends the nanoseconds of each round trip. No further one begins after `most`.
  void run(std::uint64_t round_trips, std::vector<double>& times, Duration most = Duration::s(kPatienceS)) {
    const std::uint64_t began = ticks();
    const auto limit = static_cast<std::uint64_t>(static_cast<double>(most.count_ns()) / setting_.ns_per_tick);
    for (std::uint64_t i = 0; i < round_trips && (i == 0 || ticks() - began < limit); ++i) {
      const std::uint64_t start = ticks();
      round_trip();
      times.push_back(static_cast<double>(ticks() - start) * setting_.ns_per_tick);
      if (back_ != data_) throw std::runtime_error("the echo is not what was sent");
      ++data_[i % data_.size()];
    }
  }

 private:
  void round_trip() {
    if (::send(fd_.get(), data_.data(), data_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(data_.size()))
      fail_by_errno("send");
    const Instant end = setting_.spin ? monotonic_now() + Duration::s(kPatienceS) : Instant::never();
    unsigned looks = 0;
    for (std::size_t got = 0; got < back_.size();) {
      const ssize_t n = ::recv(fd_.get(), back_.data() + got, back_.size() - got, setting_.spin ? MSG_DONTWAIT : 0);
      if (n > 0) {
        got += static_cast<std::size_t>(n);
      } else if (n == 0) {
        throw std::runtime_error("the server closed the connection");
      } else if (!setting_.spin || errno != EAGAIN || (++looks % kLooksPerClock == 0 && monotonic_now() > end)) {
        fail_by_errno("receive");
      }
    }
  }

  Descriptor fd_;
  Setting setting_;
  std::vector<std::uint8_t> data_, back_;
};

double percentile(std::vector<double>& values, std::size_t percent) {
  const auto at = static_cast<std::ptrdiff_t>(std::min(values.size() * percent / 100, values.size() - 1));
  std::ranges::nth_element(values, values.begin() + at);
  return values[static_cast<std::size_t>(at)];
}

// In a child of its own, so that this process is free to trace the server.
std::optional<std::uint64_t> calls_of_run(pid_t server, EchoForm form, std::size_t bytes, const Setting& setting,
                                          std::uint64_t round_trips) {
  Pipe go;
  Child client([&] {
    try {
      char byte = 0;
      if (::read(go.reader.get(), &byte, 1) != 1) ::_exit(1);
      std::vector<double> times;
      Client(form, bytes, setting).run(round_trips, times, kMostTraced);
      ::_exit(times.size() == round_trips ? 0 : 1);
    } catch (const std::exception&) {
      ::_exit(1);
    }
  });
  const auto calls = count_system_calls(server, client.pid(), [&] { (void)!::write(go.writer.get(), "g", 1); });
  client.ended();
  return calls;
}

// The difference of a long run and a short one: what connecting and closing cost is in both.
double calls_per_round_trip(pid_t server, EchoForm form, std::size_t bytes, const Setting& setting) {
  const auto little = calls_of_run(server, form, bytes, setting, kWarmUp);
  const auto much = calls_of_run(server, form, bytes, setting, kWarmUp + kCounted);
  if (!little || !much || *much < *little) return -1;
  return static_cast<double>(*much - *little) / static_cast<double>(kCounted);
}

class Rig {
 public:
  Rig(const Setting& setting, const Request& request) : setting_(setting), request_(request) {
    enter_own_namespace();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // again: the new user's rights took it away
    if (!stay_on_cpu(setting.cpus[0])) fail_by_errno("the client can't stay on a CPU");
    for (const EchoForm form : kEchoForms) {
      if (form == EchoForm::linux_sockets && !request.peers) {
        servers_.emplace_back(std::nullopt);
        continue;
      }
      servers_.emplace_back(start_server({.form = form, .cpu = setting.cpus[1], .spin = setting.spin}));
    }
    if (!request.peers) return;
    must(netlink::add_address(kVethClient, {IpAddress::v4(client_address(EchoForm::linux_sockets)), 24}),
         "the client's address");
    must(netlink::link_up(kVethClient), "the veth pair");
  }

  void measure(Table& table) {
    for (std::size_t size = 0; size < kSizes.size(); ++size) {
      std::array<std::vector<double>, kEchoForms.size()> p50, p99;
      std::array<std::optional<Client>, kEchoForms.size()> clients;
      for (const EchoForm form : kEchoForms)
        if (server(form)) clients[index(form)].emplace(form, kSizes[size], setting_);
      for (int i = 0; i < request_.repetitions; ++i)
        for (const EchoForm form : kEchoForms)
          if (server(form)) alternate(*clients[index(form)], p50[index(form)], p99[index(form)]);
      for (const EchoForm form : kEchoForms) {
        if (!server(form)) continue;
        Cell& cell = table[size][index(form)];
        cell.p50_us = percentile(p50[index(form)], 50) / 1000;
        cell.p99_us = percentile(p99[index(form)], 50) / 1000;
        clients[index(form)].reset();
        if (!setting_.spin) cell.calls = calls_per_round_trip(server(form)->pid(), form, kSizes[size], setting_);
      }
    }
  }

 private:
  static std::size_t index(EchoForm form) { return static_cast<std::size_t>(form); }
  std::optional<Child>& server(EchoForm form) { return servers_[index(form)]; }

  void alternate(Client& client, std::vector<double>& p50, std::vector<double>& p99) {
    if (setting_.spin) ::usleep(1000 * (kEchoSpinMs + 2));  // until the server before has gone to sleep
    std::vector<double> times;
    client.run(scaled(request_, kWarmUp), times, kMost);
    times.clear();
    client.run(scaled(request_, kRoundTrips), times, kMost);
    p50.push_back(percentile(times, 50));
    p99.push_back(percentile(times, 99));
  }

  Setting setting_;
  const Request& request_;
  std::vector<std::optional<Child>> servers_;
};

Outcome in_child(const Setting& setting, const Request& request) {
  Pipe pipe;
  Child child([&] {
    Outcome outcome;
    try {
      Rig(setting, request).measure(outcome.table);
      outcome.report.ok = true;
    } catch (const std::exception& e) {
      outcome.report.fail(e);
    }
    const bool told = ::write(pipe.writer.get(), &outcome, sizeof outcome) == sizeof outcome;
    ::_exit(told ? 0 : 1);
  });
  pipe.writer.reset();
  Outcome outcome;
  if (::read(pipe.reader.get(), &outcome, sizeof outcome) != sizeof outcome)
    outcome.report.fail("the measuring process ended early");
  return outcome;
}

void add_rows(std::vector<Row>& rows, const Outcome& o, bool spin, bool peers) {
  for (std::size_t size = 0; size < kSizes.size(); ++size) {
    const Cell& peer = o.table[size][static_cast<std::size_t>(EchoForm::linux_sockets)];
    for (const EchoForm form : kEchoForms) {
      const bool kernel = form == EchoForm::linux_sockets;
      if (kernel && !peers) continue;
      const Cell& cell = o.table[size][static_cast<std::size_t>(form)];
      Row& row = rows.emplace_back();
      row.set("form", name_of(form)).set("bytes", std::uint64_t{kSizes[size]}).set("device", kernel ? "veth" : "tap");
      row.set("cpus", spin ? 2 : 1).set("wait", spin ? "spin" : "sleep");
      row.set("p50_us", cell.p50_us).set("p99_us", cell.p99_us);
      if (cell.calls >= 0) row.set("syscalls_per_round_trip", cell.calls);
      if (!kernel && peers) row.set("peer", "linux").set("ratio_to_peer", cell.p50_us / peer.p50_us);
    }
  }
}

}  // namespace

std::vector<Row> run_latency(const Request& request) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  (void)::sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<std::size_t> cpus;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  if (cpus.empty()) throw Unable("no CPU is known here: run it under taskset");
  std::vector<Row> rows;
  const auto run = [&](bool spin) {
    const Setting setting{.spin = spin, .cpus = {cpus[0], spin ? cpus[1] : cpus[0]}, .ns_per_tick = ns_per_tick()};
    const Outcome outcome = in_child(setting, request);
    try {
      outcome.report.throw_unless_ok("latency");
    } catch (const Unable& e) {
      throw Unable("latency needs a TAP and a network namespace of its own: " + std::string(e.what()) +
                   " (leat doctor says what works here)");
    }
    add_rows(rows, outcome, spin, request.peers);
  };
  say(request, "latency: client and server on one CPU, sleeping");
  run(false);
  if (cpus.size() > 1) {
    say(request, "latency: client and server on two CPUs, spinning");
    run(true);
  }
  return rows;
}

}  // namespace leat::bench
